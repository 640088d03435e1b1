import { createHash } from "node:crypto";
import { BackendUnavailableError, type Backend } from "@hotset/core";
import { newId, within, type NamespacePlace } from "@hotset/core/internal";
import type { Settings } from "./settings.ts";

/** How far a follower has come, for the next one. */
export interface Progress {
  /** The server process that sends the log to it. */
  readonly processId: number;
  /** A position of the log that was written to disk. */
  readonly position: string;
  /** The conditions that the follower has checked: `Conditions.digest`. */
  readonly conditions: string;
}

/** Longer than any process waits for the next one. Each process writes its record again within a day. */
const LIFE_MS = 30 * 86_400_000;
const RENEWED_AFTER_MS = 86_400_000;

/**
 * Entries of followers in the backend of a cache: which backend it is, under a name that is its own, and how far the
 * log was followed. What is stored says which backend it is, as an address does not: one Redis has several, and several
 * have one.
 *
 * A name that was lost with all else is written again. Where two processes wrote one at a time, both take the one that
 * is there at their next look.
 */
export class Records {
  /** The id stored in the backend; `undefined` before the first look. */
  id: string | undefined;
  readonly #place: NamespacePlace;
  readonly #backend: Backend;
  readonly #segment: string;
  #writtenAt = -Infinity;

  private constructor(place: NamespacePlace, backend: Backend, segment: string) {
    this.#place = place;
    this.#backend = backend;
    this.#segment = segment;
  }

  /** @returns `undefined` where there is no backend, or no room in it: one that keeps keys as they are given. */
  static of(place: NamespacePlace | undefined): Records | undefined {
    // No namespace begins with `~`: segments are percent-encoded.
    const [segment] = place?.keySpace.backendPrefix.split(":") ?? [];
    return place?.backend === undefined || segment === undefined || segment === ""
      ? undefined
      : new Records(place, place.backend, segment);
  }

  /** Learns which backend it is. @throws {BackendUnavailableError} if it does not answer. */
  async look(): Promise<void> {
    const found = (await this.#read("backend"))?.["id"];
    if (typeof found === "string" && /^[\w.:-]{1,64}$/.test(found)) this.id = found;
    else this.#writtenAt = -Infinity;
    const now = this.#place.clock.now();
    if (now - this.#writtenAt < RENEWED_AFTER_MS) return;
    this.id ??= newId();
    await this.#write("backend", { id: this.id });
    this.#writtenAt = now;
  }

  /** Another name, for a backend that was copied from another one with its entries. */
  async rename(): Promise<void> {
    this.id = newId();
    await this.#write("backend", { id: this.id });
  }

  /** @returns `undefined` if no follower has written it, or it was lost. */
  async progress(slot: string): Promise<Progress | undefined> {
    const { processId, position, conditions } = (await this.#read(slot)) ?? {};
    return typeof processId === "number" &&
      typeof position === "string" &&
      /^[\dA-F]+\/[\dA-F]+$/i.test(position) &&
      typeof conditions === "string"
      ? { processId, position, conditions }
      : undefined;
  }

  async report(slot: string, progress: Progress): Promise<void> {
    await this.#write(slot, progress);
  }

  async #read(name: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    const data = (await this.#bounded(this.#backend.read(this.#key(name))))?.data;
    try {
      return data && (Object(JSON.parse(new TextDecoder().decode(data))) as Readonly<Record<string, unknown>>);
    } catch {
      return undefined;
    }
  }

  #write(name: string, record: object): Promise<void> {
    const data = new TextEncoder().encode(JSON.stringify(record));
    const life = { staleInMs: LIFE_MS, expiresInMs: LIFE_MS };
    return this.#bounded(this.#backend.write(this.#key(name), { data, ...life, meta: "", version: newId() }));
  }

  #key(name: string): string {
    return `${this.#segment}~follow::${name}`;
  }

  #bounded<T>(call: Promise<T>): Promise<T> {
    const { label, deadlineMs = 1_000 } = this.#backend;
    return within(this.#place.clock, deadlineMs, call, () => {
      throw new BackendUnavailableError(`${label}: no answer in time`, { tier: label });
    });
  }
}

/**
 * The name of a slot without its timeline: `slot`, and what its readers have in common. Readers of another backend, of
 * another cache or namespace, or of other tables, have another slot: one cannot stand in for the other.
 */
export function slotOf(settings: Settings, backendId: string | undefined): string {
  return `${slotsOfBackend(settings, backendId)}${five(settings.publication, settings.messages, namesOf(settings))}`;
}

/** How names of slots on this backend begin: readers of other tables in the same cache have the same beginning. */
export function slotsOfBackend({ slot, cache, place }: Settings, backendId: string | undefined): string {
  const { name } = cache as { readonly name?: unknown };
  return `${slot}_${five(place?.keySpace.backendPrefix ?? name, backendId)}`;
}

const namesOf = ({ tables }: Settings): readonly string[] => tables.map(({ name }) => name).toSorted();

/** Five letters and digits of a hash. */
function five(...parts: readonly unknown[]): string {
  const hash = createHash("sha256").update(JSON.stringify(parts)).digest();
  return hash.readUIntBE(0, 6).toString(36).padStart(5, "0").slice(-5);
}
