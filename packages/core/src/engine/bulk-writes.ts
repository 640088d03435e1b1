import type { EntryKey } from "../entry/key.ts";
import { inWindow } from "../primitives/in-windows.ts";

/**
 * The keys of `setMany` and `deleteMany` whose turn has not come. The order of calls holds all the same: a key that a
 * later call changes is left out, since the later change would replace this one at once.
 */
export class BulkWrites {
  /** For each call under way, the local keys that no later call has changed. */
  readonly #underWay = new Set<Set<string>>();

  get size(): number {
    return this.#underWay.size;
  }

  /** A later call changes this key, or has stored it. */
  overtake(localKey: string): void {
    for (const keys of this.#underWay) keys.delete(localKey);
  }

  /**
   * Calls `write` for each item whose key was not overtaken when its turn comes; the others end as `overtaken`.
   *
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
      return await inWindow(items, (item) => (keys.has(item.key.local) ? write(item) : Promise.resolve(overtaken)));
    } finally {
      this.#underWay.delete(keys);
    }
  }
}
