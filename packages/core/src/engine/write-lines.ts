import { WINDOW } from "../primitives/in-windows.ts";
import type { KeyedQueue, Turn } from "../primitives/keyed-queue.ts";
import { Semaphore } from "../primitives/semaphore.ts";

/** Where changes wait until there is room to send them. */
export type Line = Pick<Semaphore, "enter" | "free">;

/** Sends changes in the turns of their keys, a bounded number at a time: each has its whole deadline from then on. */
export class WriteLines {
  /** The line of calls of one key, however many are made in one turn. */
  readonly single: Line = new Semaphore(WINDOW);
  readonly #writes: KeyedQueue;
  /** The line of all calls of many keys together; each such call also has its own window. */
  readonly #ofMany = new Semaphore(2 * WINDOW);

  constructor(writes: KeyedQueue) {
    this.#writes = writes;
  }

  /**
   * Calls `write` in the turn of a key, when there is room in the line, or in that of single calls once one of those
   * waits for it. The next change of the key begins when it has ended, in the tick in which its result is known.
   *
   * @param waiting as in {@link KeyedQueue.take}.
   */
  inTurn<T>(localKey: string, line: Line, write: () => Promise<T>, waiting?: object): Promise<T> {
    const isOfMany = line !== this.single;
    return new Promise((resolve, reject) => {
      const begin = async (turn: Turn, by: Line): Promise<void> => {
        // It had entered another line, too.
        if (!turn.begin()) return by.free();
        try {
          resolve(await write());
        } catch (error) {
          reject(error);
        } finally {
          by.free();
          this.#writes.end(turn);
        }
      };
      const take = (turn: Turn): void => {
        const enter = (by: Line): void => by.enter(() => void begin(turn, by));
        if (isOfMany) turn.onUrgent = () => enter(this.single);
        enter(turn.isUrgent ? this.single : line);
      };
      this.#writes.take(localKey, take, waiting, isOfMany);
    });
  }

  /**
   * Calls `change` for each item in this very tick; they are sent in their turns.
   *
   * @returns how many ended in each status.
   * @throws the first error, in their order, after all have ended.
   */
  async many<T, S extends string>(
    items: readonly T[],
    change: (item: T, line: Line) => Promise<S>,
  ): Promise<{ readonly [status in S]?: number }> {
    const own = new Semaphore(WINDOW);
    const all = this.#ofMany;
    const line: Line = {
      enter: (work) => own.enter(() => all.enter(work)),
      free: () => {
        all.free();
        own.free();
      },
    };
    const counts: { [status in S]?: number } = {};
    for (const each of await Promise.allSettled(items.map((item) => change(item, line)))) {
      if (each.status === "rejected") throw each.reason;
      counts[each.value] = (counts[each.value] ?? 0) + 1;
    }
    return counts;
  }
}
