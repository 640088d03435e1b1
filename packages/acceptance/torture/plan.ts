import { faultsFor } from "./plan-faults.ts";
import { operationsOf } from "./plan-operations.ts";
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

export interface At {
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
  const settings = settingsOf(random, focus);
  const drawn = random.one(["tracking", "tracking", "tracking", "tracking", "pubsub", "mixed"] as const);
  // In a cluster the two ways cannot be mixed.
  const fleet = drawn === "mixed" && topology === "cluster" ? "pubsub" : drawn;
  const keys = KEYS.map((key): KeyPlan => ({
    ...key,
    changedEveryMs: key.isForeign ? 1_500 : random.one([60, 400, 1_500, 3_000]),
    ...(random.oneIn(4) && key.id !== "a" && { readBy: random.below(WORKERS.length) }),
  }));
  const faults = faultsFor(random.fork(2), { topology, focus, durationMs, workers: WORKERS.length, settings });
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

function settingsOf(random: Random, focus: Focus): Settings {
  const isRestarted = focus === "snapshots" || focus === "servers";
  return {
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
}
