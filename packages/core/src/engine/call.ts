import { ConfigurationError } from "../contracts/errors.ts";
import type { EntryKey, KeySpace } from "../entry/key.ts";
import type { Loader } from "../entry/loader.ts";
import type { NewKeysBudget } from "../entry/new-keys.ts";
import type { LoadOptions, ResolvedPolicy, Served } from "../entry/policy.ts";
import type { SchemaOfNamespace } from "../entry/schema.ts";
import type { contextOfNow } from "../primitives/async-context.ts";
import type { NamespaceMeters } from "../primitives/meters.ts";
import type { SharedSlot } from "../primitives/shared-slot.ts";
import type { Pinned } from "../tags/tag-versions.ts";
import type { RemoteTier } from "../tiers/remote-tier.ts";
import type { UsedValues } from "./used-values.ts";

/** The part of a namespace that the engine needs. */
export interface NamespaceContext extends SchemaOfNamespace {
  readonly keySpace: KeySpace;
  readonly policy: ResolvedPolicy;
  /** Bounds how many keys that no tier knows are stored; absent for no bound. */
  readonly newKeys?: NewKeysBudget | undefined;
  /** Absent for a cache without a backend. */
  readonly remote: RemoteTier | undefined;
  /** Count its calls, and those of namespaces below without counters. */
  readonly meters: NamespaceMeters;
}

/** One call of `getOrSet`. */
export interface GetOrSetCall {
  readonly namespace: NamespaceContext;
  readonly key: EntryKey;
  /** Absent in a batch. */
  readonly load: Loader<unknown> | undefined;
  readonly policy: ResolvedPolicy;
  readonly tags: readonly string[];
  readonly startedAt: number;
  readonly isForced: boolean;
  /** Whether the call is `current`: no copy and no flight from before it may answer it. */
  readonly isCurrent: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onServed: ((served: Served) => void) | undefined;
  /** Where the load that makes the call collects what it gets. */
  readonly usedBy: UsedValues | undefined;
  /** The batch that loads its key together with others. */
  readonly batch: FlightBatch | undefined;
  /** The item that the call asks its batch for. */
  readonly item: unknown;
}

/** The lease of a flight, as the flight uses it. */
export interface FlightLease {
  readonly token: string;
  readonly seen: string;
  pinned(pinned: Pinned): void;
  end(): void;
  release(): void;
}

/** The load of a flight. */
export interface FlightLoad {
  readonly startedAt: number;
  readonly options?: LoadOptions | undefined;
  readonly isUntold: boolean;
  abort(reason: unknown): void;
  endOverdue(now: number): boolean;
}

/** Flights that share one load. */
export interface FlightBatch {
  /** The async context of the call that began the batch. */
  readonly context: ReturnType<typeof contextOfNow>;
  /** Whether its calls may wait; decided for all of them when the first one comes. */
  isAdmitted: boolean | undefined;
  /** The slot that all loads of the batch share. */
  readonly loads: SharedSlot;
  readonly backgroundLoads: SharedSlot;
  /** With `inherit`, the cached values that the loader of the batch used; they count for each of its entries. */
  readonly used: UsedValues | undefined;
  /** Announces that up to `more` calls will come to their loads. */
  expect(more: number): void;
  /** Lets the batch continue without a call whose load runs in another process. */
  waitsElsewhere(flight: { readonly call: GetOrSetCall }): void;
  /** That call may come after all, unless it has ended meanwhile. */
  comesBack(flight: { readonly call: GetOrSetCall }): void;
  /** Adds a call that has come to its load; that load ends with the load of the batch. */
  arrives(load: { readonly call: GetOrSetCall }): void;
  /** A loader of one item alone. */
  loaderOf(item: unknown): Loader<unknown>;
  /** Lets the batch continue without a call that ended before its loader was called. */
  ended(flight: { readonly call: GetOrSetCall }): void;
}

/** Functions of a loaded value, which say how it is stored. */
export interface OfValue {
  readonly ttl?: unknown;
  readonly tags?: unknown;
  readonly shouldStore?: unknown;
}

/** One item of a batch, and what the values of its loader are stored by. */
export interface ItemLoad {
  readonly item: unknown;
  readonly ofValue: OfValue;
}

/** @throws {ConfigurationError} where entries cannot carry what the call needs. */
export function checkRoomForMeta({ remote }: NamespaceContext): void {
  if (remote?.keepsMeta === false) throw noRoomForMeta(remote.label);
}

export const noRoomForMeta = (tier: string): ConfigurationError =>
  new ConfigurationError(
    `${tier}: its layout has no room for tags, validators and clear; use the full layout, or delete keys one by one`,
    { tier },
  );
