import { Random } from "./random.ts";

/**
 * All decisions that are made before a round begins: the same seed makes the same plan, and a plan can be cut down by
 * hand.
 */
export interface Plan {
  readonly seed: number;
  readonly topology: Topology;
  readonly focus: Focus;
  readonly settings: Settings;
  readonly workers: readonly WorkerPlan[];
  readonly keys: readonly KeyPlan[];
  readonly durationMs: number;
  readonly operations: readonly Operation[];
  readonly faults: readonly FaultPlan[];
  /** Operations once all faults are over and all processes are in step again; instants count from then. */
  readonly tail: readonly Operation[];
  readonly tailMs: number;
}

export const TOPOLOGIES = ["single", "sentinel", "cluster"] as const;
export type Topology = (typeof TOPOLOGIES)[number];

/** The kind of faults of a round. */
export const FOCUSES = ["calm", "links", "freezes", "servers", "snapshots", "memory", "deaths", "mixed"] as const;
export type Focus = (typeof FOCUSES)[number];

/** The same for every process of a round. Durations in milliseconds. */
export interface Settings {
  readonly ttl: number;
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
  readonly loadTimeout: number;
  readonly errorBackoff: number;
  readonly maxStaleness: number;
  readonly reissueWindow: number;
  readonly responseTimeout: number;
  readonly maxEntries: number;
  readonly persistence: "none" | "append-only";
}

export interface WorkerPlan {
  readonly name: string;
  readonly coherence: "auto" | "tracking" | "pubsub";
  readonly protocol: 2 | 3;
  /** Whether it brings a client of its own. */
  readonly hasClient?: true;
}

/** One key of the source of truth. */
export interface KeyPlan {
  readonly id: string;
  /** Names of the namespaces above it. */
  readonly space: readonly string[];
  readonly tags: readonly string[];
  /** The tags of `tags` that its loader adds, and calls do not name. */
  readonly lateTags: readonly string[];
  /** Other programs write it, so neither tags nor `clear` cover it. */
  readonly isForeign: boolean;
  /** Mean time between changes of this key alone. */
  readonly changedEveryMs: number;
  /** Index of the one worker that reads it: no other process stores a new value over an invalidated one. */
  readonly readBy?: number;
}

export interface LoaderPlan {
  readonly beforeMs: number;
  readonly afterMs: number;
  readonly outcome: "value" | "fail" | "hang" | "undefined" | "no-store" | "not-modified";
}

interface At {
  readonly id: string;
  readonly at: number;
  /** Index of the worker; `-1` for a program without the library. */
  readonly worker: number;
}

export type Operation =
  | (At & {
      readonly kind: "getOrSet";
      readonly key: string;
      readonly load: LoaderPlan;
      readonly forced: boolean;
      readonly isAfter: boolean;
      readonly hardTimeout?: number;
      readonly softTimeout?: number;
      readonly refreshAhead?: number;
      readonly leaveAfterMs?: number;
    })
  | (At & { readonly kind: "getOrSetMany"; readonly keys: readonly string[]; readonly load: LoaderPlan })
  | (At & { readonly kind: "get" | "getStale" | "peek" | "watch"; readonly key: string })
  | (At & { readonly kind: "getMany"; readonly keys: readonly string[] })
  | (At & { readonly kind: "set" | "delete" | "markStale"; readonly key: string; readonly isFollowed: boolean })
  | (At & {
      readonly kind: "invalidateTags" | "markTagsStale";
      readonly tag: string;
      readonly space: readonly string[];
      readonly isFollowed: boolean;
    })
  | (At & { readonly kind: "clear"; readonly space: readonly string[]; readonly isFollowed: boolean })
  | (At & { readonly kind: "foreignDelete" | "foreignSet"; readonly key: string });

