import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
/** One process of the fleet. Run by round.ts; everything it does and sees goes to its file. */
import {
  CacheError,
  createCache,
  json,
  type Backend,
  type BatchLoadContext,
  type Cache,
  type DeleteManyResult,
  type GetOrSetOptions,
  type LoadContext,
  type Namespace,
  type NotModified,
  type Served,
  type WriteManyResult,
} from "@hotset/core";
import { memory } from "@hotset/memory";
import { postgres } from "@hotset/postgres";
import {
  cluster,
  fromClient,
  redis,
  sentinel,
  single,
  type Connection,
  type RedisBackend,
  type RedisBackendSettings,
} from "@hotset/redis";
import { sqlite } from "@hotset/sqlite";
import { answerCalls, type Place } from "@hotset/test-servers";
import { createClient } from "@redis/client";
import { clockSince } from "./clock.ts";
import { REFUSED, type Change, type Incident, type Load, type Read } from "./history.ts";
import {
  coveredBy,
  mayRead,
  touchedBy,
  type KeyPlan,
  type LoaderPlan,
  type Operation,
  type Settings,
  type WorkerPlan,
} from "./plan-parts.ts";
import { Recorder } from "./recorder.ts";
import { askSource, type SourceClient, type Told } from "./source.ts";
import { watchBackend, type WatchedBackend } from "./watched-backend.ts";

export interface WorkerSettings {
  readonly process: string;
  readonly worker: WorkerPlan;
  readonly index: number;
  readonly settings: Settings;
  readonly keys: readonly KeyPlan[];
  readonly place: Place;
  readonly keyPrefix: string;
  readonly sourcePath: string;
  readonly historyPath: string;
  /** `process.hrtime.bigint()` of the instant zero. */
  readonly origin: string;
}

interface Value {
  readonly k: string;
  readonly v: number;
  /** The one call that it is for. */
  readonly o?: string;
}

/** Every other one is large enough that a copy is confirmed by its version. */
const valueOf = (k: string, v: number) => ({ k, v, large: "x".repeat((v % 2) * 1_500) });

class SourceError extends Error {
  override readonly name = "SourceError";
}

/** The duration of a lease without renewal, also after the death of its holder: design of core. */
const LEASE_MS = 2_000;
/** A pending invalidation is tried again after 1 s; the rest is for a busy machine. */
const RETRIED_WITHIN_MS = 2_000;
const BACKEND = "redis";

const given = JSON.parse(process.argv[2]!) as WorkerSettings;
const { settings } = given;
const now = clockSince(BigInt(given.origin));
const recorder = new Recorder(given.historyPath);
const resourcesAtStart = countResources();
const incident = (kind: Incident["kind"], text: string): void =>
  recorder.note("incidents", { process: given.process, at: now(), kind, text });
process.on("unhandledRejection", (reason) =>
  incident("unhandled", `rejection: ${reason instanceof Error ? reason.stack : shown(reason)}`),
);
process.on("uncaughtException", (error) => incident("unhandled", `exception: ${error.stack}`));

class Fleetmate {
  readonly #cache: Cache;
  readonly #spaces = new Map<string, Namespace>();
  readonly #keys: ReadonlyMap<string, KeyPlan>;
  readonly #source: SourceClient;
  readonly #underWay = new Map<
    Promise<void>,
    { readonly id: string; readonly operation: Operation; readonly startedAt: number }
  >();
  /** By key, how many writes of it are on their way: they go one after another. */
  readonly #writing = new Map<string, number>();
  /** By key, the newest change that was acknowledged to any process. */
  readonly #acknowledged = new Map<string, { readonly change: string; readonly version: number }>();
  readonly #watched = new Set<string>();
  readonly #sampling: NodeJS.Timeout;
  #last = 0;
  #heapBefore = 0;
  #isFinishing = false;
  #hasBulk = false;
  #started = 0;

