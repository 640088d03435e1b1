/** Several processes with a cache each, driven from a test. */
import { forkScript, randomPrefix, until, type Reply, type ScriptProcess } from "@hotset/test-servers";
import type { LoadRun, MemberHandlers, MemberSettings } from "./fleet-member.ts";
import { startServers, type FleetServers, type FleetServersOptions, type Topology } from "./fleet-servers.ts";
import { isDeepStrictEqual } from "node:util";
import { vi } from "vitest";

// Only what hangs is to fail by time, on a busy machine too.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

/** How long to wait for what comes at once, but on a busy machine. */
export const PATIENCE_MS = 20_000;
export const PATIENCE = { timeout: PATIENCE_MS, interval: 20 } as const;

const SCRIPT = new URL("fleet-member.ts", import.meta.url);

/** Milliseconds on a clock that all processes of this machine share. */
export const sharedNow = (): number => Number(process.hrtime.bigint()) / 1e6;

/** One process: each handler of fleet-member.ts as a method. */
export type Member = {
  readonly [K in keyof MemberHandlers]: (
    ...args: Parameters<MemberHandlers[K]>
  ) => Promise<Awaited<ReturnType<MemberHandlers[K]>>>;
} & {
  readonly process: ScriptProcess<MemberHandlers>;
};

export type FleetSettings = Omit<MemberSettings, "place" | "keyPrefix">;

/** Processes over one Redis that share one cache. Disposing of it gives the processes back; those that were killed are replaced. */
export class Fleet implements AsyncDisposable {
  readonly keyPrefix: string;
  readonly servers: FleetServers;
  readonly members: readonly Member[];
  readonly #pool: Pool;

  constructor(pool: Pool, servers: FleetServers, keyPrefix: string, members: readonly Member[]) {
    this.#pool = pool;
    this.servers = servers;
    this.keyPrefix = keyPrefix;
    this.members = members;
  }

  /** The Redis key of an entry of the root namespace. */
  keyOf(key: string): string {
    return `${this.keyPrefix}:shop::${key}`;
  }

  leaseOf(key: string): string {
    return `${this.keyPrefix}~lease:{${this.keyOf(key)}}`;
  }

  /** The Redis key of a tag's version; `''` is the namespace's own. */
  tagKeyOf(tag: string): string {
    return `${this.keyPrefix}:{~shop}::${tag}`;
  }

  get issuerKey(): string {
    return `${this.keyPrefix}~issuer:{~shop}`;
  }

  /** Redis as redis-cli sees it. */
  redis(command: string, redisKey: string, ...more: readonly (string | number)[]): Promise<Reply> {
    return this.servers.command(command, redisKey, ...more);
  }

  /** Waits until everybody hears of changes and has nothing pending. */
  async inStep(timeoutMs = PATIENCE_MS): Promise<void> {
    await Promise.all(this.members.map((member) => isInStep(member, timeoutMs)));
  }

  /** Has each of them hold a local copy of `key` that is `value`, and waits until they do. */
  async allHold(key: string, value: unknown): Promise<void> {
    await Promise.all(this.members.map((member) => holds(member, key, value)));
  }

  /** Runs of loaders in all of them. */
  async loads(key?: string): Promise<readonly LoadRun[]> {
    return (await Promise.all(this.members.map((member) => member.loads(key)))).flat();
  }

  /** @throws {Error} for a rejection that nobody handled. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.giveBack(this.members);
  }
}

/** Keeps processes and servers for the tests of one file: starting them takes longer than most tests. */
export class Pool {
  readonly #servers = new Map<Topology, Promise<FleetServers>>();
  #idle: Member[] = [];
  readonly #all = new Set<Member>();

  /** The same ones for whoever asks again. */
  servers(topology: Topology, options?: FleetServersOptions): Promise<FleetServers> {
    let servers = this.#servers.get(topology);
    if (servers === undefined) this.#servers.set(topology, (servers = startServers(topology, options)));
    return servers;
  }

