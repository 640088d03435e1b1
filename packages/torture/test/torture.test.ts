import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { check, type Rule } from "../src/checker.ts";
import { histogram } from "../src/histogram.ts";
import { REFUSED, type Change, type Fault, type History, type Load, type Read, type Sighting } from "../src/history.ts";
import { MUTANTS } from "../src/mutants.ts";
import { coveredBy, FAULT_KINDS, FOCUSES, focusesOn, planOf, TOPOLOGIES } from "../src/plan.ts";
import { shrink } from "../src/shrink.ts";
import { timeline } from "../src/timeline.ts";

const TERMS = {
  maxStalenessMs: 1_000,
  reissueWindowMs: 30_000,
  responseTimeoutMs: 300,
  loadTimeoutMs: 1_500,
  ttlMs: 60_000,
  staleMs: 0,
  healMs: 10_000,
  slackMs: 100,
};

/** Two processes from the beginning, and a key whose versions the source gives at 100, 200, 300... */
function history(parts: Partial<History>): History {
  const issues = [2, 3, 4, 5].map((version) => ({ at: (version - 1) * 100, key: "a", version }));
  return {
    terms: TERMS,
    processes: [
      { name: "A", bornAt: 0 },
      { name: "B", bornAt: 0 },
    ],
    issues,
    reads: [],
    changes: [],
    loads: [],
    sightings: [],
    failures: [],
    faults: [],
    incidents: [],
    stalls: [],
    removals: [],
    ...parts,
  };
}

let last = 0;
const id = (): string => `x${(last += 1)}`;

const read = (process: string, startedAt: number, version: number | undefined, more: Partial<Read> = {}): Read => ({
  process,
  id: id(),
  kind: "get",
  key: "a",
  startedAt,
  endedAt: startedAt + 1,
  ...(version !== undefined && { version }),
  freshness: "fresh",
  boundMs: 100,
  ...more,
});

/** The change that gave `version`, acknowledged 10 ms after it began. */
const change = (process: string, version: number, more: Partial<Change> = {}): Change => {
  const startedAt = (version - 1) * 100;
  return {
    process,
    id: id(),
    kind: "delete",
    keys: [["a", version]],
    mode: "hard",
    startedAt,
    endedAt: startedAt + 10,
    status: "acknowledged",
    boundMs: 300,
    ...more,
  };
};

/** A `set` whose process died meanwhile. */
function unsettledSet(process: string, version: number): Change {
  const { endedAt: _endedAt, status: _status, ...begun } = change(process, version, { kind: "set" });
  return begun;
}

const load = (
  process: string,
  startedAt: number,
  endedAt: number,
  version: number,
  more: Partial<Load> = {},
): Load => ({
  process,
  id: id(),
  key: "a",
  calledAt: startedAt - 1,
  startedAt,
  endedAt,
  version,
  forced: false,
  ...more,
});

/** A load whose process died meanwhile. */
function unendedLoad(process: string, startedAt: number): Load {
  const { endedAt: _endedAt, ...begun } = load(process, startedAt, startedAt, 1);
  return begun;
}

const sightings = (
  process: string,
  ...seen: readonly (readonly [at: number, state: string, pending?: number])[]
): readonly Sighting[] => seen.map(([at, state, pending = 0]) => ({ process, at, state, pending }));

const restart: Fault = { kind: "restart from snapshot", from: 500, to: 600, losesSince: 50 };
const IN_STEP = [...sightings("A", [650, "up"], [700, "up"]), ...sightings("B", [650, "up"], [700, "up"])];
/** It arrives after the `clear` of another process, and is replayed at 900. */
const PENDING_SET: Partial<History> = {
  processes: [
    { name: "A", bornAt: 0 },
    { name: "B", bornAt: 0 },
    { name: "C", bornAt: 0 },
  ],
  changes: [change("B", 2, { kind: "set", status: "pending" }), change("A", 3, { kind: "clear" })],
  sightings: sightings("B", [250, "down", 1], [900, "up"]),
};

const rules = (parts: Partial<History>): readonly Rule[] => check(history(parts)).violations.map(({ rule }) => rule);

