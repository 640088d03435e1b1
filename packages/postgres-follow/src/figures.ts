/** Whether this process reads the log, or another one does, or PostgreSQL cannot be reached. */
export type FollowerRole = "following" | "waiting" | "connecting";

/** Figures of a follower. */
export interface FollowerStats {
  /** `following` in one process of all that share the slot. */
  readonly role: FollowerRole;
  /** Name of the slot; `undefined` before one was found. */
  readonly slot: string | undefined;
  /** Bytes of the log that are not confirmed: of the server, so in every process. `undefined` while unknown. */
  readonly lagBytes: number | undefined;
  /** Age of the oldest commit that is not invalidated yet, 0 for none; `undefined` where another process follows. */
  readonly lagMs: number | undefined;
  /** Rows, truncated tables and messages that this process has read. */
  readonly changes: number;
  /** Calls of the cache that were made for them, and to clear. */
  readonly calls: number;
  /** Times that everything was cleared, since changes may have been missed. */
  readonly clears: number;
  /** The last reason for not following; `undefined` while all is well. */
  readonly error: string | undefined;
}

/** Follows until it is closed. */
export interface Follower extends AsyncDisposable {
  /** The figures of this follower, now. Never throws. */
  stats(): FollowerStats;
  /** Frees the slot: another process follows. Neither the pool nor the cache is closed. Idempotent; never rejects. */
  close(): Promise<void>;
}
