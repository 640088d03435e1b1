import type { Module } from "../module/module.ts";

/** The keys of one queue (decision 0100), in the order in which its scripts get them: see `PRELUDE` in lua/prelude.ts. */
export const KEY_NAMES = [
  "state",
  "waiting",
  "delayed",
  "active",
  "jobs",
  "data",
  "completed",
  "dead",
  "dedup",
  "dedup-ends",
  "wake",
  "repeats",
  "repeats-due",
  "parked",
  "added",
] as const;

export interface QueueKeys {
  /** For the scripts. All lie in one slot of a cluster. */
  readonly all: readonly string[];
  /** For `ADD_PLAIN`, in its order. */
  readonly ofAdd: readonly string[];
  /** A worker without jobs waits for a member of it. */
  readonly wake: string;
  /** Ids of jobs that workers have, by when their leases end. */
  readonly active: string;
  /** A channel of sharded pub/sub. */
  readonly events: string;
}

export function queueKeys({ space }: Module, name: string): QueueKeys {
  const tag = space.hashTagged(name);
  const keyOf = (part: string): string => `queue:${tag}:${part}`;
  const ofAdd = ["state", "waiting", "delayed", "jobs", "data", "wake", "added"].map(keyOf);
  return { all: KEY_NAMES.map(keyOf), ofAdd, wake: keyOf("wake"), active: keyOf("active"), events: keyOf("events") };
}