describe("a bad history is rejected,", () => {
  it("in which a process reads a value that it has deleted itself", () => {
    expect(rules({ changes: [change("A", 2)], reads: [read("A", 111, 1)] })).toEqual(["own"]);
  });

  it("in which another process reads it later than maxStaleness after the acknowledgement", () => {
    expect(rules({ changes: [change("A", 2)], reads: [read("B", 1_111, 1)] })).toEqual(["elsewhere"]);
  });

  it("in which two processes load at once, and nothing had changed", () => {
    expect(rules({ loads: [load("A", 500, 700, 1), load("B", 600, 650, 1)] })).toEqual(["two loads"]);
  });

  it.for<readonly [string, Rule, Partial<History>]>([
    [
      "a call that was pending hides nothing here",
      "own",
      { changes: [change("A", 2, { status: "pending" })], reads: [read("A", 120, 1)] },
    ],
    [
      "a value with a pending delete is back after the replay",
      "reappeared",
      {
        changes: [change("A", 2, { status: "pending" })],
        sightings: sightings("A", [200, "down", 1], [400, "up"]),
        reads: [read("A", 500, 1)],
      },
    ],
    [
      "a value with a pending delete is back in another process after the replay",
      "reappeared",
      {
        changes: [change("A", 2, { status: "pending" })],
        sightings: sightings("A", [200, "down", 1], [400, "up"]),
        reads: [read("B", 1_500, 1)],
      },
    ],
    [
      "a current read is ignored",
      "current",
      { changes: [change("A", 2, { id: "c" })], reads: [read("B", 120, 1, { after: { change: "c", version: 2 } })] },
    ],
    [
      "a current read is ignored by a process that cannot reach Redis",
      "current",
      {
        changes: [change("A", 2, { id: "c" })],
        sightings: sightings("B", [90, "down"]),
        reads: [read("B", 120, 1, { after: { change: "c", version: 2 } })],
      },
    ],
    [
      "a value that a tag call made stale is fresh",
      "own",
      { changes: [change("A", 2, { mode: "soft" })], reads: [read("A", 120, 1)] },
    ],
    [
      "a forced load joins one from before the call",
      "forced",
      { changes: [change("B", 2)], reads: [read("A", 150, 1, { forced: true, tier: "load" })] },
    ],
    [
      "a waiter sleeps on a lease without a holder",
      "slept",
      {
        loads: [load("A", 100, 200, 1)],
        reads: [read("B", 150, 1, { kind: "getOrSet", endedAt: 1_700, boundMs: 9_000 })],
      },
    ],
    [
      "a waiter sleeps, and the process that loaded died long before",
      "slept",
      {
        processes: [
          { name: "A", bornAt: 0, diedAt: 150 },
          { name: "B", bornAt: 0 },
        ],
        loads: [unendedLoad("A", 100)],
        reads: [read("B", 2_600, 1, { kind: "getOrSet", endedAt: 4_100, boundMs: 9_000 })],
      },
    ],
    ["a call hangs", "unbounded", { reads: [read("A", 100, 1, { endedAt: 400 })] }],
    [
      "a read fails because the backend does",
      "unexpected error",
      { reads: [read("A", 100, undefined, { error: "BackendUnavailableError: away" })] },
    ],
    ["a value is another key's", "forged", { reads: [read("A", 100, 1, { strayKey: "b" })] }],
    ["a value is newer than the source", "forged", { reads: [read("A", 150, 3)] }],
    [
      "a process that is connected again serves an older copy",
      "elsewhere",
      {
        changes: [change("A", 2)],
        sightings: sightings("B", [90, "down"], [1_500, "up"]),
        reads: [read("B", 1_600, 1)],
      },
    ],
    [
      "a process that cannot reach Redis has an answer from it",
      "elsewhere",
      {
        changes: [change("A", 2)],
        sightings: sightings("B", [90, "down"]),
        reads: [read("B", 1_600, 1, { tier: "redis" })],
      },
    ],
    [
      "a living process does not issue an invalidation again that a restart lost",
      "elsewhere",
      { changes: [change("A", 2)], faults: [restart], sightings: IN_STEP, reads: [read("B", 5_000, 1)] },
    ],
    [
      "a restart loses an invalidation that had been issued again before its snapshot",
      "elsewhere",
      {
        changes: [change("A", 2)],
        faults: [restart, { ...restart, from: 2_000, to: 2_050, losesSince: 1_000 }],
        sightings: [
          ...sightings("A", [650, "up"], [700, "up"], [2_100, "detached", 1], [2_300, "up"], [2_350, "up"]),
          ...sightings("B", [650, "up"], [700, "up"], [2_060, "up"], [2_110, "up"]),
        ],
        reads: [read("B", 2_200, 1)],
      },
    ],
    [
      "a process that was frozen serves a value that changed meanwhile, also if it gave up calls when it went on",
      "elsewhere",
      {
        changes: [change("A", 2)],
        faults: [{ kind: "freeze process", from: 50, to: 2_000, processes: ["B"], freezes: true }],
        failures: [{ process: "B", at: 2_002, operation: "read", code: "BACKEND_UNAVAILABLE" }],
        reads: [read("B", 2_001, 1, { tier: "memory" })],
      },
    ],
    [
      "two loads run at once long after everything was replayed",
      "two loads",
      {
        changes: [change("C", 2)],
        removals: [{ process: "C", from: 400, to: 410, key: "a" }],
        sightings: sightings("C", [400, "up", 3], [620, "up"]),
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1)],
      },
    ],
    [
      "two loads run at once long after a forced caller left",
      "two loads",
      {
        loads: [load("A", 700, 900, 1), load("B", 800, 850, 1)],
        reads: [read("B", 300, undefined, { kind: "getOrSet", forced: true, error: "AbortError: left" })],
      },
    ],
    [
      "two loads run at once while a third process is frozen",
      "two loads",
      {
        processes: [
          { name: "A", bornAt: 0 },
          { name: "B", bornAt: 0 },
          { name: "C", bornAt: 0 },
        ],
        faults: [{ kind: "freeze process", from: 200, to: 900, processes: ["C"], freezes: true }],
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1)],
      },
    ],
    [
      "two loads run at once after tag versions were lost, which was reported",
      "two loads",
      {
        faults: [{ kind: "evict tags", from: 400, to: 410, losesLeases: true }],
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1)],
      },
    ],
    [
      "two loads run at once long after a change",
      "two loads",
      { changes: [change("A", 2)], loads: [load("A", 500, 700, 2), load("B", 600, 650, 2)] },
    ],
    [
      "two loads run at once shortly after a tag call, under two leases",
      "two loads",
      {
        changes: [change("A", 2, { kind: "invalidateTags" })],
        loads: [load("B", 115, 200, 2), load("A", 125, 180, 2)],
      },
    ],
    [
      "two loads run at once, and the first gives its lease up later",
      "two loads",
      {
        changes: [change("A", 2, { kind: "invalidateTags" })],
        loads: [load("B", 115, 200, 2, { givenUpAt: 130 }), load("A", 125, 180, 2)],
      },
    ],
    [
      "a load gives its lease up for a key that was removed elsewhere",
      "two loads",
      { changes: [change("A", 2)], loads: [load("B", 115, 200, 2, { givenUpAt: 120 }), load("A", 125, 180, 2)] },
    ],
    [
      "a load gives its lease up long after a tag call",
      "two loads",
      {
        changes: [change("A", 2, { kind: "invalidateTags" })],
        loads: [load("B", 215, 300, 2, { givenUpAt: 220 }), load("A", 225, 280, 2)],
      },
    ],
    [
      "two loads run at once, and the key was changed while a caller waited for the lease of the first",
      "two loads",
      {
        changes: [change("C", 2)],
        loads: [
          load("C", 20, 90, 1),
          load("A", 520, 700, 2, { calledAt: 30, askedAt: 515 }),
          load("B", 530, 600, 2, { askedAt: 529 }),
        ],
      },
    ],
    [
      "a load runs without a lease, and nothing kept the process from asking for one",
      "two loads",
      { loads: [load("A", 500, 700, 1), load("B", 600, 650, 1, { isAlone: true })] },
    ],
    [
      "a load runs without a lease while its process has another key to invalidate again",
      "two loads",
      {
        changes: [change("B", 1)],
        sightings: sightings("B", [570, "up", 3], [700, "up", 3], [1_200, "up"]),
        removals: [{ process: "B", from: 1_100, to: 1_110, key: "b" }],
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1, { isAlone: true })],
      },
    ],
    [
      "a load runs without a lease before its process has the key to invalidate again",
      "two loads",
      {
        changes: [change("B", 1)],
        sightings: sightings("B", [570, "up"], [800, "up"], [1_000, "up", 3], [1_200, "up"]),
        removals: [{ process: "B", from: 1_100, to: 1_110, key: "a" }],
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1, { isAlone: true })],
      },
    ],
    [
      "two loads run at once while another key is replayed",
      "two loads",
      {
        changes: [change("C", 2)],
        removals: [{ process: "C", from: 550, to: 560, key: "b" }],
        loads: [load("A", 500, 700, 2), load("B", 600, 650, 2)],
      },
    ],
    [
      "two loads run at once while a process removes a key that it has never changed",
      "two loads",
      {
        removals: [{ process: "C", from: 550, to: 560, key: "a" }],
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1)],
      },
    ],
    [
      "two loads run at once while a link is broken, which costs no lease",
      "two loads",
      {
        faults: [{ kind: "cut", from: 550, to: 580, processes: ["A"] }],
        sightings: sightings("A", [551, "detached"], [590, "up"], [640, "up"]),
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1)],
      },
    ],
    [
      "two loads run at once, both under leases of a server that started before",
      "two loads",
      {
        faults: [{ kind: "restart empty", from: 200, to: 300, losesLeases: true }],
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1)],
      },
    ],
    [
      "two loads run at once longer after a forced caller left than a takeover takes",
      "two loads",
      {
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1)],
        reads: [read("B", 300, undefined, { kind: "getOrSet", forced: true, error: "AbortError: left" })],
      },
    ],
    [
      "a set that was pending is served long after its replay",
      "elsewhere",
      { ...PENDING_SET, reads: [read("C", 1_901, 2)] },
    ],
    [
      "a set that was pending is served long after its replay by a process that has cleared it",
      "own",
      { ...PENDING_SET, reads: [read("A", 9_000, 2)] },
    ],
    [
      "the set of a process that died is served after the end of its life",
      "elsewhere",
      {
        terms: { ...TERMS, ttlMs: 2_000, staleMs: 500 },
        processes: [
          { name: "A", bornAt: 0, diedAt: 150 },
          { name: "B", bornAt: 0 },
          { name: "C", bornAt: 0 },
        ],
        changes: [unsettledSet("A", 2), change("B", 3)],
        // Loaded once more, which explains that it lives.
        loads: [load("C", 180, 190, 2), load("C", 3_000, 3_010, 2)],
        reads: [read("C", 3_500, 2)],
      },
    ],
    [
      "a stale copy is served at once, and another call of its process fails later",
      "elsewhere",
      {
        changes: [change("A", 2)],
        failures: [{ process: "B", at: 1_361, operation: "read", code: "BACKEND_UNAVAILABLE" }],
        reads: [read("B", 1_111, 1, { tier: "memory" })],
      },
    ],
    [
      "a process that is never in step after a restart serves an older copy when it had the time to be",
      "elsewhere",
      {
        changes: [change("A", 2)],
        faults: [restart],
        sightings: [...sightings("A", [650, "up"], [700, "up"]), ...sightings("B", [650, "detached"], [900, "up", 1])],
        reads: [read("B", 11_601, 1, { tier: "redis" })],
      },
    ],
    [
      "a load from before the delete of another program is joined when it had been given up",
      "elsewhere",
      {
        changes: [change("foreign", 2)],
        loads: [load("A", 50, 6_000, 1)],
        reads: [read("A", 5_110, 1, { tier: "load", coalesced: true })],
      },
    ],
    [
      "a process that did not run serves an older copy, since it took Redis for unreachable",
      "elsewhere",
      {
        changes: [change("A", 2)],
        faults: [{ kind: "freeze process", from: 50, to: 2_000, processes: ["B"], freezes: true }],
        sightings: sightings("B", [2_003, "down"], [3_000, "up"]),
        reads: [read("B", 2_500, 1, { tier: "memory" })],
      },
    ],
    [
      "a process whose loop was blocked serves an older copy, since its calls ran out of time",
      "elsewhere",
      {
        changes: [change("A", 2)],
        stalls: [{ process: "B", from: 50, to: 1_600 }],
        failures: [{ process: "B", at: 1_602, operation: "read", code: "BACKEND_UNAVAILABLE" }],
        reads: [read("B", 1_601, 1, { tier: "memory", endedAt: 1_603 })],
      },
    ],
    [
      "a process serves an older copy beside a write that Redis refused (C344)",
      "elsewhere",
      {
        changes: [change("A", 2)],
        failures: [{ process: "B", at: 1_602, operation: "lease", code: REFUSED }],
        reads: [read("B", 1_601, 1, { tier: "memory", endedAt: 1_603 })],
      },
    ],
    [
      "an outage longer than reissueWindow loses what was changed just before it (C344)",
      "elsewhere",
      {
        changes: [change("A", 2)],
        faults: [{ ...restart, to: 40_000 }],
        sightings: [
          ...sightings("A", [510, "down"], [40_100, "up"], [40_150, "up"]),
          ...sightings("B", [510, "down"], [40_100, "up"], [40_150, "up"]),
        ],
        reads: [read("B", 42_000, 1)],
      },
    ],
    [
      "a value that was set among thousands is not found",
      "missed",
      { changes: [change("A", 2, { kind: "setMany" })], reads: [read("B", 120, undefined)] },
    ],
    [
      "a value that was set is not found",
      "missed",
      { changes: [change("A", 2, { kind: "set" })], reads: [read("B", 120, undefined)] },
    ],
    [
      "a value that was set is not found by a process that stood still before",
      "missed",
      {
        changes: [change("A", 5, { kind: "set" })],
        faults: [{ kind: "stall", from: 100, to: 200, processes: ["B"] }],
        sightings: sightings("B", [210, "up"], [260, "up"]),
        reads: [read("B", 420, undefined)],
      },
    ],
    [
      "a value that was set is not found shortly before its end",
      "missed",
      {
        terms: { ...TERMS, ttlMs: 500 },
        changes: [change("A", 2, { kind: "set" })],
        loads: [load("A", 590, 600, 2)],
        reads: [read("B", 592, undefined)],
      },
    ],
    [
      "a value that was loaded and stored is not found",
      "missed",
      { loads: [load("A", 100, 110, 2, { isToStore: true })], reads: [read("B", 411, undefined)] },
    ],
    [
      "a value that was loaded and stored before the one that it replaced would have ended is not found",
      "missed",
      {
        terms: { ...TERMS, staleMs: 300 },
        changes: [change("A", 2, { kind: "markStale", mode: "soft" })],
        loads: [load("A", 200, 210, 2, { isToStore: true })],
        reads: [read("B", 800, undefined)],
      },
    ],
    [
      "a value is not found after its process had the time to store it, or since another process did not run",
      "missed",
      {
        loads: [load("A", 100, 110, 2, { isToStore: true })],
        stalls: [
          { process: "A", from: 150, to: 650 },
          { process: "B", from: 150, to: 650 },
        ],
        reads: [read("B", 920, undefined)],
      },
    ],
    [
      "a value that was loaded and stored is loaded again",
      "missed",
      { loads: [load("A", 100, 110, 2, { isToStore: true }), load("B", 500, 510, 2)] },
    ],
    [
      "a value is fresh for longer than its ttl",
      "outlived",
      {
        terms: { ...TERMS, ttlMs: 500, staleMs: 1_000 },
        loads: [load("A", 100, 110, 2)],
        reads: [read("B", 711, 2)],
      },
    ],
    [
      "a stale value outlives its windows",
      "outlived",
      {
        terms: { ...TERMS, ttlMs: 500, staleMs: 1_000 },
        changes: [change("A", 2, { kind: "set" })],
        reads: [read("B", 1_711, 2, { freshness: "stale" })],
      },
    ],
    [
      "a stale value outlives its windows by more than the faults meanwhile",
      "outlived",
      {
        terms: { ...TERMS, ttlMs: 500, staleMs: 1_000 },
        loads: [load("A", 100, 110, 2)],
        faults: [{ kind: "freeze server", from: 120, to: 520 }],
        reads: [read("B", 2_311, 2, { freshness: "stale" })],
      },
    ],
    [
      "an answer for one caller alone reaches another",
      "shared",
      { reads: [read("A", 100, 1, { kind: "getOrSet", strayCall: "B.1" })] },
    ],
    [
      "a load is given up while a later caller of its process waits for it",
      "abandoned",
      {
        loads: [load("A", 500, 900, 5, { abortedAt: 900 })],
        reads: [read("A", 700, 5, { kind: "getOrSet", endedAt: 1_300, boundMs: 2_000 })],
      },
    ],
    [
      "a caller is rejected since another one had left",
      "abandoned",
      { reads: [read("A", 500, undefined, { kind: "getOrSet", error: "AbortError: left", isAbandoned: true })] },
    ],
    [
      "two loads run long after one that stored nothing",
      "two loads",
      {
        terms: { ...TERMS, markedForMs: 200 },
        loads: [load("A", 500, 510, 5, { isWithheld: true }), load("A", 800, 1_000, 5), load("B", 850, 900, 5)],
      },
    ],
    [
      "a loaded value was not stored, though only a tag that it does not have was called",
      "missed",
      {
        loads: [load("A", 500, 510, 5, { isToStore: true })],
        changes: [change("B", 5, { kind: "invalidateTags", keys: [["other", 2]], startedAt: 502, endedAt: 504 })],
        reads: [read("A", 1_000, undefined)],
      },
    ],
    [
      "a rejection is unhandled",
      "untidy",
      { incidents: [{ process: "A", at: 5, kind: "unhandled", text: "rejection" }] },
    ],
  ])("in which %s", ([, rule, parts]) => {
    expect(rules(parts)).toEqual([rule]);
  });
});

