import type { EntryId } from "./entry-id.ts";

/**
 * Acknowledges what was handled. One command is under way at a time, with all ids that came meanwhile. An id stays
 * until Redis has confirmed it, so this consumer does not handle an entry again because Redis was down.
 */
export class Acks {
  readonly #send: (ids: readonly EntryId[]) => Promise<unknown>;
  readonly #waiting = new Set<EntryId>();
  #sending: Promise<void> | undefined;
  #hasFailed = false;

  constructor(send: (ids: readonly EntryId[]) => Promise<unknown>) {
    this.#send = send;
  }

  /** A failure is left to `settled`. */
  add(id: EntryId): void {
    this.#waiting.add(id);
    this.settled().catch(() => undefined);
  }

  /** Whether the last command has failed, so that ids wait for the next one. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  has(id: EntryId): boolean {
    return this.#waiting.has(id);
  }

  /** Resolves once all are confirmed. @throws what the command threw; `settled` tries again */
  settled(): Promise<void> {
    if (this.#sending !== undefined) return this.#sending;
    if (this.#waiting.size === 0) return Promise.resolve();
    return (this.#sending = this.#sendAll());
  }

  /** Ends `#sending` in the turn in which it has looked for ids: one that comes later is sent by a separate call. */
  async #sendAll(): Promise<void> {
    try {
      while (this.#waiting.size > 0) {
        const ids = [...this.#waiting];
        await this.#send(ids);
        this.#hasFailed = false;
        for (const id of ids) this.#waiting.delete(id);
      }
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    } finally {
      this.#sending = undefined;
    }
  }
}