  constructor(source: SourceClient, cache: Cache) {
    this.#source = source;
    this.#keys = new Map(given.keys.map((key) => [key.id, key]));
    this.#cache = cache;
    for (const { space } of given.keys) this.#spaceOf(space);
    this.#cache.on("backend:error", ({ operation, error }) => noteFailure(operation, error));
    this.#cache.on("backend:state", () => this.#look());
    // Between two looks, maybe.
    this.#cache.on("recover", ({ replayed }) => this.#look(replayed));
    let lookedAt = now();
    this.#sampling = setInterval(() => {
      const at = now();
      if (at - lookedAt > LOOK_EVERY_MS + STALL_MS)
        recorder.note("stalls", { process: given.process, from: lookedAt + LOOK_EVERY_MS, to: at });
      lookedAt = at;
      this.#look();
    }, LOOK_EVERY_MS);
  }

  /** Runs each operation when its time has come: late ones all at once, as after a pause of the process. */
  async run(operations: readonly Operation[], from: number): Promise<void> {
    let next = 0;
    while (next < operations.length) {
      const dueMs = operations[next]!.at + from - now();
      if (dueMs > 0) {
        await sleep(Math.ceil(dueMs));
        continue;
      }
      this.#begin(operations[next]!);
      next += 1;
      if (next === Math.floor(operations.length / 3)) this.#heapBefore = heapBytes();
    }
  }

  told({ keys, change }: Told): void {
    const first = keys.find(([key]) => this.#reads(key));
    if (first === undefined) return;
    for (const [key, version] of keys)
      if ((this.#acknowledged.get(key)?.version ?? 0) < version) this.#acknowledged.set(key, { change, version });
    const told = { id: "told", at: 0, worker: 0, key: first[0] } as const;
    this.#begin({ ...told, kind: "getOrSet", load: AT_ONCE, forced: false, isCurrent: true });
    this.#begin({ ...told, kind: "peek" });
    this.#begin({ ...told, kind: "get" });
  }

  about(keys: readonly string[]): void {
    this.#begin({ id: "about", at: 0, worker: 0, kind: "watch", key: keys[0]! });
  }

  #reads(key: string): boolean {
    return mayRead(given.keys, key, given.index);
  }

  /** Tries again for a while: on a busy machine the first attempt may take too long. */
  async connect(): Promise<void> {
    for (let tries = 10; ; tries -= 1) {
      try {
        return await this.#cache.connect();
      } catch (error) {
        if (tries === 0) throw error;
      }
    }
  }

  isInStep(): boolean {
    // An open breaker is closed by calls.
    this.#begin({ id: "knock", at: 0, worker: 0, kind: "get", key: given.keys[0]!.id });
    const { tiers, pending } = this.#cache.stats();
    const state = tiers.find(({ label }) => label === BACKEND)?.state;
    return (state === "up" || state === "idle") && pending === 0;
  }

  /** Waits for everything that was begun, closes the cache, and looks for what is left. */
  async finish(): Promise<void> {
    this.#isFinishing = true;
    await Promise.race([
      Promise.allSettled(this.#underWay.keys()),
      sleep(
        this.#hasBulk ? BULK_SETTLES_MS : 2 * settings.loadTimeout + LEASE_MS + 4 * settings.responseTimeout + 2_000,
        undefined,
        { ref: false },
      ),
    ]);
    for (const { id, operation, startedAt } of this.#underWay.values())
      incident(
        "unsettled",
        `${id}, begun at ${startedAt.toFixed(1)} ms: ${JSON.stringify(operation)}${"key" in operation ? this.#explained(operation.key) : ""}`,
      );
    const drained = await Promise.race([this.#cache.drain().then(() => true), sleep(5_000, undefined, { ref: false })]);
    if (!drained) incident("unsettled", "drain()");
    const grownBytes = this.#heapBefore === 0 ? 0 : heapBytes() - this.#heapBefore;
    if (grownBytes > HEAP_GROWTH_BYTES)
      incident(
        "leak",
        `the heap grew by ${Math.round(grownBytes / 2 ** 20)} MiB in ${this.#started} calls over ${this.#keys.size} keys`,
      );
    const pending = await this.#pendingAfterRetry();
    clearInterval(this.#sampling);
    const closed = await Promise.race([this.#cache.close().then(() => true), sleep(8_000, undefined, { ref: false })]);
    if (!closed) incident("unsettled", "close()");
    if (pending !== 0) incident("not healed", `${pending} invalidations were pending at the end`);
    endClient();
    this.#source.close();
    const left = await leftOver();
    if (left.length > 0) incident("leak", `${left.join(", ")} left after close()`);
  }

  /** The invalidations that are pending when those of the last calls have been tried again. */
  async #pendingAfterRetry(): Promise<number> {
    const until = now() + RETRIED_WITHIN_MS + 2 * settings.responseTimeout;
    while (this.#cache.stats().pending !== 0 && now() < until) await sleep(20, undefined, { ref: false });
    return this.#cache.stats().pending;
  }

  /** The recent decisions of the cache about a key. */
  #explained(key: string): string {
    const decisions = this.#spaceOf(this.#keys.get(key)!.space).explain(key).slice(-EXPLAINED);
    return decisions.map((decision) => `\n    ${JSON.stringify(decision)}`).join("");
  }

  #look(replayed = 0): void {
    const { tiers, pending: left } = this.#cache.stats();
    const pending = left + replayed;
    const state = tiers.find(({ label }) => label === BACKEND)?.state ?? "none";
    recorder.note("sightings", { process: given.process, at: now(), state, pending });
  }

  #begin(operation: Operation): void {
    // The other calls have not ended yet, and report it.
    if (this.#isFinishing) return;
    const id = this.#nextId();
    this.#started += 1;
    this.#hasBulk ||= "fillers" in operation;
    const startedAt = now();
    const perform = (): Promise<void> => this.#perform(id, operation);
    const running = (watched?.during(perform) ?? perform()).catch((error: unknown) =>
      incident("unhandled", `${JSON.stringify(operation)}: ${shown(error)}`),
    );
    this.#underWay.set(running, { id, operation, startedAt });
    void running.then(() => this.#underWay.delete(running));
  }

  async #perform(id: string, operation: Operation): Promise<void> {
    switch (operation.kind) {
      case "getOrSet":
        return this.#getOrSet(id, operation);
      case "getOrSetMany":
        return this.#getOrSetMany(id, operation.keys, operation.load, fillersOf(operation));
      case "get":
      case "getStale":
        return this.#get(id, operation.key, operation.kind === "getStale");
      case "peek":
        return this.#peek(id, operation.key);
      case "watch":
        return this.#watch(id, operation.key);
      case "getMany":
        return this.#getMany(id, operation.keys, fillersOf(operation));
      case "aside":
        return this.#aside(operation);
      case "touch":
        await Promise.all(Array.from({ length: operation.times }, (_, i) => this.#touch(`${id}/${i}`, operation)));
        return;
      case "fenced":
        return this.#fenced(id, operation);
      case "foreignDelete":
      case "foreignSet":
        return;
      default:
        return this.#change(id, operation);
    }
  }

  async #getOrSet(id: string, operation: Operation & { readonly kind: "getOrSet" }): Promise<void> {
    const { key, forced } = operation;
    const plan = this.#keys.get(key)!;
    const after = operation.isCurrent ? this.#acknowledged.get(key) : undefined;
    const leaving = new AbortController();
    if (operation.leaveAfterMs !== undefined)
      setTimeout(() => leaving.abort(named(new Error("left"), "AbortError")), operation.leaveAfterMs).unref();
    let served: Served | undefined;
    const options: GetOrSetOptions = {
      tags: plan.tags.filter((tag) => !plan.lateTags.includes(tag)),
      forceRefresh: forced,
      current: after !== undefined,
      ...(operation.hardTimeout !== undefined && { hardTimeout: operation.hardTimeout }),
      ...(operation.softTimeout !== undefined && { softTimeout: operation.softTimeout }),
      ...(operation.refreshAhead !== undefined && { refreshAhead: operation.refreshAhead }),
      ...(operation.leaveAfterMs !== undefined && { signal: leaving.signal }),
      // Without it a hit goes the shortest way, which is to be taken too.
      ...(this.#last % 3 !== 0 || forced || after !== undefined
        ? { onServed: (each: Served) => void (served = each) }
        : {}),
    };
    const boundMs = operation.hardTimeout ?? 2 * settings.loadTimeout + LEASE_MS + 4 * settings.responseTimeout;
    const startedAt = now();
    const common = {
      process: given.process,
      id,
      kind: "getOrSet",
      key,
      startedAt,
      forced,
      boundMs,
      ...(after !== undefined && { after: { change: after.change, version: after.version } }),
    };
    try {
      const value = await this.#spaceOf(plan.space).getOrSet(
        key,
        (ctx) => this.#load({ id, startedAt, forced }, plan, operation.load, ctx),
        options,
      );
      this.#noteRead({
        ...common,
        ...versionOf(key, value, id),
        freshness: served === undefined ? "unknown" : served.status === "stale" ? "stale" : "fresh",
        ...(served !== undefined && { tier: served.tier ?? "load", coalesced: served.coalesced }),
      });
    } catch (error) {
      const isAbandoned = error instanceof Error && error.name === "AbortError" && !leaving.signal.aborted;
      this.#noteRead({ ...common, freshness: "unknown", error: shown(error), ...(isAbandoned && { isAbandoned }) });
    }
  }

  async #getOrSetMany(id: string, all: readonly string[], plan: LoaderPlan, fillers: readonly string[]): Promise<void> {
    const space = this.#keys.get(all[0]!)!.space;
    const keys = all.filter((key) => this.#keys.get(key)!.space.join() === space.join());
    const startedAt = now();
    const common = {
      process: given.process,
      kind: "getOrSetMany",
      startedAt,
      freshness: "unknown",
      boundMs: 2 * settings.loadTimeout + LEASE_MS + 4 * settings.responseTimeout * windowsOf(fillers),
    } as const;
    const call = { id, startedAt, forced: false };
    const load = async (missing: readonly string[], ctx: BatchLoadContext<string>) => {
      const values = await Promise.all(
        missing.map(async (key) => {
          if (!this.#keys.has(key)) return [key, fillerOf(key)] as const;
          ctx.setOptions(key, { tags: this.#keys.get(key)!.tags });
          const own = { ...plan, outcome: ALONE_ONLY.has(plan.outcome) ? ("value" as const) : plan.outcome };
          return [key, await this.#load(call, this.#keys.get(key)!, own, { signal: ctx.signal })] as const;
        }),
      );
      return values.flatMap(([key, value]) => (value === undefined ? [] : [[key, value as Value] as const]));
    };
    const found = this.#spaceOf(space).getOrSetMany([...keys, ...fillers], (key) => key, load);
    await this.#noteMany(id, keys, fillers, common, found);
  }

  /** A key that no source has is noted only with the value of another key. */
  async #noteMany(
    id: string,
    keys: readonly string[],
    fillers: readonly string[],
    common: Omit<Read, "id" | "key" | "endedAt">,
    finding: Promise<ReadonlyMap<string, unknown>>,
  ): Promise<void> {
    const note = (key: string, answer: Partial<Read>): void =>
      this.#noteRead({ ...common, id: `${id}/${key}`, key, ...answer });
    try {
      const found = await finding;
      for (const key of keys) note(key, versionOf(key, found.get(key)));
      for (const key of fillers) {
        const answer = versionOf(key, found.get(key));
        if (answer.strayKey !== undefined) note(key, answer);
      }
    } catch (error) {
      for (const key of keys) note(key, { error: shown(error) });
    }
  }

  /** A loader: asks the source, and records when it began and ended. */
  async #load(
    call: { readonly id: string; readonly startedAt: number; readonly forced: boolean },
    { id: key, lateTags }: KeyPlan,
    plan: LoaderPlan,
    ctx: Pick<LoadContext, "signal"> & Partial<LoadContext>,
  ): Promise<Value | NotModified | undefined> {
    const id = `${call.id}/load${this.#nextId()}`;
    const lease = watched?.leaseOf(key);
    const { startedAt: calledAt, forced } = call;
    const granted = lease !== undefined ? { askedAt: lease.askedAt } : watched !== undefined && { isAlone: true };
    const { process } = given;
    recorder.note("loads", { process, id, key, calledAt, startedAt: now(), forced, ...granted });
    let version: number | undefined;
    let gives: Pick<Load, "isToStore" | "isWithheld" | "isNothing"> = {};
    let hasEnded = false;
    const end = (by?: "abort"): void => {
      if (hasEnded) return;
      hasEnded = true;
      recorder.add("loads", id, {
        endedAt: now(),
        ...(version !== undefined && { version }),
        ...gives,
        ...(by === "abort" && { abortedAt: now() }),
        ...(lease?.givenUpAt !== undefined && { givenUpAt: lease.givenUpAt }),
      });
    };
    ctx.signal.addEventListener("abort", () => end("abort"), { once: true });
    try {
      // A loader that was given up continues, and does not keep the process alive.
      if (plan.beforeMs > 0) await sleep(plan.beforeMs, undefined, { ref: false });
      if (plan.outcome === "hang") await new Promise(() => undefined);
      version = await this.#source.read(key);
      if (plan.afterMs > 0) await sleep(plan.afterMs, undefined, { ref: false });
      if (plan.outcome === "fail") throw new SourceError("the source is down");
      if (lateTags.length > 0) ctx.setOptions?.({ tags: lateTags });
      const value: Value = valueOf(key, version);
      if (plan.outcome === "undefined") {
        gives = { isNothing: true };
        return undefined;
      }
      if (plan.outcome === "no-store" && ctx.noStore !== undefined) {
        gives = { isWithheld: true };
        return ctx.noStore(value);
      }
      if (plan.outcome === "not-shared" && ctx.notShared !== undefined) {
        gives = { isWithheld: true };
        return ctx.notShared({ ...value, o: call.id });
      }
      if (plan.outcome === "not-modified" && (ctx.stale?.value as Value | undefined)?.v === version)
        return ctx.stale!.notModified();
      gives = { isToStore: true };
      return value;
    } finally {
      end();
    }
  }

  async #get(id: string, key: string, allowStale: boolean): Promise<void> {
    const startedAt = now();
    const common = {
      process: given.process,
      id,
      kind: allowStale ? "get, stale too" : "get",
      key,
      startedAt,
      freshness: allowStale ? "unknown" : "fresh",
      boundMs: 3 * settings.responseTimeout,
    } as const;
    try {
      this.#noteRead({
        ...common,
        ...versionOf(key, await this.#spaceOf(this.#keys.get(key)!.space).get(key, { allowStale })),
      });
    } catch (error) {
      this.#noteRead({ ...common, error: shown(error) });
    }
  }

  async #getMany(id: string, all: readonly string[], fillers: readonly string[]): Promise<void> {
    const space = this.#keys.get(all[0]!)!.space;
    const keys = all.filter((key) => this.#keys.get(key)!.space.join() === space.join());
    const startedAt = now();
    const common = {
      process: given.process,
      kind: "getMany",
      startedAt,
      freshness: "fresh",
      boundMs: 3 * settings.responseTimeout * windowsOf(fillers),
    } as const;
    await this.#noteMany(id, keys, fillers, common, this.#spaceOf(space).getMany([...keys, ...fillers]));
  }

  #peek(id: string, key: string): void {
    const startedAt = now();
    const value = this.#spaceOf(this.#keys.get(key)!.space).peek(key);
    this.#noteRead({ ...IN_MEMORY, id, kind: "peek", key, startedAt, ...versionOf(key, value) });
  }

  /** Peeks without a pause for a while; equal answers in a row are one. */
  async #watch(id: string, key: string): Promise<void> {
    if (this.#watched.has(key)) return;
    this.#watched.add(key);
    const space = this.#spaceOf(this.#keys.get(key)!.space);
    let run: (Omit<Read, "startedAt" | "endedAt"> & { startedAt: number; endedAt: number }) | undefined;
    for (let n = 0, until = now() + WATCH_MS; now() < until; n += 1) {
      const startedAt = now();
      const answer = versionOf(key, space.peek(key));
      const endedAt = now();
      if (run?.version === answer.version && run !== undefined) {
        run.startedAt = startedAt;
        run.endedAt = endedAt;
      } else {
        if (run !== undefined) recorder.note("reads", run);
        const common = { ...IN_MEMORY, id: `${id}/${n}`, kind: "watch", key, firstStartedAt: startedAt };
        run = { ...common, startedAt, endedAt, ...answer };
      }
      await nextTurn();
    }
    if (run !== undefined) recorder.note("reads", run);
    this.#watched.delete(key);
  }

  async #change(id: string, operation: Operation): Promise<void> {
    const keys = coveredBy(given.keys, operation);
    if (keys.length === 0) return;
    const versions = await this.#source.begin({
      change: id,
      keys,
      isSet: operation.kind === "set" || operation.kind === "setMany",
      isChained: "key" in operation || "fillers" in operation,
    });
    if (versions === undefined) return;
    const covered = keys.map((key, i) => [key, versions[i]!] as const);
    const queued = Math.max(0, ...keys.map((key) => this.#writing.get(key) ?? 0));
    for (const key of keys) this.#writing.set(key, (this.#writing.get(key) ?? 0) + 1);
    const isSoft = operation.kind === "markStale" || operation.kind === "markTagsStale";
    const touches = touchedBy(given.keys, operation);
    const change: Change = {
      process: given.process,
      id,
      kind: operation.kind,
      keys: covered,
      ...(touches.length > 0 && { touches }),
      mode: isSoft ? "soft" : "hard",
      startedAt: now(),
      boundMs: (queued + 1) * 2 * settings.responseTimeout * windowsOf(fillersOf(operation)),
    };
    recorder.note("changes", change);
    try {
      const { status } = await this.#send(operation, versions[0]!);
      const endedAt = now();
      // Read in the very turn in which it settled, before anything else can happen.
      if ("isFollowed" in operation && operation.isFollowed) this.#follow(keys);
      recorder.add("changes", id, {
        endedAt,
        status: status === "pending" ? "pending" : status === "refused" ? "failed" : "acknowledged",
      });
      if (status !== "pending" && status !== "refused") {
        for (const [key, version] of covered) this.#acknowledged.set(key, { change: id, version });
        this.#source.tell({ change: id, keys: covered });
      }
    } catch (error) {
      recorder.add("changes", id, { endedAt: now(), status: "failed", error: shown(error) });
      incident("unhandled", `${operation.kind} rejected: ${shown(error)}`);
    } finally {
      this.#source.end(id);
      for (const key of keys) this.#writing.set(key, this.#writing.get(key)! - 1);
    }
  }

  /** A change that replaces no version. Two together wait for each other. */
  async #touch(id: string, { key, times }: Operation & { readonly kind: "touch" }): Promise<void> {
    const queued = this.#writing.get(key) ?? 0;
    recorder.note("changes", {
      process: given.process,
      id,
      kind: "touch",
      keys: [[key, 0]],
      mode: "soft",
      startedAt: now(),
      boundMs: (queued + times) * 4 * settings.responseTimeout,
    });
    const status = await this.#spaceOf(this.#keys.get(key)!.space)
      .touch(key)
      .then((result) => (result.status === "touched" ? "acknowledged" : "failed"));
    recorder.add("changes", id, { endedAt: now(), status });
  }

  /** A value that is computed without a loader: what is changed meanwhile must refuse it. */
  async #fenced(id: string, { key, afterMs }: Operation & { readonly kind: "fenced" }): Promise<void> {
    const { space, tags } = this.#keys.get(key)!;
    const since = await this.#spaceOf(space).fence(key);
    const v = await this.#source.read(key);
    await sleep(afterMs, undefined, { ref: false });
    const queued = this.#writing.get(key) ?? 0;
    const boundMs = (queued + 1) * 4 * settings.responseTimeout;
    recorder.note("changes", {
      ...{ process: given.process, id, kind: "fenced set", keys: [[key, 0]], mode: "soft", startedAt: now(), boundMs },
    });
    const { status } = await this.#spaceOf(space).set(key, { k: key, v } satisfies Value, { tags, since });
    recorder.add("changes", id, { endedAt: now(), status: status === "stored" ? "acknowledged" : "failed" });
  }

  /** Runs an operation that changes no key under check. Whether it failed is known from the backend. */
  async #aside({ does, tag, space }: Operation & { readonly kind: "aside" }): Promise<void> {
    const at = this.#spaceOf(space);
    switch (does) {
      case "invalidateTags":
      case "markTagsStale":
        await at[does](tag);
        return;
      case "clear":
        await at.namespace("empty").clear();
        return;
      case "use":
        // An outage may end it with an error, which is not judged here.
        await at.getOrSet("aside", () => 1, { tags: [tag], ttl: 100 }).catch(() => undefined);
    }
  }

  #send(operation: Operation, version: number): Promise<{ readonly status: string }> {
    switch (operation.kind) {
      case "setMany": {
        const entries = operation.keys.map((key) => [key, valueOf(key, version)] as const);
        const fillers = fillersOf(operation).map((key) => [key, fillerOf(key)] as const);
        const half = fillers.length / 2;
        const all = [...fillers.slice(0, half), ...entries, ...fillers.slice(half)];
        return this.#spaceOf(this.#keys.get(operation.keys[0]!)!.space).setMany(all).then(statusOfAll);
      }
      case "deleteMany": {
        const all = [...fillersOf(operation), ...operation.keys];
        return this.#spaceOf(this.#keys.get(operation.keys[0]!)!.space).deleteMany(all).then(statusOfAll);
      }
      case "set": {
        const { id, space, tags } = this.#keys.get(operation.key)!;
        return this.#spaceOf(space).set(id, valueOf(id, version), { tags });
      }
      case "delete":
        return this.#spaceOf(this.#keys.get(operation.key)!.space).delete(operation.key);
      case "markStale":
        return this.#spaceOf(this.#keys.get(operation.key)!.space).markStale(operation.key);
      case "invalidateTags":
        return this.#spaceOf(operation.space).invalidateTags(operation.tag);
      case "markTagsStale":
        return this.#spaceOf(operation.space).markTagsStale(operation.tag);
      case "clear":
        return this.#spaceOf(operation.space).clear();
      default:
        throw new Error(`${operation.kind} changes nothing`);
    }
  }

  #follow(keys: readonly string[]): void {
    for (const key of keys.filter((each) => this.#reads(each)).slice(0, 2)) {
      const follow = { id: "follow", at: 0, worker: 0, key } as const;
      this.#begin({ ...follow, kind: "peek" });
      this.#begin({ ...follow, kind: "get" });
      this.#begin({ ...follow, kind: "getOrSet", load: AT_ONCE, forced: false, isCurrent: false });
    }
  }

  #noteRead(read: Omit<Read, "endedAt">): void {
    recorder.note("reads", { ...read, endedAt: now() });
  }

  #spaceOf(path: readonly string[]): Namespace {
    const name = path.join("/");
    let space = this.#spaces.get(name);
    if (space === undefined) {
      space = path.length === 0 ? this.#cache : this.#spaceOf(path.slice(0, -1)).namespace(path.at(-1)!);
      this.#spaces.set(name, space);
    }
    return space;
  }

  #nextId(): string {
    this.#last += 1;
    return `${given.process}.${this.#last}`;
  }
}

