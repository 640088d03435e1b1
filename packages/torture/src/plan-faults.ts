import type { Random } from "@hotset/test-servers";
import {
  LINK_FAULTS,
  SLOTS,
  type FaultKind,
  type FaultPlan,
  type Focus,
  type Settings,
  type Topology,
} from "./plan-parts.ts";

/** By focus, the faults it draws from, on one server. */
const ON_SINGLE: Readonly<Record<Focus, readonly FaultKind[]>> = {
  calm: [],
  links: ["cut", ...LINK_FAULTS, "kill connections"],
  freezes: ["freeze process", "freeze process", "cut frozen", "freeze server", "pause writes", "pause all", "stall"],
  servers: ["restart empty", "restart from append-only file", "flush scripts", "kill connections", "flush all"],
  snapshots: ["restart from snapshot"],
  memory: [
    "flush all",
    "memory full",
    "evict entries",
    "evict tags",
    "evict tags",
    "evict leases",
    "evict issuer",
    "real eviction",
  ],
  deaths: ["kill process", "kill process", "freeze process"],
  mixed: [
    "cut",
    "swallow",
    "stall",
    "freeze process",
    "kill process",
    "freeze server",
    "restart empty",
    "restart from snapshot",
    "evict tags",
    "kill connections",
    "pause all",
    "flush all",
  ],
  refusals: ["memory full", "disk full", "too few replicas", "read-only", "kill connections"],
  pauses: ["freeze process", "cut frozen", "block loop", "block loop", "freeze server", "clock jump"],
  bulk: ["cut", "stall", "freeze process", "block loop", "freeze server", "memory full", "pause all", "disk full"],
  shards: [],
  patience: [],
  clocks: ["server clock jump", "kill process"],
  resharding: [],
  outages: [],
  apart: [],
};

const SERVERS_OF: Readonly<Record<Exclude<Topology, "single">, readonly FaultKind[]>> = {
  sentinel: ["failover", "lose primary", "freeze primary", "lose sentinel", "kill connections", "pause all"],
  cluster: [
    "failover",
    "lose primary",
    "freeze primary",
    "move slot",
    "move slot and back",
    "kill connections",
    "cut",
    "swallow",
    "stall",
    "delay",
  ],
};

/** Several slots move at a time; a failover waits until none does, as an operator would. */
const RESHARDING: readonly FaultKind[] = [
  ...Array.from({ length: 16 }, () => "move slot" as const),
  ...Array.from({ length: 8 }, () => "move slot and back" as const),
  "failover",
  "kill process",
];

/** Faults that need a proxy before a worker, or a server for this round alone. */
const ONLY_SINGLE: ReadonlySet<FaultKind> = new Set<FaultKind>([
  ...LINK_FAULTS,
  "cut frozen",
  "restart empty",
  "restart from snapshot",
  "restart from append-only file",
  "freeze server",
  "server clock jump",
  "read-only",
]);

function faultsOf(topology: Topology, focus: Focus): readonly FaultKind[] {
  if (topology === "single") return ON_SINGLE[focus];
  const own = SERVERS_OF[topology];
  if (focus === "patience") return ["stall primary", "stall primary", "failover", "kill connections", "lose sentinel"];
  if (focus === "shards") return ["lose shard", "lose shard", "stall", "freeze process"];
  if (focus === "resharding") return RESHARDING;
  if (focus === "calm") return [];
  if (focus === "servers" || focus === "snapshots" || focus === "links") return own;
  const shared = ON_SINGLE[focus].filter((kind) => !ONLY_SINGLE.has(kind));
  return focus === "mixed" ? [...own, ...shared] : shared;
}

export interface FaultOptions {
  readonly topology: Topology;
  readonly focus: Focus;
  readonly durationMs: number;
  readonly workers: number;
  readonly settings: Settings;
}

/** Draws the faults of a plan. */
export function faultsFor(
  random: Random,
  { topology, focus, durationMs, workers, settings }: FaultOptions,
): readonly FaultPlan[] {
  if (focus === "clocks") return jumpsFor(random, durationMs, workers);
  if (focus === "outages") return outagesFor(random, durationMs, workers);
  if (focus === "apart") return partsFor(random, durationMs, workers);
  const kinds = faultsOf(topology, focus);
  if (kinds.length === 0) return [];
  const faults: FaultPlan[] = [];
  const slow = topology !== "single";
  for (let now = 400 + random.below(800); now < durationMs - 800;) {
    // Its first fault is one after which the sentinels wait for 30 s.
    const kind = focus === "patience" && faults.length === 0 ? "lose primary" : random.one(kinds);
    const forMs =
      LENGTHS_OF[focus]?.[kind] === undefined ? lengthOf(random, kind, settings) : random.one(LENGTHS_OF[focus][kind]);
    const worker = random.below(workers);
    const slot = focus === "resharding" && kind.startsWith("move") && { slot: random.below(SLOTS) };
    faults.push({ id: `f${faults.length}`, kind, at: Math.round(now), forMs, worker, ...slot });
    // Failovers take seconds and one at a time; the others may overlap.
    if (slot !== false) now += 150 + random.below(350);
    else if (isSlow(kind)) now += 2_500 + random.below(1_500);
    else now += 250 + random.below(slow ? 1_500 : 900);
    if (kind === "lose primary" && settings.downAfter > 1_000) now += settings.downAfter;
  }
  return faults;
}

