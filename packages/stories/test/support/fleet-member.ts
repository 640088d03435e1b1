import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
/** One process of a fleet, with a cache in memory over Redis. Its handlers are called by the tests over fleet.ts. */
import {
  createCache,
  json,
  type Cache,
  type CacheEvents,
  type CacheStats,
  type EntryInfo,
  type EntryOptions,
  type GetOrSetOptions,
  type Namespace,
  type NewKeysOptions,
  type Policy,
  type Served,
} from "@hotset/core";
import { memory, type MemoryOptions } from "@hotset/memory";
import { cluster, redis, sentinel, single, type Connection, type RedisBackendBuilder } from "@hotset/redis";
import { sqlite } from "@hotset/sqlite";
import { answerCalls, type Place } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import { LAYOUT, type Layout } from "./layout.ts";

export interface MemberSettings {
  readonly place: Place;
  readonly keyPrefix: string;
  /** @default entries outlive the test */
  readonly policy?: Policy;
  readonly memory?: MemoryOptions;
  readonly newKeys?: NewKeysOptions;
  readonly coherence?: "tracking" | "pubsub" | "none";
  readonly protocol?: 2 | 3;
  /** @default that of the tests */
  readonly layout?: Layout;
  /** @default 10000: long enough for messages to arrive on a busy machine */
  readonly maxStalenessMs?: number;
  /** @default 2000, as of a backend */
  readonly leaseTimeMs?: number;
  /** @default 5000 */
  readonly responseTimeoutMs?: number;
  /** @default 10000 */
  readonly connectTimeoutMs?: number;
  /** How far its wall clock is ahead, in milliseconds. Negative values are behind. @default 0 */
  readonly clockOffsetMs?: number;
  /** Its cache does nothing because time has passed: what happens has another cause. @default false */
  readonly isTimeless?: boolean;
  /** Whether the cache has memory alone, without Redis. @default false */
  readonly isAlone?: boolean;
  /** The file of a backend in place of Redis. */
  readonly sqliteFile?: string;
}

/** The steps of a load. By default it returns `null` at once. */
export interface LoadPlan {
  readonly value?: unknown;
  /** A file with a number. The load reads it when it begins, and returns `{ version }`. */
  readonly source?: string;
  readonly takesMs?: number;
  /** The load waits until this gate is opened. It hangs if the gate is never opened. */
  readonly gate?: string;
  /** The load rejects with this message instead. */
  readonly fails?: string;
  /** Passed to `ctx.setOptions` at the end of the load. */
  readonly options?: EntryOptions;
  /**
   * `noStore`: returns through `ctx.noStore`. `unwritable`: returns a value that no format can write. `uncloneable`:
   * returns a value that json can write and structuredClone refuses.
   */
  readonly kind?: "noStore" | "unwritable" | "uncloneable";
}

export interface CallOptions extends Omit<GetOrSetOptions, "signal" | "onServed"> {
  readonly space?: readonly string[];
  /** Opening this gate aborts the wait of this caller. */
  readonly abortGate?: string;
}

/** One run of a loader. Times are those of {@link sharedNow}. */
export interface LoadRun {
  readonly key: string;
  readonly startedAt: number;
  /** `Infinity` while the loader runs. */
  readonly endedAt: number;
  readonly background: boolean;
  readonly reason: string;
}

/** A value seen as local copy, with the times of the first and the last look that found it. */
export interface Sighting {
  /** Just before the last look. */
  readonly lastAt: number;
  readonly firstAt: number;
  readonly value: unknown;
}

/** Milliseconds on a clock that all processes of this machine share. */
const sharedNow = (): number => Number(process.hrtime.bigint()) / 1e6;
const wallClock = Date.now;

class Member {
  readonly cache: Cache;
  readonly runs: { key: string; startedAt: number; endedAt: number; background: boolean; reason: string }[] = [];
  readonly events: Record<string, unknown>[] = [];
  readonly gates = new Map<string, PromiseWithResolvers<void>>();
  readonly watches = new Map<
    string,
    { readonly timer: NodeJS.Timeout; readonly sightings: { lastAt: number; firstAt: number; value: unknown }[] }
  >();