/** Decisions that are kept for {@link Cache.explain}, and that are shown of one key. */
const REMEMBERED = 1_000;
const EXPLAINED = 40;
const LOOK_EVERY_MS = 50;
/** A timer that is later than this shows that the process did not run. */
const STALL_MS = 50;
const WATCH_MS = 20;
const AT_ONCE: LoaderPlan = { beforeMs: 0, afterMs: 0, outcome: "value" };
const IN_MEMORY = { process: given.process, freshness: "fresh", tier: "memory", boundMs: 50 } as const;
/** Two busy cores carry thousands of writes out in this time; each other write of their keys waits its turn. */
const BULK_SETTLES_MS = 30_000;
const HEAP_GROWTH_BYTES = 24 * 2 ** 20;

async function openCache(): Promise<Cache> {
  const settled = <Builder extends RedisBackendSettings>(builder: Builder): RedisBackend =>
    builder
      .keyPrefix(given.keyPrefix)
      .valueFormat(json())
      .label(BACKEND)
      .layout(process.env["HOTSET_LAYOUT"] === "string" ? "string" : "full")
      .coherence(given.worker.coherence)
      .maxStaleness(settings.maxStaleness)
      .reissueWindow(settings.reissueWindow)
      .responseTimeout(settings.responseTimeout)
      .build();
  const backend: Backend =
    backendOfStore() ??
    (given.worker.hasClient === true && given.place.topology === "single"
      ? settled(redis(fromClient(await openClient(given.place.url))))
      : settled(
          redis(connectionTo(given.place))
            .protocol(given.worker.protocol)
            .connectTimeout(800 + settings.longestBackoff)
            .backoff({ base: 10, max: settings.longestBackoff }),
        ));
  watched = watchBackend(
    backend,
    now,
    (removal) => recorder.note("removals", { process: given.process, ...removal }),
    noteFailure,
  );
  return createCache({ name: "torture", explain: REMEMBERED })
    .tier(memory({ maxEntries: settings.maxEntries }))
    .tier(backend)
    .defaults({
      ttl: settings.ttl,
      staleWhileRevalidate: settings.staleWhileRevalidate,
      staleIfError: settings.staleIfError,
      loadTimeout: settings.loadTimeout,
      errorBackoff: settings.errorBackoff,
    })
    .build();
}