describe("a good history is accepted,", () => {
  it.for<readonly [string, Partial<History>]>([
    [
      "a read that began before the acknowledgement answers either",
      { changes: [change("A", 2)], reads: [read("A", 109, 1), read("A", 109, 2)] },
    ],
    [
      "another process answers the older value within maxStaleness",
      { changes: [change("A", 2)], reads: [read("B", 1_109, 1)] },
    ],
    [
      "a soft change leaves the older value as stale",
      { changes: [change("A", 2, { mode: "soft" })], reads: [read("A", 120, 1, { freshness: "stale" })] },
    ],
    [
      "a change that failed promises nothing",
      { changes: [change("A", 2, { status: "failed" })], reads: [read("A", 150, 1)] },
    ],
    [
      "two loads run at once because something changed in between",
      { changes: [change("A", 2)], loads: [load("A", 90, 200, 1), load("B", 130, 180, 2)] },
    ],
    [
      "two loads run at once because the message about a tag call comes after its acknowledgement",
      {
        changes: [change("A", 2, { kind: "invalidateTags" })],
        loads: [load("B", 115, 200, 2, { givenUpAt: 120 }), load("A", 125, 180, 2)],
      },
    ],
    [
      "two loads run at once because one was forced",
      { loads: [load("A", 500, 700, 1), load("B", 600, 650, 1, { forced: true })] },
    ],
    [
      "two loads run at once because the caller of a forced one left before it reached the backend",
      {
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1)],
        reads: [read("B", 450, undefined, { kind: "getOrSet", forced: true, error: "AbortError: left" })],
      },
    ],
    [
      "two loads run at once because the caller of a forced one left, and it reached the backend late",
      {
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1)],
        reads: [read("B", 300, undefined, { kind: "getOrSet", forced: true, error: "AbortError: left" })],
        faults: [{ kind: "stall", from: 290, to: 490, processes: ["B"] }],
      },
    ],
    [
      "two loads run at once because a third process issues its change again",
      {
        changes: [change("C", 2)],
        removals: [{ process: "C", from: 550, to: 560, key: "a" }],
        loads: [load("A", 500, 700, 2), load("B", 600, 650, 2)],
      },
    ],
    [
      "two loads run at once because a third process issues its tag call again",
      {
        changes: [change("C", 2, { kind: "invalidateTags" })],
        removals: [{ process: "C", from: 550, to: 560 }],
        sightings: sightings("C", [562, "up", 3]),
        loads: [load("A", 500, 700, 2), load("B", 600, 650, 2)],
      },
    ],
    [
      "a value is not found by a process that asked slowly for the clock of a server, in the string layout",
      {
        terms: { ...TERMS, clockAgeMs: 1_000 },
        changes: [change("A", 5, { kind: "set" })],
        faults: [{ kind: "stall", from: 100, to: 200, processes: ["B"] }],
        sightings: sightings("B", [210, "up"], [260, "up"]),
        reads: [read("B", 420, undefined)],
      },
    ],
    [
      "a value is not found in the last milliseconds of its life, each of which is rounded down",
      {
        terms: { ...TERMS, ttlMs: 500 },
        changes: [change("A", 2, { kind: "set" })],
        reads: [read("B", 593, undefined)],
      },
    ],
    [
      "a value is not found since it was over for a process with a slow answer, which loads",
      {
        terms: { ...TERMS, ttlMs: 500 },
        changes: [change("A", 2, { kind: "set" })],
        loads: [load("A", 560, 600, 2, { calledAt: 530 })],
        reads: [read("B", 570, undefined)],
      },
    ],
    [
      "two loads run at once because the server lost the first lease",
      {
        faults: [{ kind: "restart empty", from: 550, to: 580, losesLeases: true }],
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1)],
      },
    ],
    [
      "two loads run at once because a process still uses the old primary",
      {
        faults: [{ kind: "failover", from: 200, to: 300, losesLeases: true, splits: true }],
        sightings: [
          ...sightings("A", [310, "up"], [320, "up"]),
          ...sightings("B", [310, "detached"], [800, "up"], [850, "up"]),
        ],
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1)],
      },
    ],
    ["a set that was pending is served shortly after its replay", { ...PENDING_SET, reads: [read("C", 1_900, 2)] }],
    [
      "a load from before the delete of another program is joined while it may still run",
      {
        changes: [change("foreign", 2)],
        loads: [load("A", 50, 1_540, 1)],
        reads: [read("A", 1_530, 1, { tier: "load", coalesced: true })],
      },
    ],
    [
      "a process that did not run serves an older copy because its link is cut as well",
      {
        changes: [change("A", 2)],
        faults: [
          { kind: "freeze process", from: 50, to: 2_000, processes: ["B"], freezes: true },
          { kind: "cut", from: 1_990, to: 2_400, processes: ["B"] },
        ],
        sightings: sightings("B", [2_003, "down"], [3_000, "up"]),
        reads: [read("B", 2_500, 1, { tier: "memory" })],
      },
    ],
    [
      "a value is not found after its ttl, or after a change",
      {
        terms: { ...TERMS, ttlMs: 500 },
        changes: [change("A", 2, { kind: "set" }), change("A", 5)],
        reads: [read("B", 420, undefined), read("B", 700, undefined)],
      },
    ],
    [
      "a value is refreshed ahead of time",
      {
        terms: { ...TERMS, ttlMs: 1_000 },
        loads: [load("A", 100, 110, 2, { isToStore: true }), load("B", 610, 620, 2)],
      },
    ],
    [
      "a value is not stored because the one that it replaces ended during its load",
      {
        terms: { ...TERMS, staleMs: 300 },
        changes: [change("A", 2, { kind: "markStale", mode: "soft" })],
        loads: [load("A", 395, 420, 2, { isToStore: true })],
        reads: [read("B", 800, undefined)],
      },
    ],
    [
      "a loaded value is stored late because its process did not run",
      {
        loads: [load("A", 100, 110, 2, { isToStore: true })],
        stalls: [
          { process: "A", from: 150, to: 650 },
          { process: "A", from: 800, to: 900 },
        ],
        reads: [read("B", 1_000, undefined)],
      },
    ],
    [
      "a value is not stored because one of its tags was called during its load",
      {
        changes: [change("A", 2, { kind: "invalidateTags" })],
        loads: [load("A", 90, 120, 1, { isToStore: true })],
        reads: [read("B", 500, undefined)],
      },
    ],
    [
      "a value is not found while Redis refuses writes (C344)",
      {
        changes: [change("A", 2, { kind: "set" })],
        failures: [{ process: "B", at: 121, operation: "remove", code: REFUSED }],
        reads: [read("B", 120, undefined, { endedAt: 122 })],
      },
    ],
    [
      "a value is not found while Redis cannot be reached",
      {
        changes: [change("A", 2, { kind: "set" })],
        sightings: sightings("B", [112, "down"]),
        reads: [read("B", 120, undefined)],
      },
    ],
    [
      "a stale value is stored later than usual by a server that was frozen",
      {
        terms: { ...TERMS, ttlMs: 500, staleMs: 1_000 },
        loads: [load("A", 100, 110, 2)],
        faults: [{ kind: "freeze server", from: 120, to: 520 }],
        reads: [read("B", 2_300, 2, { freshness: "stale" })],
      },
    ],
    ["a second load begins after loadTimeout", { loads: [load("A", 500, 2_400, 1), load("B", 2_001, 2_300, 1)] }],
    [
      "a frozen process takes longer",
      {
        faults: [{ kind: "freeze process", from: 105, to: 2_000, processes: ["A"], freezes: true }],
        reads: [read("A", 100, 1, { endedAt: 2_050 })],
      },
    ],
    [
      "a call waits for a load that runs",
      {
        loads: [load("A", 100, 1_590, 1), load("B", 1_600, 1_650, 1)],
        reads: [read("B", 150, 1, { kind: "getOrSet", endedAt: 1_700, boundMs: 9_000 })],
      },
    ],
    [
      "a process that did not run for a while takes longer",
      {
        stalls: [
          { process: "A", from: 105, to: 2_000 },
          { process: "A", from: 1_000, to: 1_900 },
        ],
        reads: [read("A", 100, 1, { endedAt: 2_050 })],
      },
    ],
    [
      "a load is given up as a change has ended its joining",
      {
        loads: [load("A", 150, 290, 2, { abortedAt: 290 })],
        changes: [change("B", 3)],
        reads: [read("A", 250, 3, { kind: "getOrSet", endedAt: 400, boundMs: 2_000 })],
      },
    ],
    [
      "a load is given up at its loadTimeout",
      {
        loads: [load("A", 500, 2_000, 5, { abortedAt: 2_000 })],
        reads: [read("A", 700, 5, { kind: "getOrSet", endedAt: 2_300, boundMs: 2_000 })],
      },
    ],
    [
      "a loader's own error is passed on",
      { reads: [read("A", 100, undefined, { kind: "getOrSet", error: "SourceError: down" })] },
    ],
  ])("in which %s", ([, parts]) => {
    expect(rules(parts)).toEqual([]);
  });

  it.for<readonly [string, string, Partial<History>]>([
    [
      "a process that cannot reach Redis serves its copy",
      "fallback",
      {
        changes: [change("A", 2)],
        sightings: sightings("B", [90, "down"]),
        reads: [read("B", 1_600, 1, { tier: "memory" })],
      },
    ],
    [
      "a restart lost a change that is yet to be issued again",
      "lost, not yet re-issued",
      {
        changes: [change("A", 2)],
        faults: [{ ...restart, from: 1_200, to: 1_300 }],
        sightings: [
          ...sightings("A", [1_400, "detached", 1], [1_500, "up"], [1_550, "up"]),
          ...sightings("B", [1_350, "up"], [1_370, "up"]),
        ],
        reads: [read("B", 1_400, 1)],
      },
    ],
    [
      "a restart lost an invalidation that was issued again after its snapshot",
      "lost, not yet re-issued",
      {
        changes: [change("A", 2)],
        faults: [restart, { ...restart, from: 2_000, to: 2_050, losesSince: 610 }],
        sightings: [
          ...sightings("A", [650, "up"], [700, "up"], [2_100, "detached", 1], [2_300, "up"], [2_350, "up"]),
          ...sightings("B", [650, "up"], [700, "up"], [2_060, "up"], [2_110, "up"]),
        ],
        reads: [read("B", 2_200, 1)],
      },
    ],
    [
      "a restart lost a change, and its process has died",
      "lost and forgotten",
      {
        processes: [
          { name: "A", bornAt: 0, diedAt: 400 },
          { name: "B", bornAt: 0 },
        ],
        changes: [change("A", 2)],
        faults: [restart],
        sightings: IN_STEP,
        reads: [read("B", 5_000, 1)],
      },
    ],
    [
      "a set arrives after its process gave it up",
      "set with unknown outcome",
      {
        changes: [change("A", 2, { kind: "set", status: "pending" }), change("B", 3)],
        sightings: sightings("A", [900, "down", 1], [2_000, "up"]),
        reads: [read("C", 1_400, 2)],
      },
    ],
    [
      "a load runs without a lease beside another",
      "load without a lease",
      {
        failures: [{ process: "B", at: 590, operation: "lease", code: "BACKEND_UNAVAILABLE" }],
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1, { calledAt: 580, isAlone: true })],
      },
    ],
    [
      "a load runs without a lease beside another, since Redis refused it one (C344)",
      "load without a lease",
      {
        failures: [{ process: "B", at: 590, operation: "acquire", code: REFUSED }],
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1, { calledAt: 580, isAlone: true })],
      },
    ],
    [
      "a load asks for no lease while its process has the key to invalidate again, and Redis refuses that",
      "load without a lease",
      {
        changes: [change("B", 1)],
        sightings: sightings("B", [570, "up", 3], [700, "up", 3], [1_200, "up"]),
        removals: [{ process: "B", from: 1_100, to: 1_110, key: "a" }],
        loads: [load("A", 500, 700, 1), load("B", 600, 650, 1, { isAlone: true })],
      },
    ],
    [
      "processes load side by side after a load that stored nothing",
      "load after one that stored nothing",
      {
        terms: { ...TERMS, markedForMs: 200 },
        loads: [load("A", 500, 510, 5, { isWithheld: true }), load("A", 600, 800, 5), load("B", 650, 700, 5)],
      },
    ],
    [
      "a load waited for a lease as long as it may",
      "load without a lease",
      { loads: [load("A", 500, 700, 1), load("B", 600, 650, 1, { calledAt: 300, isAlone: true })] },
    ],
    [
      "a load gives its lease up because its own process changed the key while its caller waited",
      "load without a lease",
      {
        changes: [change("A", 2)],
        loads: [load("A", 120, 700, 1, { calledAt: 90, isAlone: true }), load("B", 125, 650, 2)],
      },
    ],
    [
      "a set arrives over a later change of another process, which reads it",
      "set with unknown outcome",
      {
        changes: [change("A", 2, { kind: "set", status: "pending" }), change("B", 3)],
        sightings: sightings("A", [900, "down", 1], [2_000, "up"]),
        reads: [read("B", 220, 2)],
      },
    ],
    [
      "a program deletes what Redis does not hold",
      "foreign delete during a load",
      {
        changes: [change("foreign", 2)],
        loads: [load("A", 50, 1_400, 1)],
        reads: [read("A", 1_200, 1, { tier: "load", coalesced: true })],
      },
    ],
  ])("in which %s, and counted as such", ([, exemption, parts]) => {
    const { violations, exemptions } = check(history(parts));
    expect([violations, exemptions]).toEqual([[], { [exemption]: 1 }]);
  });

  it("with the time that another process took", () => {
    const watched = [
      read("B", 90, 1, { kind: "watch", firstStartedAt: 90, startedAt: 110.5 }),
      read("B", 120, undefined, { kind: "watch", firstStartedAt: 110.8, startedAt: 120 }),
    ];
    const [lagMs, ...others] = check(history({ changes: [change("A", 2)], reads: watched })).lagsMs;
    expect(others).toEqual([]);
    expect(lagMs).toBeCloseTo(0.8, 6);
  });
});

