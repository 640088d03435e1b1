import { execFileSync } from "node:child_process";
import { forkScript, type OwnRedis, type ScriptProcess } from "@hotset/test-servers";
import { spread } from "../measure.ts";
import { shown } from "../peers/shown.ts";
import { CLIENTS } from "./clients.ts";
import type { Table } from "./table.ts";
import type { ClientWorker, Operation } from "./worker.ts";

export interface Plan {
  readonly rounds: number;
  /** The time of one measurement. */
  readonly ms: number;
  readonly isShort: boolean;
}

const WORKER = new URL("worker.ts", import.meta.url);
const SIZES = [
  ["64 B", 64],
  ["1 KB", 1_024],
  ["10 KB", 10_240],
] as const;
const OPERATIONS: readonly Operation[] = ["GET", "SET", "90:10"];
const KINDS = Object.keys(CLIENTS);

/** redis-benchmark of the same machine: what the server gives to a client that does nothing else. */
export async function yardstick(server: OwnRedis, { isShort }: Plan): Promise<readonly Table[]> {
  const requests = isShort ? 1_000 : 200_000;
  const run = (bytes: number, pipeline: number): readonly string[] => {
    const args = ["-p", `${server.port}`, "-t", "set,get", "-c", "50", "-d", `${bytes}`, "-n", `${requests}`];
    const printed = execFileSync("redis-benchmark", [...args, "-P", `${pipeline}`, "-r", "2000", "--csv"], {
      encoding: "utf8",
    });
    const rate = (test: string): string => {
      const fields =
        printed
          .split("\n")
          .find((line) => line.startsWith(`"${test}`))
          ?.split(",") ?? [];
      return `${shown(Number(fields[1]?.replaceAll('"', "")))}/s`;
    };
    return [rate("GET"), rate("SET")];
  };
  let rows: readonly (readonly string[])[];
  try {
    rows = SIZES.flatMap(([size, bytes]) => [
      [`${size}, 50 connections`, ...run(bytes, 1)],
      [`${size}, 50 connections, 16 commands at once`, ...run(bytes, 16)],
    ]);
  } catch (error) {
    rows = [[`not measured: ${error instanceof Error ? error.message.split("\n")[0]! : String(error)}`, "", ""]];
  }
  return [
    { name: "toolkit: redis-benchmark", what: "the yardstick of this machine", columns: ["", "GET", "SET"], rows },
  ];
}

/** Rates with 50 in flight; GET of 64 B with 500, too. Counted by the caller and by Redis. */
export async function throughput(server: OwnRedis, plan: Plan): Promise<readonly Table[]> {
  const cases = [
    ...SIZES.flatMap(([size, bytes]) => OPERATIONS.map((name) => [name, size, bytes, 50] as const)),
    ["GET", "64 B", 64, 500] as const,
  ];
  const rows: (readonly string[])[] = [];
  for (const [operation, size, bytes, limit] of isIn(plan, cases)) {
    await withClients(server, 1, async (workers) => {
      for (const [, worker] of workers) await worker.call("throughput", "SET", bytes, 50, plan.ms);
      const rates = await rounds(plan, workers, async (worker) => {
        const before = await commandsOf(server);
        const startedAt = performance.now();
        const rate = await worker.call("throughput", operation, bytes, limit, plan.ms);
        const byInfo = ((await commandsOf(server)) - before) / ((performance.now() - startedAt) / 1_000);
        return [rate, byInfo];
      });
      for (const [kind, taken] of rates)
        rows.push([
          kind,
          `${operation}, ${size}, ${limit} in flight`,
          range(taken.map(([rate]) => rate!)),
          range(taken.map(([, byInfo]) => byInfo!)),
        ]);
    });
  }
  return [
    {
      name: "toolkit: throughput",
      what: "one connection; calls a second as the caller counts, and commands a second as INFO does",
      columns: ["", "operation", "calls a second", "by INFO"],
      rows,
    },
  ];
}

/** p99 of GET at fixed rates, beside the server's own. */
export async function offered(server: OwnRedis, plan: Plan): Promise<readonly Table[]> {
  const rows: (readonly string[])[] = [];
  await withClients(server, 1, async (workers) => {
    for (const [, worker] of workers) await worker.call("throughput", "SET", 64, 50, plan.ms);
    for (const perSecond of isIn(plan, [20_000, 50_000, 100_000])) {
      const taken = await rounds(plan, workers, async (worker) => {
        await server.command("CONFIG", "RESETSTAT");
        const { p99Ms, perSecond: reached } = await worker.call("offered", perSecond, plan.ms * 2);
        const latencies = (await server.info("latencystats"))["latency_percentiles_usec_get"] ?? "";
        return [p99Ms, reached, Number(/p99=([\d.]+)/.exec(latencies)?.[1] ?? NaN)];
      });
      for (const [kind, figures] of taken)
        rows.push([
          kind,
          `${shown(perSecond)}/s`,
          `${shown(spread(figures.map(([, reached]) => reached!)).median)}/s`,
          `${range(figures.map(([p99]) => p99!))} ms`,
          `${shown(spread(figures.map(([, , server99]) => server99!)).median)} µs`,
        ]);
    }
  });
  return [
    {
      name: "toolkit: p99 at an offered load",
      what:
        "GET of 64 B, from the moment at which each was due; a rate that is not reached queues, and its p99 is the " +
        "queue's",
      columns: ["", "offered", "reached", "p99", "p99 of GET in Redis"],
      rows,
    },
  ];
}

