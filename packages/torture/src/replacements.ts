import { setTimeout as sleep } from "node:timers/promises";
import { until, type ClusterNode, type HalfMigration, type OwnRedis } from "@hotset/test-servers";
import type { Arena } from "./arena.ts";
import type { Fault, Instant } from "./history.ts";
import type { FaultPlan, KeyPlan, Plan } from "./plan-parts.ts";

/** Acknowledged, and perhaps not replicated yet. */
export const REPLICATION_LAG_MS = 1_000;

/** The Redis keys of an entry and its lease, and one that lies in the slot of all versions. */
export interface RedisKeys {
  entry(key: KeyPlan): string;
  lease(key: KeyPlan): string;
  readonly versions: string;
}

/** Where faults happen. */
export interface Scene {
  readonly plan: Plan;
  readonly arena: Arena;
  readonly keys: RedisKeys;
  readonly now: () => Instant;
}

/** The faults by which servers are lost, replaced by others, or give slots away. */
export class Replacements {
  readonly #scene: Scene;
  #finished = Promise.resolve();

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  async failover(fault: (more?: Partial<Fault>) => Fault): Promise<Fault> {
    const { sentinel, cluster } = this.#scene.arena;
    const losesSince = this.#scene.now() - REPLICATION_LAG_MS;
    if (sentinel !== undefined) {
      await sentinel.failover();
      await this.#scene.arena.heal();
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
    const { sentinel, cluster } = this.#scene.arena;
    const losesSince = this.#scene.now() - REPLICATION_LAG_MS;
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
      await this.#scene.arena.heal();
    } else {
      const masters = await cluster!.masters();
      const master = await withReplica(masters, (each) => cluster!.replicas(each));
      await lose(master);
      await sleep(forMs);
      await cluster!.waitUntilOk().catch(() => undefined);
      if (master.state === "paused") master.resume();
      await this.#scene.arena.heal();
    }
    return fault({ losesSince });
  }

  async loseSentinel(fault: (more?: Partial<Fault>) => Fault, forMs: number, worker: number): Promise<Fault> {
    const sentinel = this.#scene.arena.sentinel!.sentinels[worker % 3]!;
    await sentinel.kill();
    await sleep(forMs);
    await sentinel.start();
    return fault();
  }

  /** Shorter than the time after which a sentinel takes it for down: it stays the primary. */
  async stallPrimary(fault: (more?: Partial<Fault>) => Fault, forMs: number): Promise<Fault> {
    for (const primary of await this.#scene.arena.primaries()) {
      primary.pause();
      await sleep(forMs);
      primary.resume();
    }
    return fault();
  }

  /** One of three, with all its replicas: nothing replaces it, and it comes back empty. The others continue. */
  async loseShard(fault: (more?: Partial<Fault>) => Fault, forMs: number, worker: number): Promise<Fault> {
    const cluster = this.#scene.arena.cluster!;
    const masters = await cluster.masters();
    const master = masters[worker % masters.length]!;
    const shard = [...(await cluster.replicas(master)), master];
    await this.#onEachNode("cluster-require-full-coverage", "no");
    for (const node of shard) await node.kill();
    await sleep(forMs);
    for (const node of shard.toReversed()) await node.start();
    await this.#scene.arena.heal();
    await this.#onEachNode("cluster-require-full-coverage", "yes");
    return fault();
  }

  /**
   * The primary of entries, but not of tag versions: no replica takes its place, and the other slots are served. Killed,
   * it comes back empty.
   */
  async losePart(fault: (more: Partial<Fault>) => Fault, forMs: number, how: "frozen" | "killed"): Promise<Fault> {
    const { plan, keys: names, arena } = this.#scene;
    const cluster = arena.cluster!;
    const ofVersions = await cluster.ownerOf(names.versions);
    const owned = new Map<ClusterNode, KeyPlan[]>();
    for (const key of plan.keys) {
      const owner = await cluster.ownerOf(names.entry(key));
      if (owner !== ofVersions) owned.set(owner, [...(owned.get(owner) ?? []), key]);
    }
    // A tag of one entry alone counts most: no call of another entry asks for its version.
    const worthOf = ({ tags }: KeyPlan): number =>
      tags.some((tag) => plan.keys.filter((each) => each.tags.includes(tag)).length === 1) ? 10 : tags.length;
    const worth = ([, keys]: readonly [ClusterNode, readonly KeyPlan[]]): number =>
      keys.reduce((sum, key) => sum + worthOf(key), 0);
    const most = [...owned].sort((one, other) => worth(other) - worth(one))[0];
    if (most === undefined) return fault({ keys: [] });
    const [primary, keys] = most;
    await this.#onEachNode("cluster-require-full-coverage", "no");
    await this.#onEachNode("cluster-replica-no-failover", "yes");
    if (how === "killed") await primary.kill();
    else primary.pause();
    await sleep(forMs);
    if (how === "killed") await primary.start();
    else primary.resume();
    await arena.heal();
    await until("no node to be taken for failed", async () => !(await this.#seesFailed()));
    await this.#onEachNode("cluster-replica-no-failover", "no");
    await this.#onEachNode("cluster-require-full-coverage", "yes");
    await arena.settle();
    return fault({ keys: keys.map(({ id }) => id) });
  }

  async #seesFailed(): Promise<boolean> {
    for (const node of this.#scene.arena.cluster!.nodes)
      if (/[ ,]fail\??[ ,]/.test(String(await node.command("CLUSTER", "NODES")))) return true;
    return false;
  }

  /** All connections to the primary of tag versions are closed, also those of subscribers. */
  async cutFromVersions(fault: () => Fault): Promise<Fault> {
    const { arena, keys } = this.#scene;
    const primary = await arena.cluster!.ownerOf(keys.versions);
    for (const type of ["normal", "pubsub"]) await primary.command("CLIENT", "KILL", "TYPE", type, "SKIPME", "yes");
    return fault();
  }

  async #onEachNode(setting: string, value: string): Promise<void> {
    for (const node of this.#scene.arena.cluster!.nodes) await node.command("CONFIG", "SET", setting, value);
  }

  /** With all its keys, of which half stay behind for a while. */
  async moveSlot(
    { kind, forMs, worker, slot: index }: Pick<Required<FaultPlan>, "kind" | "forMs" | "worker" | "slot">,
    fault: () => Fault,
  ): Promise<Fault> {
    const { plan, keys, arena } = this.#scene;
    const cluster = arena.cluster!;
    const names = [...plan.keys.map((key) => keys.entry(key)), keys.versions];
    const slot = await cluster.slotOf(names[index % names.length]!);
    const from = await cluster.ownerOf(slot);
    const others = (await cluster.masters()).filter((master) => master !== from);
    const moving = await cluster.migrateHalfway(slot, others[worker % others.length]!);
    const held = (await from.command("CLUSTER", "GETKEYSINSLOT", slot, 1_000)) as readonly string[];
    await moving.move(...held.slice(0, Math.ceil(held.length / 2)));
    await sleep(Math.min(forMs, 1_000));
    await this.#finish(moving);
    if (kind === "move slot and back") {
      const back = await cluster.migrateHalfway(slot, from);
      await sleep(Math.min(forMs, 300));
      await this.#finish(back);
    }
    return fault();
  }

  /** One at a time: a master that another slot reaches meanwhile has a newer epoch, and takes this one back. */
  #finish(moving: HalfMigration): Promise<void> {
    const finished = this.#finished.then(() => moving.finish());
    this.#finished = finished.catch(() => undefined);
    return finished;
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