describe("a violation", () => {
  it("is reported with the events of its key, in order", () => {
    const parts = history({
      changes: [change("A", 2, { id: "c" })],
      loads: [load("B", 50, 90, 1)],
      reads: [
        read("B", 95, 1, { id: "early", kind: "getOrSet", tier: "load" }),
        read("B", 1_200, 1, { id: "late", tier: "memory" }),
        read("B", 300, 9, { key: "other" }),
      ],
      faults: [{ kind: "cut", from: 97, to: 98, processes: ["B"] }],
      sightings: sightings("B", [10, "up"], [60, "up"]),
    });
    expect(
      timeline(
        parts,
        check(parts).violations.find(({ rule }) => rule === "elsewhere")!,
      ).split("\n"),
    ).toEqual([
      "elsewhere: B: get a answered 1 from memory; 2 was due: 1090.0 ms after the acknowledgement of delete in A",
      "   0.0100 s  B        is up",
      "   0.0500 s  B        load begins",
      "   0.0900 s  B        load ends, the source said 1",
      "   0.0950 s  B        getOrSet: 1 (from load), 1.0 ms",
      "   0.0970 s  nemesis  cut of B",
      "   0.0980 s  nemesis  cut: over",
      "   0.1000 s  A        delete, source a → 2: acknowledged after 10.0 ms   <<<",
      "   1.2000 s  B        get: 1 (from memory), 1.0 ms   <<<",
    ]);
  });

  it("is shrunk to a small plan", async () => {
    const plan = planOf(3, { topology: "single", focus: "links" });
    const needed = new Set([plan.operations[10]!.id, plan.operations[200]!.id]);
    const violation = { rule: "own", text: "", at: plan.operations[200]!.at, ids: [] } as const;
    const least = await shrink(
      plan,
      violation,
      async (candidate) => {
        const fails = [...needed].every((each) => candidate.operations.some((operation) => operation.id === each));
        return { history: history({}), verdict: { ...check(history({})), violations: fails ? [violation] : [] } };
      },
      () => undefined,
    );
    expect(least.plan.operations.length).toBeLessThan(plan.operations.length / 20);
    expect(least.plan.operations.map((operation) => operation.id)).toEqual(expect.arrayContaining([...needed]));
    expect(least.plan.faults).toEqual([]);
  });
});