/** Memory above a bare process, and of a further connection. */
export async function memory(server: OwnRedis, plan: Plan): Promise<readonly Table[]> {
  const more = plan.isShort ? 5 : 100;
  const rows: (readonly string[])[] = [];
  for (const kind of KINDS.filter((name) => !name.includes(","))) {
    const taken: [number, number, number][] = [];
    for (let round = 0; round < Math.min(plan.rounds, 3); round += 1) {
      await using worker = forkScript<ClientWorker>(WORKER, { execArgv: ["--no-warnings", "--expose-gc"] });
      // Every client has been imported, so only what is opened counts.
      const bare = await worker.call("memory");
      await worker.call("open", kind, { url: server.url }, 1);
      const one = await worker.call("memory");
      await worker.call("open", kind, { url: server.url }, more);
      const many = await worker.call("memory");
      taken.push([one.rssMb - bare.rssMb, one.heapMb - bare.heapMb, ((many.rssMb - one.rssMb) / more) * 1_000]);
    }
    const column = (i: 0 | 1 | 2): readonly number[] => taken.map((figures) => figures[i]);
    rows.push([kind, `${range(column(0))} MB`, `${range(column(1))} MB`, `${range(column(2))} KB`]);
  }
  return [
    {
      name: "toolkit: memory",
      what: "added to a process that has imported all clients, and by each of 100 further connections",
      columns: ["", "resident, first connection", "heap, first connection", "resident, each further one"],
      rows,
    },
  ];
}

/** 500 calls in flight over 1 to 500 connections, each a client of its own. */
export async function connections(server: OwnRedis, plan: Plan): Promise<readonly Table[]> {
  const rows: (readonly string[])[] = [];
  for (const count of isIn(plan, [1, 10, 50, 100, 500]))
    await withClients(
      server,
      count,
      async (workers) => {
        const taken = await rounds(plan, workers, async (worker) => [
          await worker.call("throughput", "GET", 64, 500, plan.ms),
        ]);
        for (const [kind, figures] of taken) rows.push([kind, shown(count), range(figures.map(([rate]) => rate!))]);
      },
      KINDS.filter((name) => !name.includes(",")),
    );
  return [
    {
      name: "toolkit: connections",
      what: "GET of 64 B, 500 in flight; more connections are for commands that block or watch, not for speed",
      columns: ["", "connections", "calls a second"],
      rows,
    },
  ];
}

type Opened = readonly (readonly [kind: string, worker: ScriptProcess<ClientWorker>])[];

async function withClients(
  server: OwnRedis,
  count: number,
  act: (workers: Opened) => Promise<void>,
  kinds: readonly string[] = KINDS,
): Promise<void> {
  const workers = kinds.map(
    (kind) => [kind, forkScript<ClientWorker>(WORKER, { execArgv: ["--no-warnings"], callTimeoutMs: 60_000 })] as const,
  );
  try {
    for (const [kind, worker] of workers) await worker.call("open", kind, { url: server.url }, count);
    await act(workers);
  } finally {
    await Promise.all(workers.map(([, worker]) => worker.kill()));
  }
}

/** Interleaved: A B C, A B C. */
async function rounds(
  plan: Plan,
  workers: Opened,
  one: (worker: ScriptProcess<ClientWorker>) => Promise<readonly number[]>,
): Promise<ReadonlyMap<string, readonly (readonly number[])[]>> {
  const taken = new Map<string, (readonly number[])[]>(workers.map(([kind]) => [kind, []]));
  for (let round = 0; round < plan.rounds; round += 1)
    for (const [kind, worker] of workers) taken.get(kind)!.push(await one(worker));
  return taken;
}

async function commandsOf(server: OwnRedis): Promise<number> {
  return Number((await server.info("stats"))["total_commands_processed"]);
}

function range(values: readonly number[]): string {
  const { median, least, most } = spread(values);
  return least === most ? shown(median) : `${shown(median)} (${shown(least)} to ${shown(most)})`;
}

/** The first alone where the code is only tried. */
function isIn<T>({ isShort }: Plan, all: readonly T[]): readonly T[] {
  return isShort ? all.slice(0, 1) : all;
}
