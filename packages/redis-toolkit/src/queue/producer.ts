import { newId } from "@hotset/core/internal";
import type { RedisConnection } from "../client/contract.ts";

/** In one call. */
const MAX_ANSWERED = 100;
const MAX_PRODUCERS = 10_000;

/**
 * Names the calls that add jobs to one queue, so that one that is sent again is recognised, and knows which of them
 * have been answered, so that their replies need not be kept.
 */
export class Producer {
  readonly #id: string = newId();
  #calls = 0;
  #answered: string[] = [];

  /** One for all objects of a queue over a connection: some are made for each request. */
  static of(connection: RedisConnection, queue: string): Producer {
    const ofConnection = producers.get(connection) ?? new Map<string, Producer>();
    producers.set(connection, ofConnection);
    const known = ofConnection.get(queue) ?? new Producer();
    // The least recently used is the first.
    ofConnection.delete(queue);
    if (ofConnection.size >= MAX_PRODUCERS) ofConnection.delete(ofConnection.keys().next().value!);
    ofConnection.set(queue, known);
    return known;
  }

  /** A name for a call, and those that it reports as answered. */
  begin(): { readonly name: string; readonly answered: readonly string[] } {
    this.#calls += 1;
    return { name: `${this.#id}-${this.#calls.toString(36)}`, answered: this.#answered.splice(0, MAX_ANSWERED) };
  }

  answered(name: string): void {
    if (this.#answered.length < MAX_PRODUCERS) this.#answered.push(name);
  }
}

const producers = new WeakMap<RedisConnection, Map<string, Producer>>();
