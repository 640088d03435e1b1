/**
 * Writes of one key, one after another in the order they were called: the next is sent when the one before was
 * acknowledged or given up. Without it a slow compression, or a backend without order, would let an older write win.
 */
export class Chains {
  readonly #tails = new Map<string, Promise<unknown>>();

  get size(): number {
    return this.#tails.size;
  }

  has(key: string): boolean {
    return this.#tails.has(key);
  }

  /** Runs `write` at once where nothing of this key is under way. */
  run<T>(key: string, write: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key);
    const result = before === undefined ? write() : before.then(write, write);
    const tail: Promise<unknown> = result.then(
      () => this.#end(key, tail),
      () => this.#end(key, tail),
    );
    this.#tails.set(key, tail);
    return result;
  }

  /** Resolves when every write that has begun is settled. */
  async settled(): Promise<void> {
    await Promise.all(this.#tails.values());
  }

  #end(key: string, tail: Promise<unknown>): void {
    if (this.#tails.get(key) === tail) this.#tails.delete(key);
  }
}
