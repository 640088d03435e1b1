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
  /** How many other processes read immediately after an acknowledged change, in turn. */
  readonly readersOfAChange: number;
  readonly durationMs: number;
  readonly operations: readonly Operation[];
  readonly faults: readonly FaultPlan[];
  /** Operations once all faults have ended and all processes are in step again; instants count from then. */
  readonly tail: readonly Operation[];
  readonly tailMs: number;
}

export const TOPOLOGIES = ["single", "sentinel", "cluster"] as const;
export type Topology = (typeof TOPOLOGIES)[number];

/** The kind of faults of a round. */
export const FOCUSES = [
  "calm",
  "links",
  "freezes",
  "servers",
  "snapshots",
  "memory",
  "deaths",
  "mixed",
  "refusals",
  "pauses",
  "bulk",
  "shards",
  "patience",
  "clocks",
  "resharding",
  "outages",
  "apart",
] as const;
export type Focus = (typeof FOCUSES)[number];

/** Each needs servers of one topology. */
const ONLY_ON: Readonly<Partial<Record<Focus, Topology>>> = {
  shards: "cluster",
  patience: "sentinel",
  clocks: "single",
  resharding: "cluster",
  outages: "single",
  apart: "cluster",
};

/** The kinds of faults that a topology can have. */
export const focusesOn = (topology: Topology): readonly Focus[] =>
  FOCUSES.filter((focus) => (ONLY_ON[focus] ?? topology) === topology);

/** A seed chooses among these: `clocks` needs a library that most machines do not have. */
export const drawnOn = (topology: Topology): readonly Focus[] =>
  focusesOn(topology).filter((focus) => focus !== "clocks");

/** Settings of every process of a round. Durations in milliseconds. */
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
  /** Many processes that connect again without a pause would leave a proxy no time to accept them. */
  readonly longestBackoff: number;
  /** How long a server may be silent before the others take it for down; in a cluster 1 s or more. */
  readonly downAfter: number;
  readonly persistence: "none" | "append-only";
}

export interface WorkerPlan {
  readonly name: string;
  readonly coherence: "tracking" | "pubsub";
  readonly protocol: 2 | 3;
  /** Whether the process brings its own client. */
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
  /** Some of its loads give an answer that is for one caller alone. */
  readonly isPersonal?: true;
  /** Mean time between changes of this key alone. */
  readonly changedEveryMs: number;
  /** Index of the one worker that reads it: no other process stores a new value over an invalidated one. */
  readonly readBy?: number;
}

export interface LoaderPlan {
  readonly beforeMs: number;
  readonly afterMs: number;
  readonly outcome: "value" | "fail" | "hang" | "undefined" | "no-store" | "not-shared" | "not-modified";
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
      readonly isCurrent: boolean;
      readonly hardTimeout?: number;
      readonly softTimeout?: number;
      readonly refreshAhead?: number;
      readonly leaveAfterMs?: number;
    })
  | (At & {
      readonly kind: "getOrSetMany";
      readonly keys: readonly string[];
      readonly load: LoaderPlan;
      /** How many keys besides `keys` it reads, `0`, `1`, `2`..., which no source has. @default 0 */
      readonly fillers?: number;
    })
  | (At & { readonly kind: "get" | "getStale" | "peek" | "watch"; readonly key: string })
  | (At & { readonly kind: "getMany"; readonly keys: readonly string[]; readonly fillers?: number })
  | (At & { readonly kind: "touch"; readonly key: string; readonly times: number })
  /** Reads the source under a fence, and sets what it read `afterMs` later. */
  | (At & { readonly kind: "fenced"; readonly key: string; readonly afterMs: number })
  | (At & { readonly kind: "set" | "delete" | "markStale"; readonly key: string; readonly isFollowed: boolean })
  | (At & {
      readonly kind: "setMany" | "deleteMany";
      /** Without tags, in one namespace. */
      readonly keys: readonly string[];
      readonly fillers: number;
      readonly isFollowed: boolean;
    })
  | (At & {
      readonly kind: "invalidateTags" | "markTagsStale";
      readonly tag: string;
      readonly space: readonly string[];
      readonly isFollowed: boolean;
    })
  | (At & { readonly kind: "clear"; readonly space: readonly string[]; readonly isFollowed: boolean })
  /** Concerns no key that is checked: loads of others continue, and are stored, as if it had not been made. */
  | (At & {
      readonly kind: "aside";
      readonly does: "invalidateTags" | "markTagsStale" | "clear" | "use";
      /** A tag that no key has. */
      readonly tag: string;
      readonly space: readonly string[];
    })
  | (At & { readonly kind: "foreignDelete" | "foreignSet"; readonly key: string });

/** Faults of the proxy before one worker. */
export const LINK_FAULTS = [
  "cut",
  "swallow",
  "swallow replies",
  "swallow requests",
  "stall",
  "delay",
  "refuse",
] as const;

export const FAULT_KINDS = [
  ...LINK_FAULTS,
  "freeze process",
  "cut frozen",
  "block loop",
  "clock jump",
  "server clock jump",
  "kill process",
  "freeze server",
  "stall primary",
  "pause writes",
  "pause all",
  "kill connections",
  "restart empty",
  "restart from snapshot",
  "restart from append-only file",
  "flush scripts",
  "flush all",
  "memory full",
  "disk full",
  "too few replicas",
  "read-only",
  "evict entries",
  "evict tags",
  "evict leases",
  "evict issuer",
  "real eviction",
  "failover",
  "lose primary",
  "freeze primary",
  "lose sentinel",
  "lose shard",
  "move slot",
  "move slot and back",
  "freeze part",
  "lose part",
  "cut from versions",
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface FaultPlan {
  readonly id: string;
  readonly kind: FaultKind;
  readonly at: number;
  readonly forMs: number;
  /** Index of the worker that it concerns, if it concerns one. */
  readonly worker: number;
  /** By how much the clock of the server jumps, ahead or back. */
  readonly byMs?: number;
  /** Index of the slot that moves while others do, below {@link SLOTS}. */
  readonly slot?: number;
}

/** The slots in use: one for each of seven keys and its lease, and one for all versions of tags. */
export const SLOTS = 8;

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
    case "setMany":
    case "deleteMany":
      return operation.keys;
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
