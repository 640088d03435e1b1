import type { CoherenceListener } from "@hotset/core";

/**
 * A listener to the changes of one topic. Keys are those of Redis, of entries and of tags. Each method returns
 * immediately.
 */
export interface ChangeListener extends Omit<CoherenceListener, "changed" | "leaseChanged" | "tagsChanged"> {
  /** A prefix of keys, colon included, or the name of a channel: depends on how the changes are received. */
  readonly topic: string;
  readonly maxStalenessMs: number;
  /**
   * Called with keys of other topics, too.
   *
   * @param sender the backend that announced the change, where the message names it.
   */
  changed(redisKeys: readonly string[], sender?: string): void;
}

/** Reports changes to listeners. Links pass it through to the store; `changes/` implements it. */
export interface ChangeNotifier {
  /**
   * Resolves once every change that is acknowledged from now on will be reported. Waits until the servers can be
   * reached.
   *
   * @returns a function that detaches the listener.
   * @throws {SubscriptionRefusedError}
   * @throws {BackendUnavailableError} when trying again cannot help.
   */
  attach(listener: ChangeListener): Promise<() => Promise<void>>;
  /**
   * `true` once every change acknowledged by now, to any client, has been reported; `false` when that cannot be found
   * out.
   *
   * @param part only changes of this part count, see `Link.parts`.
   */
  settled(part?: string): Promise<boolean>;
}

/** The server does not let this user receive changes in this way. */
export class SubscriptionRefusedError extends Error {
  /** For messages. */
  readonly server: string;

  /** @param part the part whose changes it reports, see {@link ChangeNotifier.settled}. */
  constructor(message: string, options?: ErrorOptions, part?: string) {
    super(message, options);
    this.server = part ?? "the server";
  }
}
