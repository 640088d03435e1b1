import type { EntryKey } from "../entry/key.ts";
import { inWindow } from "../primitives/in-windows.ts";

/**
 * The keys of `setMany` and `deleteMany` whose turn has not come. The order of calls holds all the same: where a later
 * call has changed a key by then, or its turn there came first, the key is left out once that change has succeeded,
 * since it has replaced what was there. If it failed, the key is written.
 */
export class BulkWrites {
  readonly #underWay = new Set<BulkCall>();

  get size(): number {
    return this.#underWay.size;
  }

  /** Whether the turn of this key in a call under way has not come. */
  has(localKey: string): boolean {
    for (const { later, begun } of this.#underWay) if (later.has(localKey) && !begun.has(localKey)) return true;
    return false;
  }

  /** A later call of this process changes this key by `change`. */
  overtake(localKey: string, change: Promise<unknown>): void {
    for (const { later } of this.#underWay) if (later.has(localKey)) later.set(localKey, change);
  }

  /** The turn of this key has come in `call`, which changes it by `change`. */
  #overtakeEarlier(localKey: string, call: BulkCall, change: Promise<unknown>): void {
    for (const earlier of this.#underWay) {
      if (earlier === call) return;
      if (earlier.later.has(localKey)) earlier.later.set(localKey, change);
    }
  }

  /**
   * Calls `write` for each item in its turn. Items whose key a later call has changed end as `overtaken`, after that
   * change.
   *
   * @returns the statuses, in the order of `items`.
   * @throws the first error of a write, after all others have settled.
   */
  async run<T extends { readonly key: EntryKey }, S>(
    items: readonly T[],
    write: (item: T) => Promise<S>,
    overtaken: S,
  ): Promise<readonly S[]> {
    const call: BulkCall = { later: new Map(items.map(({ key }) => [key.local, undefined])), begun: new Set() };
    const { later, begun } = call;
    this.#underWay.add(call);
    try {
      return await inWindow(items, async (item) => {
        const { local } = item.key;
        for (let change = later.get(local); change !== undefined; change = later.get(local)) {
          if (await hasSucceeded(change)) return overtaken;
          if (later.get(local) === change) later.set(local, undefined);
        }
        begun.add(local);
        const written = write(item);
        this.#overtakeEarlier(local, call, written);
        return written;
      });
    } finally {
      this.#underWay.delete(call);
    }
  }
}

interface BulkCall {
  /** All its keys, each with the last change by a later call. */
  readonly later: Map<string, Promise<unknown> | undefined>;
  /** Those whose turn has come. */
  readonly begun: Set<string>;
}

const hasSucceeded = (change: Promise<unknown>): Promise<boolean> =>
  change.then(
    () => true,
    () => false,
  );
