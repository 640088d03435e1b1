import {
  type Backend,
  BackendUnavailableError,
  type BatchLoadContext,
  type Cache,
  createCache,
  type LoadContext,
  type Namespace,
  type NotModified,
  type Served,
} from "@hotset/core";
import { flush, scriptedBackend, TestClock, type ScriptedStore } from "@hotset/testing";
import { memory } from "@hotset/memory";
import { isNightly, Random } from "@hotset/test-servers";
import { expect, it } from "vitest";
import { STACKS, STACKS_WITH_BACKEND, type Stack } from "../support/stacks.ts";

interface Process {
  readonly cache: Cache;
  readonly users: Namespace;
  /** By key, the least version that it may answer. */
  readonly floors: Map<string, Floor>;
}

/**
 * Raised by calls of the process itself, and by calls of others; these do not count for a call that shares an older
 * load.
 */
interface Floor {
  own: Limit;
  shared: Limit;
}
interface Limit {
  readonly hard: number;
  readonly soft: number;
}

const KEY_CHANGES = ["delete", "set", "markStale"] as const;
const TAG_CHANGES = ["invalidateTags", "markTagsStale", "clear", "clearStale"] as const;

/**
 * A source that changes, and every call that a cache has, interleaved at random; a seed gives the same history again.
 * Each change of the source raises a number, and an invalidation follows it. Once that call has settled, acknowledged
 * or pending, no call that begins afterwards may answer with a smaller number: none at all after a hard one,
 * no fresh one after a soft one. The rule holds for the process that called, and for others once it was acknowledged;
 * but changes elsewhere are not received here, so a load that is under way may be shared.
 *
 * A `set` does not overlap another change: a program that writes the source in one order and the cache in another
 * should use `delete`.
 */
class History {
  readonly #random: Random;
  readonly #clock = new TestClock();
  readonly #processes: readonly Process[];
  readonly #keys: readonly string[];
  readonly #store: ScriptedStore;
  readonly #loadMs: number;
  /** Whether every loader adds the tag `late`. */
  readonly #hasLateTag: boolean;
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #log: string[] = [];
  #source = 0;
  #changes = 0;
  #isSetting = false;
  #violation: string | undefined;

