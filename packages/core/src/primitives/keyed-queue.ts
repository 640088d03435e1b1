import { KeyNode, KeyTable } from "./key-table.ts";

/**
 * Runs the writes of one key one after another, in the order of their calls: the next is sent when the previous one was
 * acknowledged or failed. Otherwise a slow compression, or a backend without order, would let an older write win.
 */
export class KeyedQueue {
  readonly #tails = new KeyTable<Tail>();
  readonly #others = new Set<Promise<unknown>>();
  /** The key of the write that is being called. */
  #calling: string | undefined;

  /** The number of writes in progress or waiting. */
  get size(): number {
    return this.#tails.size + this.#others.size;
  }

  /** Whether a write of this key has been called and is not settled, also while it is being called. */
  has(key: string): boolean {
    return this.#calling === key || this.#tails.first(key) !== undefined;
  }

  /**
   * Runs `write` after the earlier writes of this key; immediately if there are none.
   *
   * @param waiting returned by {@link waiting} until `write` runs.
   */
  run<T>(key: string, write: () => Promise<T>, waiting?: object): Promise<T> {
    const before = this.#tails.first(key);
    const tail = new Tail();
    const begin = (): Promise<T> => {
      tail.waiting = undefined;
      const outer = this.#calling;
      this.#calling = key;
      try {
        return write();
      } finally {
        this.#calling = outer;
      }
    };
    if (before !== undefined) tail.waiting = waiting;
    const result = before === undefined ? begin() : before.write.then(begin, begin);
    tail.write = result;
    this.#tails.add(key, tail);
    const end = (): void => this.#tails.remove(tail);
    result.then(end, end);
    return result;
  }

  /** The object that {@link run} was given with the last write of this key, if that write has not begun. */
  waiting(key: string): object | undefined {
    return this.#tails.first(key)?.waiting;
  }

  /** Counts as a write for {@link settled}, and waits for no other. */
  include<T>(write: Promise<T>): Promise<T> {
    this.#others.add(write);
    const end = (): void => void this.#others.delete(write);
    write.then(end, end);
    return write;
  }

  /** Resolves when every write called so far is settled, and what these have included. */
  async settled(): Promise<void> {
    await Promise.allSettled([...Array.from(this.#tails, ({ write }) => write), ...this.#others]);
    await Promise.allSettled(this.#others);
  }
}

class Tail extends KeyNode {
  write!: Promise<unknown>;
  waiting: object | undefined;
}
