/** One process of a fleet: a cache in memory over Redis that does as it is told. Run by the processes-*.integration tests. */
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
  type Policy,
  type Served,
} from "@hotset/core";
import { memory, type MemoryOptions } from "@hotset/memory";
import { cluster, redis, sentinel, single, type Connection, type RedisBackendBuilder } from "@hotset/redis";
import { answerCalls } from "@hotset/test-servers";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** Where Redis is. */
export type Place =
  | { readonly topology: "single"; readonly url: string }
  | { readonly topology: "cluster"; readonly urls: readonly string[]; readonly readFromReplicas?: boolean }
  | { readonly topology: "sentinel"; readonly urls: readonly string[]; readonly primaryName: string };

export interface MemberSettings {
  readonly place: Place;
  readonly keyPrefix: string;
  /** @default entries outlast the test */
  readonly policy?: Policy;
  readonly memory?: MemoryOptions;
  readonly coherence?: "auto" | "tracking" | "pubsub" | "none";
  readonly protocol?: 2 | 3;
  /** @default 10000: long enough for a busy machine to hear in time */
  readonly maxStalenessMs?: number;
  /** @default 5000 */
  readonly responseTimeoutMs?: number;
  /** @default 10000 */
  readonly connectTimeoutMs?: number;
  /** How far its wall clock is ahead; negative where it is behind. @default 0 */
  readonly clockOffsetMs?: number;
  /** Without a Redis: memory alone. */
  readonly isAlone?: boolean;
}

/** What a load does. By default it gives `null` at once. */
export interface LoadPlan {
  readonly value?: unknown;
  /** Reads the number in this file when it begins, and gives `{ version }`. */
  readonly source?: string;
  readonly takesMs?: number;
  /** Waits until this gate is opened; a gate that nobody opens hangs. */
  readonly gate?: string;
  /** Rejects with this message instead. */
  readonly fails?: string;
  /** Given by `ctx.setOptions` at the end. */
  readonly options?: EntryOptions;
  /** `noStore`: `ctx.noStore`. `unwritable`: what no format writes. `uncloneable`: what json writes, and structuredClone does not take. */
  readonly kind?: "noStore" | "unwritable" | "uncloneable";
}

export interface CallOptions extends Omit<GetOrSetOptions, "signal" | "onServed"> {
  readonly space?: readonly string[];
  /** Aborts this caller's wait when this gate is opened. */
  readonly abortGate?: string;
}

/** One run of a loader. Times are those of {@link sharedNow}. */
export interface LoadRun {
  readonly key: string;
  readonly startedAt: number;
  /** `Infinity` while it runs. */
  readonly endedAt: number;
  readonly background: boolean;
  readonly reason: string;
}