  constructor(seed: number, stack: Stack, isFaulty: boolean, processes: number) {
    this.#random = new Random(seed);
    this.#log.push(`seed ${seed}, ${stack}${isFaulty ? ", with faults" : ""}, ${processes} processes`);
    this.#keys = this.#random.one([["a"], ["a", "b"]]);
    this.#loadMs = this.#random.one([60, 300]);
    this.#hasLateTag = this.#random.below(2) === 0;
    const backend = scriptedBackend({ clock: this.#clock });
    this.#store = backend.store;
    this.#processes = Array.from({ length: processes }, () => this.#start(stack, this.#slow(backend, isFaulty)));
  }

  #start(stack: Stack, far: Backend): Process {
    const empty = createCache({ name: "history", clock: this.#clock }).defaults({
      ttl: this.#random.one([200, 5_000]),
      staleWhileRevalidate: this.#random.one([0, 100]),
      staleIfError: this.#random.one([0, 300]),
      errorBackoff: 20,
      ...(this.#random.below(3) === 0 && { refreshAhead: 0.5 }),
      ...(this.#random.below(3) === 0 && { softTimeout: 10 }),
      ...(this.#random.below(3) === 0 && { hardTimeout: 40 }),
      ...(this.#random.below(3) === 0 && { loadTimeout: 50 }),
      ...(this.#random.below(3) === 0 && { localTtl: 30 }),
    });
    const near = memory({ maxEntries: this.#random.one([1, 10]) });
    const cache = (
      stack === "memory" ? empty.tier(near) : stack === "backend" ? empty.tier(far) : empty.tier(near).tier(far)
    ).build();
    return {
      cache,
      users: cache.namespace("users"),
      floors: new Map(this.#keys.map((key) => [key, { own: NO_LIMIT, shared: NO_LIMIT }])),
    };
  }

  /** @returns what went wrong, with all that led there; `undefined` if nothing did. */
  async run(steps: number): Promise<string | undefined> {
    for (let step = 0; step < steps && this.#violation === undefined; step += 1) {
      const key = this.#random.one(this.#keys);
      const process = this.#random.one(this.#processes);
      switch (this.#random.below(14)) {
        case 0:
        case 1:
        case 2:
        case 3:
          this.#getOrSet(process, key);
          break;
        case 4:
          this.#get(process, key);
          break;
        case 5:
          this.#getMany(process);
          break;
        case 6:
          this.#peek(process, key);
          break;
        case 7:
          this.#change(process, key);
          break;
        case 8:
          this.#evict();
          break;
        case 9:
          this.#getOrSetMany(process);
          break;
        default:
          this.#clock.advance(this.#random.below(25));
          await flush(2);
      }
      if (this.#random.below(2) === 0) await flush(2);
    }
    for (let i = 0; i < 400 && this.#underWay.size !== 0; i += 1) {
      this.#clock.advance(25);
      await flush(2);
    }
    if (this.#underWay.size !== 0) this.#violate(`${this.#underWay.size} calls never settle`);
    return this.#violation;
  }

  #getOrSet({ users, floors }: Process, key: string): void {
    const check = this.#checker(floors, key);
    const forceRefresh = this.#random.below(8) === 0;
    const leaving = new AbortController();
    if (this.#random.below(6) === 0)
      this.#clock.schedule(() => leaving.abort(new Error("left")), this.#random.below(40));
    let served: Served | undefined;
    this.#begin(
      `getOrSet ${key}${forceRefresh ? ", forced" : ""}`,
      users
        .getOrSet<number | undefined>(key, (ctx) => this.#load(ctx), {
          tags: ["t"],
          forceRefresh,
          signal: leaving.signal,
          ...(this.#random.below(6) === 0 && { staleWhileRevalidate: 0, staleIfError: 0 }),
          onServed: (each) => void (served = each),
        })
        .then(
          (value) => check(value, served?.status !== "stale", served?.coalesced),
          () => undefined,
        ),
    );
  }

  #get({ users, floors }: Process, key: string): void {
    const check = this.#checker(floors, key);
    this.#begin(
      `get ${key}`,
      users.get<number>(key).then((value) => check(value, true)),
    );
  }

  #getMany({ users, floors }: Process): void {
    const checks = new Map(this.#keys.map((key) => [key, this.#checker(floors, key)]));
    this.#begin(
      "getMany",
      users.getMany<number>(this.#keys).then((found) => {
        for (const [key, value] of found) checks.get(key)!(value, true);
      }),
    );
  }

  /** The call does not report how it was answered, so it counts as stale, and as shared. */
  #getOrSetMany({ users, floors }: Process): void {
    const checks = new Map(this.#keys.map((key) => [key, this.#checker(floors, key)]));
    const load = async (missing: readonly string[], ctx: BatchLoadContext<string>): Promise<[string, number][]> => {
      const value = await this.#read();
      const found = missing.filter(() => this.#random.below(5) !== 0);
      if (this.#hasLateTag) for (const key of found) ctx.setOptions(key, { tags: ["late"] });
      return found.map((key) => [key, value]);
    };
    this.#begin(
      "getOrSetMany",
      users
        .getOrSetMany(this.#keys, (key) => key, load, { tags: ["t"] })
        .then(
          (found) => {
            for (const [key, value] of found) checks.get(key)!(value, false, true);
          },
          () => undefined,
        ),
    );
  }

  #peek({ users, floors }: Process, key: string): void {
    this.#checker(floors, key)(users.peek<number>(key), true);
  }

  /**
   * Changes the source, then says so to the cache. Only leases keep calls on keys in order between processes, and this
   * backend has none.
   */
  #change(process: Process, key: string): void {
    const { cache, users } = process;
    const kind = this.#random.one(this.#processes.length === 1 ? [...KEY_CHANGES, ...TAG_CHANGES] : TAG_CHANGES);
    if (kind === "set" ? this.#changes !== 0 : this.#isSetting) return;
    this.#source += 1;
    const number = this.#source;
    const space = this.#random.below(2) === 0 ? users : cache;
    const call =
      kind === "delete"
        ? users.delete(key)
        : kind === "set"
          ? users.set(key, number, { tags: this.#hasLateTag ? ["t", "late"] : ["t"] })
          : kind === "markStale"
            ? users.markStale(key)
            : kind === "clear" || kind === "clearStale"
              ? space.clear({ stale: kind === "clearStale" })
              : space[kind](this.#hasLateTag && this.#random.below(2) === 0 ? "late" : "t");
    this.#changes += 1;
    this.#isSetting = kind === "set";
    const isSoft = kind === "markStale" || kind === "markTagsStale" || kind === "clearStale";
    const keys = kind === "delete" || kind === "set" || kind === "markStale" ? [key] : this.#keys;
    this.#begin(
      `${kind} ${keys.join()} after change ${number}`,
      call.then(({ status }) => {
        this.#changes -= 1;
        if (kind === "set") this.#isSetting = false;
        this.#log.push(`${this.#clock.now()} ${kind} of change ${number}: ${status}`);
        for (const each of status === "pending" ? [process] : this.#processes) {
          for (const changed of keys) {
            const floor = each.floors.get(changed)!;
            floor.shared = raised(floor.shared, number, isSoft);
            if (each === process) floor.own = raised(floor.own, number, isSoft);
            this.#peek(each, changed);
            if (this.#random.below(2) === 0) this.#get(each, changed);
          }
        }
      }),
    );
  }

  /** The backend loses a key: what depends on it is a miss. */
  #evict(): void {
    const keys = this.#store.keys();
    if (keys.length === 0 || this.#random.below(2) === 0) return;
    const key = this.#random.one(keys);
    this.#store.delete(key);
    this.#log.push(`${this.#clock.now()} evicted ${key}`);
  }

  async #load({ setOptions, noStore, stale }: LoadContext): Promise<number | NotModified | undefined> {
    const value = await this.#read();
    if (this.#hasLateTag) setOptions({ tags: ["late"] });
    switch (this.#random.below(20)) {
      case 0:
        return undefined;
      case 1:
        return noStore(value);
      case 2:
        setOptions({ ttl: 0 });
        return value;
      case 3:
      case 4:
        return stale?.value === value ? stale.notModified() : value;
      default:
        return value;
    }
  }

  /** Asks the source, and takes its time before and after. */
  async #read(): Promise<number> {
    if (this.#random.below(2) === 0) await this.#pause(20);
    const value = this.#source;
    if (this.#random.below(6) === 0) throw new Error("the source is down");
    await this.#pause(this.#loadMs);
    return value;
  }

  /** The least version that a call that begins now may answer. */
  #checker(
    floors: Process["floors"],
    key: string,
  ): (value: number | undefined, isFresh: boolean, isCoalesced?: boolean) => void {
    const { own, shared } = floors.get(key)!;
    const startedAt = this.#clock.now();
    return (value, isFresh, isCoalesced = false) => {
      if (value === undefined) return;
      const floor = isCoalesced ? own : shared;
      this.#log.push(`${this.#clock.now()} ${key} is ${value}${isFresh ? "" : ", stale"}; asked at ${startedAt}`);
      if (value < floor.hard) this.#violate(`answered ${value} after the invalidation of change ${floor.hard}`);
      if (isFresh && value < floor.soft)
        this.#violate(`answered ${value} as fresh after change ${floor.soft} made it stale`);
    };
  }

  #begin(what: string, call: Promise<unknown>): void {
    this.#log.push(`${this.#clock.now()} ${what}`);
    this.#underWay.add(call);
    void call.finally(() => this.#underWay.delete(call));
  }

  #violate(what: string): void {
    this.#violation ??= [what, ...this.#log.slice(0, 1), ...this.#log.slice(-60)].join("\n");
  }

  #pause(atMostMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#clock.schedule(resolve, this.#random.below(atMostMs));
    return promise;
  }

  /**
   * Each call takes its time before it is executed, and again before it is answered; a faulty one may do without
   * either.
   */
  #slow(
    { label, format, compressor, read, write, remove, markStale, batch, close }: Backend,
    isFaulty: boolean,
  ): Backend {
    const atMostMs = isFaulty ? 12 : 30;
    const slow =
      <A extends readonly unknown[], R>(work: (...args: A) => Promise<R>, oneIn: number) =>
      async (...args: A): Promise<R> => {
        if (this.#random.below(3) !== 0) await this.#pause(atMostMs);
        const fault = isFaulty && this.#random.below(oneIn) === 0 ? this.#random.below(3) : undefined;
        if (fault === 0) throw new BackendUnavailableError("not executed");
        if (fault === 1) return new Promise(() => undefined);
        const answer = await work(...args);
        this.#log.push(`${this.#clock.now()} executed ${String(args[0])}`);
        if (this.#random.below(3) !== 0) await this.#pause(atMostMs);
        if (fault === 2) throw new BackendUnavailableError("executed, and the answer was lost");
        return answer;
      };
    return {
      label,
      format,
      compressor,
      close,
      coherence: "sole-writer",
      deadlineMs: isFaulty ? 50 : 1_000,
      read: slow(read, 60),
      write: slow(write, 60),
      remove: slow(remove, 3),
      markStale: slow(markStale!, 3),
      batch: { read: slow(batch!.read, 60) },
    };
  }
}

const NO_LIMIT: Limit = { hard: 0, soft: 0 };
const raised = (limit: Limit, to: number, isSoft: boolean): Limit =>
  isSoft ? { ...limit, soft: Math.max(limit.soft, to) } : { ...limit, hard: Math.max(limit.hard, to) };

async function search(stack: Stack, isFaulty: boolean, processes: number = 1): Promise<readonly string[]> {
  const violations: string[] = [];
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const violation = await new History(seed, stack, isFaulty, processes).run(120);
    if (violation !== undefined) violations.push(violation);
  }
  return violations;
}

const SEEDS = isNightly ? 200 : 60;

it.for(STACKS)(
  "C59 C60 C62 C63 C66 C69 no history over %s shows an invalidated value",
  { timeout: 60_000 },
  async (stack) => {
    expect((await search(stack, false)).slice(0, 1)).toEqual([]);
  },
);

it.for(STACKS_WITH_BACKEND)(
  "C93 C94 no history over %s whose calls fail, hang, and lose their answers shows an invalidated value",
  { timeout: 60_000 },
  async (stack) => {
    expect((await search(stack, true)).slice(0, 1)).toEqual([]);
  },
);

it(
  "C67 C73 C77 C79 no history of two processes shows an invalidated value, as far as tags and clear go",
  { timeout: 60_000 },
  async () => {
    expect((await search("backend", false, 2)).slice(0, 1)).toEqual([]);
  },
);

it(
  "C67 C73 C77 C79 no history of two processes whose calls fail, hang, and lose their answers shows an invalidated value, as far as tags and clear go",
  { timeout: 60_000 },
  async () => {
    expect((await search("backend", true, 2)).slice(0, 1)).toEqual([]);
  },
);
