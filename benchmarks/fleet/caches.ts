import { setTimeout as sleep } from "node:timers/promises";
import { forkScript, startCluster, startOwnRedis, type OwnRedis, type ScriptProcess } from "@hotset/test-servers";
import { spread } from "../measure.ts";
import type { ListenersProcess } from "../processes/listeners-process.ts";
import { processorMs } from "../server-figures.ts";
import { infoOf, Meter } from "./meter.ts";
import { stepOf, type FleetResults, type Step } from "./results.ts";
import { HEARTBEATS_PER_SECOND } from "./sockets.ts";

const SCRIPT = new URL("../processes/listeners-process.ts", import.meta.url);
const PROCESSES = 12;
const NAME = "fleet";
const KEYS = Array.from({ length: 10 }, (_, i) => `k${i}`);
const TAGGED = "entry";
/** Calls that each cache makes with its own keys or tags. */
const CALLS = 10;
/** How long the load after an invalidation takes: all others wait for it. */
const LOAD_MS = 100;
const IDLE_MS = 4_000;

/** Caches with a connection each, in twelve processes: Redis sees as many processes. */
export class Fleet implements AsyncDisposable {
  readonly size: number;
  readonly #processes: readonly ScriptProcess<ListenersProcess>[];

  private constructor(processes: readonly ScriptProcess<ListenersProcess>[], size: number) {
    this.#processes = processes;
    this.size = size;
  }

  /** @param each caches of each process */
  static async open(place: string | readonly string[], each: number): Promise<Fleet> {
    const processes = Array.from({ length: PROCESSES }, () => forkScript<ListenersProcess>(SCRIPT));
    const fleet = new Fleet(processes, each * PROCESSES);
    await fleet.all("open", place, NAME, each);
    return fleet;
  }

