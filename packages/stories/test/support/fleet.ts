import { isDeepStrictEqual } from "node:util";
/** Several processes with a cache each, driven from a test. */
import {
  forkScript,
  isNightly,
  randomPrefix,
  TOPOLOGIES as ALL_TOPOLOGIES,
  until,
  type Reply,
  type ScriptProcess,
} from "@hotset/test-servers";
import { startServers, type FleetServers, type FleetServersOptions, type Topology } from "@hotset/test-servers";
import type { LoadRun, MemberHandlers, MemberSettings } from "./fleet-member.ts";
import { hasPlaceholder, leaseBeside, storedData } from "./stored-entries.ts";

/** How long to wait for a result that comes at once unless the machine is busy. */
export const PATIENCE = { timeout: 60_000, interval: 20 } as const;

/** One server decides in `npm test`; a cluster and sentinels are for the night. */
export const TOPOLOGIES: readonly Topology[] = isNightly ? ALL_TOPOLOGIES : ["single"];

const SCRIPT = new URL("fleet-member.ts", import.meta.url);

/** Milliseconds on a clock that all processes of this machine share. */
export const sharedNow = (): number => Number(process.hrtime.bigint()) / 1e6;

/** The keys of entries and versions without a TTL. */
const ENDLESS = `
  local endless = {}
  for _, key in ipairs(redis.call('KEYS', '*::*')) do
    if redis.call('PTTL', key) == -1 then endless[#endless + 1] = key end
  end
  return endless`;

/** One process: each handler of fleet-member.ts as a method. */
export type Member = {
  readonly [K in keyof MemberHandlers]: (
    ...args: Parameters<MemberHandlers[K]>
  ) => Promise<Awaited<ReturnType<MemberHandlers[K]>>>;
} & { readonly process: ScriptProcess<MemberHandlers> };

export type FleetSettings = Omit<MemberSettings, "place" | "keyPrefix">;

/**
 * Processes that share one cache over one Redis. Disposing of the fleet returns the processes to the pool, which
 * replaces killed ones.
 */
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

  /** The Redis key of a tag's version; `''` is the namespace's own. */
  tagKeyOf(tag: string): string {
    return `${this.keyPrefix}:{~shop}::${tag}`;
  }

  get issuerKey(): string {
    return `${this.keyPrefix}~issuer:{~shop}`;
  }

  /** Sends a command as redis-cli would. */
  redis(command: string, redisKey: string, ...more: readonly (string | number)[]): Promise<Reply> {
    return this.servers.command(command, redisKey, ...more);
  }

  /** The JSON of an entry of the root namespace, as it is in Redis; `undefined` where there is none. */
  async stored(key: string): Promise<string | undefined> {
    return (await storedData(await this.servers.primaryOf(this.keyOf(key)), this.keyOf(key)))?.toString();
  }

  /** Whether a process holds the lease of this entry. */
  async isLeased(key: string): Promise<boolean> {
    const redisKey = this.keyOf(key);
    const server = await this.servers.primaryOf(redisKey);
    return (await server.command("EXISTS", leaseBeside(redisKey))) === 1 || hasPlaceholder(server, redisKey);
  }

  /** Waits until every process receives invalidations and has nothing pending. */
  async inStep(): Promise<void> {
    await Promise.all(this.members.map((member) => isInStep(member)));
  }

  /** Waits until every process has a local copy of `key` with this `value`, reading it if needed. */
  async allHold(key: string, value: unknown): Promise<void> {
    await Promise.all(this.members.map((member) => holds(member, key, value)));
  }

  /**
   * Waits until every process has received the messages sent so far about a change of `key`, its tags or its namespace.
   * A reply comes after the earlier messages of its server: each process reads a key beside the entry, and one beside
   * the versions of the tags. In a cluster these lie on different servers.
   */
  async receivesMessages(key: string): Promise<void> {
    for (const member of this.members) for (const beside of [this.besideOf(key), "{~shop}"]) await member.get(beside);
  }

  /**
   * Waits until the server of `key` has answered every process. A process may be "up" on a silent connection that it
   * has not noticed yet; a read over that fails, and is served from the unconfirmed copy.
   */
  async reachesServerOf(key: string): Promise<void> {
    for (const member of this.members)
      await until(`a call to the server of ${key} that is answered`, async () => {
        const { status } = await member.set(this.besideOf(key), "beside");
        return status === "stored";
      });
  }

  /** Another key, on the same server. */
  besideOf(key: string): string {
    return `{${this.keyOf(key)}}`;
  }

  /** The loader runs of all processes. */
  async loads(key?: string): Promise<readonly LoadRun[]> {
    return (await Promise.all(this.members.map((member) => member.loads(key)))).flat();
  }

  /** @throws {Error} for an unhandled rejection in a process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.giveBack(this.members);
  }
}

/** Keeps processes and servers for the tests of one file, since starting them takes longer than most tests. */
export class Pool {
  readonly #servers = new Map<Topology, Promise<FleetServers>>();
  #idle: Member[] = [];
  readonly #all = new Set<Member>();

