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
    return (this.#sending ??= this.#sendAll().finally(() => (this.#sending = undefined)));
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.size > 0) {
      const ids = [...this.#waiting];
      try {
        await this.#send(ids);
      } catch (error) {
        this.#hasFailed = true;
        throw error;
      }
      this.#hasFailed = false;
      for (const id of ids) this.#waiting.delete(id);
    }
  }
}
