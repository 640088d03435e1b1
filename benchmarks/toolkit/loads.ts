import { execFileSync } from "node:child_process";
import { forkScript, type OwnRedis, type ScriptProcess } from "@hotset/test-servers";
import { spread } from "../measure.ts";
import { shown } from "../peers/shown.ts";
import { CLIENTS } from "./clients.ts";
import type { Table } from "./table.ts";
import type { ToolkitFigures } from "./verdicts.ts";
import type { ClientWorker, Operation } from "./worker.ts";

export interface Plan {
  readonly rounds: number;
  /** The time of one measurement. */
  readonly ms: number;
  readonly isShort: boolean;
}

/** Tables for people, and the toolkit's own figures of them. */
export interface Measured {
  readonly tables: readonly Table[];
  readonly figures: Partial<ToolkitFigures>;
}

const WORKER = new URL("worker.ts", import.meta.url);
const SIZES = [
  ["64 B", 64],
  ["1 KB", 1_024],
  ["10 KB", 10_240],
] as const;
const OPERATIONS: readonly Operation[] = ["GET", "SET", "90:10"];
const KINDS = Object.keys(CLIENTS);
/** The one whose figures decide rows. */
const OURS = "hotset toolkit";

/** redis-benchmark of the same machine: what the server gives to a client that does nothing else. */
export function yardstick(server: OwnRedis, { isShort }: Plan): Measured {
  const requests = isShort ? 1_000 : 200_000;
  const run = (bytes: number, at: number): ToolkitFigures["yardstick"][0] => {
    const args = ["-p", `${server.port}`, "-t", "set,get", "-c", "50", "-d", `${bytes}`, "-n", `${requests}`];
    const printed = execFileSync("redis-benchmark", [...args, "-P", `${at}`, "-r", "2000", "--csv"], {
      encoding: "utf8",
    });
    const rate = (test: string): number => Number(new RegExp(`^"${test}[^"]*","([\\d.]+)"`, "m").exec(printed)?.[1]);
    return { bytes, at, get: rate("GET"), set: rate("SET") };
  };
  let figures: ToolkitFigures["yardstick"] = [];
  let rows: readonly (readonly string[])[];
  try {
    figures = SIZES.flatMap(([, bytes]) => [run(bytes, 1), run(bytes, 16)]);
    rows = figures.map(({ bytes, at, get, set }) => {
      const together = at === 1 ? "" : `, ${at} commands at once`;
      return [`${sizeOf(bytes)}, 50 connections${together}`, `${shown(get)}/s`, `${shown(set)}/s`];
    });
  } catch (error) {
    rows = [[`not measured: ${error instanceof Error ? error.message.split("\n")[0]! : String(error)}`, "", ""]];
  }
  return {
    tables: [
      { name: "toolkit: redis-benchmark", what: "the yardstick of this machine", columns: ["", "GET", "SET"], rows },
    ],
    figures: { yardstick: figures },
  };
}

const sizeOf = (bytes: number): string => SIZES.find(([, each]) => each === bytes)![0];

/** Rates with 50 in flight; GET of 64 B with 500, too. Counted by the caller and by Redis. */
export async function throughput(server: OwnRedis, plan: Plan): Promise<Measured> {
  const cases = [
    ...SIZES.flatMap(([size, bytes]) => OPERATIONS.map((name) => [name, size, bytes, 50] as const)),
    ["GET", "64 B", 64, 500] as const,
  ];
  const rows: (readonly string[])[] = [];
  let gets = { byCaller: NaN, byInfo: NaN };
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
      for (const [kind, taken] of rates) {
        const [byCaller, byInfo] = [taken.map(([rate]) => rate!), taken.map(([, rate]) => rate!)];
        rows.push([kind, `${operation}, ${size}, ${limit} in flight`, range(byCaller), range(byInfo)]);
        if (kind === OURS && operation === "GET" && bytes === 64 && limit === 50)
          gets = { byCaller: spread(byCaller).median, byInfo: spread(byInfo).median };
      }
    });
  }
  const table = {
    name: "toolkit: throughput",
    what: "one connection; calls a second as the caller counts, and commands a second as INFO does",
    columns: ["", "operation", "calls a second", "by INFO"],
    rows,
  };
  return { tables: [table], figures: { gets } };
}

/**
 * p99 of GET at fixed rates, beside the server's own. One client at a time: the timers that another one has left, one
 * for each command, would count as latency here.
 */
