import type { CoherenceListener } from "../contracts/backend.ts";

/**
 * The parts of a cache that act on the changes of one backend: the public {@link CoherenceListener} without its
 * signs of life, which {@link ChangeSubscription} turns into trust.
 */
export interface ChangeListener extends Pick<
  CoherenceListener,
  "changed" | "tagsChanged" | "everythingChanged" | "replaced"
> {
  /** Changes are reported from now on. */
  attached(): void;
  /**
   * Changes are not reported any more, or the first attempt to attach failed.
   *
   * @param aliveAt `clock.now()` of the last sign of life; of this call if there was none.
   */
  detached(error: unknown, aliveAt: number): void;
}
