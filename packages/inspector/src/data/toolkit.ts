import type { ModuleCounts, RedisView } from "@hotset/redis-toolkit";
import type { Readiness, RedisStats, ServerInfo } from "@hotset/redis-toolkit/health";
import type { LockPlace } from "@hotset/redis-toolkit/inspect";
import type { LimitCounts, Module } from "@hotset/redis-toolkit/module";
import type { Counts, JobState, Queue } from "@hotset/redis-toolkit/queue";
import { kindOf, KeyWalk, type Seen } from "./key-walk.ts";
import { lookElsewhere, type Elsewhere } from "./other-databases.ts";
import {
  CACHE_KINDS,
  type CountedLimit,
  type HeldLock,
  type JobRow,
  type LargeKey,
  type Listed,
  type QueueRow,
  type RedisPage,
} from "./pages.ts";
import { Polled } from "./polled.ts";
import { ServerWatch, type ServerEvents } from "./server-watch.ts";

const WALK_MS = 10_000;
const POLL_MS = 1_000;
const SERVER_MS = 2_000;
const ELSEWHERE_MS = 10_000;
const SHORT = 0.9;
const LARGEST_MS = 60_000;
const MOST_QUEUES = 100;
const MOST_LOCKS = 200;

/** Modules of a package that is installed only where a toolkit is given. */
interface Parts {
  readonly module: Module;
  readonly keys: typeof import("@hotset/redis-toolkit/inspect");
  readonly queue: typeof import("@hotset/redis-toolkit/queue").queue;
  readonly health: typeof import("@hotset/redis-toolkit/health").health;
}

