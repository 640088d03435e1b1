import { BackendUnavailableError, type Awaitable, type Clock } from "@hotset/core";
import { epochMs, Deadline, Deadlines } from "@hotset/core/internal";
import type { SwapRecord, SwapStore } from "./swap-store.ts";

/** The answer of a step, and its change of a record. */
export interface Step<T> {
  readonly answer: T;
  /** New bytes of the record, and how long they live; `undefined` leaves it as it is, `"none"` removes it. */
  readonly next?: Next | "none" | undefined;
}

export interface Next {
  readonly bytes: Uint8Array;
  readonly ttlMs: number;
  /**
   * A record that is made first where there is none. So a swap that arrives late is refused if anything has changed,
   * also if what changed is gone again.
   */
  readonly over?: (() => Next) | undefined;
}

export interface RecordsOptions {
  readonly label: string;
  readonly clock: Clock;
  readonly deadlineMs: number;
}

interface Batch<V> {
  /** Places in the answers. */
  readonly places: Map<string, number>;
  readonly answers: Promise<readonly (SwapRecord<V> | undefined)[]>;
}

/** Steps over the records of a store: each is one read and one swap, and is decided again where that was refused. */
export class Records<V> {
  readonly #store: SwapStore<V>;
  readonly #options: RecordsOptions;
  readonly #deadlines: Deadlines;
  /** The reads of this turn. */
  #batch: Batch<V> | undefined;

  constructor(store: SwapStore<V>, options: RecordsOptions) {
    this.#store = store;
    this.#options = options;
    this.#deadlines = Deadlines.of(options.clock, SHARE_OF_DEADLINE * options.deadlineMs);
  }

  /** The wall clock. */
  nowMs(): number {
    return epochMs(this.#options.clock);
  }

  async get(name: Awaitable<string>): Promise<Uint8Array | undefined> {
    return (await this.#read(typeof name === "string" ? name : await name))?.bytes;
  }

  /** Reads of one turn go together, where the store can. */
  #read(name: string): Promise<SwapRecord<V> | undefined> {
    if (this.#store.getMany === undefined) return this.#store.get(name);
    this.#batch ??= this.#readBatch(this.#store);
    const { places, answers } = this.#batch;
    const place = places.get(name) ?? places.size;
    places.set(name, place);
    return answers.then((found) => found[place]);
  }

  #readBatch(store: SwapStore<V>): Batch<V> {
    const places = new Map<string, number>();
    const answers = Promise.resolve().then(() => {
      this.#batch = undefined;
      const [only, ...others] = places.keys();
      if (others.length === 0) return store.get(only!).then((found) => [found]);
      return store.getMany!([only!, ...others]);
    });
    return { places, answers };
  }

  /**
   * A step that its caller has given up sets nothing that it decided later: the caller may have removed the key since.
   */
  async change<T>(
    operation: string,
    named: Awaitable<string>,
    decide: (bytes: Uint8Array | undefined, nowMs: number) => Step<T>,
  ): Promise<T> {
    // Looked at before each swap.
    const deadline = new Deadline();
    this.#deadlines.start(deadline);
    const { clock, deadlineMs } = this.#options;
    const begunAt = clock.now();
    try {
      const name = typeof named === "string" ? named : await named;
      for (;;) {
        const found = await this.#read(name);
        if (deadline.isOver) throw this.#tooLate(operation);
        const { answer, next } = decide(found?.bytes, this.nowMs());
        if (next === undefined || (await this.#isSet(name, found, next))) return answer;
        // Of a store that answers immediately: no timer runs between its answers, and so no deadline passes.
        if (clock.now() - begunAt >= deadlineMs) throw this.#tooLate(operation);
      }
    } finally {
      this.#deadlines.end(deadline);
    }
  }

  async #isSet(name: string, found: SwapRecord<V> | undefined, next: Next | "none"): Promise<boolean> {
    if (next === "none") return found === undefined || this.#store.delete(name, found.version);
    const { bytes, ttlMs, over } = next;
    if (found !== undefined || over === undefined) return this.#swap(name, bytes, found?.version, ttlMs);
    const first = over();
    const version = await this.#store.swap(name, first.bytes, undefined, first.ttlMs);
    return version !== undefined && this.#swap(name, bytes, version, ttlMs);
  }

  async #swap(name: string, bytes: Uint8Array, expected: V | undefined, ttlMs: number): Promise<boolean> {
    return (await this.#store.swap(name, bytes, expected, ttlMs)) !== undefined;
  }

  #tooLate(operation: string): BackendUnavailableError {
    const { label, deadlineMs } = this.#options;
    return new BackendUnavailableError(
      `${label}: ${operation} was not done within ${deadlineMs} ms; is the store slow, or does it refuse every swap?`,
      { tier: label, operation },
    );
  }
}

/** So it ends before the cache gives it up. */
const SHARE_OF_DEADLINE = 0.9;
