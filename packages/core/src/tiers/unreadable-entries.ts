import type { DecodeError } from "../contracts/errors.ts";
import { keyEvent } from "../entry/key.ts";
import type { Events } from "../primitives/event-port.ts";
import type { TierMeter } from "../primitives/meters.ts";
import type { ReadRequest } from "./entry-tier.ts";

/** The tier whose entries they are. */
interface ReportedTier {
  readonly label: string;
  readonly meter: TierMeter;
}

/** The entries of a backend that cannot be decoded: each is a miss, and is reported once until it is written again. */
export class UnreadableEntries {
  readonly #tier: ReportedTier;
  readonly #events: Events;
  readonly #cache: string;
  readonly #reported = new Set<string>();

  constructor(tier: ReportedTier, events: Events, cache: string) {
    this.#tier = tier;
    this.#events = events;
    this.#cache = cache;
  }

  found({ key }: ReadRequest, error: DecodeError): undefined {
    if (this.#reported.has(key.backend)) return;
    if (this.#reported.size >= MAX_REPORTED) this.#reported.clear();
    this.#reported.add(key.backend);
    const { label, meter } = this.#tier;
    meter.errors += 1;
    this.#events["decode:error"].emit({ ...keyEvent(this.#cache, key), tier: label, error });
  }

  written(backendKey: string): void {
    this.#reported.delete(backendKey);
  }
}

const MAX_REPORTED = 1_000;
