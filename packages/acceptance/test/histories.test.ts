import type { Backend, Cache, LoadContext, Namespace } from "@hotset/core";
import { BackendUnavailableError, createCache } from "@hotset/core";
import { flush, scriptedBackend, TestClock } from "@hotset/core/testing";
import { memory } from "@hotset/memory";
import { expect, it } from "vitest";
import { STACKS, STACKS_WITH_BACKEND, type Stack } from "./stacks.ts";

/**
 * One process, a source that changes, and every call that a cache has, interleaved at random; a seed gives the same
 * history again. Each change of the source raises a number, and an invalidation follows it. Once that call has
 * settled, acknowledged or pending, nothing that begins afterwards may answer with a smaller number: nothing at all
 * after a hard one, nothing fresh after a soft one.
 *
 * A `set` does not overlap another change: who writes the source in one order and the cache in another is his own
 * enemy, and uses `delete`.
 */
class History {
  readonly #random: Random;
  readonly #clock = new TestClock();
  readonly #cache: Cache;
  readonly #users: Namespace;
  readonly #keys: readonly string[];
  readonly #floors = new Map<string, { hard: number; soft: number }>();
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #log: string[] = [];
  #source = 0;
  #changes = 0;
  #isSetting = false;
  #violation: string | undefined;

  constructor(seed: number, stack: Stack, isFaulty: boolean) {
    this.#random = new Random(seed);
    this.#log.push(`seed ${seed}, ${stack}${isFaulty ? ", with faults" : ""}`);
    const { one, below } = this.#random;
    this.#keys = one([["a"], ["a", "b"]]);
    for (const key of this.#keys) this.#floors.set(key, { hard: 0, soft: 0 });
    const empty = createCache({ name: "history", clock: this.#clock }).defaults({
      ttl: one([200, 5_000]),
      staleWhileRevalidate: one([0, 100]),
      staleIfError: one([0, 300]),
      errorBackoff: 20,
      ...(below(3) === 0 && { refreshAhead: 0.5 }),
      ...(below(3) === 0 && { softTimeout: 10 }),
    });
    const near = memory({ maxEntries: one([1, 10]) });
    const far = this.#slowBackend(isFaulty);
    this.#cache = (stack === "memory" ? empty.tier(near) : stack === "backend" ? empty.tier(far) : empty.tier(near).tier(far)).build();
    this.#users = this.#cache.namespace("users");
  }

  /** @returns what went wrong, with all that led there; `undefined` if nothing did. */
  async run(steps: number): Promise<string | undefined> {
    const { below, one } = this.#random;
    for (let step = 0; step < steps && this.#violation === undefined; step += 1) {
      const key = one(this.#keys);
      switch (below(12)) {
        case 0:
        case 1:
        case 2:
        case 3:
          this.#getOrSet(key);
          break;
        case 4:
          this.#get(key);
          break;
        case 5:
          this.#getMany();
          break;
        case 6:
          this.#peek(key);
          break;
        case 7:
          this.#change(key);
          break;
        default:
          this.#clock.advance(below(25));
          await flush(2);
      }
      if (below(2) === 0) await flush(2);
    }
    for (let i = 0; i < 400 && this.#underWay.size !== 0; i += 1) {
      this.#clock.advance(25);
      await flush(2);
    }
    if (this.#underWay.size !== 0) this.#violate(`${this.#underWay.size} calls never settle`);
    return this.#violation;
  }

  #getOrSet(key: string): void {
    const { below } = this.#random;
    const check = this.#checker(key);
    const forceRefresh = below(8) === 0;
    let status = "";
    this.#begin(`getOrSet ${key}${forceRefresh ? ", forced" : ""}`, this.#users.getOrSet<number>(key, (ctx) => this.#load(ctx), {
      tags: ["t"],
      forceRefresh,
      onServed: (served) => void (status = served.status),
    }).then((value) => check(value, status !== "stale"), () => undefined));
  }

  #get(key: string): void {
    const check = this.#checker(key);
    this.#begin(`get ${key}`, this.#users.get<number>(key).then((value) => check(value, true)));
  }

  #getMany(): void {
    const checks = new Map(this.#keys.map((key) => [key, this.#checker(key)]));
    this.#begin("getMany", this.#users.getMany<number>(this.#keys).then((found) => {
      for (const [key, value] of found) checks.get(key)!(value, true);
    }));
  }

  #peek(key: string): void {
    this.#checker(key)(this.#users.peek<number>(key), true);
  }

  /** Changes the source, then says so to the cache. */
  #change(key: string): void {
    const { below, one } = this.#random;
    const kind = one(["delete", "set", "markStale", "invalidateTags", "markTagsStale", "clear"] as const);
    if (kind === "set" ? this.#changes !== 0 : this.#isSetting) return;
    this.#source += 1;
    const number = this.#source;
    const space = below(2) === 0 ? this.#users : this.#cache;
    const call =
      kind === "delete" ? this.#users.delete(key)
      : kind === "set" ? this.#users.set(key, number, { tags: ["t"] })
      : kind === "markStale" ? this.#users.markStale(key)
      : kind === "clear" ? space.clear()
      : space[kind]("t");
    this.#changes += 1;
    this.#isSetting = kind === "set";
    const isSoft = kind === "markStale" || kind === "markTagsStale";
    const keys = kind === "delete" || kind === "set" || kind === "markStale" ? [key] : this.#keys;
    this.#begin(`${kind} ${keys.join()} after change ${number}`, call.then(({ status }) => {
      this.#changes -= 1;
      if (kind === "set") this.#isSetting = false;
      this.#log.push(`${this.#clock.now()} ${kind} of change ${number}: ${status}`);
      for (const each of keys) {
        const floor = this.#floors.get(each)!;
        if (isSoft) floor.soft = Math.max(floor.soft, number);
        else floor.hard = Math.max(floor.hard, number);
        this.#peek(each);
        if (below(2) === 0) this.#get(each);
      }
    }));
  }

  async #load({ setOptions }: LoadContext): Promise<number> {
    const { below } = this.#random;
    if (below(2) === 0) await this.#pause(20);
    const value = this.#source;
    if (below(6) === 0) throw new Error("the source is down");
    if (below(3) === 0) setOptions({ tags: ["late"] });
    await this.#pause(60);
    return value;
  }

  /** What a call that begins now may answer. */
  #checker(key: string): (value: number | undefined, isFresh: boolean) => void {
    const floor = { ...this.#floors.get(key)! };
    const startedAt = this.#clock.now();
    return (value, isFresh) => {
      if (value === undefined) return;
      this.#log.push(`${this.#clock.now()} ${key} is ${value}${isFresh ? "" : ", stale"}; asked at ${startedAt}`);
      if (value < floor.hard) this.#violate(`answered ${value} after the invalidation of change ${floor.hard}`);
      if (isFresh && value < floor.soft) this.#violate(`answered ${value} as fresh after change ${floor.soft} made it stale`);
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

  /** Each call takes its time before it is executed, and again before it is answered; a faulty one may do without either. */
  #slowBackend(isFaulty: boolean): Backend {
    const { below } = this.#random;
    const { label, format, compressor, read, write, remove, markStale, batch, close } = scriptedBackend({ clock: this.#clock });
    const atMostMs = isFaulty ? 12 : 30;
    const slow = <A extends readonly unknown[], R>(work: (...args: A) => Promise<R>, oneIn: number) => async (...args: A): Promise<R> => {
      if (below(3) !== 0) await this.#pause(atMostMs);
      const fault = isFaulty && below(oneIn) === 0 ? below(3) : undefined;
      if (fault === 0) throw new BackendUnavailableError("not executed");
      if (fault === 1) return new Promise(() => undefined);
      const answer = await work(...args);
      this.#log.push(`${this.#clock.now()} executed ${String(args[0])}`);
      if (below(3) !== 0) await this.#pause(atMostMs);
      if (fault === 2) throw new BackendUnavailableError("executed, and the answer was lost");
      return answer;
    };
    return {
      label, format, compressor, close,
      coherence: "sole-writer",
      deadlineMs: isFaulty ? 50 : 1_000,
      read: slow(read, 60),
      write: slow(write, 60),
      remove: slow(remove, 3),
      markStale: slow(markStale!, 3),
      batch: { read: slow(batch!.read, 60), write: slow(batch!.write, 60), remove: slow(batch!.remove, 3) },
    };
  }
}

/** mulberry32. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  readonly below = (bound: number): number => {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
  };

  readonly one = <T>(choices: readonly T[]): T => choices[this.below(choices.length)]!;
}

async function search(stack: Stack, isFaulty: boolean): Promise<readonly string[]> {
  const violations: string[] = [];
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const violation = await new History(seed, stack, isFaulty).run(120);
    if (violation !== undefined) violations.push(violation);
  }
  return violations;
}

const SEEDS = 250;

it.for(STACKS)("C59 C60 C62 C63 C66 C69 no history over %s shows what an invalidation has removed", { timeout: 60_000 }, async (stack) => {
  expect((await search(stack, false)).slice(0, 1)).toEqual([]);
});

it.for(STACKS_WITH_BACKEND)("C93 C94 nor does one over %s whose calls fail, hang, and lose their answers", { timeout: 60_000 }, async (stack) => {
  expect((await search(stack, true)).slice(0, 1)).toEqual([]);
});
