import type { Events } from "../primitives/event-port.ts";
import { instancesIn } from "../entry/place.ts";
import type { EntryKey } from "../entry/key.ts";
import type { EntryTier } from "../tiers/entry-tier.ts";
import type { NamespaceContext } from "./call.ts";

/**
 * Reports class instances that a backend gives back as plain objects: the process that loaded the value can call their
 * methods, and all others cannot. Each place is examined once, when a value is written, so a hit costs nothing.
 */
export class LostClasses {
  readonly #events: Events;
  readonly #cache: string;
  readonly #examined = new Set<string>();

  constructor(events: Events, cache: string) {
    this.#events = events;
    this.#cache = cache;
  }

  /** Looks at a value that was encoded. A schema may make instances of what was read, so with one nothing is lost. */
  examine({ schema, remote }: NamespaceContext, key: EntryKey, value: unknown): void {
    if (remote === undefined || schema !== undefined || typeof value !== "object" || value === null) return;
    if (this.#examined.size >= MAX_PLACES) return;
    for (const { place, className, part } of instancesIn(value)) {
      const examined = JSON.stringify([key.space.path, place, className]);
      if (this.#examined.has(examined) || this.#examined.size >= MAX_PLACES) continue;
      this.#examined.add(examined);
      if (!comesBackPlain(part, remote)) continue;
      this.#events["class:lost"].emit({
        cache: this.#cache,
        namespace: key.space.path,
        key: key.name,
        tier: remote.label,
        place,
        className,
      });
    }
  }
}

function comesBackPlain(part: object, remote: EntryTier): boolean {
  try {
    // In an object: a format may treat a whole value differently.
    const { part: back } = remote.reread({ part }) as { readonly part: unknown };
    return typeof back === "object" && back !== null && Object.getPrototypeOf(back) === Object.prototype;
  } catch {
    // Getters may answer differently each time. The value itself has been written.
    return false;
  }
}

const MAX_PLACES = 100;