/**
 * Jumps of the server's clock. Before each second one a process dies: others wait for its lease, and the clock stays
 * where it is until they have.
 */
function jumpsFor(random: Random, durationMs: number, workers: number): readonly FaultPlan[] {
  const faults: FaultPlan[] = [];
  const add = (kind: FaultKind, at: number, byMs?: number): void => {
    const id = `f${faults.length}`;
    faults.push({ id, kind, at, forMs: 0, worker: random.below(workers), ...(byMs !== undefined && { byMs }) });
  };
  for (let now = 400 + random.below(800); now < durationMs - 800; now += 600 + random.below(2_000)) {
    const byMs = random.one(JUMPS_MS) * (random.oneIn(2) ? 1 : -1);
    if (random.oneIn(2)) {
      add("server clock jump", now, byMs);
      continue;
    }
    add("kill process", now);
    add("server clock jump", now + 20 + random.below(300), random.oneIn(2) ? -HOUR_MS : byMs);
  }
  return faults;
}

/**
 * One process after the other loses its link, each for long enough that its calls find out. Before that, nothing
 * disturbs it for seconds: what it received then is to hold.
 */
function outagesFor(random: Random, durationMs: number, workers: number): readonly FaultPlan[] {
  const faults: FaultPlan[] = [];
  let worker = random.below(workers);
  const nextMs = (): number => ((1_200 + random.below(1_200)) * 3) / workers;
  for (let now = 2_000 + random.below(800); now < durationMs - 2_000; now += nextMs()) {
    const kind = random.one(["refuse", "refuse", "swallow", "swallow replies", "stall"] as const);
    const forMs = random.one([1_500, 2_500]);
    faults.push({ id: `f${faults.length}`, kind, at: Math.round(now), forMs, worker });
    worker = (worker + 1) % workers;
  }
  return faults;
}

/**
 * The primary of some entries does not answer for seconds, that of the tag versions does. Meanwhile a process is stopped
 * and its connections are cut, so that it misses changes and has to ask for versions.
 */
function partsFor(random: Random, durationMs: number, workers: number): readonly FaultPlan[] {
  const faults: FaultPlan[] = [];
  const add = (kind: FaultKind, at: number, forMs: number): void =>
    void faults.push({ id: `f${faults.length}`, kind, at: Math.round(at), forMs, worker: random.below(workers) });
  for (let now = 1_500 + random.below(800); now < durationMs - 4_000;) {
    const forMs = random.one([6_000, 8_000]);
    add(random.one(["freeze part", "lose part"] as const), now, forMs);
    if (!random.oneIn(4)) {
      const frozenAt = now + 400 + random.below(400);
      const frozenMs = random.one([1_000, 1_500]);
      for (let i = 0; i < Math.max(1, workers / 4); i += 1) add("freeze process", frozenAt, frozenMs);
      add("cut from versions", frozenAt + 30 + random.below(200), 0);
    }
    now += forMs + 3_000 + random.below(800);
  }
  return faults;
}

const isSlow = (kind: FaultKind): boolean =>
  [
    "failover",
    "lose primary",
    "freeze primary",
    "stall primary",
    "lose shard",
    "disk full",
    "read-only",
    "move slot",
    "move slot and back",
  ].includes(kind);

const PAUSES_MS: readonly number[] = [1_000, 2_000, 3_500, 10_000];
const STALLS_MS: readonly number[] = [1_000, 1_600, 3_000];

const HOUR_MS = 3_600_000;
/** Less than what clocks are corrected by all the time, more, more than a lease lasts, and an hour. */
const JUMPS_MS: readonly number[] = [500, 1_500, 5_000, 30_000, HOUR_MS];

/** Where a focus has its own lengths. */
const LENGTHS_OF: Readonly<Partial<Record<Focus, Readonly<Partial<Record<FaultKind, readonly number[]>>>>>> = {
  pauses: {
    ...{ "freeze process": PAUSES_MS, "cut frozen": [...PAUSES_MS, 30_000], "block loop": PAUSES_MS },
    ...{ "freeze server": STALLS_MS, "clock jump": STALLS_MS },
  },
};

function lengthOf(random: Random, kind: FaultKind, settings: Settings): number {
  switch (kind) {
    case "cut":
    case "kill connections":
    case "flush all":
    case "flush scripts":
      return 0;
    case "evict entries":
    case "evict tags":
    case "evict leases":
    case "evict issuer":
      // Again and again, so that some meet what has just been written.
      return random.one([0, 300, 600]);
    case "delay":
      return 200 + random.below(800);
    case "freeze process":
    case "cut frozen":
      return random.one([
        30,
        200,
        settings.maxStaleness - 100,
        settings.maxStaleness + 300,
        settings.maxStaleness + 1_200,
      ]);
    case "restart from snapshot":
      // How long after the snapshot the server is killed.
      return 100 + random.below(700);
    case "freeze primary":
      return 2_500;
    case "stall primary":
    case "lose shard":
    case "freeze part":
    case "lose part":
      return random.one(STALLS_MS);
    default:
      return random.one([50, 300, 1_000, settings.maxStaleness + 400]);
  }
}
