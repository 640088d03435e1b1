import type { CoherenceListener } from "@hotset/core";

/** A listener to the changes of one topic. Keys are those of Redis, of tags too. Each method returns at once. */
export interface ChangeListener extends Omit<CoherenceListener, "tagsChanged"> {
  /** A prefix of keys, colon included, or a channel, depending on how changes are received. */
  readonly topic: string;
  readonly maxStalenessMs: number;
  /**
   * Called with keys of other topics, too.
   *
   * @param sender the backend that announced the change, where the message names it.
   */
  changed(redisKeys: readonly string[], sender?: string): void;
}

/** Reports changes to listeners. A link passes it through from the room that implements it, `changes/`. */
export interface ChangeNotifier {
  /**
   * Resolves once everything that is acknowledged from now on will be told. Waits until the servers can be reached.
   *
   * @returns what ends it.
   * @throws {SubscriptionRefusedError}
   * @throws {BackendUnavailableError} when trying again cannot help.
   */
  attach(listener: ChangeListener): Promise<() => Promise<void>>;
  /** `true` once all that was acknowledged to anybody by now has been told; `false` when that cannot be found out. */
  settled(): Promise<boolean>;
}

/** The server does not let us hear of changes in this way. */
export class SubscriptionRefusedError extends Error {}
