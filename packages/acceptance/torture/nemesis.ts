import type { ClusterNode, FaultProxy, OwnRedis } from "@hotset/test-servers";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Arena } from "./arena.ts";
import type { Fault, Instant } from "./history.ts";
import type { FaultKind, FaultPlan, KeyPlan, Plan } from "./plan.ts";

/** The processes of the round, for faults that concern processes. */
export interface Victims {
  /** The process of a worker that runs now. */
  name(worker: number): string;
  freeze(worker: number): void;
  thaw(worker: number): void;
  /** Kills it and starts another in its place. */
  kill(worker: number): Promise<void>;
}

/** The Redis keys of an entry and its lease. */
export interface RedisKeys {
  entry(key: KeyPlan): string;
  lease(key: KeyPlan): string;
}

/** Acknowledged, and perhaps not replicated yet. */
export const REPLICATION_LAG_MS = 1_000;

/**
 * Makes the faults of the plan at their instants, and undoes them. Faults of the servers follow one another.
 *
 * @returns the faults, when the last of them is over
 */
export async function unleash(
  plan: Plan,
  arena: Arena,
  victims: Victims,
  keys: RedisKeys,
  now: () => Instant,
): Promise<readonly Fault[]> {
  const faults: Fault[] = [];
  let servers: Promise<unknown> = Promise.resolve();
  const nemesis = new Nemesis(plan, arena, victims, keys, now);
  await Promise.all(
    plan.faults.map(async (fault) => {
      await sleep(Math.max(0, fault.at - now()));
      if (ONES_OWN.has(fault.kind)) {
        faults.push(await nemesis.strike(fault));
        return;
      }
      const committed = servers.then(async () => faults.push(await nemesis.strike(fault)));
      servers = committed.catch(() => undefined);
      await committed;
    }),
  );
  return faults;
}

const ONES_OWN: ReadonlySet<FaultPlan["kind"]> = new Set<FaultPlan["kind"]>([
  "cut",
  "swallow",
  "swallow replies",
  "swallow requests",
  "stall",
  "delay",
  "refuse",
  "freeze process",
  "kill process",
]);

/** Besides those that lose writes. A lease under a tag version that is gone is given up. */
const LOSES_LEASES: ReadonlySet<string> = new Set<FaultKind>([
  "restart empty",
  "restart from append-only file",
  "flush all",
  "evict leases",
  "evict tags",
  "real eviction",
  "lose primary",
  "freeze primary",
  "failover",
  "move slot",
  "move slot and back",
]);

/** A fault that has begun. */
interface Strike<Kind extends FaultKind> {
  readonly kind: Kind;
  readonly forMs: number;
  readonly worker: number;
  /** The process of the worker. */
  readonly name: string;
  readonly from: Instant;
  /** The fault, over now. */
  readonly fault: (more?: Partial<Fault>) => Fault;
}

class Nemesis {
  readonly #plan: Plan;
  readonly #arena: Arena;
  readonly #victims: Victims;
  readonly #keys: RedisKeys;
  readonly #now: () => Instant;

  constructor(plan: Plan, arena: Arena, victims: Victims, keys: RedisKeys, now: () => Instant) {
    this.#plan = plan;
    this.#arena = arena;
    this.#victims = victims;
    this.#keys = keys;
    this.#now = now;
  }