/** From when on a local copy was seen to be this. */
export interface Sighting {
  /** Just before it was looked at last. */
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
    const local = createCache({ name: "shop", explain: 1_000 })
      .tier(memory(settings.memory))
      .defaults({ ttl: "10m", ...settings.policy });
    this.cache = (settings.isAlone === true ? local : local.tier(backendOf(settings).build())).build();
    for (const name of OBSERVED)
      this.cache.on(name, (event) => {
        const { error, ...told } = event as CacheEvents[typeof name] & {
          readonly error?: { readonly code?: string; readonly message?: string };
        };
        if (this.events.length < MAX_EVENTS)
          this.events.push({
            event: name,
            at: sharedNow(),
            ...told,
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
    return path.reduce<Namespace>(
      (space, name) => (name === LOCAL_ONLY ? space.namespace(name, { localOnly: true }) : space.namespace(name)),
      this.cache,
    );
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
    coherence = "auto",
    protocol = 3,
    maxStalenessMs = 10_000,
    responseTimeoutMs = 5_000,
    connectTimeoutMs = 10_000,
  } = settings;
  return redis(connectionOf(settings.place))
    .valueFormat(json())
    .keyPrefix(keyPrefix)
    .coherence(coherence)
    .protocol(protocol)
    .maxStaleness(maxStalenessMs)
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

/** Of these, what happened is told by `events`. */
const OBSERVED = ["load", "load:error", "fenced", "invalidate", "backend:error", "backend:state", "recover"] as const;
const MAX_EVENTS = 20_000;
/** How often a watched copy is looked at, beside everything else. */
const LOOK_MS = 2;
/** As a part of a path: this namespace, and all below it, never leave the process. */
const LOCAL_ONLY = "local only";

let member: Member | undefined;
function mine(): Member {
  if (member === undefined) throw new Error("open() comes first");
  return member;
}

const unhandled: string[] = [];
process.on("unhandledRejection", (reason) => unhandled.push(String(reason)));

const handlers = {
  /** Begins anew: the cache of before is closed. Connects, unless told not to. */
  async open(settings: MemberSettings, connects = true): Promise<void> {
    await member?.close();
    member = new Member(settings);
    unhandled.length = 0;
    // On a busy machine the first attempt may take too long; further ones follow the first call.
    if (connects) await member.cache.connect().catch(() => mine().cache.get("first call"));
  },
  /** @returns rejections that nobody handled since `open`. */
  async close(): Promise<readonly string[]> {
    await member?.close();
    member = undefined;
    return [...unhandled];
  },

  getOrSet: (key: string, plan: LoadPlan = {}, options?: CallOptions): Promise<unknown> =>
    mine().getOrSet(key, plan, options),
  /** As `getOrSet`; also how it was answered, and after how long. Rejections are told, not thrown. */
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
      // Such a value cannot be told either.
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
  /** So many callers at once. @returns what they got, each outcome once. */
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
  /** The copies held here of `keys`. */
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
  /** All at once. */
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
  /** Two tag invalidations and a write behind them, all in one turn of the loop. */
  invalidateTwiceAndSet: (tag: string, key: string, value: string) =>
    Promise.all([
      mine().cache.invalidateTags(tag),
      mine().cache.invalidateTags(tag),
      mine().cache.set(key, value, { tags: [tag] }),
    ]),

  /** A write that takes two trips, since nothing is known of its tag, and behind it, in the same turn, one that takes one. */
  overtake: (key: string, earlier: string, tag: string, later: string | undefined) =>
    Promise.all([
      mine().cache.set(key, earlier, { tags: [tag] }),
      later === undefined ? mine().cache.delete(key) : mine().cache.set(key, later),
    ]),

  stats: (): CacheStats => mine().cache.stats(),
  /** Of the tier that is Redis. */
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

  /** Looks at the local copy of `key` again and again, until `sightings` is asked. */
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
   * Blocks the loop until the file `end` is there, and then, in the same turn: looks at the local copy, and begins to
   * read with the text of the file as the token, if it has any.
   *
   * @param begun written once the loop is blocked.
   */
  async blocked(key: string, begun: string, end: string): Promise<{ peeked: unknown; got: unknown }> {
    writeFileSync(begun, "");
    while (!existsSync(end)) continue;
    const peeked = mine().cache.peek(key);
    const after = readFileSync(end, "utf8");
    return { peeked, got: after === "" ? undefined : await mine().getOrSet(key, { value: "loaded" }, { after }) };
  },

  /** So many calls a second for so long, each with a load of 5 ms where it needs one. */
  async press(keys: readonly string[], forMs: number, perSecond: number): Promise<readonly PressedCall[]> {
    const startedAt = sharedNow();
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
    for (let now = startedAt; now < startedAt + forMs; now = sharedNow()) {
      while (calls.length < ((now - startedAt) / 1_000) * perSecond)
        calls.push(call(keys[calls.length % keys.length]!));
      await sleep(5);
    }
    return Promise.all(calls);
  },

  /** Reads `key` again and again for so long. @returns each answer once. */
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
   * Reads keys until the gate `enough` is opened, and where it `changes` them now and then does, over a source of truth: a
   * file for each, whose number only grows. What it writes to the source it then sets or deletes in the cache.
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
        // Whole or not at all: others read it meanwhile.
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
  /** When it began. */
  readonly at: number;
}
export interface DrivenChange {
  readonly key: string;
  readonly version: number;
  /** When it was answered. */
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
