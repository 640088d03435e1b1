import { describe, expect, it } from "vitest";
import { arc, POLICIES, s3Fifo, sieve, wTinyLfu, type Policy } from "./policies.ts";

const play = (policy: Policy, capacity: number, keys: readonly number[]): string => {
  const access = policy(capacity);
  return keys.map((key) => (access(key) ? "h" : "-")).join("");
};

describe.each(Object.entries(POLICIES))("%s", (_, policy) => {
  it("hits what fits, and holds no more entries than its capacity", () => {
    expect(play(policy, 100, [1, 2, 3, 1, 2, 3])).toBe("---hhh");
    // A cyclic scan of twice what fits: no more can hit than half of it.
    const access = policy(50);
    let hits = 0;
    for (let i = 0; i < 10_000; i += 1) hits += access(i % 100) ? 1 : 0;
    expect(hits).toBeLessThanOrEqual(5_000);
  });
});

it("SIEVE spares what was used, from its hand on", () => {
  // The figure of its paper: B and D are visited, and the hand passes them to find C.
  expect(play(sieve, 3, [1, 2, 3, 1, 4, 1, 2, 3])).toBe("---h-h--");
});

it("S3-FIFO lets a scan through its small queue alone, and takes back into the main one what returns", () => {
  const access = s3Fifo(10);
  for (let i = 0; i < 3; i += 1) for (const key of [1, 2, 3]) access(key);
  for (let key = 100; key < 200; key += 1) access(key);
  expect([access(1), access(2), access(3)]).toEqual([true, true, true]);
  expect([access(199), access(150), access(150)]).toEqual([true, false, true]);
});

it("W-TinyLFU keeps what is frequent from a scan", () => {
  const access = wTinyLfu(10);
  for (let i = 0; i < 5; i += 1) for (let key = 0; key < 8; key += 1) access(key);
  for (let key = 100; key < 140; key += 1) access(key);
  expect(Array.from({ length: 8 }, (_, key) => access(key)).filter(Boolean).length).toBeGreaterThanOrEqual(7);
});

it("ARC learns from the keys that left: a key that returns is frequent", () => {
  expect(play(arc, 2, [1, 2, 1, 3, 4, 1, 3])).toBe("--h--h-");
});
