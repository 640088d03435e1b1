/**
 * Figures that must not grow unnoticed: at most twenty rows, each with room. A change that needs more raises its row in
 * the same commit and says why in one sentence; no commit exists for a row alone, and none is a reason for a worse name,
 * message, comment or test. The rows are reviewed once a release. `npm test -- all` checks them all; sizes are checked
 * by `.size-limit.mjs`.
 */

/** Sizes have 5 % of room, costs 10 %. */
const ROOM = { size: 1.05, cost: 1.1 } as const;

/** What one call costs, in a process that does nothing else, in production. */
export interface CallCosts {
  readonly promises: number;
  /** Allocated bytes. */
  readonly bytes: number;
  /** Commands as Redis counts them, those inside scripts included. */
  readonly commands: number;
  readonly trips: number;
  /** Keys that Redis tracks for this connection afterwards. */
  readonly tracked: number;
}

/** A call that never leaves the process. */
export type LocalCosts = Pick<CallCosts, "promises" | "bytes">;

/**
 * Each as it was measured. Memory over Redis, unless the name says otherwise; a batch as a whole. A promise counts here
 * for each `await`, too, since a hook makes one.
 */
export const CALLS: Readonly<Record<string, CallCosts | LocalCosts>> = {
  "hit in memory": { promises: 2, bytes: 460, commands: 0, trips: 0, tracked: 0 },
  "hit in Redis": { promises: 4, bytes: 6_900, commands: 2, trips: 1, tracked: 0 },
  miss: { promises: 23, bytes: 31_300, commands: 9, trips: 2, tracked: 1 },
  set: { promises: 11, bytes: 16_700, commands: 6, trips: 1, tracked: 1 },
  delete: { promises: 4, bytes: 7_560, commands: 2, trips: 1, tracked: 0 },
  "batch of 100 misses": { promises: 1_533, bytes: 2_970_000, commands: 1_100, trips: 3, tracked: 100 },
  "batch of 100 hits in Redis": { promises: 22, bytes: 326_000, commands: 200, trips: 1, tracked: 0 },
  "hit in memory through node:http": { promises: 9, bytes: 33_300 },
  "page of Next from memory": { promises: 16, bytes: 8_800 },
};

/** Bytes, gzipped. */
export const BUNDLES = {
  memory: 64_300,
  "memory over Redis": 133_400,
  "the inspector with its page": 54_400,
} as const;

export const COUNTS = {
  "packages in the lockfile": 980,
  "published packages": 25,
  "public names": 313,
} as const;

/** Shares of all public items, and of all public functions. These are the limits themselves. */
export const DOCSTRINGS = { "items without a word": 0.02, "functions that name their errors": 0.85 } as const;

/** The limits themselves, as `.oxlintrc.json` states them. A file may be excused there by name. */
export const LINT = { "lines of a file": 400, "lines of a function": 60, "parameters of a function": 5 } as const;

/** The largest size that still fits. */
export const mostSize = (reached: number): number => Math.floor(reached * ROOM.size);

/** The largest cost that still fits. */
export const mostCost = (reached: number): number => Math.floor(reached * ROOM.cost);
