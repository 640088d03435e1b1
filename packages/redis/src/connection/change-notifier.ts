/** Who hears of changes to one topic. Keys are as Redis has them. Each of these returns at once. */
export interface Ear {
  /** A prefix of keys, colon included, or a channel: what the sources of its hub understand. */
  readonly topic: string;
  readonly maxStalenessMs: number;
  now(): number;
  /** Also keys of other topics. @param sender who says so, where that is told */
  changed(redisKeys: readonly string[], sender?: string): void;
  everythingChanged(): void;
  alive(sentAtMs: number): void;
  replaced(): void;
  lost(error: unknown): void;
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
  attach(ear: Ear): Promise<() => Promise<void>>;
  /** `true` once all that was acknowledged to anybody by now has been told; `false` when that cannot be found out. */
  settled(): Promise<boolean>;
}

/** The server does not let us hear of changes in this way. */
export class SubscriptionRefusedError extends Error {}
