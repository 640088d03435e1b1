import { type Cache, ConfigurationError, parseDuration } from "@hotset/core";
import { checkNames } from "@hotset/core/internal";
import type { Heartbeat, HeartbeatOptions, Invalidation, ProcessRecord } from "./inspection.ts";
import { LastMinute } from "./last-minute.ts";
import { Place } from "./place.ts";
import { processId, recordsOf, type Records } from "./processes.ts";
import { VERSION } from "./version.ts";

/**
 * Keeps a record of this process in the backend of `cache`, for `Inspection.processes` of any other: its name,
 * versions, trust, counts and last invalidations. The first one is written now; each costs a read of all places and a
 * write. A failure is tried again with the next one, and is not reported: the age of the record shows it. Keeps no
 * process alive; ends with the cache.
 *
 * At most 64 processes of a cache have a record; further ones wait for a place.
 *
 * @throws {ConfigurationError} for a cache without a backend or without a name, and for a wrong option.
 */
export function heartbeat(cache: Cache, options: HeartbeatOptions = {}): Heartbeat {
  const place = Place.of(cache, "heartbeat");
  checkNames(options, ["name", "every"], { place: "heartbeat" });
  const { name = defaultName(), every = 10_000 } = options;
  if (typeof name !== "string" || name === "" || name.length > 200)
    throw new ConfigurationError("heartbeat: name must be a text of 1 to 200 characters");
  const everyMs = typeof every === "number" ? every : parseDuration(every);
  if (!(everyMs >= 1_000 && everyMs <= 3_600_000))
    throw new ConfigurationError(`heartbeat: every must be from 1s to 1h, got ${String(every)}`);
  return new Beat(cache, place, name, everyMs);
}

class Beat implements Heartbeat {
  readonly name: string;
  readonly #cache: Cache;
  readonly #place: Place;
  readonly #everyMs: number;
  readonly #records: Records;
  readonly #startedAt: number;
  readonly #stopListening: () => void;
  #invalidations: Omit<Invalidation, "origin" | "process">[] = [];
  readonly #lastMinute = new LastMinute();
  /** The place that it holds, as far as it knows. */
  #at: number | undefined;
  #cancel: () => void = () => undefined;
  #isStopped = false;
  #beating: Promise<void>;

  constructor(cache: Cache, place: Place, name: string, everyMs: number) {
    this.name = name;
    this.#cache = cache;
    this.#place = place;
    this.#everyMs = everyMs;
    this.#records = recordsOf(place, "heartbeat");
    this.#startedAt = place.epochNow();
    this.#stopListening = cache.on("invalidate", ({ origin, namespace, scope, mode, key, tags }) => {
      if (origin !== "here") return;
      const of = { ...(key !== undefined && { key }), ...(tags !== undefined && { tags: tags.slice(0, MOST_TAGS) }) };
      const made = { at: place.epochNow(), namespace, scope, mode, ...of };
      this.#lastMinute.add(made);
      this.#invalidations.unshift(made);
      if (this.#invalidations.length > MOST_INVALIDATIONS) this.#invalidations.pop();
    });
    this.#beating = this.#beat();
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#end();
    await this.#beating;
    if (this.#at !== undefined) await this.#records.remove(this.#at).catch(() => undefined);
  }

  #end(): void {
    this.#isStopped = true;
    this.#cancel();
    this.#stopListening();
  }

  async #beat(): Promise<void> {
    const { clock, lifecycle } = this.#place.parts.context;
    if (!lifecycle.isOpen) return this.#end();
    try {
      const found = await this.#records.read();
      const isFree = (at: number): boolean => found[at] === undefined || found[at].id === processId();
      if (this.#at === undefined || !isFree(this.#at)) {
        const at = found.findIndex((_, each) => isFree(each));
        this.#at = at < 0 ? undefined : at;
      }
      if (this.#at !== undefined && !this.#isStopped)
        await this.#records.write(this.#at, this.#record(), 3 * this.#everyMs);
    } catch {
      // The backend is unreachable, which its own events report.
    }
    if (this.#isStopped) return;
    this.#cancel = clock.schedule(() => {
      this.#beating = this.#beat();
    }, this.#everyMs);
  }

  #record(): Omit<ProcessRecord, "isOwn" | "hitRatio"> {
    const { context, backend } = this.#place.parts;
    const { hits, staleHits, misses, loads, loadErrors, waiting, pending, tiers } = this.#cache.stats();
    const entries = context.local?.tier.entryCount;
    const { coherenceMode } = backend as { readonly coherenceMode?: unknown };
    const isReported = typeof backend?.coherence === "object";
    const now = this.#place.epochNow();
    return {
      id: processId(),
      name: this.name,
      version: VERSION,
      runtime: typeof process === "undefined" ? "unknown" : process.version,
      startedAt: this.#startedAt,
      at: now,
      coherence: typeof coherenceMode === "string" ? coherenceMode : isReported ? "changes" : "none",
      trust: this.#trust(),
      state: tiers.at(-1)!.state,
      ...{ hits, staleHits, misses, loads, loadErrors, waiting, pending },
      ...(entries !== undefined && { entries }),
      invalidations: this.#invalidations,
      lastMinute: this.#lastMinute.counts(now, MOST_COUNTS),
    };
  }

  #trust(): ProcessRecord["trust"] {
    const { clock, trust } = this.#place.parts.context;
    // Where nothing reports changes, a copy needs no confirmation.
    if (trust.unconfirmed.until === Infinity) return "always";
    if (!trust.isReportedInPart(clock.now())) return "none";
    return this.#place.parts.backend?.parts === undefined || trust.isReportedInAll ? "all" : "some";
  }
}

function defaultName(): string {
  if (typeof process === "undefined") return "unknown";
  return `${process.getBuiltinModule?.("node:os")?.hostname() ?? "host"}:${process.pid}`;
}

const MOST_INVALIDATIONS = 50;
const MOST_COUNTS = 20;
const MOST_TAGS = 10;
