import { forkScript, type OwnRedis } from "@hotset/test-servers";
import type { Product, Shape } from "../contenders/contender.ts";
import { faultScenarios } from "./faults.ts";
import { imports, installs } from "./packages.ts";
import type { Conditions, Scenario } from "./scenario.ts";
import { warmUp } from "./warm-up.ts";
import type { Worker } from "./worker.ts";
import type { Metrics, WorkloadCall } from "./workloads.ts";

const WORKER = new URL("worker.ts", import.meta.url);
const SIZES = [
  ["200 B", 200],
  ["2 KB", 2_000],
  ["50 KB", 50_000],
] as const;
const NS = { metric: "ns", unit: " ns", better: "less" } as const;
const RATE = { metric: "perSecond", unit: "/s", better: "more" } as const;

type Call = Partial<WorkloadCall> & Pick<WorkloadCall, "workload">;

/** Everything that is compared, in the order of the tables. */
export const SCENARIOS: readonly Scenario[] = [
  timed("memory hit, small", "await getOrSet, one after the other", NS, ["memory"], { workload: "memoryHit" }),
  timed("memory hit, 2 KB", "the same with a value of 2 KB", NS, ["memory"], { workload: "memoryHit", bytes: 2_000 }),
  timed("memory hit over Redis", "memory in front of Redis, coherent where the cache can", NS, ["both"], {
    workload: "memoryHit",
  }),
  {
    ...timed("peek", "a hit without a promise", NS, ["memory"], { workload: "peek" }),
    takesPart: ({ name, kind, shapes }) => shapes.includes("memory") && (kind !== "peer" || name === "layered-loader"),
  },
  ...SIZES.flatMap(([size, bytes]) =>
    // Small values show the cost of a single call.
    (bytes === 200 ? [1, 64] : [64]).map((limit) =>
      timed(`backend hit, ${size}, ${limit} in flight`, "getOrSet answered by Redis", RATE, ["redis"], {
        ...{ workload: "backendHit", bytes, limit, keys: bytes > 10_000 ? 200 : 1_000 },
      }),
    ),
  ),
  {
    ...timed("compressed backend hit, 2 KB, 64 in flight", "values are compressed with zstd", RATE, ["redis"], {
      ...{ workload: "backendHit", bytes: 2_000, limit: 64, keys: 1_000, isCompressed: true },
    }),
    takesPart: ({ can, shapes }: Product) => can.includes("compression") && shapes.includes("redis"),
  },
  timed("miss with store, 64 in flight", "getOrSet of a new key; the source answers immediately", RATE, ["redis"], {
    ...{ workload: "miss", bytes: 200, limit: 64 },
  }),
  firstSecond(),
  timed("batch of 100", "a hundred hits in Redis, 200 B each", NS, ["redis"], { workload: "batch", bytes: 200 }),
  timed(
    "mix at 2,000/s",
    "Zipf over 5,000 keys, room for 1,000 in memory, one write in twenty; from the due moment of each call",
    { metric: "p99Ms", unit: " ms", better: "less" },
    ["both"],
    { workload: "mix", bytes: 200, perSecond: 2_000, keys: 5_000, maxItems: 1_000, loadMs: 2 },
  ),
  stampede(1),
  stampede(2),
  {
    ...timed(
      "refresh at expiry",
      "calls that waited for a load of 50 ms around the end of a life, and after a pause longer than it",
      { metric: "waitedAfterPause", unit: " of 100", better: "less" },
      ["both", "redis"],
      { workload: "refresh", ttlMs: 1_000, staleMs: 4_000, loadMs: 50, keys: 1 },
    ),
    isParallel: true,
    rounds: 1,
  },
  ...(["memory", "redis"] as const).map((shape) => ({
    ...timed(
      `tags on 100,000 entries, ${shape}`,
      "one tag on all of them: a hit of a tagged entry, and its invalidation",
      { metric: "invalidateMs", unit: " ms", better: "less" },
      [shape],
      {
        ...{ workload: "tags", keys: 100_000, maxItems: 200_000, isTagged: true },
        limit: shape === "memory" ? 1 : 64,
      },
    ),
    takesPart: ({ can, shapes }: Product) => can.includes("tags") && shapes.includes(shape),
    isAlone: true,
    rounds: 1,
  })),
  footprint(100_000),
  footprintInRedis(100_000),
  imports,
  installs,
  ...faultScenarios,
];

