import { knownKey } from "@hotset/redis-toolkit/inspect";
import { describe, expect, it } from "vitest";
import { checkCompactness, checkEvicted } from "./data-checks.ts";
import type { Facts, Known } from "./facts.ts";

const hidden: Known<never> = { refused: "NOPERM" };

/** A server with this limit, and hashes of these sizes: entries of a cache, or of another program. */
const facts = (limits: readonly string[], entries: readonly number[], others: readonly number[] = []): Facts => ({
  primaries: limits.map((limit) => ({
    address: "10.0.0.1:6379",
    info: hidden,
    config: { value: new Map([["hash-max-listpack-value", limit]]) },
    clients: hidden,
    roundTripMs: { value: 1 },
    slow: { value: [] },
  })),
  sample: {
    value: {
      keys: [
        ...entries.map((bytes) => ["hotset:shop::user:1", bytes] as const),
        ...others.map((bytes) => ["carts:1", bytes] as const),
      ].map(([key, bytes]) => ({ key, type: "hash", lifeMs: 1_000, bytes, known: knownKey(key, "hash") })),
      isComplete: true,
      hasSizes: true,
    },
  },
  user: hidden,
  rights: hidden,
  tracking: hidden,
  cluster: hidden,
  isCluster: false,
  isResp3Refused: false,
  expected: [],
});
const times = (count: number, bytes: number): readonly number[] => Array<number>(count).fill(bytes);

describe("compact entries are recommended", () => {
  it.each<[what: string, limits: readonly string[], entries: readonly number[], isFound: boolean]>([
    ["where all entries gain", ["64"], times(100, 560), true],
    ["where half of them gain", ["64"], [...times(100, 560), ...times(100, 4_000)], true],
    ["not where fewer gain", ["64"], [...times(100, 560), ...times(101, 4_000)], false],
    ["not for fewer than 100", ["64"], times(99, 560), false],
    ["not for entries that are compact", ["64"], times(100, 264), false],
    ["not for entries that would not become it", ["64"], times(100, 1_000), false],
    ["not where the limit is set", ["512"], times(100, 560), false],
    ["not where the limit is higher", ["1024"], times(100, 560), false],
    ["where one primary of two has the default", ["512", "64"], times(100, 560), true],
    ["not where the limit is not shown", [""], times(100, 560), false],
    ["not where no setting may be looked at", [], times(100, 560), false],
  ])("%s", (_, limits, entries, isFound) => {
    expect(checkCompactness(facts(limits, entries)).length).toBe(isFound ? 1 : 0);
  });

  it("with the hashes of other programs, which it makes slower", () => {
    expect(checkCompactness(facts(["64"], times(150, 560), times(3, 560)))).toEqual([
      {
        check: "memory",
        severity: "warning",
        found: "150 of 150 hashes of caches are hash tables; as list packs each would take some 230 bytes less",
        evidence: { hashMaxListpackValue: 64, entries: 150, otherHashes: 3, sampledKeys: 153 },
        fix: expect.stringMatching(/^CONFIG SET hash-max-listpack-value 512, also in redis.conf/),
      },
    ]);
  });
});

describe("keys that fill a server which evicts", () => {
  const full = (info: Readonly<Record<string, string>>, others: readonly number[]): Facts => {
    const { primaries, ...rest } = facts([""], [200, 200], others);
    const of = { used_memory: "99", maxmemory: "100", maxmemory_policy: "allkeys-lru", evicted_keys: "1200", ...info };
    return { ...rest, primaries: primaries.map((each) => ({ ...each, info: { value: new Map(Object.entries(of)) } })) };
  };

  it("are named by their prefix, and no error of theirs is reported", () => {
    expect(checkEvicted(full({}, [1_600]))).toEqual([
      {
        ...{ check: "memory", severity: "warning" },
        found:
          "memory is full, and Redis has evicted 1200 keys since it started, by allkeys-lru; 80 % of it are keys of other programs, carts:..., by a sample",
        evidence: {
          ...{ server: "10.0.0.1:6379", usedBytes: 99, maxmemory: 100, evictedKeys: 1_200 },
          ...{ most: "keys of other programs, carts:...", share: 80 },
        },
        fix: expect.stringMatching(/^move that program to a separate server/),
      },
    ]);
    expect(checkEvicted(full({}, []))[0]!.found).toMatch(/100 % of it are entries of hotset:shop, by a sample$/);
  });

  it.each([{ used_memory: "95" }, { evicted_keys: "0" }, { maxmemory_policy: "noeviction" }, { maxmemory: "0" }])(
    "are no finding with %j",
    (info) => {
      expect(checkEvicted(full(info, [1_600]))).toEqual([]);
    },
  );
});
