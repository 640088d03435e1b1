import type { EntryKey } from "../entry/key.ts";
import { inWindow } from "../primitives/in-windows.ts";
import type { KeyedQueue } from "../primitives/keyed-queue.ts";

/**
 * The keys of `setMany` and `deleteMany` whose turn has not come. The order of calls holds all the same: a key that a
 * later call has changed, or whose turn in a later call came first, is left out, since the later change would replace
 * this one at once. A call ends when these later writes have, so that nothing older is read after it.
 */
export class BulkWrites {
  /** For each call under way, the local keys that no later call has changed. */
  readonly #underWay = new Set<Set<string>>();
  readonly #writes: KeyedQueue;

  /** @param writes where a write waits for earlier ones of its key. */
  constructor(writes: KeyedQueue) {
    this.#writes = writes;
  }

  get size(): number {
    return this.#underWay.size;
  }

  /** A later call changes this key, or has stored it. */
  overtake(localKey: string): void {
    for (const keys of this.#underWay) keys.delete(localKey);
  }

  /** The turn of this key has come in the call of `keys`: earlier calls leave it out. */
  #overtakeEarlier(localKey: string, keys: Set<string>): void {
    for (const earlier of this.#underWay) {
      if (earlier === keys) return;
      earlier.delete(localKey);
    }
  }

  /**
   * Calls `write` for each item whose key was not overtaken when its turn comes; the others end as `overtaken`, after
   * the writes of their keys.
   *
   * @param write is in the queue of its key when it returns.
   * @returns the statuses, in the order of `items`.
   * @throws the first error of a write, after all others have settled.
   */
  async run<T extends { readonly key: EntryKey }, S>(
    items: readonly T[],
    write: (item: T) => Promise<S>,
    overtaken: S,
  ): Promise<readonly S[]> {
    const keys = new Set(items.map(({ key }) => key.local));
    this.#underWay.add(keys);
    try {
      return await inWindow(items, async (item) => {
        const { local } = item.key;
        if (!keys.has(local)) {
          if (this.#writes.has(local)) await this.#writes.run(local, () => Promise.resolve());
          return overtaken;
        }
        this.#overtakeEarlier(local, keys);
        return write(item);
      });
    } finally {
      this.#underWay.delete(keys);
    }
  }
}
