import { KeyNode, KeyTable } from "./key-table.ts";

/**
 * Runs the writes of one key one after another, in the order of their calls: the next is sent when the previous one was
 * acknowledged or failed. Otherwise a slow compression, or a backend without order, would let an older write win.
 */
export class KeyedQueue {
  readonly #tails = new KeyTable<Tail>();
  readonly #others = new Set<Promise<unknown>>();

  /** The number of writes in progress or waiting. */
  get size(): number {
    return this.#tails.size + this.#others.size;
  }

  has(key: string): boolean {
    return this.#tails.first(key) !== undefined;
  }

  /** Runs `write` after the earlier writes of this key; immediately if there are none. */
  run<T>(key: string, write: () => Promise<T>): Promise<T> {
    const before = this.#tails.first(key);
    const result = before === undefined ? write() : before.write.then(write, write);
    const tail = new Tail(result);
    this.#tails.add(key, tail);
    const end = (): void => this.#tails.remove(tail);
    result.then(end, end);
    return result;
  }

  /** Counts as a write for {@link settled}, and waits for no other. */
  include<T>(write: Promise<T>): Promise<T> {
    this.#others.add(write);
    const end = (): void => void this.#others.delete(write);
    write.then(end, end);
    return write;
  }

  /** Resolves when every write called so far is settled. */
  async settled(): Promise<void> {
    await Promise.allSettled([...Array.from(this.#tails, ({ write }) => write), ...this.#others]);
  }
}

class Tail extends KeyNode {
  readonly write: Promise<unknown>;

  constructor(write: Promise<unknown>) {
    super();
    this.write = write;
  }
}
