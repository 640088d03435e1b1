import type { FieldLines } from "../semantics/fields.ts";
import type { SharedBody } from "./shared-body.ts";
import type { Visit } from "./visit.ts";

/** A load of this process whose head has come, and whose response may be shared. */
export interface Running {
  readonly status: number;
  readonly statusText: string;
  readonly fields: FieldLines;
  readonly ageMs: number;
  readonly body: SharedBody | Uint8Array;
  /** Whether a request that came after the head may have it, too. */
  readonly isReusable: boolean;
  /** Whether this request selects it. */
  readonly suits: (visit: Visit) => boolean;
}

type Take = (running: Running) => boolean;

/** Callers of this process that wait for a load of this process, by key: they read along from its first byte. */
export class Followers {
  readonly #waiting = new Map<string, Set<Take>>();
  readonly #running = new Map<string, Running>();

  /** `take` is called with a load of `key` that may be shared, now or later. Returns a function that ends the wait. */
  follow(visit: Visit, take: Take): () => void {
    const { key } = visit;
    const running = this.#running.get(key);
    if (running?.isReusable === true && running.suits(visit) && take(running)) return NOTHING;
    const offered: Take = (each) => each.suits(visit) && take(each);
    const waiting = this.#waiting.get(key) ?? new Set();
    if (waiting.size === 0) this.#waiting.set(key, waiting);
    waiting.add(offered);
    return () => {
      waiting.delete(offered);
      if (waiting.size === 0 && this.#waiting.get(key) === waiting) this.#waiting.delete(key);
    };
  }

  /** Gives a load to those that wait, and to those that come before its end. Returns a function that ends it. */
  lead(key: string, running: Running): () => void {
    this.#running.set(key, running);
    for (const take of this.#waiting.get(key) ?? []) take(running);
    return () => {
      if (this.#running.get(key) === running) this.#running.delete(key);
    };
  }

  /** No later caller joins the load of this key, or any: something was invalidated since it began. */
  forget(key: string | undefined): void {
    if (key === undefined) this.#running.clear();
    else this.#running.delete(key);
  }
}

const NOTHING = (): void => undefined;
