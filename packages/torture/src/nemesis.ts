import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { FaultProxy } from "@hotset/test-servers";
import type { Fault, Instant } from "./history.ts";
import { LINK_FAULTS, SLOTS, type FaultKind, type FaultPlan } from "./plan-parts.ts";
import { REFUSALS } from "./refusals.ts";
import { REPLICATION_LAG_MS, Replacements, type Scene } from "./replacements.ts";

/** The processes of the round, for faults that concern processes. */
export interface Victims {
  /** The process of a worker that runs now. */
  name(worker: number): string;
  freeze(worker: number): void;
  thaw(worker: number): void;
  /** Stops its event loop from within. Resolves when it runs again. */
  block(worker: number, forMs: number): Promise<void>;
  /** Sets the wall clock of a worker `byMs` ahead, from now on. */
  setClock(worker: number, byMs: number): Promise<void>;
  /** Kills it and starts another in its place. */
  kill(worker: number): Promise<void>;
}

/**
 * Makes the faults of the plan at their instants, and undoes them. Faults of the servers follow one another, and so do
 * the moves of one slot and the pauses of one process.
 *
 * @returns the faults, when the last of them has ended
 */
export async function unleash(scene: Scene, victims: Victims): Promise<readonly Fault[]> {
  const faults: Fault[] = [];
  const queues = new Map<string, Promise<unknown>>();
  const nemesis = new Nemesis(scene, victims);
  await Promise.all(
    scene.plan.faults.map(async (fault) => {
      await sleep(Math.max(0, fault.at - scene.now()));
      const names = queuesOf(fault);
      const before = names.map((name) => (queues.get(name) ?? Promise.resolve()).catch(() => undefined));
      const committed = Promise.all(before).then(async () => faults.push(await nemesis.strike(fault)));
      for (const name of names) queues.set(name, committed);
      await committed;
    }),
  );
  return faults;
}

/** The names of the queues in which a fault waits for those before it. */
function queuesOf({ kind, worker, slot }: FaultPlan): readonly string[] {
  if (PAUSES.has(kind)) return [`process ${worker}`];
  if (ONES_OWN.has(kind)) return [];
  return slot === undefined ? Array.from({ length: SLOTS }, (_, i) => `slot ${i}`) : [`slot ${slot}`];
}

const ONES_OWN: ReadonlySet<string> = new Set<FaultKind>([...LINK_FAULTS, "kill process", "cut from versions"]);

const PAUSES: ReadonlySet<string> = new Set<FaultKind>(["freeze process", "cut frozen", "block loop", "clock jump"]);
/** Servers are lost, replaced by others, or give slots away. */
type OfServers =
  | "failover"
  | "lose primary"
  | "freeze primary"
  | "stall primary"
  | "lose shard"
  | "freeze part"
  | "lose part"
  | "cut from versions"
  | "lose sentinel"
  | "move slot"
  | "move slot and back";

type OfProcess = "freeze process" | "cut frozen" | "block loop" | "clock jump" | "kill process";

/** By how much a wall clock is set, ahead or back. */
const CLOCK_JUMP_MS = 3_600_000;

/**
 * Besides those that lose writes. A lease under a tag version that is gone is given up; that of a missing entry is in
 * its place.
 */
const LOSES_LEASES: ReadonlySet<string> = new Set<FaultKind>([
  "restart empty",
  "restart from append-only file",
  "flush all",
  "evict entries",
  "evict leases",
  "evict tags",
  "real eviction",
  "lose primary",
  "freeze primary",
  "failover",
  "lose shard",
  "move slot",
  "move slot and back",
  "lose part",
]);