  /** Starts the servers on the first call, and returns the same ones afterwards. */
  servers(topology: Topology, options?: FleetServersOptions): Promise<FleetServers> {
    let servers = this.#servers.get(topology);
    if (servers === undefined) this.#servers.set(topology, (servers = startServers(topology, options)));
    return servers;
  }

  /**
   * Opens `count` processes over `servers` and waits until each receives invalidations. A list of settings has one
   * entry for each process.
   */
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
    const member = memberOf(forkScript<MemberHandlers>(SCRIPT));
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
          // The process was killed.
          this.#all.delete(member);
        }
      }),
    );
    if (unhandled.length !== 0) throw new Error(`unhandled rejections: ${unhandled.join("; ")}`);
  }

  /** @throws {Error} for keys that a cache has written without an end. */
  async end(): Promise<void> {
    await Promise.all([...this.#all].map(({ process }) => process[Symbol.asyncDispose]()));
    const all = await Promise.all(this.#servers.values());
    try {
      for (const servers of all)
        for (const server of await servers.primaries()) {
          const endless = await server.command("EVAL", ENDLESS, 0);
          if (!isDeepStrictEqual(endless, [])) throw new Error(`C614 keys without an end: ${String(endless)}`);
        }
    } finally {
      await Promise.all(all.map((servers) => servers.stop()));
    }
  }
}

/** The body of a test over several topologies at once, for tests that mostly wait. Errors name the topology. */
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
      // An `await` of the member reads `then`.
      if (typeof name === "symbol" || name === "then") return undefined;
      return (...args: never[]) => process.call(name as keyof MemberHandlers, ...(args as never));
    },
  });
}

/** Waits until the process receives invalidations and none of its own is pending. */
export const isInStep = (member: Member): Promise<true> =>
  until("a process that receives invalidations and has nothing pending", async () => {
    const { tiers, pending } = await member.stats();
    return tiers.at(-1)!.state === "up" && pending === 0;
  });

/** Waits until the process has a local copy with this `value`, reading it if needed. */
export const holds = (member: Member, key: string, value: unknown): Promise<true> =>
  until(
    `a local copy of ${key}`,
    async () => isDeepStrictEqual(await member.peek(key), value) || (await member.get(key), false),
  );

/** Waits until the process waits for another process's load of `key`. */
export const waitsFor = (member: Member, key: string): Promise<true> =>
  until(`a wait for the load of ${key} elsewhere`, async () =>
    (await member.explain(key)).some((decision) => decision.startsWith("lease: held")),
  );

/** Waits until the process has started its loader of `key` so many times. */
export const loadsNow = async (member: Member, key: string, times = 1): Promise<void> => {
  try {
    await until(`a load of ${key}`, async () => (await member.loads(key)).length === times);
  } catch (cause) {
    throw new Error(`${(cause as Error).message}; ${(await member.explain(key)).join("; ")}`, { cause });
  }
};

/** A key of the root namespace whose entry lies on the server of `redisKey`. */
export async function beside(fleet: Fleet, redisKey: string, name: string): Promise<string> {
  const { port } = await fleet.servers.primaryOf(redisKey);
  for (let i = 0; ; i += 1)
    if ((await fleet.servers.primaryOf(fleet.keyOf(`${name} ${i}`))).port === port) return `${name} ${i}`;
}

/** Waits until the local copy is gone or has another value. */
export async function gone(member: Member, key: string, old: unknown): Promise<void> {
  const was = JSON.stringify(old);
  await until(`${key} to differ from ${was}`, async () => JSON.stringify(await member.peek(key)) !== was);
}

/** The largest number of these runs at one time. */
export function atOnce(runs: readonly LoadRun[]): number {
  return Math.max(
    0,
    ...runs.map(
      ({ startedAt }) => runs.filter((other) => other.startedAt <= startedAt && startedAt < other.endedAt).length,
    ),
  );
}
