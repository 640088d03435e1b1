import type { Awaitable } from "@hotset/core";

/**
 * A store that can compare one record with what was read of it, and set it, in one step: {@link fromSwap} makes a whole
 * backend of it. `V` names one state of a record: a counter of the store, its ETag, a revision.
 *
 * Names are 44 characters of `A-Z a-z 0-9 - _`, and case counts. No two records that are set are equal, so a hash of
 * the bytes is a version too. Methods reject as those of {@link Backend} do: with {@link BackendUnavailableError} if
 * the store did not answer, with any other error if it refused the call.
 */
export interface SwapStore<V> {
  /** The newest state, never one from before a change that was acknowledged to any client. */
  get(name: string): Promise<SwapRecord<V> | undefined>;
  /**
   * As `get`, for several names in their order, none of them twice. The reads of one turn of the event loop come
   * together, such as those of all tags of an entry: up to some thousand, which a store with a limit divides.
   * @default one `get` each: calls of one turn may still be sent together by the client
   */
  getMany?(names: readonly string[]): Promise<readonly (SwapRecord<V> | undefined)[]>;
  /**
   * Sets the record if its version is `expected`, or if there is none where that is `undefined`, in one step.
   *
   * @param ttlMs the store may drop the record after that; more than 0, may be `Infinity`, and need not be whole.
   * @returns its new version; `undefined` if it is another record by now. A store that cannot know whether an earlier
   *   attempt of this call was executed may return `undefined` as well.
   */
  swap(name: string, bytes: Uint8Array, expected: V | undefined, ttlMs: number): Promise<V | undefined>;
  /** Removes the record if its version is `expected`, in one step. @returns `false` as `swap` returns `undefined`. */
  delete(name: string, expected: V): Promise<boolean>;
  /**
   * Closes what this client opened, like {@link Backend.close}; a second time nothing. A call after it answers as before,
   * or rejects with {@link BackendUnavailableError}.
   */
  close(): Awaitable<void>;
}

/** A record of a {@link SwapStore}, as it was read. */
export interface SwapRecord<V> {
  /** The bytes that were set. */
  readonly bytes: Uint8Array;
  /** For `swap` and `delete`. */
  readonly version: V;
}