  all<K extends keyof ListenersProcess>(
    name: K,
    ...args: Parameters<ListenersProcess[K]>
  ): Promise<readonly Awaited<ReturnType<ListenersProcess[K]>>[]> {
    return Promise.all(this.#processes.map((each) => each.call(name, ...args)));
  }

  get first(): ScriptProcess<ListenersProcess> {
    return this.#processes[0]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((each) => each.kill()));
  }
}

/** The names are those of the plot. */
const STEPS = [
  "heartbeat",
  "push",
  "re-read",
  "hit",
  "miss",
  "set",
  "tag call",
  "load after a tag call",
  "use after a tag call",
] as const;
type Found = Record<(typeof STEPS)[number], number[]>;

/** The costs of caches. */
export async function cacheCosts(
  each: number,
  rounds: number,
): Promise<{ readonly steps: readonly Step[]; readonly connect: FleetResults["connect"] }> {
  await using server = await startOwnRedis();
  const emptyCores = await new Meter(server).rest(IDLE_MS);
  const before = await connectFigures(server);
  await using fleet = await Fleet.open(server.url, each);
  await sleep(1_000);
  const after = await connectFigures(server);
  const { size } = fleet;
  const connect = Object.fromEntries(
    Object.entries(after).map(([name, value]) => [name, (value - before[name as keyof typeof before]) / size]),
  ) as FleetResults["connect"];
  const found = Object.fromEntries(STEPS.map((step) => [step, []])) as unknown as Found;
  await warmUp(fleet);
  for (let round = 0; round < rounds; round += 1) {
    const idleCores = await measureRound(server, fleet, found, round);
    found.heartbeat.push(((idleCores - emptyCores) * 1e6) / HEARTBEATS_PER_SECOND / size);
  }
  const steps = Object.entries(found).map(([step, us]) => stepOf(step, "caches", size, us));
  return { steps, connect };
}

/** Loads what each process loads once: versions, scripts, code. */
async function warmUp(fleet: Fleet): Promise<void> {
  await fleet.first.call("set", KEYS);
  await fleet.all("own", "load", 2);
  await fleet.all("own", "set", 2);
  await fleet.all("read", [TAGGED], ["used"], LOAD_MS);
  await fleet.all("read", KEYS);
}

/** @returns the cores that Redis used before, while nothing was called */
async function measureRound(server: OwnRedis, fleet: Fleet, found: Found, round: number): Promise<number> {
  const { size } = fleet;
  const meter = new Meter(server);
  const idleCores = await meter.rest(IDLE_MS);
  const fresh = KEYS.map((key) => `${key}:${round}`);
  await fleet.first.call("set", fresh);
  found.hit.push((await meter.us(() => readEach(fleet, fresh))) / size / fresh.length);
  const missUs = (await meter.us(() => fleet.all("own", "load", CALLS))) / size / CALLS;
  found.miss.push(missUs);
  const setUs = (await meter.us(() => fleet.all("own", "set", CALLS))) / size / CALLS;
  found.set.push(setUs);
  const pushUs = (await meter.us(() => fleet.first.call("set", KEYS))) / KEYS.length - setUs;
  // The process that writes is none of the holders.
  found.push.push(pushUs / (size - 1));
  found["re-read"].push((await meter.us(() => readEach(fleet, KEYS))) / size / KEYS.length);
  // All that have loaded get a message about the first call, and none about later ones.
  await fleet.first.call("invalidate", ["unused"]);
  const tagCallUs = (await meter.us(() => fleet.all("own", "tag", CALLS))) / size / CALLS;
  found["tag call"].push(tagCallUs);
  const againUs = await meter.us(async () => {
    for (let i = 0; i < CALLS; i += 1) {
      await fleet.first.call("invalidate", ["unused"]);
      await fleet.all("own", "load", 1);
    }
  });
  found["load after a tag call"].push((againUs / CALLS - tagCallUs) / size - missUs);
  found["use after a tag call"].push(((await meter.us(() => usedAfterCall(fleet))) - tagCallUs) / size);
  return idleCores;
}

/** One key after another: each cache has one read in flight. */
async function readEach(fleet: Fleet, keys: readonly string[]): Promise<void> {
  for (const key of keys) await fleet.all("read", [key]);
}

async function usedAfterCall(fleet: Fleet): Promise<void> {
  await fleet.first.call("invalidate", ["used"]);
  await sleep(100);
  await fleet.all("read", [TAGGED], ["used"], LOAD_MS);
}

async function connectFigures(server: OwnRedis): Promise<FleetResults["connect"]> {
  return {
    us: (await processorMs(server)) * 1_000,
    bytesIn: await infoOf(server, "stats", "total_net_input_bytes"),
    bytesOut: await infoOf(server, "stats", "total_net_output_bytes"),
    commands: await infoOf(server, "stats", "total_commands_processed"),
    memoryBytes: await infoOf(server, "memory", "used_memory"),
  };
}

/** The part of a use after a tag call that the node with the versions has, where the entry is on another: 0 to 1. */
export async function shareOfVersions(each: number, rounds: number): Promise<number> {
  await using cluster = await startCluster({ masters: 3, replicas: 0 });
  await using fleet = await Fleet.open(cluster.urls, each);
  await warmUp(fleet);
  const keys = await Promise.all(cluster.nodes.map((node) => node.command("KEYS", "*used")));
  const atVersions = cluster.nodes.indexOf(await cluster.ownerOf(String(keys.flat()[0])));
  if (cluster.nodes[atVersions] === (await cluster.ownerOf(`hotset:${NAME}::${TAGGED}`)))
    throw new Error(`the versions and ${TAGGED} are on one node: use another key`);
  const meter = new Meter(...cluster.nodes);
  await meter.rest(IDLE_MS);
  const shares: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const us = await meter.usOfEach(() => usedAfterCall(fleet));
    shares.push(us[atVersions]! / us.reduce((sum, one) => sum + one));
  }
  return spread(shares).median;
}

/** Bytes of an entry without its value, and of each byte of the value: from two sizes. */
export async function entryBytes(): Promise<Readonly<Record<"entryBytes" | "valueByteBytes", number>>> {
  await using server = await startOwnRedis();
  await using fleet = await Fleet.open(server.url, 1);
  const bytesOf = async (valueBytes: number): Promise<number> => {
    const before = await infoOf(server, "memory", "used_memory");
    await fleet.all("own", "set", ENTRIES, valueBytes);
    return ((await infoOf(server, "memory", "used_memory")) - before) / fleet.size / ENTRIES;
  };
  await bytesOf(SIZES.small);
  const [small, large] = [await bytesOf(SIZES.small), await bytesOf(SIZES.large)];
  const valueByteBytes = (large - small) / (SIZES.large - SIZES.small);
  return { entryBytes: small - SIZES.small * valueByteBytes, valueByteBytes };
}

/** For each cache. */
const ENTRIES = 1_000;
const SIZES = { small: 200, large: 2_000 };
