import type { Callers } from "./callers.ts";
import type { Encoded } from "./codec.ts";
import type { Core } from "./core.ts";
import type { Entry } from "./entry.ts";
import { BackendUnavailableError, EncodeError, type CacheError } from "./errors.ts";
import type { CacheEvents, FencedBy } from "./events.ts";
import type { Flight } from "./flights.ts";
import { dependencies } from "./key.ts";
import type { Loaded } from "./load.ts";
import { isThenable } from "./once.ts";
import { lifetimeOf } from "./policy.ts";
import { orPending } from "./recovery.ts";
import { versionsFor, type Pinned } from "./tags.ts";

/**
 * From a loaded value to its tiers: versions pinned before, then the backend, then the local tier, unless fenced.
 *
 * Whatever goes wrong here, the value is handed out. Nothing is waited for longer than the flight may wait for the backend.
 */
export class Storing {
  readonly #core: Core;
  readonly #callers: Callers;

  constructor(core: Core, callers: Callers) {
    this.#core = core;
    this.#callers = callers;
  }

  /** Tag versions are taken before the loader runs: taken after it, an invalidation during the load would go unseen. */
  async pin(flight: Flight): Promise<Pinned | undefined> {
    const { space, batch } = flight.call;
    const versions = space.remote?.versions;
    if (versions === undefined || flight.isAway) return undefined;
    const keys = dependencies(space.place, [...flight.tags, ...(flight.reserve?.tags ?? [])].filter(isFirst));
    try {
      const shared = batch !== undefined && flight.reserve === undefined;
      const pinning = shared ? (batch.pinned ??= versions.pin(keys)) : versions.pin(keys);
      const { at, versions: found } = await this.inTime(flight, pinning);
      return { at, versions: new Map(keys.map((key, i) => [key, found[i]!])) };
    } catch {
      flight.isAway = true;
      return undefined;
    }
  }

