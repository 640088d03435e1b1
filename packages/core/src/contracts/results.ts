/** The outcome of `set`. */
export interface WriteResult {
  /**
   * `pending`: only this process sees the value. Once the backend is back, the key is removed there; the value is not
   * replayed. With `wait: "memory"`: it is on its way. `refused`: too large, without a lifetime, or the backend is
   * bypassed. A call that a later `set` of the key overtook before it was sent has the status of that one.
   */
  readonly status: "stored" | "pending" | "refused";
}
/** The outcome of `delete`. */
export interface DeleteResult {
  /** `pending`: hidden from this process immediately; remembered, and replayed when the backend is back. */
  readonly status: "deleted" | "missing" | "pending";
}
/** The outcome of `markStale`. */
export interface MarkStaleResult {
  /** `pending`: as in {@link DeleteResult}. */
  readonly status: "stale" | "missing" | "pending";
}
/** The outcome of `invalidateTags`, `markTagsStale` and `clear`. */
export interface InvalidateResult {
  /** `pending`: as in {@link DeleteResult}. */
  readonly status: "done" | "pending";
}
/** How many keys ended in each status. */
export interface WriteManyResult {
  /** Entries that the backend has. */
  readonly stored: number;
  /** Entries that wait for the backend. */
  readonly pending: number;
  /** Entries that were not stored. */
  readonly refused: number;
}
/** How many keys ended in each status. */
export interface DeleteManyResult {
  /** Keys that had an entry. */
  readonly deleted: number;
  /** Keys that had none. */
  readonly missing: number;
  /** Keys whose removal waits for the backend. */
  readonly pending: number;
}