/** The store of `--store`, new in each round; `undefined` for Redis. */
function backendOfStore(): Backend | undefined {
  const folder = dirname(given.historyPath);
  if (process.env["HOTSET_STORE"] === "sqlite") return sqlite(join(folder, "shared.db"), { label: BACKEND });
  if (process.env["HOTSET_STORE"] !== "postgres") return undefined;
  const schema = `round_${createHash("sha256").update(folder).digest("hex").slice(0, 16)}`;
  const { maxStaleness, responseTimeout: deadline } = settings;
  return postgres({ url: process.env["HOTSET_POSTGRES"]!, schema, label: BACKEND, maxStaleness, deadline });
}

/** Outcomes that only a loader of one key can have. */
const ALONE_ONLY: ReadonlySet<LoaderPlan["outcome"]> = new Set(["no-store", "not-shared", "not-modified"]);

/** The keys of a bulk call besides those that are checked. */
const fillersOf = (operation: Operation): readonly string[] =>
  Array.from({ length: "fillers" in operation ? (operation.fillers ?? 0) : 0 }, (_, i) => String(i));

const fillerOf = (key: string): Value => ({ k: key, v: 1 });

/** How many deadlines a call of so many keys may need, one after another. */
const windowsOf = (fillers: readonly string[]): number => 1 + Math.ceil(fillers.length / KEYS_AT_A_TIME);
const KEYS_AT_A_TIME = 1_000;