describe("C389: where the clock of the server jumps", () => {
  const jump = (at: number, jumpMs: number): Fault => ({ kind: "server clock jump", from: at, to: at, jumpMs });
  const SHORT = { ...TERMS, ttlMs: 2_000 };
  const STRINGS = { ...SHORT, clockAgeMs: 1_000 };
  const loaded = [load("A", 10, 20, 1)];
  const kill = (process: string, at: number): Fault => ({
    kind: "kill process",
    from: at,
    to: at,
    processes: [process],
  });
  const waits = (from: number, to: number): Read =>
    read("B", from, 1, { kind: "getOrSet", endedAt: to, boundMs: 9_000 });
  const set = change("A", 2, { kind: "set" });
  const missed = (at: number, faults: readonly Fault[]): Partial<History> => ({
    changes: [set],
    reads: [read("B", at, undefined)],
    faults,
  });

  it.for<readonly [string, readonly Rule[], Partial<History>]>([
    [
      "a replaced value",
      ["elsewhere"],
      { changes: [change("A", 2)], reads: [read("B", 1_111, 1)], faults: [jump(105, -500)] },
    ],
    [
      "a deleted value of its own",
      ["own"],
      { changes: [change("A", 2)], reads: [read("A", 111, 1)], faults: [jump(111, -500)] },
    ],
    ["one load", [], { loads: [load("A", 500, 900, 1), load("B", 600, 650, 1)], faults: [jump(550, 500)] }],
    [
      "one load after a jump back",
      ["two loads"],
      { loads: [load("A", 500, 900, 1), load("B", 600, 650, 1)], faults: [jump(550, -5_000)] },
    ],
    [
      "one load after a jump before it",
      ["two loads"],
      { loads: [load("A", 500, 900, 1), load("B", 600, 650, 1)], faults: [jump(450, 5_000)] },
    ],
    [
      "an impossible lease",
      [],
      { loads: [load("A", 500, 900, 1), load("B", 600, 650, 1)], faults: [jump(550, -3_600_000)] },
    ],
    [
      "two jumps that make it so",
      [],
      { loads: [load("A", 500, 900, 1), load("B", 600, 650, 1)], faults: [jump(550, -30_000), jump(560, -30_000)] },
    ],
    ["a value within its ttl", [], { terms: SHORT, loads: loaded, reads: [read("B", 2_010, 1)] }],
    ["a value after its ttl", ["outlived"], { terms: SHORT, loads: loaded, reads: [read("B", 2_130, 1)] }],
    [
      "as long as the clock was set back",
      [],
      { terms: SHORT, loads: loaded, reads: [read("B", 3_500, 1)], faults: [jump(1_900, -1_500)] },
    ],
    [
      "no longer",
      ["outlived"],
      { terms: SHORT, loads: loaded, reads: [read("B", 3_700, 1)], faults: [jump(1_900, -1_500)] },
    ],
    [
      "ahead and back is where it was",
      ["outlived"],
      { terms: SHORT, loads: loaded, reads: [read("B", 3_500, 1)], faults: [jump(5, 1_500), jump(1_900, 1_500)] },
    ],
    [
      "fresh for longer than ever",
      ["outlived"],
      { terms: SHORT, loads: loaded, reads: [read("B", 3_500, 1)], faults: [jump(100, -3_600_000)] },
    ],
    [
      "stale for longer",
      [],
      {
        terms: { ...SHORT, staleMs: 100 },
        loads: loaded,
        reads: [read("B", 3_500, 1, { freshness: "stale" })],
        faults: [jump(100, -3_600_000)],
      },
    ],
    ["nothing missed", ["missed"], missed(1_000, [])],
    ["a value from before a jump ahead", [], missed(1_000, [jump(500, 500)])],
    ["a value from after it", ["missed"], missed(1_000, [jump(90, 500)])],
    ["a value with an age that can be", ["missed"], missed(1_000, [jump(500, -1_000)])],
    ["a value without a known age", [], missed(1_000, [jump(500, -1_001)])],
    [
      "a string that was stored by the time from before",
      [],
      { ...missed(1_000, [jump(90, 500)]), terms: { ...TERMS, clockAgeMs: 1_000 } },
    ],
    [
      "a string that was stored later",
      ["missed"],
      { ...missed(1_000, [jump(-1_050, 500)]), terms: { ...TERMS, clockAgeMs: 1_000 } },
    ],
    ["no sleep beside a jump", ["slept"], { reads: [waits(600, 2_100)], faults: [jump(500, -3_600_000)] }],
    ["the lease of a dead process", [], { reads: [waits(600, 2_100)], faults: [kill("C", 500)] }],
    ["and its end", ["slept"], { reads: [waits(2_600, 4_100)], faults: [kill("C", 500)] }],
    [
      "and its end after a jump back",
      [],
      { reads: [waits(2_600, 4_100)], faults: [kill("C", 500), jump(550, -1_500)] },
    ],
    [
      "and its end when it became so while its successor started",
      ["slept"],
      {
        processes: [
          { name: "A", bornAt: 0 },
          { name: "B", bornAt: 0 },
          { name: "C", bornAt: 0, diedAt: 501 },
        ],
        reads: [waits(600, 2_100)],
        faults: [{ ...kill("C", 500), to: 580 }, jump(550, -3_600_000)],
      },
    ],
    [
      "and its end when it is impossible",
      ["slept"],
      { reads: [waits(2_600, 4_100)], faults: [kill("C", 500), jump(550, -3_600_000)] },
    ],
    [
      "a value that was marked",
      ["own"],
      { changes: [change("A", 2, { kind: "markStale", mode: "soft" })], reads: [read("A", 300, 1)] },
    ],
    [
      "one marked before a jump back",
      [],
      {
        changes: [change("A", 2, { kind: "markStale", mode: "soft" })],
        reads: [read("A", 1_500, 1)],
        faults: [jump(200, -1_500)],
      },
    ],
    [
      "and the end of that",
      ["own"],
      {
        changes: [change("A", 2, { kind: "markStale", mode: "soft" })],
        reads: [read("A", 1_800, 1)],
        faults: [jump(200, -1_500)],
      },
    ],
    [
      "and one beyond its ttl",
      ["own"],
      {
        terms: SHORT,
        changes: [change("A", 2, { kind: "markStale", mode: "soft" })],
        loads: [load("A", 10, 20, 1)],
        reads: [read("A", 300, 1)],
        faults: [jump(200, -30_000)],
      },
    ],
    [
      "a tag that was marked",
      ["own"],
      {
        changes: [change("A", 2, { kind: "markTagsStale", mode: "soft" })],
        reads: [read("A", 300, 1)],
        faults: [jump(200, -1_500)],
      },
    ],
    [
      "a string marked before a jump ahead",
      [],
      {
        terms: STRINGS,
        changes: [change("A", 2, { kind: "markStale", mode: "soft" })],
        reads: [read("A", 300, 1)],
        faults: [jump(50, 500)],
      },
    ],
    [
      "a hash marked before it",
      ["own"],
      {
        terms: SHORT,
        changes: [change("A", 2, { kind: "markStale", mode: "soft" })],
        reads: [read("A", 300, 1)],
        faults: [jump(50, 500)],
      },
    ],
  ])("%s: %j", ([, expected, parts]) => {
    expect(rules(parts)).toEqual(expected);
  });
});