/** Queues, locks and limits of one view, and its server. Asked only while pages show them. */
export class Toolkit {
  readonly #view: RedisView;
  readonly #redactsKeys: boolean;
  #parts: Promise<Parts> | undefined;
  #counts: ModuleCounts | undefined;
  #limits: ReadonlyMap<string, LimitCounts> | undefined;
  #keyWalk: KeyWalk | undefined;
  readonly #watch = new ServerWatch(Date.now());
  readonly walk: Polled<Seen> = new Polled(WALK_MS, async () => (await this.#walk()).step());
  readonly queues: Polled<readonly QueueRow[]> = new Polled(POLL_MS, () => this.#queues());
  readonly locks: Polled<readonly HeldLock[]> = new Polled(POLL_MS, () => this.#locks());
  readonly largest: Polled<readonly LargeKey[]> = new Polled(LARGEST_MS, () => this.#largest());
  readonly elsewhere: Polled<readonly Elsewhere[]> = new Polled(ELSEWHERE_MS, () => this.#elsewhere());
  readonly server: Polled<RedisPage["server"]> = new Polled(SERVER_MS, () => this.#server());

  /** @param redactsKeys whether keys of caches are shown to nobody. */
  constructor(view: RedisView, redactsKeys: boolean) {
    this.#view = view;
    this.#redactsKeys = redactsKeys;
  }

  /**
   * Looks at the servers while no page shows them, so that what happened before is known, too. Where the toolkit is not
   * connected nothing is asked: a connection would keep the process alive.
   */
  async lookUnseen(): Promise<void> {
    const { module } = await this.#loaded();
    if (module.connection.state === "up") this.look();
  }

  /** Asks the servers, and for the owners of the keys where memory is short. */
  look(): void {
    const { value } = this.server.current();
    const isShort = value?.servers.some(
      ({ usedMemory = 0, maxMemory = 0, events: { evicted = 0 } = {} }) =>
        maxMemory > 0 && (usedMemory > SHORT * maxMemory || evicted > 0),
    );
    // The first step of a walk names the caches, unless there are very many keys.
    const isNew = this.walk.last.value === undefined;
    if (isShort === true || isNew) this.walk.current();
    if (!isNew) this.elsewhere.current();
  }

  /** Counts of the toolkit's modules in this process; absent until they are loaded. */
  get counts(): ModuleCounts | undefined {
    return this.#counts;
  }

  /** Known ones of the walk, and those that this process uses. */
  limits(): Listed<CountedLimit> {
    const { value, silence } = this.walk.current();
    const made = this.#limits ?? new Map<string, LimitCounts>();
    const names = new Set([...made.keys(), ...(value?.limits ?? []).map(({ name }) => name)]);
    const rows = Array.from(names, (name): CountedLimit => {
      const { callers, blocked } = value?.limits.find((each) => each.name === name) ?? { callers: 0, blocked: 0 };
      const { allowed = null, refused = null } = made.get(name) ?? {};
      return { name, callers, blocked, allowed, refused };
    });
    rows.sort((one, other) => (other.refused ?? 0) - (one.refused ?? 0) || other.callers - one.callers);
    return { rows: value === undefined && rows.length === 0 ? undefined : rows, silence };
  }

  async jobs(
    name: string,
    state: JobState,
    range: { readonly offset: number; readonly count: number },
  ): Promise<readonly JobRow[]> {
    const jobs = await (await this.#queue(name)).list(state, range);
    return jobs.map(({ data: _data, result: _result, progress: _progress, ...job }): JobRow => job);
  }

  async jobData(name: string, id: string): Promise<unknown> {
    const job = await (await this.#queue(name)).get(id);
    return job?.data;
  }

  /** @returns a sentence. */
  async change(name: string, action: QueueAction, id: string): Promise<string> {
    const queue = await this.#queue(name);
    switch (action) {
      case "retry-all":
        return jobsText(await queue.deadLetters().replay());
      case "retry":
        return jobsText(await queue.deadLetters().replay(id));
      case "promote":
        return CHANGES[await queue.change(id, { delay: 0 })];
      case "remove":
        return REMOVALS[await queue.remove(id)];
      case "pause":
        await queue.pause();
        return "paused";
      case "resume":
        await queue.resume();
        return "resumed";
    }
  }

  async #load(): Promise<Parts> {
    const [{ moduleOf }, keys, { queue }, { health }] = await Promise.all([
      import("@hotset/redis-toolkit/module"),
      import("@hotset/redis-toolkit/inspect"),
      import("@hotset/redis-toolkit/queue"),
      import("@hotset/redis-toolkit/health"),
    ]);
    const module = moduleOf(this.#view);
    this.#counts = module.counts;
    this.#limits = module.limits;
    return { module, keys, queue, health };
  }

  #loaded(): Promise<Parts> {
    return (this.#parts ??= this.#load());
  }

  async #walk(): Promise<KeyWalk> {
    const { module, keys } = await this.#loaded();
    return (this.#keyWalk ??= new KeyWalk(module, keys));
  }

  async #queue(name: string): Promise<Queue<unknown>> {
    return (await this.#loaded()).queue(this.#view, name);
  }

  async #queues(): Promise<readonly QueueRow[]> {
    const names = (await this.walk.answer()).queues.slice(0, MOST_QUEUES);
    const rows = await Promise.all(
      names.map(async (name): Promise<QueueRow> => {
        const queue = await this.#queue(name);
        const { oldestAgeMs, ...counts }: Counts = await queue.counts();
        const [last] = counts.dead > 0 ? await queue.list("dead", { count: 1 }) : [];
        return { name, ...counts, oldestWaitingMs: oldestAgeMs ?? null, lastReason: last?.reason ?? null };
      }),
    );
    return rows.toSorted((one, other) => other.dead - one.dead || other.waiting - one.waiting);
  }

  async #locks(): Promise<readonly HeldLock[]> {
    const places = (await this.walk.answer()).locks.slice(0, MOST_LOCKS);
    const asked = await Promise.allSettled(places.map((place) => this.#lock(place)));
    const found = asked.filter((each) => each.status === "fulfilled");
    const [failed] = asked.filter((each) => each.status === "rejected");
    // A key that is of something else hides no other.
    if (failed !== undefined && found.length === 0) throw failed.reason;
    return found.flatMap(({ value }) => value ?? []);
  }

  async #lock(place: LockPlace): Promise<HeldLock | undefined> {
    const found = await (await this.#loaded()).keys.heldLock(this.#view, place);
    if (found === undefined) return undefined;
    const { kind, name, holder, lifeMs, fence = null } = found;
    return {
      kind,
      name,
      holder: typeof holder === "string" ? holder : `${holder} holders`,
      lifeMs: lifeMs === Infinity ? null : lifeMs,
      fence,
    };
  }

  async #largest(): Promise<readonly LargeKey[]> {
    const { health, keys, module } = await this.#loaded();
    const found = await health(this.#view).bigKeys({ top: 10 });
    return found.map(({ key, type, bytes }) => {
      const name = module.space.inside(key);
      const { kind, owner } = kindOf(keys.knownKey(name, type), name, module.space.prefix);
      return { kind, owner, key: this.#redactsKeys && OF_CACHES.includes(kind) ? undefined : key, type, bytes };
    });
  }

  async #elsewhere(): Promise<readonly Elsewhere[]> {
    const { module } = await this.#loaded();
    const groups = this.walk.last.value?.groups ?? [];
    const owners = groups.filter(({ kind }) => kind === CACHE_KINDS.records).map(({ owner }) => owner);
    return lookElsewhere(module.connection, owners);
  }

  async #server(): Promise<RedisPage["server"]> {
    const { health, module } = await this.#loaded();
    const { stats, readiness } = health(this.#view);
    const [{ servers, ...sums }, { checks }, events]: readonly [
      RedisStats,
      Readiness,
      ReadonlyMap<string, ServerEvents>,
    ] = await Promise.all([stats(), readiness(), this.#watch.look(module.connection, Date.now())]);
    return {
      ...sums,
      checks: Object.entries(checks).map(([name, check]) => ({ name, ...check })),
      servers: [...servers].map(([address, info]) => ({
        address,
        ...(info as Partial<ServerInfo> & { error?: string }),
        ...(events.has(address) && { events: events.get(address)! }),
      })),
    };
  }
}

const OF_CACHES: readonly string[] = Object.values(CACHE_KINDS);

export const QUEUE_ACTIONS = ["retry-all", "retry", "promote", "remove", "pause", "resume"] as const;
export type QueueAction = (typeof QUEUE_ACTIONS)[number];

const jobsText = (jobs: number): string =>
  jobs === 0 ? "no such dead job" : jobs === 1 ? "1 job waits again" : `${jobs} jobs wait again`;

const CHANGES = {
  changed: "due now",
  missing: "there is no such job any more",
  begun: "it has begun",
} as const;
const REMOVALS = {
  removed: "removed",
  missing: "there is no such job any more",
  active: "it is being worked on",
} as const;
