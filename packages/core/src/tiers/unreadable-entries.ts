import type { Clock } from "../contracts/clock.ts";
import type { DecodeError } from "../contracts/errors.ts";
import { UnopenedEntry } from "../entry/sealed-entries.ts";
import type { Events } from "../primitives/event-port.ts";
import type { EntryTier, ReadRequest } from "./entry-tier.ts";
import { SealConflicts } from "./seal-conflicts.ts";

/** The entries of a backend that cannot be decoded: each is a miss, and is reported once until it is written again. */
export class UnreadableEntries {
  readonly conflicts: SealConflicts = new SealConflicts();
  readonly #tier: Pick<EntryTier, "label" | "meter">;
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #cache: string;
  readonly #reported = new Set<string>();

  constructor(tier: Pick<EntryTier, "label" | "meter">, clock: Clock, events: Events, cache: string) {
    this.#tier = tier;
    this.#clock = clock;
    this.#events = events;
    this.#cache = cache;
  }

  /** @param version of the entry, where the backend gave one. */
  found({ key }: ReadRequest, found: DecodeError, version?: string): undefined {
    const error =
      found instanceof UnopenedEntry ? this.conflicts.found(key.backend, version, found, this.#clock.now()) : found;
    if (error === undefined || this.#reported.has(key.backend)) return;
    if (this.#reported.size >= MAX_REPORTED) this.#reported.clear();
    this.#reported.add(key.backend);
    const { label, meter } = this.#tier;
    meter.errors += 1;
    this.#events["decode:error"].emit({
      cache: this.#cache,
      namespace: key.space.path,
      key: key.name,
      tier: label,
      error,
    });
  }

  written(backendKey: string, isStored: boolean): void {
    this.#reported.delete(backendKey);
    if (isStored) this.conflicts.stored(backendKey, this.#clock.now());
  }
}

const MAX_REPORTED = 1_000;