export const FAULT_KINDS = [
  "cut",
  "swallow",
  "swallow replies",
  "swallow requests",
  "stall",
  "delay",
  "refuse",
  "freeze process",
  "kill process",
  "freeze server",
  "pause writes",
  "pause all",
  "kill connections",
  "restart empty",
  "restart from snapshot",
  "restart from append-only file",
  "flush scripts",
  "flush all",
  "memory full",
  "evict entries",
  "evict tags",
  "evict leases",
  "evict issuer",
  "real eviction",
  "failover",
  "lose primary",
  "freeze primary",
  "lose sentinel",
  "move slot",
  "move slot and back",
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface FaultPlan {
  readonly id: string;
  readonly kind: FaultKind;
  readonly at: number;
  readonly forMs: number;
  /** Index of the worker that it concerns, if it concerns one. */
  readonly worker: number;
}

/** The keys that an operation replaces: those of its tag below its namespace, all below it, or its own. */
export function coveredBy(keys: readonly KeyPlan[], operation: Operation): readonly string[] {
  switch (operation.kind) {
    case "invalidateTags":
    case "markTagsStale":
      return keys
        .filter((key) => !key.isForeign && isBelow(key.space, operation.space) && key.tags.includes(operation.tag))
        .map(({ id }) => id);
    case "clear":
      return keys.filter((key) => !key.isForeign && isBelow(key.space, operation.space)).map(({ id }) => id);
    case "set":
    case "delete":
    case "markStale":
    case "foreignDelete":
    case "foreignSet":
      return [operation.key];
    default:
      return [];
  }
}

/** The keys that it replaces without a promise: another program, without namespaces, may have written them. */
export function touchedBy(keys: readonly KeyPlan[], operation: Operation): readonly string[] {
  return operation.kind === "clear"
    ? keys.filter((key) => key.isForeign && isBelow(key.space, operation.space)).map(({ id }) => id)
    : [];
}

/** Whether a worker reads a key. */
export function mayRead(keys: readonly KeyPlan[], key: string, worker: number): boolean {
  const { readBy } = keys.find(({ id }) => id === key)!;
  return readBy === undefined || readBy === worker;
}

/** The keys that an operation concerns. */
export function concernedBy(keys: readonly KeyPlan[], operation: Operation): readonly string[] {
  if ("key" in operation) return [operation.key];
  return "keys" in operation ? operation.keys : coveredBy(keys, operation);
}

const isBelow = (space: readonly string[], above: readonly string[]): boolean =>
  above.every((name, i) => space[i] === name);

const KEYS: readonly Omit<KeyPlan, "changedEveryMs" | "readBy">[] = [
  { id: "a", space: [], tags: [], lateTags: [], isForeign: false },
  { id: "b", space: [], tags: ["t"], lateTags: [], isForeign: false },
  { id: "c", space: ["users"], tags: ["t", "u"], lateTags: ["u"], isForeign: false },
  { id: "d", space: ["users", "deep"], tags: ["v"], lateTags: ["v"], isForeign: false },
  { id: "e", space: ["users"], tags: [], lateTags: [], isForeign: false },
  { id: "p", space: ["programs"], tags: [], lateTags: [], isForeign: true },
];

const SPACES: readonly (readonly string[])[] = [[], ["users"], ["users", "deep"]];

/** By focus, the faults it draws from, on one server. */
const ON_SINGLE: Readonly<Record<Focus, readonly FaultKind[]>> = {
  calm: [],
  links: [
    "cut",
    "cut",
    "swallow",
    "swallow replies",
    "swallow requests",
    "stall",
    "delay",
    "refuse",
    "kill connections",
  ],
  freezes: ["freeze process", "freeze process", "freeze server", "pause writes", "pause all", "stall"],
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

/** Faults that need a proxy before a worker, or a server for this round alone. */
const ONLY_SINGLE: ReadonlySet<FaultKind> = new Set<FaultKind>([
  "cut",
  "swallow",
  "swallow replies",
  "swallow requests",
  "stall",
  "delay",
  "refuse",
  "restart empty",
  "restart from snapshot",
  "restart from append-only file",
  "freeze server",
]);

function faultsOf(topology: Topology, focus: Focus): readonly FaultKind[] {
  if (topology === "single") return ON_SINGLE[focus];
  const own = SERVERS_OF[topology];
  if (focus === "calm") return [];
  if (focus === "servers" || focus === "snapshots" || focus === "links") return own;
  const shared = ON_SINGLE[focus].filter((kind) => !ONLY_SINGLE.has(kind));
  return focus === "mixed" ? [...own, ...shared] : shared;
}

export interface PlanOptions {
  readonly topology: Topology;
  /** @default chosen by the seed */
  readonly focus?: Focus;
  /** Without faults. @default 6_000 */
  readonly durationMs?: number;
}

const WORKERS = ["A", "B", "C"];

/** Draws a plan. Its parts draw from sequences of their own. */
export function planOf(seed: number, { topology, focus: given, durationMs = 6_000 }: PlanOptions): Plan {
  const random = new Random(seed * 2_654_435_761);
  const focus = given ?? FOCUSES[seed % FOCUSES.length]!;
  const isRestarted = focus === "snapshots" || focus === "servers";
  const settings: Settings = {
    ttl: random.one([300, 2_000, 60_000, 60_000]),
    staleWhileRevalidate: random.one([0, 0, 200, 2_000]),
    staleIfError: random.one([0, 0, 500, 5_000]),
    loadTimeout: 1_500,
    errorBackoff: random.one([50, 500]),
    maxStaleness: random.one([500, 1_000, 2_000]),
    reissueWindow: 30_000,
    responseTimeout: random.one([300, 500, 1_000]),
    maxEntries: random.oneIn(5) ? 3 : 1_000,
    persistence: isRestarted && random.oneIn(2) && focus !== "snapshots" ? "append-only" : "none",
  };
  const drawn = random.one(["tracking", "tracking", "tracking", "tracking", "pubsub", "mixed"] as const);
  // In a cluster the two ways cannot be mixed.
  const fleet = drawn === "mixed" && topology === "cluster" ? "pubsub" : drawn;
  const keys = KEYS.map((key): KeyPlan => ({
    ...key,
    changedEveryMs: key.isForeign ? 1_500 : random.one([60, 400, 1_500, 3_000]),
    ...(random.oneIn(4) && key.id !== "a" && { readBy: random.below(WORKERS.length) }),
  }));
  const faults = faultsFor(random.fork(2), faultsOf(topology, focus), topology, durationMs, WORKERS.length, settings);
  // A client never gives up a connection that swallows replies, and the library does not own it.
  const mayBring = topology === "single" && !faults.some(({ kind }) => kind.startsWith("swallow"));
  const clients = random.fork(4);
  const workers = WORKERS.map((name, i): WorkerPlan => ({
    ...(fleet === "tracking" || (fleet === "mixed" && i !== 1)
      ? { name, coherence: "auto", protocol: 3 }
      : { name, coherence: fleet === "pubsub" ? "pubsub" : "auto", protocol: fleet === "pubsub" ? 3 : 2 }),
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
    durationMs,
    operations: operationsOf(random.fork(1), "o", {
      keys,
      workers: workers.length,
      durationMs,
      changesToo: true,
      hearsForeign,
      isHeld: focus === "freezes",
    }),
    faults,
    tail: operationsOf(random.fork(3), "t", {
      keys,
      workers: workers.length,
      durationMs: 800,
      changesToo: false,
      hearsForeign,
      isHeld: false,
    }),
    tailMs: 800,
  };
}

interface Shape {
  readonly keys: readonly KeyPlan[];
  readonly workers: number;
  readonly durationMs: number;
  readonly changesToo: boolean;
  readonly hearsForeign: boolean;
  /** More loads that take long, so that a pause meets one. */
  readonly isHeld: boolean;
}

const READ_EVERY_MS = 9;

function operationsOf(random: Random, prefix: string, shape: Shape): readonly Operation[] {
  const operations: Operation[] = [];
  const all = shape.keys.map(({ id }) => id);
  const add = (operation: Operation): void => void operations.push(operation);
  const at = (instant: number, worker: number): At => ({
    id: `${prefix}${operations.length}`,
    at: Math.round(instant * 10) / 10,
    worker,
  });

  for (let worker = 0; worker < shape.workers; worker += 1) {
    for (let now = random.gap(READ_EVERY_MS); now < shape.durationMs; now += random.gap(READ_EVERY_MS)) {
      const key = random.one(all.filter((id) => mayRead(shape.keys, id, worker)));
      // Operations must meet the late tags of a loader while it runs.
      const load = loaderOf(
        random,
        shape.isHeld || shape.keys.some(({ id, lateTags }) => id === key && lateTags.length > 0),
      );
      const choice = random.below(100);
      if (choice < 52) {
        add({
          ...at(now, worker),
          kind: "getOrSet",
          key,
          load,
          forced: random.oneIn(14),
          isAfter: random.oneIn(8),
          ...(random.oneIn(5) && { hardTimeout: random.one([20, 100, 400]) }),
          ...(random.oneIn(6) && { softTimeout: random.one([5, 15]) }),
          ...(random.oneIn(8) && { refreshAhead: 0.5 }),
          ...(random.oneIn(12) && { leaveAfterMs: random.below(30) }),
        });
      } else if (choice < 62) add({ ...at(now, worker), kind: "get", key });
      else if (choice < 67) add({ ...at(now, worker), kind: "getStale", key });
      else if (choice < 80) add({ ...at(now, worker), kind: "peek", key });
      else if (choice < 88) add({ ...at(now, worker), kind: "watch", key });
      else if (choice < 94)
        add({
          ...at(now, worker),
          kind: "getMany",
          keys: some(
            random,
            all.filter((id) => mayRead(shape.keys, id, worker)),
          ),
        });
      else
        add({
          ...at(now, worker),
          kind: "getOrSetMany",
          keys: some(
            random,
            all.filter((id) => mayRead(shape.keys, id, worker)),
          ),
          load,
        });
    }
  }
  if (shape.changesToo) {
    for (const { id: key, changedEveryMs, isForeign } of shape.keys) {
      for (let now = random.gap(changedEveryMs); now < shape.durationMs; now += random.gap(changedEveryMs)) {
        if (isForeign && shape.hearsForeign && random.oneIn(2))
          add({ ...at(now, -1), kind: random.oneIn(2) ? "foreignDelete" : "foreignSet", key });
        else
          add({
            ...at(now, random.below(shape.workers)),
            kind: random.one(["delete", "delete", "set", "set", "markStale"] as const),
            key,
            isFollowed: !random.oneIn(3),
          });
      }
    }
    for (let now = random.gap(200); now < shape.durationMs; now += random.gap(200)) {
      const worker = random.below(shape.workers);
      const isFollowed = !random.oneIn(3);
      const space = random.one([...SPACES, []]);
      if (random.oneIn(7)) add({ ...at(now, worker), kind: "clear", space, isFollowed });
      else
        add({
          ...at(now, worker),
          kind: random.oneIn(3) ? "markTagsStale" : "invalidateTags",
          tag: random.one(["t", "u", "v"]),
          space,
          isFollowed,
        });
    }
  }
  return operations.sort((a, b) => a.at - b.at);
}

function loaderOf(random: Random, isHeld: boolean): LoaderPlan {
  const slow = isHeld ? 3 : 8;
  return {
    beforeMs: random.oneIn(3) ? random.below(8) : 0,
    afterMs: random.oneIn(slow)
      ? random.oneIn(4)
        ? 600 + random.below(700)
        : 100 + random.below(500)
      : random.oneIn(2)
        ? random.below(20)
        : 0,
    outcome: random.oneIn(150)
      ? "hang"
      : random.oneIn(15)
        ? "fail"
        : random.oneIn(30)
          ? "undefined"
          : random.oneIn(30)
            ? "no-store"
            : random.oneIn(4)
              ? "not-modified"
              : "value",
  };
}

const some = (random: Random, all: readonly string[]): readonly string[] => {
  const chosen = all.filter(() => random.oneIn(2));
  return chosen.length === 0 ? [random.one(all)] : chosen;
};

function faultsFor(
  random: Random,
  kinds: readonly FaultKind[],
  topology: Topology,
  durationMs: number,
  workers: number,
  settings: Settings,
): readonly FaultPlan[] {
  if (kinds.length === 0) return [];
  const faults: FaultPlan[] = [];
  const slow = topology !== "single";
  for (let now = 400 + random.below(800); now < durationMs - 800;) {
    const kind = random.one(kinds);
    const forMs = lengthOf(random, kind, settings);
    faults.push({ id: `f${faults.length}`, kind, at: Math.round(now), forMs, worker: random.below(workers) });
    // Failovers take seconds and one at a time; the others may overlap.
    now += isSlow(kind) ? 2_500 + random.below(1_500) : 250 + random.below(slow ? 1_500 : 900);
  }
  return faults;
}

const isSlow = (kind: FaultKind): boolean =>
  ["failover", "lose primary", "freeze primary", "move slot", "move slot and back"].includes(kind);

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
    default:
      return random.one([50, 300, 1_000, settings.maxStaleness + 400]);
  }
}
