import { type Cache, CacheError, ConfigurationError } from "@hotset/core";
import { checkNames, messageOf } from "@hotset/core/internal";
import { HottestKeys, MOST_HOTTEST } from "./hottest-keys.ts";
import type { Heartbeat, HeartbeatOptions, Invalidation, ProcessRecord } from "./inspection.ts";
import { LastMinute } from "./last-minute.ts";
import { coherenceOf, settingsOf } from "./own-settings.ts";
import { Place } from "./place.ts";
import { durationOf, processId, recordsOf, seenRecords, type Records, type WrittenRecord } from "./processes.ts";
import { RateMeter } from "./rates.ts";
import { VERSION } from "./version.ts";

/**
 * Keeps a record of this process in the backend of `cache`, for `Inspection.processes` of any other: its name,
 * versions, trust, counts and last invalidations. The first one is written now, or within a second of the first call of
 * the cache; each costs a read of all places and a write. A failure is tried again with the next one:
 * `Inspection.recordFailure` has it, and the age of the record shows it. Keeps no process alive; ends with the cache,
 * whose `close` takes the record away.
 *
 * At most 64 processes of a cache have a record; further ones wait for a place.
 *
 * @throws {ConfigurationError} for a cache without a backend or without a name, and for a wrong option.
 */
export function heartbeat(cache: Cache, options: HeartbeatOptions = {}): Heartbeat {
  const place = Place.of(cache, "heartbeat");
  checkNames(options, ["name", "every", "window", "release", "hottest"], { place: "heartbeat" });
  const { name = defaultName(), every = "10s", window, release, hottest = 0 } = options;
  if (typeof name !== "string" || name === "" || name.length > 200)
    throw new ConfigurationError("heartbeat: name must be a text of 1 to 200 characters");
  if (release !== undefined && (typeof release !== "string" || release.length > 100))
    throw new ConfigurationError("heartbeat: release must be a text of 100 characters at most");
  if (!Number.isInteger(hottest) || hottest < 0 || hottest > MOST_HOTTEST)
    throw new ConfigurationError(`heartbeat: hottest must be a whole number from 0 to ${MOST_HOTTEST}`);
  const everyMs = durationOf(every, "heartbeat: every")!;
  return new Beat(cache, place, { name, everyMs, windowMs: durationOf(window, "heartbeat: window"), release, hottest });
}

interface Settings {
  readonly name: string;
  readonly everyMs: number;
  readonly windowMs: number | undefined;
  readonly release: string | undefined;
  readonly hottest: number;
}

class Beat implements Heartbeat {
  readonly name: string;
  readonly #cache: Cache;
  readonly #place: Place;
  readonly #everyMs: number;
  readonly #records: Records;
  readonly #startedAt: number;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #stopListening: () => unknown;
  #invalidations: Omit<Invalidation, "origin" | "process">[] = [];
  readonly #lastMinute = new LastMinute();
  readonly #meter: RateMeter;
  /** Absent where its record names no keys. */
  readonly #hottest: HottestKeys | undefined;
  /** The place that it holds, as far as it knows. */
  #at: number | undefined;
  #cancel: () => void = () => undefined;
  /** What was usual in processes that ran before this one. */
  #hasInherited = false;
  #isStopped = false;
  #beating: Promise<void>;

  constructor(cache: Cache, place: Place, { name, everyMs, windowMs, release, hottest }: Settings) {
    this.name = name;
    this.#cache = cache;
    this.#place = place;
    this.#everyMs = everyMs;
    this.#records = recordsOf(place, "heartbeat");
    this.#startedAt = place.epochNow();
    this.#settings = settingsOf(place, release);
    const [meter, endMeter] = RateMeter.of(cache, place, windowMs);
    this.#meter = meter;
    this.#hottest = HottestKeys.of(place, hottest);
    const stop = cache.on("invalidate", ({ origin, namespace, scope, mode, key, tags }) => {
      if (origin !== "here") return;
      const of = { ...(key !== undefined && { key }), ...(tags !== undefined && { tags: tags.slice(0, MOST_TAGS) }) };
      const made = { at: place.epochNow(), namespace, scope, mode, ...of };
      this.#lastMinute.add(made);
      this.#invalidations.unshift(made);
      if (this.#invalidations.length > MOST_INVALIDATIONS) this.#forget();
    });
    const { farewells } = place.parts.context.lifecycle;
    const farewell = (): Promise<void> => this.stop();
    farewells.add(farewell);
    this.#stopListening = () => (stop(), endMeter(), this.#hottest?.end(), farewells.delete(farewell));
    this.#beating = this.#beat();
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#end();
    await this.#beating;
    seenRecords(this.#place).failure = undefined;
    if (this.#at === undefined) return;
    await this.#hottest?.remove(this.#at).catch(() => undefined);
    await this.#records.remove(this.#at).catch(() => undefined);
  }

  /** The oldest one of a key: many of them would leave no room for tags and clears. */
  #forget(): void {
    const at = this.#invalidations.findLastIndex(({ scope }) => scope === "key");
    this.#invalidations.splice(at < 0 ? this.#invalidations.length - 1 : at, 1);
  }

  #end(): void {
    this.#isStopped = true;
    this.#cancel();
    this.#stopListening();
  }

  async #beat(): Promise<void> {
    const { clock, lifecycle } = this.#place.parts.context;
    if (!lifecycle.isOpen) return this.#end();
    // A connection would keep the process alive.
    const isUsed = this.#cache.stats().tiers.at(-1)!.state !== "idle";
    try {
      if (isUsed) await this.#write();
      seenRecords(this.#place).failure = undefined;
    } catch (error) {
      const seen = seenRecords(this.#place);
      const text = error instanceof CacheError ? messageOf(error) : String(error);
      seen.failure = { since: seen.failure?.since ?? this.#place.epochNow(), error: text };
    }
    if (this.#isStopped) return;
    this.#cancel = clock.schedule(() => void (this.#beating = this.#beat()), isUsed ? this.#everyMs : 1_000);
  }

  /** Writes the record into the place of this process, or into a free one; into none if all are taken. */
  async #write(): Promise<void> {
    const found = await this.#records.read();
    if (!this.#hasInherited) for (const record of found) this.#meter.inherit(record?.figures?.groups ?? []);
    this.#hasInherited = true;
    const isFree = (at: number): boolean => found[at] === undefined || found[at].id === processId();
    if (this.#at === undefined || !isFree(this.#at)) {
      const at = found.findIndex((_, each) => isFree(each));
      this.#at = at < 0 ? undefined : at;
    }
    if (this.#at === undefined || this.#isStopped) return;
    await this.#records.write(this.#at, this.#record());
    await this.#hottest?.write(this.#at, this.#everyMs);
  }

  #record(): WrittenRecord {
    const { context } = this.#place.parts;
    const { hits, staleHits, misses, loads, loadErrors, waiting, pending, tiers } = this.#cache.stats();
    const entries = context.local?.tier.entryCount;
    const now = this.#place.epochNow();
    return {
      id: processId(),
      name: this.name,
      version: VERSION,
      runtime: typeof process === "undefined" ? "unknown" : process.version,
      startedAt: this.#startedAt,
      at: now,
      coherence: coherenceOf(this.#place),
      trust: this.#trust(),
      state: tiers.at(-1)!.state,
      ...{ hits, staleHits, misses, loads, loadErrors, waiting, pending },
      ...(entries !== undefined && { entries }),
      invalidations: this.#invalidations,
      lastMinute: this.#lastMinute.counts(now, MOST_COUNTS),
      everyMs: this.#everyMs,
      settings: this.#settings,
      figures: this.#meter.figures(),
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
