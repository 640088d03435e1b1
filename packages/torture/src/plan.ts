import { Random } from "@hotset/test-servers";
import { faultsFor } from "./plan-faults.ts";
import { missedChanges, operationsOf, type Shape } from "./plan-operations.ts";
import {
  type Plan,
  type Topology,
  drawnOn,
  type FaultPlan,
  type Focus,
  type Settings,
  type WorkerPlan,
  type KeyPlan,
  type Operation,
} from "./plan-parts.ts";

const KEYS: readonly Omit<KeyPlan, "changedEveryMs" | "readBy">[] = [
  { id: "a", space: [], tags: [], lateTags: [], isForeign: false },
  { id: "b", space: [], tags: ["t"], lateTags: [], isForeign: false },
  { id: "c", space: ["users"], tags: ["t", "u"], lateTags: ["u"], isForeign: false },
  { id: "d", space: ["users", "deep"], tags: ["v"], lateTags: ["v"], isForeign: false },
  { id: "e", space: ["users"], tags: [], lateTags: [], isForeign: false },
  { id: "p", space: ["programs"], tags: [], lateTags: [], isForeign: true },
  { id: "n", space: ["users"], tags: ["u"], lateTags: [], isForeign: false, isPersonal: true },
];

export interface PlanOptions {
  readonly topology: Topology;
  /** @default chosen by the seed */
  readonly focus?: Focus;
  /** Without faults. @default 6_000; longer where faults last for seconds, and with many processes */
  readonly durationMs?: number;
  /** @default 3 */
  readonly processes?: number;
}

/** A to Z, AA to AZ and so on: the next process of a worker has a number too. */
const nameOf = (worker: number): string =>
  (worker < LETTERS.length ? "" : nameOf(Math.floor(worker / LETTERS.length) - 1)) + LETTERS[worker % LETTERS.length]!;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** Draws a plan. Each part draws from its own sequence. */
export function planOf(
  seed: number,
  { topology, focus: given, durationMs: givenMs, processes = 3 }: PlanOptions,
): Plan {
  const random = new Random(seed * 2_654_435_761);
  const focuses = drawnOn(topology);
  const focus = given ?? focuses[seed % focuses.length]!;
  const durationMs = givenMs ?? Math.max(LASTS_MS[focus] ?? 6_000, 600 * processes);
  const tailMs = Math.max(800, 60 * processes);
  const settings = { ...settingsOf(random, focus), longestBackoff: Math.max(200, 20 * processes) };
  const isQuiet = QUIET.has(focus);
  const fleet = random.one(["tracking", "tracking", "tracking", "tracking", "pubsub", "pubsub"] as const);
  const keys = KEYS.map((key): KeyPlan => ({
    ...key,
    changedEveryMs: key.isForeign
      ? 1_500
      : random.one(focus === "clocks" || isQuiet ? [1_500, 3_000, 6_000] : [60, 400, 1_500, 3_000]),
    ...(random.oneIn(4) && key.id !== "a" && { readBy: random.below(processes) }),
  }));
  const faults = faultsFor(random.fork(2), { topology, focus, durationMs, workers: processes, settings });
  // A client never gives up a connection that swallows replies, and the library does not own it.
  const mayBring = topology === "single" && !faults.some(({ kind }) => kind.startsWith("swallow"));
  const clients = random.fork(4);
  const workers = Array.from({ length: processes }, (_, i): WorkerPlan => ({
    name: nameOf(i),
    coherence: fleet,
    // Only the channel can be received over RESP2.
    protocol: fleet === "pubsub" && i % 3 === 1 ? 2 : 3,
    ...(mayBring && clients.oneIn(4) && { hasClient: true }),
  }));
  const hearsForeign = fleet === "tracking";
  return {
    seed,
    topology,
    focus,
    settings,
    workers,
    keys,
    // A process that reads whenever it receives a change has nothing left to obey once its link is cut.
    readersOfAChange: isQuiet ? 0 : Math.min(processes - 1, MOST_READERS),
    durationMs,
    operations: changedAndRead(random, focus, { keys, workers: processes, durationMs, hearsForeign }, faults),
    faults,
    tail: operationsOf(random.fork(3), "t", {
      keys,
      workers: workers.length,
      durationMs: tailMs,
      hearsForeign,
    }),
    tailMs,
  };
}

/** The operations while faults happen. */
function changedAndRead(
  random: Random,
  focus: Focus,
  shape: Shape,
  faults: readonly FaultPlan[],
): readonly Operation[] {
  const operations = operationsOf(random.fork(1), "o", {
    ...shape,
    changesToo: true,
    isHeld: focus === "freezes" || focus === "pauses" || focus === "clocks",
    hasBulk: focus === "bulk",
    leavesLeases: focus === "clocks",
    isQuiet: QUIET.has(focus),
  });
  if (focus !== "apart") return operations;
  const missed = missedChanges(random.fork(5), faults, shape.workers);
  return [...operations, ...missed].sort((a, b) => a.at - b.at);
}

/** What processes did not read since it changed has to hold there. */
const QUIET: ReadonlySet<Focus> = new Set<Focus>(["outages", "apart"]);

/** Each reads in three ways. */
const MOST_READERS = 3;

/**
 * A pause takes up to 10 s; by default sentinels wait for 30 s before they replace a primary. Entries age, and callers
 * wait for leases, between two jumps of a clock.
 */
const LASTS_MS: Readonly<Partial<Record<Focus, number>>> = {
  pauses: 14_000,
  shards: 9_000,
  patience: 45_000,
  clocks: 15_000,
  outages: 12_000,
  apart: 12_000,
};

/** Where entries age, or have to live longer than a fault does. */
const TTLS_MS: Readonly<Partial<Record<Focus, readonly number[]>>> = {
  clocks: [300, 300, 2_000, 60_000],
  outages: [60_000],
  apart: [60_000],
};

function settingsOf(random: Random, focus: Focus): Omit<Settings, "longestBackoff"> {
  const isRestarted = focus === "snapshots" || focus === "servers";
  return {
    // Leases and ends of entries count there, and changes hide both.
    ttl: random.one(TTLS_MS[focus] ?? [300, 2_000, 60_000, 60_000]),
    staleWhileRevalidate: random.one([0, 0, 200, 2_000]),
    staleIfError: random.one([0, 0, 500, 5_000]),
    loadTimeout: 1_500,
    errorBackoff: random.one([50, 500]),
    maxStaleness: random.one(QUIET.has(focus) ? [500] : [500, 1_000, 2_000]),
    reissueWindow: 30_000,
    responseTimeout: random.one([300, 500, 1_000]),
    maxEntries: random.oneIn(5) ? 3 : 1_000,
    downAfter: focus === "patience" ? 30_000 : focus === "resharding" ? 3_000 : 700,
    persistence: isRestarted && random.oneIn(2) && focus !== "snapshots" ? "append-only" : "none",
  };
}
