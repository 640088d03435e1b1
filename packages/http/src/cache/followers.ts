import type { FieldLines } from "../semantics/fields.ts";
import type { NotStored } from "../semantics/storing.ts";
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

/** A caller that follows a load. */
export interface Follower {
  readonly visit: Visit;
  /** Takes the response of the load; returns whether it could be read from its start. */
  readonly take: (running: Running) => boolean;
  /** The response turned out to be for one caller alone, after `loadTimeout`: it asks the origin for itself. */
  readonly refused: (reason: NotStored) => void;
}

/**
 * The callers of one flight of the cache. They read along with its load from the first byte. A load whose head takes
 * longer than `loadTimeout` ends for the cache and continues for them, and they wait for the next load as well: the
 * first head answers them.
 */
export class Crew {
  readonly #waiting = new Set<Follower>();
  #running: Running | undefined;
  /** Called when a caller has left. */
  onLeave: () => void = ignore;

  /** Whether callers wait for the response. */
  get isFollowed(): boolean {
    return this.#waiting.size > 0;
  }

  /** `follower` gets the load, now or when its head comes. Returns a function that ends the wait. */
  follow(follower: Follower): () => void {
    if (this.#running !== undefined && offer(this.#running, follower)) return ignore;
    this.#waiting.add(follower);
    return () => {
      if (this.#waiting.delete(follower)) this.onLeave();
    };
  }

  /** Gives the load to all that wait, and to those that come before its end. */
  lead(running: Running): void {
    this.#running = running;
    for (const each of this.#waiting) if (offer(running, each)) this.#waiting.delete(each);
  }

  /** The load is late, and its response is not for others. */
  refuse(reason: NotStored): void {
    for (const each of this.#waiting) each.refused(reason);
    this.#waiting.clear();
  }

  end(): void {
    this.#running = undefined;
  }
}

const offer = (running: Running, { visit, take }: Follower): boolean => running.suits(visit) && take(running);
