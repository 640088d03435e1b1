import { TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import type { BreakerPolicy } from "../contracts/capabilities.ts";
import { Breaker } from "./breaker.ts";

function breaker(policy?: BreakerPolicy): {
  readonly clock: TestClock;
  readonly breaker: Breaker;
  fail(times: number): void;
} {
  const clock = new TestClock();
  const one = new Breaker(clock, policy);
  return {
    clock,
    breaker: one,
    fail(times) {
      for (let i = 0; i < times; i += 1) one.failed();
    },
  };
}

it("opens at the fifth failure in a row", () => {
  const { breaker: one, fail } = breaker();
  fail(4);
  expect([one.isOpen, one.admits("entries"), one.probeInMs]).toEqual([false, true, 0]);
  fail(1);
  expect([one.isOpen, one.admits("entries"), one.probeInMs]).toEqual([true, false, 1_000]);
});

it("opens, waits and waits longer as its backend says", () => {
  const { breaker: one, clock, fail } = breaker({ failures: 2, waitMs: 100, longestWaitMs: 300 });
  fail(1);
  expect(one.isOpen).toBe(false);
  fail(1);
  expect([one.isOpen, one.probeInMs]).toEqual([true, 100]);
  for (const waitMs of [200, 300, 300]) {
    clock.advance(one.probeInMs);
    expect(one.admits("entries")).toBe(true);
    fail(1);
    expect(one.probeInMs).toBe(waitMs);
  }
});

it("admits one call after a second, and no other until it has ended", () => {
  const { breaker: one, clock, fail } = breaker();
  fail(5);
  clock.advance(999);
  expect([one.admits("entries"), one.probeInMs]).toEqual([false, 1]);
  clock.advance(1);
  expect([one.probeInMs, one.admits("entries"), one.admits("entries"), one.admits("entries")]).toEqual([
    0,
    true,
    false,
    false,
  ]);
  clock.advance(10_000);
  expect(one.admits("entries")).toBe(false);
});

it("admits beside the probe one call of the other kind, in the same tick", async () => {
  const { breaker: one, clock, fail } = breaker();
  fail(5);
  clock.advance(1_000);
  expect(
    (["entries", "tags", "tags", "entries"] as const).map((kind) => one.admits(kind)),
    "write, and the versions that it was written under",
  ).toEqual([true, true, false, false]);
  one.failed();
  clock.advance(2_000);
  expect([one.admits("tags"), one.admits("tags"), one.admits("entries")]).toEqual([true, false, true]);
  one.failed();
  clock.advance(4_000);
  expect(one.admits("entries")).toBe(true);
  await Promise.resolve();
  expect(one.admits("tags")).toBe(false);
});

it("C97 waits twice as long after each failed probe, and 30 s at most", () => {
  const { breaker: one, clock, fail } = breaker();
  fail(5);
  const waits: number[] = [];
  for (let probe = 0; probe < 8; probe += 1) {
    waits.push(one.probeInMs);
    clock.advance(one.probeInMs - 1);
    expect(one.admits("entries")).toBe(false);
    clock.advance(1);
    expect(one.admits("entries")).toBe(true);
    fail(1);
  }
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
});

it("is not changed by calls that were sent before it opened, and fail later", () => {
  const { breaker: one, clock, fail } = breaker();
  fail(5);
  clock.advance(600);
  fail(20);
  expect(one.probeInMs).toBe(400);
});
