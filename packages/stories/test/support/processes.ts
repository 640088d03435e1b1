import type { Cache, CacheOptions, Clock, GetOrSetOptions, LoadContext, Policy, Seal } from "@hotset/core";
import { memory, type MemoryOptions } from "@hotset/memory";
import { sealed } from "@hotset/seal";
import {
  createTestCache,
  gate,
  scriptedBackend,
  TestClock,
  type Gate,
  type ScriptedBackend,
  type ScriptedBackendOptions,
  type ScriptedCoherence,
  type ScriptedStore,
} from "@hotset/testing";

/** One simulated process: a cache with its own connection to the shared store. */
export interface SimulatedProcess {
  readonly cache: Cache;
  /** Its connection, which records and scripts its calls. */
  readonly backend: ScriptedBackend;
  /** Its link for messages about changes of other processes. */
  readonly link: ScriptedCoherence;
}

export interface ProcessOptions extends Omit<Policy, "verify">, Omit<CacheOptions, "name" | "clock"> {
  /** @default true */
  readonly local?: boolean;
  readonly memory?: MemoryOptions;
  readonly backend?: Omit<ScriptedBackendOptions, "clock">;
  /** Put around the backend. */
  readonly seal?: Seal;
  /** How far its clock is ahead of the store's, in milliseconds. @default 0 */
  readonly clockOffsetMs?: number;
}

export interface Processes<All> {
  /** The clock of the store and of all processes. */
  readonly clock: TestClock;
  readonly store: ScriptedStore;
  readonly all: All;
  /** The first two. */
  readonly p1: SimulatedProcess;
  readonly p2: SimulatedProcess;
  /** One more process. It receives no messages before its first call. */
  start(options?: ProcessOptions): SimulatedProcess;
}

/**
 * Two processes that receive each other's changes: one store with leases, tag versions and coherence, and all attached.
 * `ttl` is an hour. `times` sets the number of processes.
 */
export async function inStep(
  options?: ProcessOptions,
  times?: undefined,
): Promise<Processes<[SimulatedProcess, SimulatedProcess]>>;
export async function inStep(
  options: ProcessOptions,
  times: 3,
): Promise<Processes<[SimulatedProcess, SimulatedProcess, SimulatedProcess]>>;
export async function inStep(options: ProcessOptions = {}, times: number = 2): Promise<Processes<unknown>> {
  const processes = notYetInStep(options, times);
  for (const { cache } of processes.all) await cache.connect();
  return processes;
}

/** Processes as of {@link inStep}, before their first call. */
export function notYetInStep(options: ProcessOptions = {}, times: number = 2): Processes<SimulatedProcess[]> {
  const clock = new TestClock();
  let first: ScriptedBackend | undefined;
  const start = (more: ProcessOptions = {}): SimulatedProcess => {
    const {
      local = true,
      memory: memoryOptions,
      backend: its,
      seal,
      clockOffsetMs = 0,
      ...rest
    } = { ...options, ...more };
    const backend: ScriptedBackend =
      first === undefined
        ? scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported", ...its })
        : first.peer(its);
    first ??= backend;
    const cache = createTestCache({
      ttl: "1h",
      ...rest,
      clock: shifted(clock, clockOffsetMs),
      local: local ? memory(memoryOptions) : false,
      backend: seal === undefined ? backend : sealed(backend, seal, { clock }),
    });
    return { cache, backend, link: backend.link };
  };
  const all = Array.from({ length: times }, () => start());
  const [p1, p2] = all;
  return { clock, store: first!.store, all, p1: p1!, p2: p2!, start };
}

const shifted = (clock: Clock, offsetMs: number): Clock =>
  offsetMs === 0
    ? clock
    : { now: () => clock.now() + offsetMs, schedule: (callback, delayMs) => clock.schedule(callback, delayMs) };

/** A loader whose every run waits at a gate of its own and records its context. */
export interface GatedLoads<T> {
  readonly load: (context: LoadContext) => Promise<T>;
  readonly runs: readonly (Gate<T> & { readonly context: LoadContext })[];
  /** Resolves when the loader has run so many times. */
  arrived(times: number): Promise<void>;
}

export function gatedLoads<T>(): GatedLoads<T> {
  const runs: (Gate<T> & { readonly context: LoadContext })[] = [];
  const begun = gate();
  return {
    load(context) {
      const run = Object.assign(gate<T>(), { context });
      runs.push(run);
      void begun.pass();
      return run.pass();
    },
    runs,
    arrived: (times) => begun.arrived(times),
  };
}

/** Two processes of {@link inStep}; the first one loads `k`, and so holds its lease. */
export async function holding(options?: ProcessOptions, ofCall?: GetOrSetOptions) {
  const processes = await inStep(options);
  const loads = gatedLoads<string>();
  const first = processes.p1.cache.getOrSet("k", loads.load, ofCall);
  await loads.arrived(1);
  return { ...processes, loads, first };
}

/** Two processes of {@link inStep}; the first one refreshes `k`, which is stale, and so holds its lease. */
export async function refreshing(held: "by p1" | "by both") {
  const processes = await inStep({ ttl: 100, staleWhileRevalidate: "1h" });
  const { p1, p2, clock } = processes;
  await p1.cache.set("k", "old");
  if (held === "by both") await p2.cache.get("k");
  clock.advance(100);
  const loads = gatedLoads<string>();
  await p1.cache.getOrSet("k", loads.load);
  await loads.arrived(1);
  return { ...processes, loads };
}

/** For the key `k`: the copy in the memory of the first, and what both read. */
export const keptOf = async (p1: SimulatedProcess, p2: SimulatedProcess): Promise<readonly unknown[]> => [
  p1.cache.peek("k"),
  await p1.cache.get("k"),
  await p2.cache.get("k"),
];