/** A workload in a process for each contender, with the processor time of Redis. */
function timed(name: string, what: string, shows: Scenario["shows"], shapes: readonly Shape[], call: Call): Scenario {
  const opening = (product: Product, { server, scale }: Conditions): WorkloadCall => ({
    ...call,
    ...(call.keys !== undefined && { keys: Math.max(100, Math.round(call.keys * scale)) }),
    ...at(
      product,
      name,
      shapes.find((each) => product.shapes.includes(each))!,
      server.url,
    ),
  });
  return {
    name,
    what,
    shows,
    takesPart: (product) => shapes.some((shape) => product.shapes.includes(shape)),
    async open(product, conditions) {
      const { server, roundMs } = conditions;
      const opened = opening(product, conditions);
      const worker = await started(opened);
      // Long enough for a percentile of few calls a second.
      const ms = call.workload === "mix" ? 3 * roundMs : roundMs;
      const round = (): Promise<Metrics> => worker.call("round", ms);
      const isWarm = call.workload !== "tags" && call.workload !== "refresh";
      if (isWarm) await warmUp(round);
      return {
        async round() {
          // The other contenders had the processor meanwhile.
          if (isWarm) await round();
          return opened.shape === "memory" ? round() : withRedisTime(server, round);
        },
        close: () => worker.kill(),
      };
    },
    ...(hasGarbage(call) && { counts: (product, conditions) => garbageOf(opening(product, conditions)) }),
  };
}

/** Misses in processes that have just begun, a new one for each round: most of their time compiles code. */
function firstSecond(): Scenario {
  const name = "first second of a process, misses with store";
  return {
    name,
    what: "getOrSet of new keys, 64 in flight, in a process that has done nothing before",
    shows: RATE,
    takesPart: ({ shapes }) => shapes.includes("redis"),
    rounds: 3,
    async open(product, { server, roundMs }) {
      const call = { workload: "miss", bytes: 200, limit: 64, ...at(product, name, "redis", server.url) } as const;
      return {
        async round() {
          const worker = await started(call);
          const metrics = await withRedisTime(server, () => worker.call("round", Math.min(1_000, 10 * roundMs)));
          await worker.kill();
          return metrics;
        },
        close: async () => {},
      };
    },
  };
}

/** Other numbers in flight leave the same behind. */
function hasGarbage({ workload, limit = 64 }: Call): boolean {
  return ["memoryHit", "backendHit", "miss", "batch"].includes(workload) && limit === 64;
}

/** In a process whose young generation holds all that the operations allocate. */
async function garbageOf(call: WorkloadCall): Promise<Metrics> {
  const worker = await started({ ...call, prefix: `${call.prefix}-garbage` }, [
    "--expose-gc",
    "--min-semi-space-size=256",
    "--max-semi-space-size=512",
  ]);
  const { bytes, promises } = await worker.call("garbage");
  await worker.kill();
  return { bytes, promises };
}

/** Adds what each operation costs Redis: processor time of its main thread, and commands, also those of scripts. */
async function withRedisTime(server: OwnRedis, round: () => Promise<Metrics>): Promise<Metrics> {
  const before = [await redisCpuUs(server), await commandsOf(server)] as const;
  const metrics = await round();
  const [spent, commands] = [(await redisCpuUs(server)) - before[0], (await commandsOf(server)) - before[1]];
  const { operations = 0 } = metrics;
  if (operations === 0) return metrics;
  return { ...metrics, redisUs: spent / operations, commands: Math.round((commands / operations) * 10) / 10 };
}

async function commandsOf(server: OwnRedis): Promise<number> {
  const counts = Object.entries(await server.info("commandstats")).filter(([name]) => name !== "cmdstat_info");
  return counts.reduce((sum, [, text]) => sum + Number(/calls=(\d+)/.exec(text)![1]), 0);
}

async function redisCpuUs(server: OwnRedis): Promise<number> {
  const cpu = await server.info("cpu");
  return (Number(cpu["used_cpu_user_main_thread"]) + Number(cpu["used_cpu_sys_main_thread"])) * 1e6;
}

