import { shown } from "../peers/shown.ts";

/** The figures of one run about the toolkit's own client, for the rows R3-31 to R3-36 of {@link judgeRows}. */
export interface ToolkitFigures {
  /** redis-benchmark, 50 connections, a second. Absent where it is not installed. */
  readonly yardstick: readonly {
    readonly bytes: number;
    readonly at: number;
    readonly get: number;
    readonly set: number;
  }[];
  /** GET of 64 B with 50 in flight, a second: as the caller counts, and as INFO does. */
  readonly gets: { readonly byCaller: number; readonly byInfo: number };
  readonly offered: readonly {
    readonly perSecond: number;
    readonly reached: number;
    readonly p99Ms: number;
    /** As Redis counts it. */
    readonly inRedisUs: number;
  }[];
  /** Added by the first connection, and by each further one. */
  readonly memory: { readonly residentMb: number; readonly heapMb: number; readonly furtherKb: number };
  /** GET of 64 B with 500 in flight. Every call was answered, else there is no figure. */
  readonly connections: readonly { readonly count: number; readonly perSecond: number }[];
}

/** One row, judged by a run. */
export interface RowVerdict {
  readonly id: string;
  readonly what: string;
  readonly target: string;
  /** As measured, for people. */
  readonly value: string;
  /** The limit of the same machine. */
  readonly yardstick: string;
  readonly isMet: boolean;
}

const GETS_PER_SECOND = 100_000;
const P99_MS = 1;
/** Part of the offered rate that counts as reached. */
const REACHED = 0.99;
const RESIDENT_MB = 50;
const CONNECTIONS = [10, 50, 100, 500];
const YARDSTICKS = [64, 1_024, 10_240];

export function judgeRows(figures: ToolkitFigures): readonly RowVerdict[] {
  const { yardstick, gets, offered, memory, connections } = figures;
  const bare = yardstick.find(({ bytes, at }) => bytes === 64 && at === 16);
  const benchmark = bare === undefined ? "not measured" : `redis-benchmark, 16 at once: ${shown(bare.get)}/s`;
  const counted = CONNECTIONS.map((count) => connections.find((each) => each.count === count));
  return [
    {
      id: "R3-31",
      what: "GET of 64 B, one connection, 50 in flight",
      target: `at least ${shown(GETS_PER_SECOND)}/s, as the caller and INFO count`,
      value: `${shown(gets.byCaller)}/s, or ${shown(gets.byInfo)}/s as Redis counts`,
      yardstick: benchmark,
      isMet: gets.byCaller >= GETS_PER_SECOND && gets.byInfo >= GETS_PER_SECOND,
    },
    {
      id: "R3-32",
      what: "p99 of GET, from when each was due",
      target: `below ${P99_MS} ms at each rate`,
      value: offered
        .map(
          ({ perSecond, reached, p99Ms }) => `${shown(p99Ms)} ms at ${shown(perSecond)}/s${late(perSecond, reached)}`,
        )
        .join(", "),
      yardstick: `in Redis: ${offered.map(({ inRedisUs }) => `${shown(inRedisUs)} µs`).join(", ")}`,
      isMet:
        offered.length === 3 &&
        offered.every(({ perSecond, reached, p99Ms }) => p99Ms < P99_MS && reached >= perSecond * REACHED),
    },
    {
      id: "R3-33",
      what: "resident memory that a client adds to its process, which itself takes 40 MB and more",
      target: `below ${RESIDENT_MB} MB`,
      value:
        `${shown(memory.residentMb)} MB; ${shown(memory.heapMb)} MB of heap, ` +
        `${shown(memory.furtherKb)} KB for each further connection`,
      yardstick: "node-redis and ioredis in the table of memory",
      isMet: memory.residentMb < RESIDENT_MB,
    },
    {
      id: "R3-34",
      what: "GET of 64 B, 500 in flight, by connections",
      target: "every call is answered",
      value: connections.map(({ count, perSecond }) => `${shown(perSecond)}/s over ${count}`).join(", "),
      yardstick: benchmark,
      isMet: counted.every((each) => each !== undefined && each.perSecond > 0),
    },
    {
      id: "R3-36",
      what: "redis-benchmark of the same machine beside the figures",
      target: "for 64 B, 1 KB and 10 KB, alone and 16 at once",
      value: `${yardstick.length} pairs of GET and SET`,
      yardstick: benchmark,
      isMet: YARDSTICKS.every((bytes) =>
        [1, 16].every((at) =>
          yardstick.some((each) => each.bytes === bytes && each.at === at && each.get > 0 && each.set > 0),
        ),
      ),
    },
  ];
}

const late = (perSecond: number, reached: number): string =>
  reached >= perSecond * REACHED ? "" : ` (${shown(reached)}/s reached)`;
