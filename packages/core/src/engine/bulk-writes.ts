import type { EntryKey } from "../entry/key.ts";
import { inWindow, WINDOW } from "../primitives/in-windows.ts";
import { KeyNode, KeyTable } from "../primitives/key-table.ts";

/**
 * The keys of `setMany` and `deleteMany` whose turn has not come. The order of calls holds all the same: where a later
 * call has changed a key by then, or its turn there came first, the key is left out once that change has succeeded,
 * since it has replaced what was there. If it failed, the key is written.
 *
 * By key: a process that changes many keys at a time looks at the calls that have one, and not at all of them.
 */
export class BulkWrites {
  #turns = new KeyTable<Turn>();
  #calls = 0;

  get size(): number {
    return this.#turns.size;
  }

  /** Whether the turn of this key in a call under way has not come. */
  has(localKey: string): boolean {
    return this.#turns.first(localKey) !== undefined;
  }

  /** A later call of this process changes this key by `change`. */
  overtake(localKey: string, change: Promise<unknown>): void {
    this.#overtake(localKey, Infinity, change);
  }

  /** `change` is newer than the turns of this key in calls before `call`. */
  #overtake(localKey: string, call: number, change: Promise<unknown>): void {
    const turns = this.#turns;
    for (let each = turns.first(localKey); each !== undefined; each = turns.after(each))
      if (each.call < call) each.later = change;
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
    const call = (this.#calls += 1);
    const waiting = items.map((item) => ({ item, turn: this.#add(item.key.local, call) }));
    const statuses = await inWindow(waiting, async ({ item, turn }) => {
      for (let change = turn.later; change !== undefined; change = turn.later) {
        if (await hasSucceeded(change)) {
          this.#turns.remove(turn);
          return overtaken;
        }
        if (turn.later === change) turn.later = undefined;
      }
      this.#turns.remove(turn);
      const written = write(item);
      this.#overtake(item.key.local, call, written);
      return written;
    });
    // A table that was large stays so.
    if (items.length > WINDOW && this.#turns.size === 0) this.#turns = new KeyTable();
    return statuses;
  }

  #add(localKey: string, call: number): Turn {
    const turn = new Turn(call);
    this.#turns.add(localKey, turn);
    return turn;
  }
}

/** One key of one call, until its turn has come. */
class Turn extends KeyNode {
  /** The number of the call: later ones have greater numbers. */
  readonly call: number;
  /** The last change of the key by a later call. */
  later: Promise<unknown> | undefined;

  constructor(call: number) {
    super();
    this.call = call;
  }
}

const hasSucceeded = (change: Promise<unknown>): Promise<boolean> =>
  change.then(
    () => true,
    () => false,
  );
