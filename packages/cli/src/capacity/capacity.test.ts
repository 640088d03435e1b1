import { describe, expect, it } from "vitest";
import { capacity, type Capacity, type Service } from "./capacity.ts";
import type { Costs } from "./costs.ts";

/** Round numbers: the sums can be done in the head. */
const COSTS: Costs = {
  heartbeatUs: 10,
  hitUs: 10,
  missUs: 100,
  setUs: 20,
  pushUs: 5,
  rereadUs: 15,
  tagCallUs: 50,
  loadAfterTagCallUs: 30,
  tagUseUs: 100,
  tagUseAtVersionsUs: 40,
  entryBytes: 400,
  valueByteBytes: 1,
  trackedKeyBytes: 50,
  trackedItemBytes: 50,
  connectionBytes: 20_000,
};

/** Reads that memory answers, and nothing else. */
const QUIET: Service = {
  processes: 100,
  primaries: 1,
  keys: 1_000_000,
  readsPerSecond: 10_000,
  writesPerSecond: 0,
  tagCallsPerSecond: 0,
  tagUsers: 100,
  holders: 10,
  valueBytes: 200,
  maxStalenessMs: 2_000,
  copies: 1_000,
  memoryShare: 1,
  loadShare: 0,
};

const of = (service: Partial<Service>): Capacity => capacity({ ...QUIET, ...service }, COSTS);
const NO_WORK = { heartbeats: 0.002, hits: 0, misses: 0, writes: 0, holders: 0, tagEntries: 0, tagVersions: 0 };

describe("cores of the busiest node", () => {
  it.each<[what: string, service: Partial<Service>, expected: Partial<Capacity["coresOf"]>]>([
    ["100 processes, each with 2 heartbeats a second", {}, {}],
    ["twice as many heartbeats for half of maxStaleness", { maxStalenessMs: 1_000 }, { heartbeats: 0.004 }],
    ["heartbeats of all processes on each primary", { primaries: 10 }, {}],
    ["1,000 hits and 100 misses a second", { memoryShare: 0.89, loadShare: 0.01 }, { hits: 0.01, misses: 0.01 }],
    ["the same over 2 primaries", { memoryShare: 0.89, loadShare: 0.01, primaries: 2 }, { hits: 0.005, misses: 0.005 }],
    ["100 writes a second, held by 10", { writesPerSecond: 100 }, { writes: 0.002, holders: 0.02 }],
    ["100 writes a second, held by none", { writesPerSecond: 100, holders: 0 }, { writes: 0.002 }],
    ["10 tag calls a second, used by all", { tagCallsPerSecond: 10 }, { tagEntries: 0.06, tagVersions: 0.0405 }],
    [
      "the same over 3 primaries: versions stay on one",
      { tagCallsPerSecond: 10, primaries: 3 },
      { tagEntries: 0.02, tagVersions: 0.0405 },
    ],
    [
      "10 tag calls a second that none uses, and 500 loads: a message for each load",
      { tagCallsPerSecond: 10, tagUsers: 0, memoryShare: 0.95, loadShare: 0.05 },
      { misses: 0.05, tagVersions: 0.0005 + 0.015 },
    ],
    [
      "1 tag call a second, and 500 loads: each of 100 processes notices one",
      { tagCallsPerSecond: 1, tagUsers: 0, memoryShare: 0.95, loadShare: 0.05 },
      { misses: 0.05, tagVersions: 0.00005 + 0.003 },
    ],
    [
      "changes of more copies than are read: half of them end none",
      { tagCallsPerSecond: 200, readsPerSecond: 10_000 },
      { tagEntries: 0.6, tagVersions: 200 * 50e-6 + 0.4 },
    ],
  ])("%s", (_, service, expected) => {
    const { cores, coresOf } = of(service);
    const all = { ...NO_WORK, ...expected };
    for (const [work, value] of Object.entries(all))
      expect(coresOf[work as keyof typeof all], work).toBeCloseTo(value, 10);
    expect(cores).toBeCloseTo(
      Object.values(all).reduce((sum, each) => sum + each),
      10,
    );
  });
});

describe("the first limit", () => {
  it.each<[service: Partial<Service>, limit: Capacity["firstLimit"], used: number]>([
    [{}, "connections", 0.01],
    [{ processes: 20_000 }, "connections", 2],
    [{ writesPerSecond: 100, readsPerSecond: 2_000 }, "memoryTier", 0.5],
    [{ writesPerSecond: 100, readsPerSecond: 500 }, "memoryTier", 2],
    [{ memoryShare: 0.5, readsPerSecond: 140_000 }, "core", (0.7 + 0.002) / 0.7],
    [{ memoryShare: 0, loadShare: 1 }, "core", (1 + 0.002) / 0.7],
  ])("of %j is %s", (service, limit, used) => {
    const found = of(service);
    expect([found.firstLimit, found.used[limit]]).toEqual([limit, expect.closeTo(used, 10)]);
  });
});

describe("the memory tier", () => {
  it.each<[what: string, service: Partial<Service>, share: number]>([
    ["answers all if nothing changes", {}, 1],
    ["does not answer hits in Redis and loads", { memoryShare: 0.9, loadShare: 0.04 }, 0.9],
    ["reads again what changed: 1,000 of 10,000", { writesPerSecond: 100 }, 0.9],
    ["answers nothing where more changes than is read", { tagCallsPerSecond: 1_000 }, 0],
  ])("%s", (_, service, share) => expect(of(service).memoryShare).toBeCloseTo(share, 10));
});

describe("primaries needed", () => {
  it.each<[what: string, service: Partial<Service>, primaries: number | undefined]>([
    ["one at least", {}, 1],
    ["as many as keep each below 0.7 of a core", { memoryShare: 0, readsPerSecond: 200_000 }, 3],
    ["the same, however many there are now", { memoryShare: 0, readsPerSecond: 200_000, primaries: 7 }, 3],
    ["none is enough for versions of tags", { readsPerSecond: 1e6, tagCallsPerSecond: 200 }, undefined],
    ["none is enough for heartbeats", { processes: 35_000 }, undefined],
  ])("%s", (_, service, primaries) => expect(of(service).primariesNeeded).toBe(primaries));
});

it("the memory of each node is that of its share of entries and tracked keys, and of all connections", () => {
  expect(of({ primaries: 2 }).node).toEqual({
    connections: 100,
    trackedKeys: 50_000,
    entriesBytes: 300_000_000,
    trackingBytes: 50_000 * 50 + 50_000 * 50,
    connectionsBytes: 2_000_000,
  });
  expect(of({ keys: 500 }).node).toMatchObject({ trackedKeys: 500, trackingBytes: 500 * 50 + 50_000 * 50 });
});
