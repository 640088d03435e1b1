import type { CoherenceListener } from "../contracts/capabilities.ts";

/**
 * The parts of a cache that act on the changes of one backend: the public {@link CoherenceListener} without its
 * signs of life, which {@link ChangeSubscription} turns into trust.
 */
export interface ChangeListener extends Pick<
  CoherenceListener,
  "changed" | "leaseChanged" | "tagsChanged" | "replaced"
> {
  /** @param concernsVersions whether versions of tags may have changed, too. @default true */
  everythingChanged(concernsVersions?: boolean): void;
  /** The first attempt to attach has begun. */
  attaching(): void;
  /** Changes are reported from now on. */
  attached(): void;
  /** An attempt to attach has not ended for a while. Called again and again until it ends. */
  unattached(): void;
  /**
   * Changes are not reported any more, or the first attempt to attach failed.
   *
   * @param aliveAt `clock.now()` of the last sign of life; of this call if there was none.
   */
  detached(error: unknown, aliveAt: number): void;
  /**
   * Changes of this part of the backend are not reported any more; those of others are.
   *
   * @param error as in {@link detached}: reported, unless the part cannot be reached.
   * @param aliveAt as in {@link detached}.
   */
  partLost(part: string, error: unknown, aliveAt: number): void;
  /** A part (`""` where there is only one) gave the sign of life that it was asked for at `sentAt` of the clock. */
  alive(part: string, sentAt: number): void;
  /** Changes of this part are reported from now on. */
  partRegained(part: string): void;
  /** Changes of all parts that the backend has now are reported. Called with each sign of life. */
  allBack(): void;
}