  constructor(settings: MemberSettings) {
    const offsetMs = settings.clockOffsetMs ?? 0;
    Date.now = offsetMs === 0 ? wallClock : () => wallClock() + offsetMs;
    const clock = settings.isTimeless === true ? new TestClock() : undefined;
    const local = createCache({ name: "shop", explain: 1_000, clock, newKeys: settings.newKeys })
      .tier(memory(settings.memory))
      .defaults({ ttl: "10m", ...settings.policy });
    const { isAlone, sqliteFile } = settings;
    if (isAlone === true) this.cache = local.build();
    else if (sqliteFile !== undefined) this.cache = local.tier(sqlite(sqliteFile)).build();
    else this.cache = local.tier(backendOf(settings).build()).build();
    for (const name of OBSERVED)
      this.cache.on(name, (event) => {
        const { error, ...details } = event as CacheEvents[typeof name] & {
          readonly error?: { readonly code?: string; readonly message?: string };
        };
        if (this.events.length < MAX_EVENTS)
          this.events.push({
            event: name,
            at: sharedNow(),
            ...details,
            ...(error !== undefined && { code: error.code, message: error.message }),
          });
      });
  }

  gate(name: string): PromiseWithResolvers<void> {
    let gate = this.gates.get(name);
    if (gate === undefined) this.gates.set(name, (gate = Promise.withResolvers<void>()));
    return gate;
  }

  space(path: readonly string[] = []): Namespace {
    return path.reduce<Namespace>((space, name) => space.namespace(name), this.cache);
  }

  getOrSet(
    key: string,
    plan: LoadPlan,
    { space, abortGate, ...options }: CallOptions = {},
    onServed?: (served: Served) => void,
  ): Promise<unknown> {
    const controller = new AbortController();
    if (abortGate !== undefined) void this.gate(abortGate).promise.then(() => controller.abort(new Error("aborted")));
    return this.space(space).getOrSet(
      key,
      async (context) => {
        const run = {
          key,
          startedAt: sharedNow(),
          endedAt: Infinity,
          background: context.background,
          reason: context.reason,
        };
        this.runs.push(run);
        try {
          const version = plan.source === undefined ? undefined : Number(readFileSync(plan.source, "utf8"));
          if (plan.takesMs !== undefined) await sleep(plan.takesMs);
          if (plan.gate !== undefined) await this.gate(plan.gate).promise;
          if (plan.fails !== undefined) throw new Error(plan.fails);
          if (plan.options !== undefined) context.setOptions(plan.options);
          if (plan.kind === "noStore") return context.noStore(plan.value);
          if (plan.kind === "unwritable") return 1n;
          if (plan.kind === "uncloneable") return { value: plan.value, call: () => undefined };
          return version === undefined ? (plan.value ?? null) : { version };
        } finally {
          run.endedAt = sharedNow();
        }
      },
      {
        ...options,
        signal: abortGate === undefined ? undefined : controller.signal,
        ...(onServed !== undefined && { onServed }),
      },
    );
  }

  async close(): Promise<void> {
    for (const { timer } of this.watches.values()) clearInterval(timer);
    for (const gate of this.gates.values()) gate.resolve();
    await this.cache.close({ timeout: 0 });
  }
}

function backendOf(settings: MemberSettings): RedisBackendBuilder {
  const {
    keyPrefix,
    coherence = "tracking",
    protocol = 3,
    maxStalenessMs = 10_000,
    leaseTimeMs = 2_000,
    responseTimeoutMs = 5_000,
    connectTimeoutMs = 10_000,
  } = settings;
  return redis(connectionOf(settings.place))
    .layout(settings.layout ?? LAYOUT)
    .valueFormat(json())
    .keyPrefix(keyPrefix)
    .coherence(coherence)
    .protocol(protocol)
    .maxStaleness(maxStalenessMs)
    .leaseTime(leaseTimeMs)
    .responseTimeout(responseTimeoutMs)
    .connectTimeout(connectTimeoutMs)
    .backoff({ base: 10, max: 100 });
}

