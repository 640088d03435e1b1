import type { FieldLines } from "../semantics/fields.ts";
import { ignore } from "./messages.ts";
import type { SharedBody } from "./shared-body.ts";
import type { Visit } from "./visit.ts";

/** A load of this process whose head has come, and whose response may be shared. */
export interface Running {
  readonly status: number;
  readonly statusText: string;
  readonly fields: FieldLines;
  readonly ageMs: number;
  readonly body: SharedBody | Uint8Array;
  /** Whether this request may have it, as a stored copy that it need not validate, and selects it. */
  readonly suits: (visit: Visit) => boolean;
}

type Take = (running: Running) => boolean;

/** The callers of one flight of the cache. They read along with its load from the first byte. */
export class Crew {
  readonly #waiting = new Set<Take>();
  #running: Running | undefined;
  /** Whether the load has ended for all but its own caller, since its head took too long. */
  isSlow = false;

  /** `take` is called with the load, now or when its head comes. Returns a function that ends the wait. */
  follow(visit: Visit, take: Take): () => void {
    const offered: Take = (each) => each.suits(visit) && take(each);
    if (this.#running !== undefined && offered(this.#running)) return ignore;
    this.#waiting.add(offered);
    return () => void this.#waiting.delete(offered);
  }

  /** Gives the load to all that wait, and to those that come before its end. */
  lead(running: Running): void {
    this.#running = running;
    for (const take of this.#waiting) take(running);
  }

  end(): void {
    this.#running = undefined;
  }
}
