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
import { memory } from "@hotset/memory";
import { isNightly } from "@hotset/test-servers";
import { Random } from "@hotset/test-servers";
import { flush, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { describe, expect, it } from "vitest";

interface Process {
  readonly name: string;
  readonly cache: Cache;
  readonly users: Namespace;
  readonly backend: ScriptedBackend;
  isHolding: boolean;
  /** Acknowledged changes of other processes whose messages are kept back. */
  unreceived: Change[];
  /** How often its link was lost. */
  losses: number;
  /** By key, the least version that it may answer. */
  readonly floors: Map<string, Floor>;
}

/**
 * Raised by calls of the process itself, by calls of others whose message arrived, and by those it would find if it
 * asked.
 */
interface Floor {
  own: Limit;
  /** Of messages that arrived over a link that was never lost meanwhile: what they say holds in an outage, too. */
  told: Limit;
  received: Limit;
  asked: Limit;
}
interface Limit {
  readonly hard: number;
  readonly soft: number;
}

/** A change of the source, whose invalidation was acknowledged. */
interface Change {
  readonly number: number;
  readonly keys: readonly string[];
  readonly isSoft: boolean;
  readonly at: number;
  /** By process that was attached when it was called, how often its link had been lost. */
  readonly links: ReadonlyMap<Process, number>;
}

/** One run of a loader. */
interface Loading {
  readonly key: string;
  readonly signal: AbortSignal;
}

/** Events besides calls. */
interface Weather {
  readonly processes: number;
  /** Nothing is changed, lost or forced, so no two processes load a key at a time. */
  readonly isQuiet?: boolean;
  /** Messages are kept back, and links break. */
  readonly hasLinks?: boolean;
  /** With its link a process loses its calls. */
  readonly hasCuts?: boolean;
  /** Calls fail, hang, and lose their answers. */
  readonly isFaulty?: boolean;
  /** Another server answers, with the data of a while ago. */
  readonly hasFailovers?: boolean;
}

/**
 * As random-histories.test.ts, with processes over one store with leases, tag versions and coherence. Once an
 * invalidation was acknowledged, no call that begins afterwards answers with less: at once in its own process; in
 * another one when the message has arrived, or its link was declared lost, and in any case after `maxStaleness`; and
 * in all processes for a current call. A process that cannot reach the store knows its own calls, and those of others
 * whose message arrived.
 */
class History {
  readonly #random: Random;
  readonly #clock = new TestClock();
  readonly #processes: readonly Process[];
  readonly #keys: readonly string[];
  readonly #weather: Weather;
  readonly #loadMs: number;
  /** Whether every loader adds the tag `late`. */
  readonly #hasLateTag: boolean;
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #log: string[] = [];
  readonly #acknowledged: Change[] = [];
  readonly #loading = new Set<Loading>();
  /** Brings back a former store, while that is allowed. */
  #restore: (() => void) | undefined;
  /** Whether an invalidation lost with a server may not have been issued again yet. */
  #isReissuing = false;
  #servers = 1;
  #source = 0;
  #changes = 0;
  #isSetting = false;
  #violation: string | undefined;

  constructor(seed: number, weather: Weather) {
    this.#random = new Random(seed);
    this.#weather = weather;
    this.#log.push(`seed ${seed}, ${JSON.stringify(weather)}`);
    this.#keys = this.#random.one([["a"], ["a", "b"]]);
    this.#loadMs = this.#random.one([60, 300]);
    this.#hasLateTag = this.#random.oneIn(2);
    const first = scriptedBackend({
      clock: this.#clock,
      leases: true,
      coherence: "reported",
      maxStalenessMs: MAX_STALENESS_MS,
      // Kept as entries, two processes at once may issue the first version of a tag twice, and then both load.
      tagVersions: weather.isQuiet === true || !this.#random.oneIn(4),
      batch: !this.#random.oneIn(4),
      echoes: !this.#random.oneIn(3),
    });
    this.#processes = Array.from({ length: weather.processes }, (_, i) =>
      this.#start(`p${i + 1}`, i === 0 ? first : first.peer()),
    );
  }

  #start(name: string, backend: ScriptedBackend): Process {
    const { one, oneIn } = bound(this.#random);
    const cache = createCache({ name: "history", clock: this.#clock })
      .tier(memory({ maxEntries: one([1, 10]) }))
      .tier(this.#slow(name, backend))
      .defaults({
        ttl: one([200, 5_000]),
        staleWhileRevalidate: one([0, 100]),
        staleIfError: one([0, 300]),
        errorBackoff: 20,
        loadTimeout: one([50, 1_000]),
        ...(oneIn(3) && { refreshAhead: 0.5 }),
        ...(oneIn(3) && { softTimeout: 10 }),
        ...(oneIn(3) && { hardTimeout: 40 }),
      })
      .build();
    const floors = new Map(
      this.#keys.map((key) => [key, { own: NO_LIMIT, told: NO_LIMIT, received: NO_LIMIT, asked: NO_LIMIT }]),
    );
    return {
      name,
      cache,
      users: cache.namespace("users"),
      backend,
      isHolding: false,
      unreceived: [],
      losses: 0,
      floors,
    };
  }

  /** @returns what went wrong, with all that led there; `undefined` if nothing did. */
  async run(steps: number): Promise<string | undefined> {
    const { below, one, oneIn } = bound(this.#random);
    for (const { cache } of this.#processes) await cache.connect();
    for (let step = 0; step < steps && this.#violation === undefined; step += 1) {
      const key = one(this.#keys);
      const process = one(this.#processes);
      const { isQuiet = false, hasLinks = false, hasFailovers = false } = this.#weather;
      const often = (times: number, act: () => unknown) => Array<() => unknown>(times).fill(act);
      const acts = [
        ...often(4, () => this.#getOrSet(process, key)),
        () => this.#get(process, key),
        () => this.#getMany(process),
        () => this.#peek(process, key),
        ...often(2, () => isQuiet || this.#change(process, key)),
        () => (hasFailovers ? this.#failOver() : isQuiet || this.#lose(process, key)),
        () => this.#getOrSetMany(process),
        () => (hasLinks ? this.#disturb(process) : hasFailovers && this.#failOver()),
        () => isQuiet || this.#setBehindFence(process, key),
        ...often(4, () => this.#pass(below(25))),
      ];
      await one(acts)();
      if (oneIn(2)) await flush(2);
      this.#listen();
    }
    for (const process of this.#processes) {
      process.backend.up();
      process.backend.link.heal();
      process.isHolding = false;
    }
    for (let i = 0; i < 4_000 && this.#underWay.size !== 0; i += 1) await this.#pass(25);
    if (this.#underWay.size !== 0) this.#violate(`${this.#underWay.size} calls never settle`);
    return this.#violation;
  }

  async #pass(ms: number): Promise<void> {
    this.#clock.advance(ms);
    await flush(2);
  }

  /** Delivers the messages kept back; a process that is attached again shares no older load. */
  #listen(): void {
    if (this.#isReissuing && this.#processes.every(({ cache }) => cache.stats().pending === 0)) {
      this.#isReissuing = false;
      this.#lookEverywhere();
    }
    for (const process of this.#processes) {
      const { link } = process.backend;
      if (link.attached === 0) {
        for (const change of process.unreceived.splice(0)) raise(process.floors, "asked", change);
        continue;
      }
      if (link.held.length !== 0) continue;
      for (const change of process.unreceived.splice(0)) {
        raise(process.floors, "received", change);
        if (change.links.get(process) === process.losses) raise(process.floors, "told", change);
      }
      for (const floor of process.floors.values()) floor.received = higher(floor.received, floor.asked);
    }
  }

  #getOrSet(process: Process, key: string): void {
    const { below, one, oneIn } = bound(this.#random);
    const { users } = process;
    const acknowledged = this.#acknowledged.filter(({ keys }) => keys.includes(key));
    const after = acknowledged.length !== 0 && oneIn(5) ? one(acknowledged) : undefined;
    const check = this.#checker(process, key, after);
    const forceRefresh = oneIn(8) && this.#weather.isQuiet !== true;
    const leaving = new AbortController();
    if (oneIn(6)) this.#clock.schedule(() => leaving.abort(new Error("left")), below(40));
    let served: Served | undefined;
    this.#begin(
      `${process.name} getOrSet ${key}${forceRefresh ? ", forced" : ""}${after === undefined ? "" : `, after change ${after.number}`}`,
      users
        .getOrSet<number | undefined>(key, (ctx) => this.#load(ctx), {
          tags: ["t"],
          forceRefresh,
          signal: leaving.signal,
          current: after !== undefined,
          ...(oneIn(6) && { staleWhileRevalidate: 0, staleIfError: 0 }),
          onServed: (each) => void (served = each),
        })
        .then(
          (value) => check(value, served?.status !== "stale", served?.coalesced),
          () => undefined,
        ),
    );
  }

  #get(process: Process, key: string): void {
    const check = this.#checker(process, key);
    this.#begin(
      `${process.name} get ${key}`,
      process.users.get<number>(key).then((value) => check(value, true)),
    );
  }

  #getMany(process: Process): void {
    const checks = new Map(this.#keys.map((key) => [key, this.#checker(process, key)]));
    this.#begin(
      `${process.name} getMany`,
      process.users.getMany<number>(this.#keys).then((found) => {
        for (const [key, value] of found) checks.get(key)!(value, true);
      }),
    );
  }

  /** The call does not report how it was answered, so it counts as stale, and as shared. */
  #getOrSetMany(process: Process): void {
    const { oneIn } = bound(this.#random);
    const checks = new Map(this.#keys.map((key) => [key, this.#checker(process, key)]));
    const load = async (missing: readonly string[], ctx: BatchLoadContext<string>): Promise<[string, number][]> => {
      const value = await this.#read(missing, ctx.signal);
      const found = missing.filter(() => !oneIn(5));
      if (this.#hasLateTag) for (const key of found) ctx.setOptions(key, { tags: ["late"] });
      return found.map((key) => [key, value]);
    };
    this.#begin(
      `${process.name} getOrSetMany`,
      process.users
        .getOrSetMany(this.#keys, (key) => key, load, { tags: ["t"] })
        .then(
          (found) => {
            for (const [key, value] of found) checks.get(key)!(value, false, true);
          },
          () => undefined,
        ),
    );
  }

  #peek(process: Process, key: string): void {
    this.#checker(process, key)(process.users.peek<number>(key), true);
  }

  /** Changes the source, then says so to the cache. A `set` does not overlap another change. */
  #change(process: Process, key: string): void {
    const { one, oneIn } = bound(this.#random);
    const { cache, users } = process;
    const kind = one(["delete", "set", "markStale", "invalidateTags", "markTagsStale", "clear", "clearStale"] as const);
    if (kind === "set" ? this.#changes !== 0 : this.#isSetting) return;
    this.#source += 1;
    const number = this.#source;
    const attached = this.#processes.filter(({ backend }) => backend.link.attached !== 0);
    const links = new Map(attached.map((each) => [each, each.losses]));
    const space = oneIn(2) ? users : cache;
    const call =
      kind === "delete"
        ? users.delete(key)
        : kind === "set"
          ? users.set(key, number, { tags: this.#hasLateTag ? ["t", "late"] : ["t"] })
          : kind === "markStale"
            ? users.markStale(key)
            : kind === "clear" || kind === "clearStale"
              ? space.clear({ stale: kind === "clearStale" })
              : space[kind](this.#hasLateTag && oneIn(2) ? "late" : "t");
    this.#changes += 1;
    this.#isSetting = kind === "set";
    const isSoft = kind === "markStale" || kind === "markTagsStale" || kind === "clearStale";
    const keys = kind === "delete" || kind === "set" || kind === "markStale" ? [key] : this.#keys;
    this.#begin(
      `${process.name} ${kind} ${keys.join()} after change ${number}`,
      call.then((result) => {
        this.#changes -= 1;
        if (kind === "set") this.#isSetting = false;
        const change: Change = { number, keys, isSoft, at: this.#clock.now(), links };
        this.#log.push(`${this.#clock.now()} ${kind} of change ${number}: ${result.status}`);
        raise(process.floors, "own", change);
        if (result.status !== "pending") {
          this.#acknowledged.push(change);
          for (const other of this.#processes) if (other !== process) other.unreceived.push(change);
        }
        this.#listen();
        for (const each of this.#processes)
          for (const changed of keys) {
            this.#peek(each, changed);
            if (oneIn(2)) this.#get(each, changed);
          }
      }),
    );
  }

  /** A value that is computed without a loader: a change meanwhile refuses it, or ends it. */
  #setBehindFence({ name, users }: Process, key: string): void {
    const tags = this.#hasLateTag ? ["t", "late"] : ["t"];
    const set = async (): Promise<unknown> => {
      const since = await users.fence(key);
      return users.set(key, await this.#ask(), { tags, since });
    };
    this.#begin(
      `${name} sets ${key} behind a fence`,
      set().catch(() => undefined),
    );
  }

  /** The store loses a key: what depends on it is a miss, or loaded twice. */
  #lose(process: Process, key: string): void {
    const { one, below } = bound(this.#random);
    const { store } = process.backend;
    const lost = (what: string): void => void this.#log.push(`${this.#clock.now()} lost ${what}`);
    switch (below(6)) {
      case 0:
        lost(`lease of ${key}`);
        return store.expireLease(`history:users::${key}`);
      case 1: {
        const tag = one([
          "{~history}:users::t",
          "{~history}:users::",
          "{~history}::",
          "{~history}::t",
          "{~history}:users::late",
        ]);
        lost(tag);
        return store.evictTag(tag);
      }
      case 2:
        lost("issuer");
        return store.evictIssuer();
      case 3:
        if (below(4) !== 0) return;
        lost("everything");
        return store.clear();
      default:
        // No message is sent for an entry that is being loaded and not there.
        if (store.delete(`history:users::${key}`)) lost(key);
    }
  }

  /** A server started from a snapshot, or a promoted replica: all processes find out with the next connection. */
  async #failOver(): Promise<void> {
    const { store } = this.#processes[0]!.backend;
    if (this.#restore === undefined) {
      this.#restore = store.snapshot();
      return;
    }
    this.#log.push(`${this.#clock.now()} another server`);
    for (const process of this.#processes) {
      process.losses += 1;
      process.backend.link.lose({ attach: "hangs" });
      process.backend.down();
    }
    this.#restore();
    this.#restore = undefined;
    this.#isReissuing = true;
    this.#servers += 1;
    for (const { backend } of this.#processes) {
      backend.up();
      backend.link.replaced();
      backend.link.heal();
    }
    await flush(2);
    this.#lookEverywhere();
  }

  #lookEverywhere(): void {
    for (const process of this.#processes) for (const key of this.#keys) this.#get(process, key);
  }

  /** Messages are kept back, come late, or are lost with the link. */
  #disturb(process: Process): void {
    const { below, one } = bound(this.#random);
    const { link } = process.backend;
    const say = (what: string): void => void this.#log.push(`${this.#clock.now()} ${process.name} link ${what}`);
    switch (below(5)) {
      case 0:
      case 1:
        if (process.isHolding || link.attached === 0) return;
        process.isHolding = true;
        say("held");
        return link.hold();
      case 2:
        if (!process.isHolding) return;
        say("delivers some");
        return link.deliver(1 + below(3));
      case 3:
        say("delivers");
        process.isHolding = false;
        return link.attached === 0 ? link.heal() : link.deliver();
      default:
        say("lost");
        process.losses += 1;
        process.isHolding = false;
        link.deliver(0);
        link.lose({ attach: one(["rejects", "hangs"]) });
        if (this.#weather.hasCuts === true) process.backend.down();
        this.#clock.schedule(
          () => {
            say("healed");
            process.backend.up();
            link.heal();
          },
          below(this.#weather.hasCuts === true ? 2_000 : 200),
        );
    }
  }

  async #load({ key, signal, setOptions, noStore, stale }: LoadContext): Promise<number | NotModified | undefined> {
    const { below } = bound(this.#random);
    const value = await this.#read([key], signal);
    if (this.#hasLateTag) setOptions({ tags: ["late"] });
    switch (below(20)) {
      case 0:
        return undefined;
      case 1:
        // Behind it each process loads for itself.
        return this.#weather.isQuiet === true ? value : noStore(value);
      case 2:
        // Without a lifetime it is a removal.
        if (this.#weather.isQuiet !== true) setOptions({ ttl: 0 });
        return value;
      case 3:
      case 4:
        return stale?.value === value ? stale.notModified() : value;
      default:
        return value;
    }
  }

  async #read(keys: readonly string[], signal: AbortSignal): Promise<number> {
    const loads = keys.map((key): Loading => ({ key, signal }));
    for (const load of loads) {
      const isLoaded = [...this.#loading].some((other) => other.key === load.key && !other.signal.aborted);
      if (isLoaded && this.#weather.isQuiet === true) this.#violate(`${load.key} is loaded twice at a time`);
      this.#log.push(`${this.#clock.now()} loads ${load.key}`);
      this.#loading.add(load);
    }
    try {
      return await this.#ask();
    } finally {
      for (const load of loads) this.#loading.delete(load);
    }
  }

  /** Asks the source, and takes its time before and after. */
  async #ask(): Promise<number> {
    const { oneIn } = bound(this.#random);
    if (oneIn(2)) await this.#pause(20);
    const value = this.#source;
    if (oneIn(6)) throw new Error("the source is down");
    await this.#pause(this.#loadMs);
    return value;
  }

  /** The least version that a call that begins now may answer. */
  #checker(
    { name, floors }: Process,
    key: string,
    after?: Change,
  ): (value: number | undefined, isFresh: boolean, isCoalesced?: boolean) => void {
    const { own, told, received, asked } = floors.get(key)!;
    const startedAt = this.#clock.now();
    const late = this.#acknowledged
      .filter(({ keys, at }) => keys.includes(key) && at + MAX_STALENESS_MS <= startedAt)
      .reduce(raised, NO_LIMIT);
    const known = after === undefined || this.#isReissuing ? own : raised(own, after);
    const wasReissuing = this.#isReissuing;
    const servers = this.#servers;
    return (value, isFresh, isCoalesced = false) => {
      if (value === undefined) return;
      // What comes from a server of before is no copy.
      const isReplaced = wasReissuing || servers !== this.#servers;
      const floor =
        this.#weather.isFaulty === true || this.#weather.hasCuts === true || isReplaced
          ? higher(known, isReplaced ? NO_LIMIT : told)
          : [received, late, ...(isCoalesced ? [] : [asked])].reduce(higher, known);
      this.#log.push(
        `${this.#clock.now()} ${name} ${key} is ${value}${isFresh ? "" : ", stale"}${isCoalesced ? ", shared" : ""}; asked at ${startedAt}`,
      );
      if (value < floor.hard) this.#violate(`${name} answered ${value} after the invalidation of change ${floor.hard}`);
      if (isFresh && value < floor.soft)
        this.#violate(`${name} answered ${value} as fresh after change ${floor.soft} made it stale`);
    };
  }

  #begin(what: string, call: Promise<unknown>): void {
    this.#log.push(`${this.#clock.now()} ${what}`);
    this.#underWay.add(call);
    void call.finally(() => this.#underWay.delete(call));
  }

  #violate(what: string): void {
    this.#violation ??= [what, ...this.#log.slice(0, 1), ...this.#log.slice(-80)].join("\n");
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
    name: string,
    {
      label,
      format,
      compressor,
      read,
      write,
      remove,
      markStale,
      batch,
      leases,
      tagVersions,
      coherence,
      close,
    }: ScriptedBackend,
  ): Backend {
    const { below, oneIn } = bound(this.#random);
    const { isFaulty = false } = this.#weather;
    const atMostMs = isFaulty ? 12 : 30;
    const slow =
      <A extends readonly unknown[], R>(what: string, work: (...args: A) => Promise<R>, times: number) =>
      async (...args: A): Promise<R> => {
        if (!oneIn(3)) await this.#pause(atMostMs);
        const fault = isFaulty && oneIn(times) ? below(3) : undefined;
        if (fault === 0) throw new BackendUnavailableError("not executed");
        if (fault === 1) return new Promise(() => undefined);
        const answer = await work(...args);
        this.#log.push(`${this.#clock.now()} ${name} executed ${what} ${String(args[0])}`);
        if (!oneIn(3)) await this.#pause(atMostMs);
        if (fault === 2) throw new BackendUnavailableError("executed, and the answer was lost");
        return answer;
      };
    return {
      label,
      format,
      compressor,
      close,
      coherence: coherence!,
      deadlineMs: isFaulty ? 50 : 1_000,
      read: slow("read", read, 60),
      write: slow("write", write, 60),
      remove: slow("remove", remove, 3),
      markStale: slow("markStale", markStale!, 3),
      ...(batch !== undefined && { batch: { read: slow("batch.read", batch.read, 60) } }),
      leases: {
        acquire: slow("leases.acquire", leases!.acquire, 20),
        renew: slow("leases.renew", leases!.renew, 20),
        release: slow("leases.release", leases!.release, 20),
        store: slow("leases.store", leases!.store, 20),
        touch: slow("leases.touch", leases!.touch, 20),
        confirm: slow("leases.confirm", leases!.confirm, 20),
      },
      ...(tagVersions !== undefined && {
        tagVersions: {
          read: slow("tagVersions.read", tagVersions.read, 60),
          pin: slow("tagVersions.pin", tagVersions.pin, 60),
          unchangedSince: slow("tagVersions.unchangedSince", tagVersions.unchangedSince, 20),
          renew: slow("tagVersions.renew", tagVersions.renew, 3),
        },
      }),
    };
  }
}

const MAX_STALENESS_MS = 100;
const NO_LIMIT: Limit = { hard: 0, soft: 0 };
const raised = (limit: Limit, { number, isSoft }: Pick<Change, "number" | "isSoft">): Limit =>
  isSoft ? { ...limit, soft: Math.max(limit.soft, number) } : { ...limit, hard: Math.max(limit.hard, number) };
const higher = (a: Limit, b: Limit): Limit => ({ hard: Math.max(a.hard, b.hard), soft: Math.max(a.soft, b.soft) });

function raise(floors: Process["floors"], which: keyof Floor, change: Change): void {
  for (const key of change.keys) {
    const floor = floors.get(key)!;
    floor[which] = raised(floor[which], change);
  }
}

const bound = (
  random: Random,
): {
  readonly below: (bound: number) => number;
  readonly one: <T>(choices: readonly T[]) => T;
  readonly oneIn: (times: number) => boolean;
} => ({
  below: (limit) => random.below(limit),
  one: (choices) => random.one(choices),
  oneIn: (times) => random.oneIn(times),
});

async function search(weather: Weather): Promise<readonly string[]> {
  const violations: string[] = [];
  for (let seed = FIRST; seed < FIRST + SEEDS; seed += 1) {
    const violation = await new History(seed, weather).run(150);
    if (violation !== undefined) violations.push(violation);
  }
  return violations;
}

const FIRST = Number(process.env["HOTSET_FIRST_SEED"] ?? 1);
const SEEDS = Number(process.env["HOTSET_SEEDS"] ?? (isNightly ? 60 : 25));

describe.each([2, 3])("of %i processes", (processes) => {
  const histories: Readonly<Record<string, Omit<Weather, "processes">>> = {
    "C61 C67 C79 C81 C85 no history shows an invalidated value, while all messages arrive": {},
    "C24 C52 C57 in none is a key loaded twice at a time, while nothing is changed, lost or forced": {
      isQuiet: true,
      hasLinks: true,
    },
    "C86 none whose links are slow, silent and lost shows an invalidated value for longer than maxStaleness": {
      hasLinks: true,
    },
    "C93 C94 C740 none whose calls fail, hang, and lose answers shows a process a value that it invalidated itself, or received the invalidation of":
      {
        hasLinks: true,
        isFaulty: true,
      },
    "C740 none whose processes are cut off for a while shows one a value whose invalidation it received before": {
      hasLinks: true,
      hasCuts: true,
    },
    "C93 none whose servers come back with older data shows an invalidated value to its own process, nor to others once it is invalidated again":
      { hasFailovers: true },
  };
  it.for(Object.entries(histories))("%s", async ([, weather]) => {
    expect((await search({ processes, ...weather })).slice(0, 1)).toEqual([]);
  });
});