describe("where tag versions were lost over the channel,", () => {
  const reported: Fault = { kind: "evict tags", from: 20, to: 30, losesLeases: true };
  const lost: Fault = { ...reported, unreportedVersions: 1 };
  const inStep = ["A", "B"].flatMap((process) => sightings(process, [80, "up"], [130, "up"]));
  /** Two loads at once, of which the first gave its lease up before the second began. */
  const twoLoads = (at: number, givenUpAt = at + 40): readonly Load[] => [
    load("A", at, at + 90, 1, { givenUpAt }),
    load("B", at + 50, at + 80, 1),
  ];
  const stored = (at: number): Load => load("A", at, at + 10, 1, { isToStore: true });
  const missedAt = (at: number): Read => read("B", at, undefined);
  const times = [1_000, 2_000, 3_000, 4_000];

  it.for<readonly [string, readonly Rule[], Partial<History>]>([
    ["not two loads of which the first gave its lease up", [], { loads: twoLoads(1_000), faults: [lost] }],
    [
      "two loads where each version was reported as lost",
      ["two loads"],
      { loads: twoLoads(1_000), faults: [reported] },
    ],
    ["two loads of which the first has its lease", ["two loads"], { loads: twoLoads(1_000, 1_051), faults: [lost] }],
    [
      "two loads of which the first gave its lease up before the loss",
      ["two loads"],
      { loads: twoLoads(1_000), faults: [{ ...lost, from: 1_100, to: 1_110 }] },
    ],
    [
      "not an entry that many do not find",
      [],
      { loads: [stored(1_000)], reads: [1_400, 1_500, 1_600, 1_700].map(missedAt), faults: [lost] },
    ],
    [
      "as many as one key has versions, and processes drop values",
      [],
      { loads: times.slice(1).flatMap((at) => twoLoads(at)), faults: [lost] },
    ],
    ["and no more loads", ["two loads"], { loads: times.flatMap((at) => twoLoads(at)), faults: [lost] }],
    [
      "and no more entries",
      ["missed"],
      { loads: times.map(stored), reads: times.map((at) => missedAt(at + 400)), faults: [lost] },
    ],
    [
      "and again after another loss",
      [],
      { loads: times.flatMap((at) => twoLoads(at)), faults: [lost, { ...lost, from: 3_500, to: 3_510 }] },
    ],
  ])("%s", ([, expected, parts]) => {
    expect(rules({ sightings: inStep, ...parts })).toEqual(expected);
  });
});

