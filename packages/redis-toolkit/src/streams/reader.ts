import type { Duration } from "@hotset/core";
import { checkOptions, checkSignal } from "../module/module.ts";
import { BlockingReads } from "./blocking-reads.ts";
import { startId, ZERO, type EntryId, type StartId } from "./entry-id.ts";
import { entriesOfOne, type Entry } from "./entry.ts";
import { blockMsOf, countOf, DEFAULT_COUNT } from "./limits.ts";
import type { StreamPlace } from "./stream-place.ts";

/** Options of {@link Stream.reader}. */
export interface ReaderOptions {
  /** Where to begin. `$` is looked up once, at the first read. @default '0' */
  readonly after?: StartId | undefined;
  /** The most entries of one read, 1 to 10,000. @default 1 */
  readonly count?: number | undefined;
  /** How long one read waits for an entry, up to an hour. @default '2s' */
  readonly block?: Duration | undefined;
  /** Ends the reader. */
  readonly signal?: AbortSignal | undefined;
}

/** Reads a stream from a position on, without a group. It has a separate connection, from its first read. */
export class StreamReader<T> implements AsyncIterable<Entry<T>>, AsyncDisposable {
  readonly #reads: BlockingReads;
  readonly #findLast: () => Promise<EntryId>;
  readonly #count: string;
  readonly #blockMs: number;
  readonly #closing = new AbortController();
  readonly #signal: AbortSignal;
  #after: StartId;

  constructor(place: StreamPlace, findLast: () => Promise<EntryId>, options: ReaderOptions) {
    checkOptions("reader", options, ["after", "count", "block", "signal"]);
    const { after = "0", count = DEFAULT_COUNT, block = "2s", signal } = options;
    checkSignal("reader: signal", signal);
    this.#reads = new BlockingReads(place);
    this.#findLast = findLast;
    this.#count = String(countOf("reader: count", count));
    this.#blockMs = blockMsOf("reader: block", block);
    this.#after = startId("reader: after", after);
    this.#signal = signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]);
  }

  /** Id of the last entry that was read, for a reader that continues from there; `$` before its first read. */
  get position(): StartId {
    return this.#after === "0" ? ZERO : this.#after;
  }

  /**
   * The next entries; none if none came in time. After an error the position is what it was: read again. One call at a
   * time.
   *
   * @throws {BackendUnavailableError} {CommandError} the reason of its signal, once it is closed.
   */
  async next(): Promise<readonly Entry<T>[]> {
    const entries = await this.#read();
    this.#after = entries.at(-1)?.id ?? this.#after;
    return entries;
  }

  /** Each entry, without end. Leaving the loop, closing the reader and its signal end it. */
  async *[Symbol.asyncIterator](): AsyncIterator<Entry<T>> {
    try {
      while (!this.#signal.aborted)
        for (const entry of await this.#read()) {
          this.#after = entry.id;
          yield entry;
        }
    } catch (error) {
      if (!this.#signal.aborted) throw error;
    } finally {
      await this.close();
    }
  }

  /** Ends a read that waits. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#reads.close();
  }

  async #read(): Promise<readonly Entry<T>[]> {
    this.#signal.throwIfAborted();
    if (this.#after === "$") this.#after = await this.#findLast();
    const args = ["COUNT", this.#count, "BLOCK", String(this.#blockMs)];
    return this.#reads.read((key) => ["XREAD", ...args, "STREAMS", key, this.#after], {
      blockMs: this.#blockMs,
      signal: this.#signal,
      decode: entriesOfOne<T>,
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
