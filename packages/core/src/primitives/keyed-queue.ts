import { KeyNode, KeyTable } from "./key-table.ts";

/**
 * Writes of one key, one after another in the order they were called: the next is sent when the one before was
 * acknowledged or given up. Without it a slow compression, or a backend without order, would let an older write win.
 */
export class KeyedQueue {
  readonly #tails = new KeyTable<Tail>();

  /** Writes under way, or waiting for one. */
  get size(): number {
    return this.#tails.size;
  }

  has(key: string): boolean {
    return this.#tails.first(key) !== undefined;
  }

  /** Runs `write` at once where nothing of this key is under way. */
  run<T>(key: string, write: () => Promise<T>): Promise<T> {
    const before = this.#tails.first(key);
    const result = before === undefined ? write() : before.write.then(write, write);
    const tail = new Tail(result);
    this.#tails.add(key, tail);
    const end = (): void => this.#tails.remove(tail);
    result.then(end, end);
    return result;
  }

  /** Resolves when every write that has begun is settled. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#tails].map(({ write }) => write));
  }
}

class Tail extends KeyNode {
  readonly write: Promise<unknown>;

  constructor(write: Promise<unknown>) {
    super();
    this.write = write;
  }
}