/** Callers of one cold key, in one process or in two, while the load takes 50 ms. */
function stampede(processes: 1 | 2): Scenario {
  const callers = 1_000 / processes;
  const name = processes === 1 ? "stampede, one process" : "stampede, two processes";
  return {
    name,
    what: `${callers.toLocaleString("en")} callers of one key${processes === 1 ? "" : " in each"}, a load of 50 ms`,
    shows: { metric: "loads", unit: "", better: "less" },
    takesPart: ({ kind, shapes }) => kind !== "limit" && (shapes.includes("both") || shapes.includes("redis")),
    rounds: 3,
    async open(product, { server }) {
      const shape = product.shapes.includes("both") ? "both" : "redis";
      const call = { workload: "crowd", limit: callers, loadMs: 50, ...at(product, name, shape, server.url) } as const;
      const workers = await Promise.all(Array.from({ length: processes }, () => started(call)));
      return {
        async round() {
          const taken = await Promise.all(workers.map((worker) => worker.call("round", 0)));
          return {
            loads: taken.reduce((sum, { loads = 0 }) => sum + loads, 0),
            longestMs: Math.max(...taken.map(({ longestMs = 0 }) => longestMs)),
          };
        },
        close: () => Promise.all(workers.map((worker) => worker.kill())),
      };
    },
  };
}

/** Small entries in the memory of a process. */
function footprint(entries: number): Scenario {
  const count = entries.toLocaleString("en");
  return {
    name: `memory of an entry, ${count}`,
    what: "bytes of the heap for each entry: key, value of three fields, and what the cache keeps with them",
    shows: { metric: "bytesEach", unit: " bytes", better: "less" },
    takesPart: ({ name, shapes }) => shapes.includes("memory") && name !== "hotset, namespace",
    async counts(product, { scale }) {
      const keys = Math.max(1_000, Math.round(entries * scale));
      const worker = await started(
        {
          ...at(product, "footprint", "memory", "redis://127.0.0.1:1"),
          workload: "footprint",
          keys,
          maxItems: keys + 1,
        },
        ["--expose-gc"],
      );
      const metrics = await worker.call("round", 0);
      await worker.kill();
      return metrics;
    },
  };
}

/** Entries of 200 bytes in Redis. */
function footprintInRedis(entries: number): Scenario {
  const name = `Redis' memory of an entry, ${entries.toLocaleString("en")}`;
  return {
    name,
    what: "bytes of used_memory for each entry with a value of 200 bytes, written as each cache writes it",
    shows: { metric: "bytesEach", unit: " bytes", better: "less" },
    takesPart: ({ shapes, name: product }) => shapes.includes("redis") && product !== "ioredis GET",
    async counts(product, { server, scale }) {
      const keys = Math.max(1_000, Math.round(entries * scale));
      const worker = await started(
        { ...at(product, "in redis", "redis", server.url), workload: "footprint", keys, bytes: 200, limit: 64 },
        ["--expose-gc"],
      );
      const before = await usedMemory(server);
      await worker.call("round", 0);
      const bytesEach = ((await usedMemory(server)) - before) / keys;
      await worker.kill();
      await server.command("FLUSHALL");
      return { bytesEach };
    },
  };
}

async function usedMemory(server: OwnRedis): Promise<number> {
  return Number((await server.info("memory"))["used_memory"]);
}

async function started(call: WorkloadCall, execArgv: readonly string[] = []) {
  const worker = forkScript<Worker>(WORKER, {
    execArgv: ["--no-warnings", ...execArgv],
    // Services run so: elsewhere hotset checks and freezes more.
    env: { NODE_ENV: "production" },
    callTimeoutMs: 180_000,
  });
  try {
    await worker.call("open", call);
    return worker;
  } catch (error) {
    await worker.kill();
    throw error;
  }
}

/** Letters and digits only: some contenders divide keys at other signs. */
function at({ name }: Product, scenario: string, shape: Shape, url: string) {
  return { product: name, shape, url, prefix: `${name} ${scenario}`.replaceAll(/[^a-z0-9]/gi, "") };
}
