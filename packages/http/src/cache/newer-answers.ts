/**
 * Keys whose stored response is older than an answer that a caller has got already: an answer goes out with its head,
 * and is stored when its body has ended. Requests that arrive in between wait for the load, or read along with it.
 *
 *   load ─head: begins─▶ newer answer, older copy ─stored, or removed─▶
 */
export class NewerAnswers {
  readonly #loads = new Map<string, Promise<void>>();

  /** @param ended resolves when the load has ended, whether it stored its answer or not. */
  begin(key: string, ended: Promise<unknown>): void {
    const stored = ended.then(() => {
      // A later answer has come meanwhile, and its load keeps this one from being stored.
      if (this.#loads.get(key) === stored) this.#loads.delete(key);
    });
    this.#loads.set(key, stored);
  }

  has(key: string): boolean {
    return this.#loads.size > 0 && this.#loads.has(key);
  }

  /** Resolves when no answer is newer than what is stored. */
  async stored(key: string): Promise<void> {
    if (this.#loads.size > 0) await this.#loads.get(key);
  }
}
