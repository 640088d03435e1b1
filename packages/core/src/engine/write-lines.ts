import { WINDOW } from "../primitives/in-windows.ts";
import type { KeyedQueue, Turn } from "../primitives/keyed-queue.ts";
import { Semaphore } from "../primitives/semaphore.ts";
import type { Settlers } from "../primitives/settlers.ts";

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
   * Calls `begin` in the turn of a key, when there is room in the line, or in that of single calls once one of those
   * waits for it. The next change of the key begins when `over` is called.
   *
   * @param waiting as in {@link KeyedQueue.take}.
   */
  inTurn(localKey: string, line: Line, begin: (over: () => void) => void, waiting?: object): void {
    const isOfMany = line !== this.single;
    const take = (turn: Turn): void => {
      const enter = (by: Line): void =>
        by.enter(() => {
          if (!turn.begin()) return by.free();
          begin(() => {
            by.free();
            this.#writes.end(turn);
          });
        });
      const hurry = (): void => enter(this.single);
      if (isOfMany) turn.onUrgent = hurry;
      enter(turn.isUrgent ? this.single : line);
    };
    this.#writes.take(localKey, take, waiting, isOfMany);
  }

  /**
   * Calls `change` for each item in this very tick; they are sent in their turns.
   *
   * @returns how many ended in each status.
   * @throws the first error, in their order, after all have ended.
   */
  many<T, S extends string>(
    items: readonly T[],
    change: (item: T, line: Line, ends: Settlers<S>) => void,
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
    return new Promise((resolve, reject) => {
      const counts: { [status in S]?: number } = {};
      let failure: { readonly at: number; readonly error: unknown } | undefined;
      let left = items.length;
      const end = (): void => {
        if ((left -= 1) > 0) return;
        if (failure === undefined) resolve(counts);
        else reject(failure.error);
      };
      items.forEach((item, at) => {
        const failed = (error: unknown): void => {
          if (failure === undefined || at < failure.at) failure = { at, error };
          end();
        };
        const ended = (status: S): void => {
          counts[status] = (counts[status] ?? 0) + 1;
          end();
        };
        try {
          change(item, line, { resolve: ended, reject: failed });
        } catch (error) {
          failed(error);
        }
      });
      if (items.length === 0) resolve(counts);
    });
  }
}

/** The call of one key. */
export const ofOne = <S>(change: (ends: Settlers<S>) => void): Promise<{ readonly status: S }> =>
  new Promise((resolve, reject) => change({ resolve: (status) => resolve({ status }), reject }));