/** The status of each key of a bulk call, as far as its counts say. */
function statusOfAll({ pending, ...rest }: WriteManyResult | DeleteManyResult): { readonly status: string } {
  if ("refused" in rest && rest.refused > 0) return { status: "refused" };
  return { status: pending > 0 ? "pending" : "stored" };
}

/** Any other error reply of Redis counts as one of the cache's own: it could not do what it was asked for. */
function noteFailure(operation: string, error: unknown): void {
  const code = isRefusal(error) ? REFUSED : error instanceof CacheError ? error.code : "BACKEND_UNAVAILABLE";
  recorder.note("failures", { process: given.process, at: now(), operation, code });
}

/** Not `READONLY`: after a failover it says that the server has become a replica. */
const isRefusal = (error: unknown): boolean =>
  error instanceof Error && (/^(OOM|MISCONF|NOREPLICAS)\b/.test(error.message) || isRefusal(error.cause));

/** Opens a client as a service may have one already, which reconnects without help. */
async function openClient(url: string): Promise<Parameters<typeof fromClient>[0]> {
  const client = createClient({
    url,
    RESP: given.worker.protocol,
    socket: { reconnectStrategy: (retries) => Math.min(10 * 2 ** retries, 200) },
  });
  client.on("error", () => undefined);
  await client.connect();
  endClient = () => client.destroy();
  return client;
}
let endClient: () => void = () => undefined;
let watched: WatchedBackend | undefined;