  /** Errors during a fault belong to it: a server that is replaced closes the connections of the nemesis too. */
  async strike(plan: FaultPlan): Promise<Fault> {
    const from = this.#now();
    try {
      const fault = await this.#commit(plan);
      const isReplaced = fault.losesSince !== undefined;
      return {
        ...fault,
        ...((isReplaced || LOSES_LEASES.has(fault.kind)) && { losesLeases: true }),
        ...(isReplaced && this.#arena.topology !== "single" && { splits: true }),
      };
    } catch (error) {
      if (this.#arena.topology === "single") throw error;
      await this.#arena.heal();
      return {
        kind: plan.kind,
        from,
        to: this.#now(),
        losesSince: from - REPLICATION_LAG_MS,
        losesLeases: true,
        splits: true,
      };
    }
  }

  async #commit({ kind, forMs, worker }: FaultPlan): Promise<Fault> {
    const from = this.#now();
    const fault = (more: Partial<Fault> = {}): Fault => ({ kind, from, to: this.#now(), ...more });
    const name = this.#victims.name(worker);
    const strike = { forMs, worker, from, fault, name };
    switch (kind) {
      case "cut":
      case "swallow":
      case "swallow replies":
      case "swallow requests":
      case "stall":
      case "delay":
      case "refuse":
        return this.#disturbLink({ ...strike, kind });
      case "freeze process":
        this.#victims.freeze(worker);
        await sleep(forMs);
        this.#victims.thaw(worker);
        return fault({ processes: [name], freezes: true });
      case "kill process":
        await this.#victims.kill(worker);
        return fault({ processes: [name] });
      case "freeze server":
      case "restart empty":
      case "restart from append-only file":
      case "restart from snapshot":
        return this.#strikeServer({ ...strike, kind });
      case "pause writes":
      case "pause all":
      case "kill connections":
      case "flush scripts":
      case "flush all":
        return this.#strikePrimaries({ ...strike, kind });
      case "memory full":
      case "real eviction":
      case "evict entries":
      case "evict leases":
      case "evict tags":
      case "evict issuer":
        return this.#takeMemory({ ...strike, kind });
      case "failover":
        return this.#failover(fault);
      case "lose primary":
        return this.#losePrimary(fault, (primary) => primary.kill());
      case "freeze primary":
        return this.#losePrimary(fault, async (primary) => primary.pause(), forMs);
      case "lose sentinel": {
        const sentinel = this.#arena.sentinel!.sentinels[worker % 3]!;
        await sentinel.kill();
        await sleep(forMs);
        await sentinel.start();
        return fault();
      }
      case "move slot":
      case "move slot and back":
        return this.#moveSlot(kind, forMs, worker, fault);
    }
  }

  async #disturbLink({ kind, forMs, worker, fault, name }: Strike<FaultKind>): Promise<Fault> {
    const proxy = this.#proxy(worker);
    await this.#breakLink(proxy, kind);
    await sleep(forMs);
    await proxy.pass();
    // A swallowed connection stays silent for good, as with a forgotten peer: it is found dead in time.
    return fault(this.#arena.topology === "single" ? { processes: [name] } : {});
  }

  /** The only server of the round. */
  async #strikeServer({
    kind,
    forMs,
    from,
    fault,
  }: Strike<
    "freeze server" | "restart empty" | "restart from append-only file" | "restart from snapshot"
  >): Promise<Fault> {
    switch (kind) {
      case "freeze server": {
        const redis = this.#arena.single!;
        redis.pause();
        await sleep(forMs);
        redis.resume();
        return fault();
      }
      case "restart empty": {
        const redis = this.#arena.single!;
        await redis.kill();
        await Promise.all(
          ["dump.rdb", "appendonlydir"].map((file) =>
            rm(join(redis.directory, file), { recursive: true, force: true }),
          ),
        );
        await sleep(forMs);
        await redis.start();
        return fault();
      }
      case "restart from append-only file": {
        const redis = this.#arena.single!;
        const isKept = this.#plan.settings.persistence === "append-only";
        await redis.kill();
        await sleep(forMs);
        await redis.start();
        return fault(isKept ? {} : { kind: "restart empty" });
      }
      case "restart from snapshot": {
        const redis = this.#arena.single!;
        await redis.command("SAVE");
        await sleep(forMs);
        const killedAt = this.#now();
        await redis.kill();
        await redis.start();
        return { ...fault({ losesSince: from }), from: killedAt };
      }
    }
  }

  /** Commands to every primary. */
  async #strikePrimaries({
    kind,
    forMs,
    from,
    fault,
  }: Strike<"pause writes" | "pause all" | "kill connections" | "flush scripts" | "flush all">): Promise<Fault> {
    switch (kind) {
      case "pause writes":
      case "pause all":
        for (const primary of await this.#arena.primaries())
          await primary.command("CLIENT", "PAUSE", forMs, kind === "pause all" ? "ALL" : "WRITE");
        await sleep(forMs);
        if (this.#arena.topology === "single") return fault();
        // A server that is silent for long is replaced.
        await this.#arena.heal();
        return fault({ losesSince: from - REPLICATION_LAG_MS });
      case "kill connections":
        for (const primary of await this.#arena.primaries())
          await primary.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        return fault();
      case "flush scripts":
        for (const primary of await this.#arena.primaries()) await primary.command("SCRIPT", "FLUSH");
        return fault();
      case "flush all":
        for (const primary of await this.#arena.primaries()) await primary.command("FLUSHALL");
        return fault();
    }
  }

  /** Entries, leases and tags that Redis evicts, or has no memory for. */
  async #takeMemory({
    kind,
    forMs,
    fault,
  }: Strike<
    "memory full" | "real eviction" | "evict entries" | "evict leases" | "evict tags" | "evict issuer"
  >): Promise<Fault> {
    switch (kind) {
      case "memory full":
        for (const primary of await this.#arena.primaries())
          await primary.command("CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "noeviction");
        await sleep(forMs);
        await this.#restoreMemory();
        return fault();
      case "real eviction":
        for (const primary of await this.#arena.primaries())
          await primary.command("CONFIG", "SET", "maxmemory-policy", "allkeys-random", "maxmemory", "1");
        await sleep(forMs);
        await this.#restoreMemory();
        return fault();
      case "evict entries":
        await this.#repeat(forMs, () => this.#evict(this.#plan.keys.map((key) => this.#keys.entry(key))));
        return fault();
      case "evict leases":
        await this.#repeat(forMs, () => this.#evict(this.#plan.keys.map((key) => this.#keys.lease(key))));
        return fault();
      case "evict tags":
        await this.#repeat(forMs, () => this.#evictMatching("*{~*"));
        return fault();
      case "evict issuer":
        await this.#repeat(forMs, () => this.#evictMatching("*~issuer:*"));
        return fault();
    }
  }

  #proxy(worker: number): FaultProxy {
    const { proxies } = this.#arena;
    return proxies[worker % proxies.length]!;
  }

  async #breakLink(proxy: FaultProxy, kind: FaultPlan["kind"]): Promise<void> {
    switch (kind) {
      case "cut":
        return proxy.cut();
      case "swallow":
        return proxy.swallow();
      case "swallow replies":
        return proxy.swallow("toClient");
      case "swallow requests":
        return proxy.swallow("toServer");
      case "stall":
        return proxy.stall();
      case "delay":
        return proxy.delay(40);
      default:
        await proxy.refuse();
        proxy.cut();
    }
  }

  async #restoreMemory(): Promise<void> {
    for (const primary of await this.#arena.primaries())
      await primary.command("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction");
  }

  async #repeat(forMs: number, work: () => Promise<void>): Promise<void> {
    const until = this.#now() + forMs;
    do {
      await work();
      await sleep(5);
    } while (this.#now() < until);
  }

  /**
   * As an eviction does: the key is gone, and its deletion is pushed as any other. In a cluster each lies on one node.
   */
  async #evict(names: readonly string[]): Promise<void> {
    for (const primary of await this.#arena.primaries())
      for (const name of names) await primary.command("UNLINK", name).catch(() => undefined);
  }

  async #evictMatching(pattern: string): Promise<void> {
    for (const primary of await this.#arena.primaries()) {
      const names = (await primary.command("KEYS", pattern)) as readonly string[];
      for (const name of names) await primary.command("UNLINK", name).catch(() => undefined);
    }
  }

  async #failover(fault: (more?: Partial<Fault>) => Fault): Promise<Fault> {
    const { sentinel, cluster } = this.#arena;
    const losesSince = this.#now() - REPLICATION_LAG_MS;
    if (sentinel !== undefined) {
      await sentinel.failover();
      await this.#arena.heal();
    } else {
      const replica = (await cluster!.replicas())[0]!;
      await replica.command("CLUSTER", "FAILOVER");
      await cluster!.waitUntilOk();
    }
    return fault({ losesSince });
  }

  async #losePrimary(
    fault: (more?: Partial<Fault>) => Fault,
    lose: (primary: OwnRedis) => Promise<void>,
    forMs = 0,
  ): Promise<Fault> {
    const { sentinel, cluster } = this.#arena;
    const losesSince = this.#now() - REPLICATION_LAG_MS;
    if (sentinel !== undefined) {
      const primary = await sentinel.primary();
      await lose(primary);
      await sleep(forMs);
      await sentinel.waitForPrimary(primary);
      if (primary.state === "paused") {
        // There are two primaries for a while: the old one does not know yet.
        primary.resume();
        await sleep(300);
      }
      await sentinel.rejoin(primary);
      await this.#arena.heal();
    } else {
      const masters = await cluster!.masters();
      const master = await withReplica(masters, (each) => cluster!.replicas(each));
      await lose(master);
      await sleep(forMs);
      await cluster!.waitUntilOk().catch(() => undefined);
      if (master.state === "paused") master.resume();
      await this.#arena.heal();
    }
    return fault({ losesSince });
  }

  async #moveSlot(
    kind: FaultPlan["kind"],
    forMs: number,
    worker: number,
    fault: (more?: Partial<Fault>) => Fault,
  ): Promise<Fault> {
    const cluster = this.#arena.cluster!;
    const key = this.#keys.entry(this.#plan.keys[worker % this.#plan.keys.length]!);
    const slot = await cluster.slotOf(key);
    const from = await cluster.ownerOf(slot);
    const to = (await cluster.masters()).find((master) => master !== from)!;
    const moving = await cluster.migrateHalfway(slot, to);
    await moving.move(key);
    await sleep(Math.min(forMs, 1_000));
    await moving.finish();
    if (kind === "move slot and back") {
      const back = await cluster.migrateHalfway(slot, from);
      await sleep(Math.min(forMs, 300));
      await back.finish();
    }
    return fault();
  }
}

/** The first master with a replica that can replace it. */
async function withReplica(
  masters: readonly ClusterNode[],
  replicasOf: (master: ClusterNode) => Promise<readonly ClusterNode[]>,
): Promise<ClusterNode> {
  for (const master of masters) if ((await replicasOf(master)).length > 0) return master;
  throw new Error("No master of the cluster has a replica");
}