  async store(flight: Flight, loaded: Loaded, pinned: Pinned | undefined): Promise<CacheEvents["load"]["result"]> {
    const { tags, local, clock, random, flights, chains, recovery } = this.#core;
    const { space, key, at, policy } = flight.call;
    const { place, remote } = space;
    if (loaded.kind === "no-store") return "no-store";
    const kept = loaded.kind === "not-modified" ? flight.reserve : undefined;
    const names = [...flight.tags, ...(kept?.tags ?? []), ...(loaded.options?.tags ?? [])].filter(isFirst);
    const dependsOn = dependencies(place, names);
    const fencedBy = (): FencedBy | undefined =>
      flight.fencedBy ??
      (!tags.wasCalled(dependsOn, flight.tagsAt) ? undefined : tags.wasInvalidated(place.tagPrefixes, flight.tagsAt) ? "clear" : "tags");
    if (fencedBy() !== undefined) return this.#fenced(flight, fencedBy()!);
    const life = lifetimeOf(loaded.value, policy, loaded.options, random);
    if (life.ttlMs <= 0) {
      const drop = (): void => {
        flights.fenceOlder(at, flight);
        local?.tier.delete(at);
      };
      drop();
      if (remote === undefined) return "refused";
      await this.#within(flight, chains.run(at, () => orPending(recovery, place, key, () => remote.remove(key, place))));
      // What was read before the acknowledgement may be what was there.
      if (fencedBy() === undefined) drop();
      return "refused";
    }
    if (remote?.keepsMeta === false && (names.length !== 0 || loaded.options?.etag !== undefined || loaded.options?.lastModified !== undefined)) {
      this.#unwritable(flight, new EncodeError(`${remote.label}: its layout has no room for tags and validators; the value is not stored`, { tier: remote.label, operation: "encode" }));
      return "refused";
    }
    const now = clock.now();
    const expiresAt = now + life.ttlMs + Math.max(life.staleWhileRevalidateMs, life.staleIfErrorMs);
    const entry = (encoded?: Encoded): Entry => ({
      value: loaded.value,
      ...life,
      staleAt: now + life.ttlMs,
      expiresAt,
      deadAt: expiresAt,
      tags: names,
      dependsOn,
      checkedAt: flight.tagsAt,
      etag: loaded.options?.etag ?? kept?.etag,
      lastModified: loaded.options?.lastModified ?? kept?.lastModified,
      ...(encoded !== undefined && { encoding: encoded.encoding, encodedBytes: encoded.data.length }),
    });
    const stored = loaded.kind === "not-modified" ? "not-modified" : "stored";
    const keepLocally = (encoded?: Encoded): "stored" | "not-modified" | "refused" => {
      // What has ended hears of no fence any more.
      if (flight.isOver || fencedBy() !== undefined) return "refused";
      flights.fenceOlder(at, flight);
      const error = local?.put(at, entry(encoded), policy.localTtlMs ?? Infinity);
      if (error !== undefined) this.#unwritable(flight, error);
      return error === undefined && local?.get(at, now) !== undefined ? stored : "refused";
    };
    try {
      if (remote === undefined || flight.isAway || (remote.versions !== undefined && pinned === undefined)) return keepLocally();
      const versions = remote.versions === undefined ? undefined : await this.#versionsFor(flight, pinned!, names);
      if (versions === "fenced") return this.#fenced(flight, "tags");
      if (versions === "away") return keepLocally();
      const encoding = remote.encode(loaded.value);
      const encoded = isThenable(encoding) ? await encoding : encoding;
      let result: "stored" | "not-modified" | "refused" = "refused";
      await this.#within(flight, chains.run(at, async () => {
        // Its turn may have come late: what was called meanwhile is newer.
        if (fencedBy() !== undefined) return;
        try {
          const status = await remote.write(entry(encoded), encoded, versions, key, place);
          recovery?.forgetKey(place, key);
          keepLocally(encoded);
          result = status === "stored" ? stored : status;
        } catch (error) {
          if (error instanceof EncodeError) this.#unwritable(flight, error);
          else result = keepLocally(encoded);
        }
      }));
      return fencedBy() === undefined ? result : this.#fenced(flight, fencedBy()!);
    } catch (error) {
      if (!(error instanceof EncodeError)) throw error;
      this.#unwritable(flight, error);
      return "refused";
    }
  }

  /** The value is handed out, and kept nowhere. */
  #unwritable(flight: Flight, error: CacheError): void {
    this.#core.events["backend:error"].emit({ cache: this.#core.name, namespace: flight.place.path, tier: error.tier ?? "", operation: error.operation ?? "encode", error });
  }

  async #versionsFor(flight: Flight, pinned: Pinned, tags: readonly string[]): Promise<Entry["versions"] | "fenced" | "away"> {
    const { remote, place } = flight.call.space;
    try {
      return (await this.inTime(flight, versionsFor(remote!.versions!, pinned, place, tags))) ?? "fenced";
    } catch {
      return "away";
    }
  }

  #fenced(flight: Flight, by: FencedBy): "fenced" {
    const { meter, events } = this.#core;
    meter.fenced += 1;
    if (events.fenced.isObserved) events.fenced.emit({ ...this.#callers.keyEvent(flight.call), by });
    return "fenced";
  }

  /** What `work` gives, within the time that this flight may still wait for the backend. The work goes on, and is bounded by itself. */
  async inTime<T>(flight: Flight, work: Promise<T>): Promise<T> {
    const { clock } = this.#core;
    const { label } = flight.call.space.remote!;
    const sentAt = clock.now();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const cancel = clock.schedule(
      () => reject(new BackendUnavailableError(`${label}: no time is left to wait for it`, { tier: label, operation: "getOrSet" })),
      Math.max(0, flight.backendLeftMs),
    );
    work.then(resolve, reject);
    try {
      return await promise;
    } finally {
      cancel();
      flight.backendLeftMs -= clock.now() - sentAt;
    }
  }

  /** Waits for a write, but no longer than this flight may wait for the backend; the write goes on. A failure was reported by the tier. */
  async #within(flight: Flight, write: Promise<unknown>): Promise<void> {
    const { clock } = this.#core;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.schedule(() => {
      this.#callers.answerAll(flight, () => ({ status: "miss", value: flight.loaded?.value }));
    }, Math.max(0, flight.backendLeftMs));
    write.then(() => resolve(), () => resolve());
    await promise;
    cancel();
  }
}

const isFirst = <T>(each: T, i: number, all: readonly T[]): boolean => all.indexOf(each) === i;