describe("a plan", () => {
  it("is the same for the same seed, and another for the next", () => {
    for (const topology of TOPOLOGIES) {
      expect(planOf(7, { topology })).toEqual(planOf(7, { topology }));
      expect(planOf(8, { topology }).operations).not.toEqual(planOf(7, { topology }).operations);
    }
  });

  it("has every kind of fault somewhere, and every focus", () => {
    const drawn = TOPOLOGIES.flatMap((topology) => Array.from({ length: 80 }, (_, seed) => planOf(seed, { topology })));
    // It needs a library, so it is had by its name alone.
    const named = Array.from({ length: 80 }, (_, seed) => planOf(seed, { topology: "single", focus: "clocks" }));
    expect(new Set(drawn.map(({ focus }) => focus))).not.toContain("clocks");
    const plans = [...drawn, ...named];
    expect(new Set(plans.map(({ focus }) => focus))).toEqual(new Set(FOCUSES));
    expect([...new Set(plans.flatMap(({ faults }) => faults.map(({ kind }) => kind)))].sort()).toEqual(
      [...FAULT_KINDS].sort(),
    );
  });

  it("C388: of the clocks has jumps of a server's clock, ahead and back, from half a second to an hour", () => {
    const plans = Array.from({ length: 80 }, (_, seed) => planOf(seed, { topology: "single", focus: "clocks" }));
    const jumps = plans.flatMap(({ faults }) => faults.flatMap(({ byMs }) => byMs ?? []));
    const sizes = [500, 1_500, 5_000, 30_000, 3_600_000];
    expect([...new Set(jumps)].sort((one, other) => one - other)).toEqual([
      ...sizes.map((ms) => -ms).reverse(),
      ...sizes,
    ]);
    for (const { faults } of plans) expect(faults.length).toBeGreaterThan(5);
    expect(focusesOn("sentinel")).not.toContain("clocks");
  });

  it("knows which keys a tag and a namespace cover", () => {
    const { keys } = planOf(1, { topology: "single" });
    const covered = (tag: string, space: readonly string[]): readonly string[] =>
      coveredBy(keys, { id: "x", at: 0, worker: 0, kind: "invalidateTags", tag, space, isFollowed: false });
    expect([
      covered("t", []),
      covered("t", ["users"]),
      covered("v", []),
      covered("v", ["users", "deep"]),
      covered("t", ["users", "deep"]),
    ]).toEqual([["b", "c"], ["c"], ["d"], ["d"], []]);
    expect(coveredBy(keys, { id: "x", at: 0, worker: 0, kind: "clear", space: ["users"], isFollowed: false })).toEqual([
      "c",
      "d",
      "e",
      "n",
    ]);
  });
});

describe("planted bugs", () => {
  const top = resolve(import.meta.dirname, "../../..");

  it("have names of their own", () => {
    const names = MUTANTS.map(({ name }) => name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  it("break rules that stand exactly once in their files", () => {
    const times = MUTANTS.map(({ name, file, rule }) => ({
      name,
      times: readFileSync(join(top, file), "utf8").split(rule).length - 1,
    }));
    expect(times.filter((each) => each.times !== 1)).toEqual([]);
    expect(MUTANTS.filter(({ rule, broken }) => rule === broken).map(({ name }) => name)).toEqual([]);
  });
});

it("a histogram names its percentiles", () => {
  expect(histogram("lag", [0.1, 0.2, 0.2, 3])).toBe(
    [
      "lag, 4 times: p50 0.20 ms, p90 3.00 ms, p99 3.00 ms, max 3.00 ms",
      "  up to    0.125 ms       1 ####################",
      "  up to     0.25 ms       2 ########################################",
      "  up to        4 ms       1 ####################",
    ].join("\n"),
  );
});