  /** Opens `count` processes over `servers`, each connected and heard. One list of settings: one for each. */
  async open(
    servers: FleetServers,
    count: number,
    settings: FleetSettings | readonly FleetSettings[] = {},
  ): Promise<Fleet> {
    const keyPrefix = randomPrefix();
    const members = await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const member = this.take();
        await member.open({ place: servers.place, keyPrefix, ...(Array.isArray(settings) ? settings[i] : settings) });
        return member;
      }),
    );
    const fleet = new Fleet(this, servers, keyPrefix, members);
    await fleet.inStep();
    return fleet;
  }

  /** A process without a cache yet. */
  take(): Member {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    const member = memberOf(forkScript<MemberHandlers>(SCRIPT, { callTimeoutMs: 60_000 }));
    this.#all.add(member);
    return member;
  }

  async giveBack(members: readonly Member[]): Promise<void> {
    const unhandled: string[] = [];
    await Promise.all(
      members.map(async (member) => {
        try {
          unhandled.push(...(await member.close()));
          this.#idle.push(member);
        } catch {
          // It was killed.
          this.#all.delete(member);
        }
      }),
    );
    if (unhandled.length !== 0) throw new Error(`rejections that nobody handled: ${unhandled.join("; ")}`);
  }

  async end(): Promise<void> {
    await Promise.all([...this.#all].map(({ process }) => process[Symbol.asyncDispose]()));
    await Promise.all([...this.#servers.values()].map(async (servers) => (await servers).stop()));
  }
}

/** The body of a test over servers of several kinds at one time: for what is mostly waiting. Tells which of them failed. */
export function overEach(
  pool: Pool,
  topologies: readonly Topology[],
  body: (servers: FleetServers, topology: Topology) => Promise<void>,
): () => Promise<void> {
  return async () => {
    const outcomes = await Promise.allSettled(
      topologies.map(async (topology) => body(await pool.servers(topology), topology)),
    );
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.status !== "rejected") continue;
      const error = outcome.reason as Error;
      error.message = `over ${topologies[i]}: ${error.message}`;
      throw error;
    }
  };
}

function memberOf(process: ScriptProcess<MemberHandlers>): Member {
  return new Proxy({} as Member, {
    get: (_, name) => {
      if (name === "process") return process;
      // Whoever awaits it asks for this.
      if (typeof name === "symbol" || name === "then") return undefined;
      return (...args: never[]) => process.call(name as keyof MemberHandlers, ...(args as never));
    },
  });
}

/** Waits until it hears of changes, and nothing of its own waits for Redis. */
export const isInStep = (member: Member, timeoutMs = PATIENCE_MS): Promise<true> =>
  until("a process that is in step", timeoutMs, async () => {
    const { tiers, pending } = await member.stats();
    return tiers.at(-1)!.state === "up" && pending === 0;
  });

/** Has it hold a local copy that is `value`. */
export const holds = (member: Member, key: string, value: unknown): Promise<true> =>
  until(
    `a local copy of ${key}`,
    PATIENCE_MS,
    async () => isDeepStrictEqual(await member.peek(key), value) || (await member.get(key), false),
  );

/** Waits until it waits for somebody else's load of `key`. */
export const waitsFor = (member: Member, key: string): Promise<true> =>
  until(`a wait for the load of ${key} elsewhere`, PATIENCE_MS, async () =>
    (await member.explain(key)).some((decision) => decision.startsWith("lease: held")),
  );

/** Waits until its loader of `key` runs, for the n-th time. */
export const loadsNow = (member: Member, key: string, times = 1): Promise<true> =>
  until(`a load of ${key}`, PATIENCE_MS, async () => (await member.loads(key)).length === times);

/** Waits until a local copy is gone, or another one. @returns how long that took, in milliseconds, within that of one question. */
export async function gone(member: Member, key: string, old: unknown, timeoutMs = PATIENCE_MS): Promise<number> {
  const startedAt = sharedNow();
  const was = JSON.stringify(old);
  await until(
    `${key} to be another than ${was}`,
    timeoutMs,
    async () => JSON.stringify(await member.peek(key)) !== was,
  );
  return sharedNow() - startedAt;
}

/** How many of these ran at one time, at most. */
export function atOnce(runs: readonly LoadRun[]): number {
  return Math.max(
    0,
    ...runs.map(
      ({ startedAt }) => runs.filter((other) => other.startedAt <= startedAt && startedAt < other.endedAt).length,
    ),
  );
}