function connectionTo(place: Place): Connection {
  switch (place.topology) {
    case "single":
      return single(place.url);
    case "sentinel":
      return sentinel(place.urls, { primaryName: place.primaryName });
    case "cluster":
      return cluster(place.urls);
  }
}

/** @param call the one that may get its own answer; no other call may get any. */
function versionOf(key: string, value: unknown, call?: string): Pick<Read, "version" | "strayKey" | "strayCall"> {
  if (value === undefined || value === null) return {};
  const { k, v, o } = value as Value;
  return {
    version: v,
    ...(k !== key && { strayKey: String(k) }),
    ...(o !== undefined && o !== call && { strayCall: o }),
  };
}

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

function countResources(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const resource of process.getActiveResourcesInfo()) counts.set(resource, (counts.get(resource) ?? 0) + 1);
  return counts;
}

/**
 * Resources that keep the process alive, and did not exist at its start. Loaders that were given up may still be
 * waiting for a while.
 */
async function leftOver(): Promise<readonly string[]> {
  for (let tries = 20; ; tries -= 1) {
    await sleep(50, undefined, { ref: false });
    const left = [...countResources()].flatMap(([resource, count]) => {
      const more = count - (resourcesAtStart.get(resource) ?? 0);
      // Pipes are the test's own: standard output, and the channel to the process that started this one.
      return more > 0 && resource !== "PipeWrap" ? [`${more} ${resource}`] : [];
    });
    if (left.length === 0 || tries === 0) return left;
  }
}

