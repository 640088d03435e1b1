import type { Parts } from "../contracts/capabilities.ts";
import type { Breaker } from "../primitives/breaker.ts";
import { ignore } from "../primitives/ignore.ts";

/** The name of the only part of a backend that has no others. */
export const ONE_PART = "";

/** A time in which every change of some keys is reported. A copy keeps the epoch in which it was last confirmed. */
export interface Epoch {
  /** `clock.now()` from which its copies are not served unconfirmed; `-Infinity` once changes may have been missed. */
  readonly until: number;
  /** Set when it ends for some keys alone: of any other local key the epoch after it. */
  after?: ((localKey: string) => Epoch | undefined) | undefined;
}

/** One part of a backend, such as a primary of a cluster, as far as this process knows it. */
export interface Part {
  /** Made at the first call that fails, dropped with the next answer. */
  breaker: Breaker | undefined;
  /** Whether its changes are not reported, while those of others are. */
  isLost: boolean;
  /** `clock.now()` of its last sign of life; `undefined` until there is one, since the beginning or its loss. */
  aliveAt: number | undefined;
  /** The last sign of life, kept after the part is lost. */
  lastAliveAt: number | undefined;
  /** Replaced when changes may have been missed: copies of its keys, and what is in flight, are of the one before. */
  epoch: Epoch & { until: number };
  /** The last epochs that ended for some keys alone. No copy from an earlier one is served. */
  readonly ended: Epoch[];
}

/** The parts of one backend: breaker, trust and loss of each, in one record. */
export class BackendParts {
  /** The part of a backend that has no others. */
  declare readonly one: Part | undefined;
  readonly #source: Parts | undefined;
  readonly #parts = new Map<string, Part>();

  /** @param source `Backend.parts`. @default one part */
  constructor(source?: Parts) {
    this.#source = source;
    this.one = source === undefined ? this.of(ONE_PART) : undefined;
  }

  /** The part that keeps this key of the backend. @param threw the backend did, far from any call that could reject. */
  nameOf(key: string, threw: (error: unknown) => void = ignore): string {
    if (this.#source === undefined) return ONE_PART;
    try {
      return this.#source.of(key);
    } catch (error) {
      threw(error);
      return ONE_PART;
    }
  }

  /** The parts that it has now; none where it does not know, or has only one. @param threw as in {@link nameOf}. */
  names(threw: (error: unknown) => void = ignore): readonly string[] {
    try {
      return this.#source?.names() ?? [];
    } catch (error) {
      threw(error);
      return [];
    }
  }

  get(name: string): Part | undefined {
    return this.#parts.get(name);
  }

  /** Gets a part like {@link get}, and creates its record if there is none. */
  of(name: string): Part {
    let part = this.#parts.get(name);
    if (part === undefined) {
      part = {
        breaker: undefined,
        isLost: false,
        aliveAt: undefined,
        lastAliveAt: undefined,
        epoch: { until: -Infinity },
        ended: [],
      };
      this.#parts.set(name, part);
    }
    return part;
  }

  all(): Iterable<Part> {
    return this.#parts.values();
  }

  /** Forgets what it knows of other parts than these, except the trust in one that was not lost. */
  keep(names: readonly string[]): void {
    for (const [name, part] of this.#parts) {
      if (names.includes(name)) continue;
      if (part.aliveAt === undefined) this.#parts.delete(name);
      else part.breaker = undefined;
    }
  }
}