export async function offered(server: OwnRedis, plan: Plan): Promise<Measured> {
  const rates = isIn(plan, [20_000, 50_000, 100_000]).map((perSecond) => ({
    perSecond,
    rows: [] as (readonly string[])[],
  }));
  const ours: ToolkitFigures["offered"][0][] = [];
  const measured = async (worker: ScriptProcess<ClientWorker>, perSecond: number): Promise<readonly number[]> => {
    await server.command("CONFIG", "RESETSTAT");
    const { p99Ms, perSecond: reached } = await worker.call("offered", perSecond, plan.ms * 2);
    const latencies = (await server.info("latencystats"))["latency_percentiles_usec_get"] ?? "";
    return [p99Ms, reached, Number(/p99=([\d.]+)/.exec(latencies)?.[1] ?? NaN)];
  };
  for (const only of KINDS)
    await withClients(
      server,
      1,
      async (workers) => {
        const [[kind, worker]] = workers as [Opened[0]];
        await worker.call("throughput", "SET", 64, 50, plan.ms);
        await worker.call("throughput", "GET", 64, 50, plan.ms);
        for (const { perSecond, rows } of rates) {
          const taken = (await rounds(plan, workers, (each) => measured(each, perSecond))).get(kind)!;
          const p99s = taken.map(([p99Ms]) => p99Ms!);
          const reached = spread(taken.map(([, each]) => each!)).median;
          const inRedisUs = spread(taken.map(([, , each]) => each!)).median;
          rows.push([
            kind,
            `${shown(perSecond)}/s`,
            `${shown(reached)}/s`,
            `${range(p99s)} ms`,
            `${shown(inRedisUs)} µs`,
          ]);
          if (kind === OURS) ours.push({ perSecond, reached, p99Ms: spread(p99s).median, inRedisUs });
        }
      },
      [only],
    );
  const table = {
    name: "toolkit: p99 at an offered load",
    what:
      "GET of 64 B, from the moment at which each was due; a rate that is not reached queues, and its p99 is the " +
      "queue's",
    columns: ["", "offered", "reached", "p99", "p99 of GET in Redis"],
    rows: rates.flatMap(({ rows }) => rows),
  };
  return { tables: [table], figures: { offered: ours } };
}

/** Memory above a bare process, and of a further connection. */
export async function memory(server: OwnRedis, plan: Plan): Promise<Measured> {
  const more = plan.isShort ? 5 : 100;
  const rows: (readonly string[])[] = [];
  let ours = { residentMb: NaN, heapMb: NaN, furtherKb: NaN };
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
    const [residentMb, heapMb, furtherKb] = ([0, 1, 2] as const).map((i) => spread(column(i)).median);
    if (kind === OURS) ours = { residentMb: residentMb!, heapMb: heapMb!, furtherKb: furtherKb! };
  }
  const table = {
    name: "toolkit: memory",
    what: "added to a process that has imported all clients, and by each of 100 further connections",
    columns: ["", "resident, first connection", "heap, first connection", "resident, each further one"],
    rows,
  };
  return { tables: [table], figures: { memory: ours } };
}

/** 500 calls in flight over 1 to 500 connections, each a client of its own. */
export async function connections(server: OwnRedis, plan: Plan): Promise<Measured> {
  const rows: (readonly string[])[] = [];
  const ours: ToolkitFigures["connections"][0][] = [];
  for (const count of isIn(plan, [1, 10, 50, 100, 500]))
    await withClients(
      server,
      count,
      async (workers) => {
        const taken = await rounds(plan, workers, async (worker) => [
          await worker.call("throughput", "GET", 64, 500, plan.ms),
        ]);
        for (const [kind, figures] of taken) {
          const rates = figures.map(([rate]) => rate!);
          rows.push([kind, shown(count), range(rates)]);
          if (kind === OURS) ours.push({ count, perSecond: spread(rates).median });
        }
      },
      KINDS.filter((name) => !name.includes(",")),
    );
  const table = {
    name: "toolkit: connections",
    what: "GET of 64 B, 500 in flight; more connections are for commands that block or watch, not for speed",
    columns: ["", "connections", "calls a second"],
    rows,
  };
  return { tables: [table], figures: { connections: ours } };
}

type Opened = readonly (readonly [kind: string, worker: ScriptProcess<ClientWorker>])[];

async function withClients(
  server: OwnRedis,
  count: number,
  act: (workers: Opened) => Promise<void>,
  kinds: readonly string[] = KINDS,
): Promise<void> {
  const workers = kinds.map(
    (kind) => [kind, forkScript<ClientWorker>(WORKER, { execArgv: ["--no-warnings"] })] as const,
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