function connectionOf(place: Place): Connection {
  switch (place.topology) {
    case "single":
      return single(place.url);
    case "cluster":
      return cluster(place.urls, { readFromReplicas: place.readFromReplicas ?? false });
    case "sentinel":
      return sentinel(place.urls, { primaryName: place.primaryName });
  }
}

/** The events that `events` returns. */
const OBSERVED = ["load", "load:error", "fenced", "invalidate", "backend:error", "backend:state", "recover"] as const;
const MAX_EVENTS = 20_000;
/** The pause between two looks at a watched copy. */
const LOOK_MS = 2;

let member: Member | undefined;
function mine(): Member {
  if (member === undefined) throw new Error("open() comes first");
  return member;
}

const unhandled: string[] = [];
process.on("unhandledRejection", (reason) => unhandled.push(String(reason)));

const handlers = {
  /** Closes the earlier cache and opens a new one. Connects it unless `connects` is false. */
  async open(settings: MemberSettings, connects = true): Promise<void> {
    await member?.close();
    member = new Member(settings);
    unhandled.length = 0;
    // On a busy machine the first attempt may take too long. The first call makes further attempts.
    if (connects) await member.cache.connect().catch(() => mine().cache.get("first call"));
  },
  /** @returns the unhandled rejections since `open`. */
  async close(): Promise<readonly string[]> {
    await member?.close();
    member = undefined;
    return [...unhandled];
  },

  getOrSet: (key: string, plan: LoadPlan = {}, options?: CallOptions): Promise<unknown> =>
    mine().getOrSet(key, plan, options),
  /** Calls `getOrSet` and also returns the status and the duration. Returns rejections instead of throwing them. */
  async serve(
    key: string,
    plan: LoadPlan = {},
    options?: CallOptions,
  ): Promise<{
    value?: unknown;
    failed?: string;
    code?: string | undefined;
    status?: string;
    cause?: string | undefined;
    tier?: string | undefined;
    ms: number;
  }> {
    let served: Served | undefined;
    const startedAt = sharedNow();
    try {
      const value = await mine().getOrSet(key, plan, options, (each) => (served = each));
      // Such a value cannot be sent to the test.
      return {
        value: plan.kind === "uncloneable" ? undefined : value,
        status: served!.status,
        tier: served!.tier,
        cause: served!.cause,
        ms: sharedNow() - startedAt,
      };
    } catch (error) {
      return {
        failed: (error as Error).message,
        code: (error as { readonly code?: string }).code,
        ms: sharedNow() - startedAt,
      };
    }
  },
  /** Makes `callers` concurrent calls. @returns each distinct outcome once. */
  async herd(key: string, callers: number, plan: LoadPlan = {}, options?: CallOptions): Promise<readonly unknown[]> {
    const outcomes = await Promise.all(
      Array.from({ length: callers }, () =>
        mine()
          .getOrSet(key, plan, options)
          .catch((error: Error) => `failed: ${error.message}`),
      ),
    );
    return [...new Set(outcomes)];
  },
  getOrSetMany: async (
    keys: readonly string[],
    value: unknown,
    options?: Omit<CallOptions, "space" | "abortGate">,
  ): Promise<Map<string, unknown>> =>
    mine().cache.getOrSetMany<string, unknown>(
      keys,
      (key) => key,
      (missing) => {
        const now = sharedNow();
        for (const key of missing)
          mine().runs.push({ key, startedAt: now, endedAt: now, background: false, reason: "batch" });
        return missing.map((key) => [key, value]);
      },
      options,
    ),
  get: (key: string, space?: readonly string[]): Promise<unknown> => mine().space(space).get(key),
  getStale: (key: string): Promise<unknown> => mine().cache.get(key, { allowStale: true }),
  getMany: (keys: readonly string[], space?: readonly string[]): Promise<Map<string, unknown>> =>
    mine().space(space).getMany(keys),
  has: (key: string): Promise<boolean> => mine().cache.has(key),
  peek: (key: string, space?: readonly string[]): unknown => mine().space(space).peek(key),
  /** The local copies of `keys`. */
  peekMany: (keys: readonly string[], space?: readonly string[]): Map<string, unknown> =>
    new Map(
      keys.flatMap((key) => {
        const value = mine().space(space).peek(key);
        return value === undefined ? [] : [[key, value] as const];
      }),
    ),
  inspect: (key: string): Promise<EntryInfo | undefined> => mine().cache.inspect(key),

  set: (key: string, value: string | number | object, options?: EntryOptions, space?: readonly string[]) =>
    mine().space(space).set(key, value, options),
  /** Both in one call, so that no busy machine comes between: a copy is trusted for a moment only. */
  async setThenGet(key: string, value: string) {
    const { status } = await mine().space().set(key, value);
    return { status, read: await mine().space().get(key) };
  },
  /** Sets all entries in one call. */
  setMany: (
    entries: readonly (readonly [string, string | number | object])[],
    options?: EntryOptions,
    space?: readonly string[],
  ) => mine().space(space).setMany(entries, options),
  delete: (key: string, space?: readonly string[]) => mine().space(space).delete(key),
  deleteMany: (keys: readonly string[]) => mine().cache.deleteMany(keys),
  markStale: (key: string) => mine().cache.markStale(key),
  invalidateTags: (...tags: string[]) => mine().cache.invalidateTags(...tags),
  markTagsStale: (...tags: string[]) => mine().cache.markTagsStale(...tags),
  clear: (space?: readonly string[]) => mine().space(space).clear(),
  /** Calls two tag invalidations and then a write, in one turn of the event loop. */
  invalidateTwiceAndSet: (tag: string, key: string, value: string) =>
    Promise.all([
      mine().cache.invalidateTags(tag),
      mine().cache.invalidateTags(tag),
      mine().cache.set(key, value, { tags: [tag] }),
    ]),

  stats: (): CacheStats => mine().cache.stats(),
  /** The state of the Redis tier. */
  state: (): string => mine().cache.stats().tiers.at(-1)!.state,
  explain: (key: string) =>
    mine()
      .cache.explain(key)
      .map(({ agoMs, what, why }) => `${what}: ${why} (${Math.round(agoMs)} ms ago)`),
  drain: (): Promise<void> => mine().cache.drain(),
  loads: (key?: string): readonly LoadRun[] => mine().runs.filter((run) => key === undefined || run.key === key),
  events: (name: (typeof OBSERVED)[number]): readonly Record<string, unknown>[] =>
    mine().events.filter(({ event }) => event === name),
  openGate: (name: string): void => mine().gate(name).resolve(),
  clock: (): number => Date.now(),

  /** Looks at the local copy of `key` repeatedly, until `sightings` is called. */
  watch(key: string): void {
    const { cache, watches } = mine();
    const sightings: { lastAt: number; firstAt: number; value: unknown }[] = [];
    const look = (): void => {
      const at = sharedNow();
      const value = cache.peek(key);
      const last = sightings.at(-1);
      if (last !== undefined && JSON.stringify(last.value) === JSON.stringify(value)) last.lastAt = at;
      else sightings.push({ firstAt: at, lastAt: at, value });
    };
    look();
    watches.set(key, { timer: setInterval(look, LOOK_MS), sightings });
  },
  sightings(key: string): readonly Sighting[] {
    const { timer, sightings } = mine().watches.get(key)!;
    clearInterval(timer);
    return sightings;
  },

  /**
   * Blocks the event loop until the file `end` exists. Then, in the same turn, it looks at the local copy and begins a
   * current read, unless the file is empty.
   *
   * @param begun a file that is written once the loop is blocked.
   */
  async blocked(key: string, begun: string, end: string): Promise<{ peeked: unknown; got: unknown }> {
    writeFileSync(begun, "");
    while (!existsSync(end)) continue;
    const peeked = mine().cache.peek(key);
    if (readFileSync(end, "utf8") === "") return { peeked, got: undefined };
    return { peeked, got: await mine().getOrSet(key, { value: "loaded" }, { current: true }) };
  },

  /** Makes `perSecond` calls per second until `gate` is opened, each with a load of 5 ms if the key is absent. */
  async press(keys: readonly string[], perSecond: number, gate: string): Promise<readonly PressedCall[]> {
    const startedAt = sharedNow();
    let isOver = false;
    void mine()
      .gate(gate)
      .promise.then(() => (isOver = true));
    const calls: Promise<PressedCall>[] = [];
    const call = async (key: string): Promise<PressedCall> => {
      const at = sharedNow();
      const failed = await mine()
        .getOrSet(key, { value: key, takesMs: 5 })
        .then(
          () => undefined,
          (error: Error) => error.message,
        );
      return { at, ms: sharedNow() - at, failed };
    };
    while (!isOver) {
      while (calls.length < ((sharedNow() - startedAt) / 1_000) * perSecond)
        calls.push(call(keys[calls.length % keys.length]!));
      await sleep(5);
    }
    return Promise.all(calls);
  },

  /** Reads `key` repeatedly for `forMs`. @returns each distinct answer once. */
  async readFor(key: string, forMs: number): Promise<readonly unknown[]> {
    const seen = new Set<unknown>();
    const until = sharedNow() + forMs;
    while (sharedNow() < until) {
      for (const value of await Promise.all([
        mine().cache.get(key),
        mine().cache.peek(key),
        mine().cache.get(key, { allowStale: true }),
      ]))
        seen.add(value);
      await sleep(1);
    }
    return [...seen];
  },

  /**
   * Reads keys until the gate `enough` is opened. With `changes` it also changes them now and then. The source of truth
   * is a file for each key, with a number that only grows. After each write to the source it sets or deletes the key in
   * the cache.
   */
  async drive(keys: readonly string[], folder: string, changes: boolean): Promise<Drive> {
    const { cache } = mine();
    let isEnough = false;
    void mine()
      .gate("enough")
      .promise.then(() => (isEnough = true));
    const drive: { reads: DrivenRead[]; changes: DrivenChange[]; failed: string[]; slowestMs: number } = {
      reads: [],
      changes: [],
      failed: [],
      slowestMs: 0,
    };
    const sourceOf = (key: string): string => `${folder}/${key}`;
    const reader = async (turn: number): Promise<void> => {
      for (let i = turn; !isEnough; i += 1) {
        const key = keys[i % keys.length]!;
        const at = sharedNow();
        try {
          const { version } = (await mine().getOrSet(key, { source: sourceOf(key) })) as { version: number };
          drive.reads.push({ key, version, at });
        } catch (error) {
          drive.failed.push(`${key}: ${(error as Error).message}`);
        }
        drive.slowestMs = Math.max(drive.slowestMs, sharedNow() - at);
        await sleep(4);
      }
    };
    const writer = async (): Promise<void> => {
      for (let i = 0; !isEnough; i += 1) {
        const key = keys[i % keys.length]!;
        const version = Number(readFileSync(sourceOf(key), "utf8")) + 1;
        // Replaced atomically, since other processes read the file at the same time.
        writeFileSync(`${sourceOf(key)}.next`, String(version));
        renameSync(`${sourceOf(key)}.next`, sourceOf(key));
        const { status } = await (i % 3 === 0 ? cache.set(key, { version }) : cache.delete(key));
        drive.changes.push({ key, version, at: sharedNow(), status });
        await sleep(10);
      }
    };
    await Promise.all([...[0, 3, 7].map(reader), ...(changes ? [writer()] : [])]);
    return drive;
  },
};

export interface PressedCall {
  readonly at: number;
  readonly ms: number;
  readonly failed: string | undefined;
}

export interface DrivenRead {
  readonly key: string;
  readonly version: number;
  /** When the read began. */
  readonly at: number;
}
export interface DrivenChange {
  readonly key: string;
  readonly version: number;
  /** When the change was acknowledged. */
  readonly at: number;
  readonly status: string;
}
export interface Drive {
  readonly reads: readonly DrivenRead[];
  readonly changes: readonly DrivenChange[];
  readonly failed: readonly string[];
  readonly slowestMs: number;
}

export type MemberHandlers = typeof handlers;

answerCalls(handlers);
