import type { ClusterNode, OwnRedis } from "@hotset/test-servers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Arena } from "./arena.ts";
import type { Fault, Instant } from "./history.ts";
import type { FaultPlan, KeyPlan, Plan } from "./plan.ts";

/** Acknowledged, and perhaps not replicated yet. */
export const REPLICATION_LAG_MS = 1_000;

/** The Redis keys of an entry and its lease. */
export interface RedisKeys {
  entry(key: KeyPlan): string;
  lease(key: KeyPlan): string;
}

/** The faults by which servers are lost, replaced by others, or give slots away. */
export class Replacements {
  readonly #plan: Plan;
  readonly #arena: Arena;
  readonly #keys: RedisKeys;
  readonly #now: () => Instant;

  constructor(plan: Plan, arena: Arena, keys: RedisKeys, now: () => Instant) {
    this.#plan = plan;
    this.#arena = arena;
    this.#keys = keys;
    this.#now = now;
  }

  async failover(fault: (more?: Partial<Fault>) => Fault): Promise<Fault> {
    const { sentinel, cluster } = this.#arena;
    const losesSince = this.#now() - REPLICATION_LAG_MS;
    if (sentinel !== undefined) {
      await sentinel.failover();
      await this.#arena.heal();
    } else {
      const replica = (await cluster!.replicas())[0]!;
      await cluster!.promote(replica);
    }
    return fault({ losesSince });
  }

  async losePrimary(
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

  async loseSentinel(fault: (more?: Partial<Fault>) => Fault, forMs: number, worker: number): Promise<Fault> {
    const sentinel = this.#arena.sentinel!.sentinels[worker % 3]!;
    await sentinel.kill();
    await sleep(forMs);
    await sentinel.start();
    return fault();
  }

  /** Shorter than the time after which a sentinel takes it for down: it stays the primary. */
  async stallPrimary(fault: (more?: Partial<Fault>) => Fault, forMs: number): Promise<Fault> {
    for (const primary of await this.#arena.primaries()) {
      primary.pause();
      await sleep(forMs);
      primary.resume();
    }
    return fault();
  }

  /** One of three, with all its replicas: nothing replaces it, and it comes back empty. The others continue. */
  async loseShard(fault: (more?: Partial<Fault>) => Fault, forMs: number, worker: number): Promise<Fault> {
    const cluster = this.#arena.cluster!;
    const masters = await cluster.masters();
    const master = masters[worker % masters.length]!;
    const shard = [...(await cluster.replicas(master)), master];
    await this.#onEachNode("cluster-require-full-coverage", "no");
    for (const node of shard) await node.kill();
    await sleep(forMs);
    for (const node of shard.toReversed()) await node.start();
    await this.#arena.heal();
    await this.#onEachNode("cluster-require-full-coverage", "yes");
    return fault();
  }

  async #onEachNode(setting: string, value: string): Promise<void> {
    for (const node of this.#arena.cluster!.nodes) await node.command("CONFIG", "SET", setting, value);
  }

  async moveSlot(
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
