import { dependencies } from "../entry/key.ts";
import type { TagEvents } from "../tags/tag-events.ts";
import type { Flight } from "./flight.ts";

/**
 * Keys whose last value was for one caller, by local key: until when their callers load each for itself. Ends as an
 * entry with the tags of that load would. Bounded: the oldest is forgotten first.
 */
export class UnsharedKeys {
  readonly #keys = new Map<string, Unshared>();
  readonly #tags: TagEvents;

  constructor(tags: TagEvents) {
    this.#tags = tags;
  }

  has(localKey: string, now: number): boolean {
    if (this.#keys.size === 0) return false;
    const found = this.#keys.get(localKey);
    return found !== undefined && now < found.until && !this.#tags.wasCalled(found.dependsOn, found.tagSequence);
  }

  add({ key, tags, tagSequence }: Flight, until: number): void {
    this.#keys.delete(key.local);
    if (this.#keys.size >= MAX_UNSHARED) this.#keys.delete(this.#keys.keys().next().value!);
    this.#keys.set(key.local, { until, dependsOn: dependencies(key.space, tags), tagSequence });
  }

  delete(localKey: string): void {
    if (this.#keys.size !== 0) this.#keys.delete(localKey);
  }
}

interface Unshared {
  readonly until: number;
  readonly dependsOn: readonly string[];
  readonly tagSequence: number;
}

const MAX_UNSHARED = 10_000;
