import { flush, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { KeySpace } from "../keys/key-space.ts";
import type { Module } from "../module/module.ts";
import { exclusive } from "./claim.ts";
import { HeldLease } from "./lease.ts";
import { LockServers } from "./servers.ts";

const TTL_MS = 6_000;

/** A lock whose answer took so long, and that is extended on its own. `took`: of each extension. */
function held({ answerMs, took = 0, maxHoldMs = Infinity }: { answerMs: number; took?: number; maxHoldMs?: number }) {
  const clock = new TestClock();
  const startedAt = clock.now();
  const extended: number[] = [];
  class Scripted extends LockServers {
    override extend(): Promise<boolean> {
      extended.push(clock.now() - startedAt);
      return new Promise((resolve) => void clock.schedule(() => resolve(true), took));
    }
  }
  const module = { clock, random: () => 0, counts: { locksLost: 0 }, report: () => undefined } as unknown as Module;
  const ground = { module, servers: new Scripted([undefined as never], undefined) };
  clock.advance(answerMs);
  const claim = exclusive({ prefix: "lock:", space: KeySpace.root }, "a");
  const policy = { ttlMs: TTL_MS, waitMs: 0, maxHoldMs };
  const lease = new HeldLease(ground, { claim, token: "t" }, policy, { fence: 1, startedAt });
  lease.keep();
  const passed = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 50) {
      clock.advance(50);
      await flush();
    }
  };
  return { lease, extended, passed };
}

it("A65: a lock whose answer took most of its time is extended before it is given up", async () => {
  const { lease, extended, passed } = held({ answerMs: 4_500 });
  await passed(10_000);
  expect([extended[0], lease.signal.aborted]).toEqual([4_550, false]);
});

it("A65: a lock is extended at each third of its time, and not more often where it lasts until maxHold", async () => {
  const usual = held({ answerMs: 0 });
  await usual.passed(12_500);
  expect(usual.extended.length).toBeGreaterThan(4);
  expect(usual.extended.length).toBeLessThan(8);
  const bounded = held({ answerMs: 0, maxHoldMs: 9_000 });
  await bounded.passed(9_500);
  expect(bounded.extended.length).toBeLessThan(6);
  expect(bounded.lease.signal.aborted).toBe(true);
});

it("A65: extensions that take most of its time follow each other, with a pause", async () => {
  const { lease, extended, passed } = held({ answerMs: 0, took: 2_500 });
  await passed(30_000);
  expect(lease.signal.aborted).toBe(false);
  expect(extended.length).toBeLessThan(13);
});