/** Over the channel a process learns of them when another one issues the versions again. */
const LOSES_VERSIONS: ReadonlySet<string> = new Set<FaultKind>([
  "flush all",
  "evict tags",
  "evict issuer",
  "real eviction",
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
  readonly #scene: Scene;
  readonly #victims: Victims;
  readonly #replacements: Replacements;

  constructor(scene: Scene, victims: Victims) {
    this.#scene = scene;
    this.#victims = victims;
    this.#replacements = new Replacements(scene);
  }

  get #isOverChannel(): boolean {
    return this.#scene.plan.workers.some(({ coherence }) => coherence === "pubsub");
  }

  /** Each namespace of a key has a version, and so has each of its tags in each of them. The most of any key. */
  get #versionsOfAKey(): number {
    return Math.max(...this.#scene.plan.keys.map(({ space, tags }) => (1 + space.length) * (1 + tags.length)));
  }

  /** Errors during a fault belong to it: a server that is replaced closes the connections of the nemesis too. */
  async strike(plan: FaultPlan): Promise<Fault> {
    const from = this.#scene.now();
    try {
      const fault = await this.#commit(plan);
      const isReplaced = fault.losesSince !== undefined;
      return {
        ...fault,
        ...((isReplaced || LOSES_LEASES.has(fault.kind)) && { losesLeases: true }),
        ...(LOSES_VERSIONS.has(fault.kind) && this.#isOverChannel && { unreportedVersions: this.#versionsOfAKey }),
        ...(isReplaced && this.#scene.arena.topology !== "single" && { splits: true }),
      };
    } catch (error) {
      if (this.#scene.arena.topology === "single") throw error;
      await this.#scene.arena.heal();
      return {
        kind: plan.kind,
        from,
        to: this.#scene.now(),
        losesSince: from - REPLICATION_LAG_MS,
        losesLeases: true,
        splits: true,
      };
    }
  }

  async #commit({ kind, at, forMs, worker, slot = worker, byMs = 0 }: FaultPlan): Promise<Fault> {
    const from = this.#scene.now();
    const fault = (more: Partial<Fault> = {}): Fault => ({ kind, from, to: this.#scene.now(), ...more });
    const strike = { forMs, worker, from, fault, name: this.#victims.name(worker) };
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
      case "cut frozen":
      case "block loop":
      case "clock jump":
      case "kill process":
        return this.#strikeProcess({ ...strike, kind }, at);
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
      case "server clock jump":
        return this.#jump(byMs, fault);
      case "memory full":
      case "disk full":
      case "too few replicas":
      case "read-only":
        return this.#refuseWrites({ ...strike, kind });
      case "real eviction":
      case "evict entries":
      case "evict leases":
      case "evict tags":
      case "evict issuer":
        return this.#takeMemory({ ...strike, kind });
      default:
        return this.#replace({ kind, forMs, worker, slot }, fault);
    }
  }

  #replace(
    {
      kind,
      forMs,
      worker,
      slot,
    }: Pick<Required<FaultPlan>, "forMs" | "worker" | "slot"> & { readonly kind: OfServers },
    fault: Strike<FaultKind>["fault"],
  ): Promise<Fault> {
    switch (kind) {
      case "failover":
        return this.#replacements.failover(fault);
      case "lose primary":
        return this.#replacements.losePrimary(fault, (primary) => primary.kill());
      case "freeze primary":
        return this.#replacements.losePrimary(fault, async (primary) => primary.pause(), forMs);
      case "stall primary":
        return this.#replacements.stallPrimary(fault, forMs);
      case "lose shard":
        return this.#replacements.loseShard(fault, forMs, worker);
      case "freeze part":
        return this.#replacements.losePart(fault, forMs, "frozen");
      case "lose part":
        return this.#replacements.losePart(fault, forMs, "killed");
      case "cut from versions":
        return this.#replacements.cutFromVersions(fault);
      case "lose sentinel":
        return this.#replacements.loseSentinel(fault, forMs, worker);
      case "move slot":
      case "move slot and back":
        return this.#replacements.moveSlot({ kind, forMs, worker, slot }, fault);
    }
  }

  async #disturbLink({ kind, forMs, worker, fault, name }: Strike<FaultKind>): Promise<Fault> {
    const proxy = this.#proxy(worker);
    await this.#breakLink(proxy, kind);
    await sleep(forMs);
    await proxy.pass();
    // A swallowed connection stays silent for good, as with a forgotten peer: it is found dead in time.
    return fault(this.#scene.arena.topology === "single" ? { processes: [name] } : {});
  }

  async #strikeProcess({ kind, forMs, worker, fault, name }: Strike<OfProcess>, plannedAt: Instant): Promise<Fault> {
    const processes = [name];
    switch (kind) {
      case "freeze process":
      case "cut frozen":
        this.#victims.freeze(worker);
        await sleep(forMs / 2);
        // No fault of a link: Redis can be reached whenever the process runs.
        if (kind === "cut frozen") this.#proxy(worker).cut();
        await sleep(forMs / 2);
        this.#victims.thaw(worker);
        return fault({ processes, freezes: true });
      case "block loop":
        await this.#victims.block(worker, forMs);
        return fault({ processes, freezes: true });
      case "clock jump":
        await this.#victims.setClock(worker, plannedAt % 2 < 1 ? CLOCK_JUMP_MS : -CLOCK_JUMP_MS);
        await sleep(forMs);
        await this.#victims.setClock(worker, 0);
        return fault({ processes });
      case "kill process":
        await this.#victims.kill(worker);
        return fault({ processes });
    }
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
    const redis = this.#scene.arena.single!;
    switch (kind) {
      case "freeze server":
        redis.pause();
        await sleep(forMs);
        redis.resume();
        return fault();
      case "restart empty":
        await redis.kill();
        await Promise.all(
          ["dump.rdb", "appendonlydir"].map((file) =>
            rm(join(redis.directory, file), { recursive: true, force: true }),
          ),
        );
        await sleep(forMs);
        await redis.start();
        return fault();
      case "restart from append-only file":
        await redis.kill();
        await sleep(forMs);
        await redis.start();
        return fault(this.#scene.plan.settings.persistence === "append-only" ? {} : { kind: "restart empty" });
      case "restart from snapshot": {
        await redis.command("SAVE");
        await sleep(forMs);
        const killedAt = this.#scene.now();
        await redis.kill();
        await redis.start();
        return { ...fault({ losesSince: from }), from: killedAt };
      }
    }
  }

  /** Moves the clock of the server by `byMs`, where it stays until the next jump. */
  async #jump(byMs: number, fault: Strike<FaultKind>["fault"]): Promise<Fault> {
    await this.#scene.arena.single!.jumpClock(byMs);
    return fault({ jumpMs: byMs });
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
        for (const primary of await this.#scene.arena.primaries())
          await primary.command("CLIENT", "PAUSE", forMs, kind === "pause all" ? "ALL" : "WRITE");
        await sleep(forMs);
        if (this.#scene.arena.topology === "single") return fault();
        // A server that is silent for long is replaced.
        await this.#scene.arena.heal();
        return fault({ losesSince: from - REPLICATION_LAG_MS });
      case "kill connections":
        for (const primary of await this.#scene.arena.primaries())
          await primary.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        return fault();
      case "flush scripts":
        for (const primary of await this.#scene.arena.primaries()) await primary.command("SCRIPT", "FLUSH");
        return fault();
      case "flush all":
        for (const primary of await this.#scene.arena.primaries()) await primary.command("FLUSHALL");
        return fault();
    }
  }

  /** Servers that answer every write, or every write that takes memory, with an error. */
  async #refuseWrites({
    kind,
    forMs,
    fault,
  }: Strike<"memory full" | "disk full" | "too few replicas" | "read-only">): Promise<Fault> {
    const { begin, end } = REFUSALS[kind];
    const primaries = await this.#scene.arena.primaries();
    let ended: readonly PromiseSettledResult<unknown>[];
    try {
      for (const primary of primaries) await begin(primary);
      await sleep(forMs);
    } finally {
      // Each on its own: one that is gone leaves no other refusing.
      ended = await Promise.allSettled(primaries.map(end));
    }
    const failed = ended.find((each) => each.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return fault();
  }

  /** Entries, leases and tags that Redis evicts. */
  async #takeMemory({
    kind,
    forMs,
    fault,
  }: Strike<"real eviction" | "evict entries" | "evict leases" | "evict tags" | "evict issuer">): Promise<Fault> {
    const { arena, plan, keys } = this.#scene;
    switch (kind) {
      case "real eviction":
        for (const primary of await arena.primaries())
          await primary.command("CONFIG", "SET", "maxmemory-policy", "allkeys-random", "maxmemory", "1");
        await sleep(forMs);
        for (const primary of await arena.primaries())
          await primary.command("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction");
        break;
      case "evict entries":
        await this.#repeat(forMs, () => this.#evict(plan.keys.map((key) => keys.entry(key))));
        break;
      case "evict leases":
        await this.#repeat(forMs, () => this.#evict(plan.keys.map((key) => keys.lease(key))));
        break;
      case "evict tags":
        await this.#repeat(forMs, () => this.#evictMatching("*{~*"));
        break;
      case "evict issuer":
        await this.#repeat(forMs, () => this.#evictMatching("*~issuer:*"));
    }
    return fault();
  }

  #proxy(worker: number): FaultProxy {
    const { proxies } = this.#scene.arena;
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

  async #repeat(forMs: number, work: () => Promise<void>): Promise<void> {
    const until = this.#scene.now() + forMs;
    do {
      await work();
      await sleep(5);
    } while (this.#scene.now() < until);
  }

  /**
   * As an eviction does: the key is gone, and its deletion is pushed like others. In a cluster each lies on one node.
   */
  async #evict(names: readonly string[]): Promise<void> {
    for (const primary of await this.#scene.arena.primaries())
      for (const name of names) await primary.command("UNLINK", name).catch(() => undefined);
  }

  async #evictMatching(pattern: string): Promise<void> {
    for (const primary of await this.#scene.arena.primaries()) {
      const names = (await primary.command("KEYS", pattern)) as readonly string[];
      for (const name of names) await primary.command("UNLINK", name).catch(() => undefined);
    }
  }
}
