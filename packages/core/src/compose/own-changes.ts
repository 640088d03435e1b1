import type { Clock } from "../contracts/clock.ts";
import type { Entry } from "../entry/entry.ts";
import { KeyNode, KeyTable } from "../primitives/key-table.ts";
import { KeyedQueue } from "../primitives/keyed-queue.ts";

/** A read in progress. */
export class ReadMark extends KeyNode {
  /** A change of its key has ended since it began: its result may be older. */
  isOvertaken = false;
}

/**
 * The changes of entries that this process makes, one after another for each key. After a change, `near` must not bring
 * back an entry from before.
 *
 * An entry that was read before a change has ended is not copied to `near`. Another process that shares `near` may
 * still do so, and late. Its copy ends `nearTtl` after the change at the latest. Until then the only copy of the key
 * that is served is the one that this process wrote.
 *
 * Bounded: the oldest change is forgotten, and then `nearTtl` alone bounds a late copy of another process.
 */
export class OwnChanges {
  readonly #clock: Clock;
  readonly #nearTtlMs: number;
  readonly #queue = new KeyedQueue();
  readonly #reads = new KeyTable<ReadMark>();
  readonly #recent = new Map<string, { version: string | undefined; readonly until: number }>();

  constructor(clock: Clock, nearTtlMs: number) {
    this.#clock = clock;
    this.#nearTtlMs = nearTtlMs;
  }

  /** Registers a read, before it is sent. */
  begin(backendKey: string): ReadMark {
    const mark = new ReadMark();
    this.#reads.add(backendKey, mark);
    return mark;
  }

  end(mark: ReadMark): void {
    this.#reads.remove(mark);
  }

  /** Whether the entry that this read found cannot be older than a change of its key: it may be copied to `near`. */
  mayCopy(mark: ReadMark, { terms }: Entry): boolean {
    if (mark.isOvertaken || this.#queue.has(mark.tableKey)) return false;
    return terms.mayLag !== true || this.#lastChange(mark.tableKey) === undefined;
  }

  /** Whether this copy in `near` cannot be older than a change by this process. A near without leases is its own. */
  mayServe(backendKey: string, { version }: Entry): boolean {
    const change = this.#lastChange(backendKey);
    return change === undefined || version === undefined || version === change.version;
  }

  /**
   * Runs a change of a key after those before it.
   *
   * @param version of the entry that it writes; `undefined` if it removes the entry or marks it stale.
   */
  run<T>(backendKey: string, version: string | undefined, change: () => Promise<T>): Promise<T> {
    return this.#queue.run(backendKey, async () => {
      this.#remember(backendKey, version);
      try {
        return await change();
      } finally {
        this.#remember(backendKey, version);
        for (let each = this.#reads.first(backendKey); each !== undefined; each = this.#reads.after(each))
          each.isOvertaken = true;
      }
    });
  }

  /** Copies an entry of `far` to `near`, after the changes of its key. */
  copy<T>(backendKey: string, version: string | undefined, write: () => Promise<T>): Promise<T> {
    return this.#queue.run(backendKey, () => {
      const change = this.#recent.get(backendKey);
      if (change !== undefined) change.version = version;
      return write();
    });
  }

  /** Unless it is so long ago that no copy from before it is left. */
  #lastChange(backendKey: string): { readonly version: string | undefined } | undefined {
    const change = this.#recent.get(backendKey);
    return change === undefined || change.until <= this.#clock.now() ? undefined : change;
  }

  #remember(backendKey: string, version: string | undefined): void {
    this.#recent.delete(backendKey);
    this.#recent.set(backendKey, { version, until: this.#clock.now() + this.#nearTtlMs });
    if (this.#recent.size > MAX_RECENT) this.#recent.delete(this.#recent.keys().next().value!);
  }
}

const MAX_RECENT = 10_000;