function named(error: Error, name: string): Error {
  error.name = name;
  return error;
}

function shown(error: unknown): string {
  if (process.env["HOTSET_STACKS"] === "1" && error instanceof Error) return String(error.stack);
  if (!(error instanceof Error)) return String(error);
  return `${error.name}: ${error.message}${error.cause instanceof Error ? `; because of ${error.cause.name}` : ""}`;
}

// A process that has not opened a cache yet receives nothing.
let mate: Fleetmate | undefined;
const source = await askSource(given.sourcePath, {
  told: (told) => mate?.told(told),
  about: (keys) => mate?.about(keys),
});
mate = new Fleetmate(source, await openCache());
const fleetmate = mate;

const wallClock = Date.now;
const handlers = {
  /** The clock of this process, to be compared with that of the run. */
  now: (): number => now(),
  /** Resolves immediately; the operations run in the background. */
  run: (operations: readonly Operation[], from: number): void => void fleetmate.run(operations, from),
  connect: (): Promise<void> => fleetmate.connect(),
  /** Nothing runs in this process meanwhile. */
  block: (forMs: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, forMs),
  setClock(byMs: number): void {
    Date.now = () => wallClock() + byMs;
  },
  isInStep: (): boolean => fleetmate.isInStep(),
  finish: (): Promise<void> => fleetmate.finish(),
};

export type Worker = typeof handlers;

answerCalls(handlers);
