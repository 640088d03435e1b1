import { BackendUnavailableError, type Backend, type Clock, type Leases, type StoredEntry } from "@hotset/core";
import { newId, within, type NamespacePlace } from "@hotset/core/internal";

/** When a process of each shape was last known to run, in milliseconds since 1970, by shape. */
export type KnownShapes = Readonly<Record<string, number>>;

/** A shape that no process has used for so long is forgotten; one that comes back begins empty. */
const KEPT_MS = 7 * 86_400_000;
const LIFE_MS = 30 * 86_400_000;
const LEASE_MS = 1_000;
const PAUSE_MS = 20;
const ATTEMPTS = 50;
/** No entry has this version, so that a lease is granted only where there is no entry. */
const ANY = "none";

/**
 * The record of the shapes of one namespace: one entry of the backend, changed under its lease. `clear` does not reach
 * it. It is read from the primary, so what was written before is seen.
 */
export class ShapeRecord {
  readonly #backend: Backend;
  readonly #leases: Leases;
  readonly #clock: Clock;
  readonly #key: string;
  readonly #epochMs: () => number;

  /** @param epochMs the time since 1970. */
  constructor({ keySpace, clock, backend }: NamespacePlace, leases: Leases, epochMs: () => number) {
    this.#backend = backend!;
    this.#leases = leases;
    this.#clock = clock;
    this.#epochMs = epochMs;
    // No namespace begins with it: segments are percent-encoded.
    this.#key = `${keySpace.backendPrefix.slice(0, -1)}~shapes::`;
  }

  /** @throws {BackendUnavailableError} where that is not known. */
  async read(): Promise<KnownShapes> {
    return parsed((await this.#take(ANY, (token) => this.#leases.release(this.#key, token)))?.data);
  }

  /**
   * Adds a shape, or says that it is still used.
   *
   * @returns the shapes before.
   * @throws {BackendUnavailableError} where it is not known to be there.
   */
  async add(shape: string): Promise<KnownShapes> {
    let seen: StoredEntry | undefined;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const known = parsed(seen?.data);
      let isStored = false;
      const version = seen?.version ?? "";
      const newer = await this.#take(version, async (token, found) => {
        isStored = found === version && (await this.#leases.store(this.#key, token, found, this.#with(known, shape)));
        if (!isStored) await this.#leases.release(this.#key, token);
      });
      if (isStored) return known;
      seen = newer;
    }
    throw this.#unavailable();
  }

  /** The entry, unless it has the version `seen` or is absent: then `act` is called with a lease. */
  async #take(
    seen: string,
    act: (token: string, version: string) => Promise<unknown>,
  ): Promise<StoredEntry | undefined> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const token = newId();
      const answer = await this.#bounded(this.#leases.acquire({ key: this.#key, token, leaseMs: LEASE_MS, seen }));
      if (answer.granted) return void (await this.#bounded(act(token, answer.version)));
      if ("entry" in answer) return answer.entry;
      await new Promise<void>((resolve) => void this.#clock.schedule(resolve, Math.min(PAUSE_MS, answer.heldForMs)));
    }
    throw this.#unavailable();
  }

  #with(known: KnownShapes, shape: string): StoredEntry {
    const now = this.#epochMs();
    const kept = Object.entries(known).filter(([, usedAt]) => now - usedAt < KEPT_MS);
    const data = new TextEncoder().encode(JSON.stringify({ ...Object.fromEntries(kept), [shape]: now }));
    return { data, staleInMs: LIFE_MS, expiresInMs: LIFE_MS, meta: "", version: newId() };
  }

  #bounded<T>(call: Promise<T>): Promise<T> {
    return within(this.#clock, this.#backend.deadlineMs ?? 1_000, call, () => {
      throw this.#unavailable();
    });
  }

  #unavailable(): BackendUnavailableError {
    const { label } = this.#backend;
    return new BackendUnavailableError(`${label}: no answer in time`, { tier: label });
  }
}

/** Anyone who may write to the store can have written it. */
function parsed(data: Uint8Array | undefined): KnownShapes {
  if (data === undefined) return {};
  try {
    const given = Object(JSON.parse(new TextDecoder().decode(data))) as Record<string, unknown>;
    const shapes = Object.entries(given).filter(([, usedAt]) => Number.isFinite(usedAt));
    return Object.fromEntries(shapes) as KnownShapes;
  } catch {
    return {};
  }
}
