import { expect, it } from "vitest";
import { arenas } from "../src/arena.ts";
import { check } from "../src/checker.ts";
import type { FaultPlan } from "../src/plan-parts.ts";
import { planOf } from "../src/plan.ts";
import { run } from "../src/round.ts";

it("a round of three processes records their calls on one clock, and breaks no promise", async () => {
  const plan = planOf(1, { topology: "single", focus: "calm", durationMs: 5_000 });
  const freeze: FaultPlan = { id: "f", kind: "freeze process", at: 500, forMs: 1_000, worker: 1 };
  await using servers = arenas();
  await using arena = await servers.enter(plan);
  const history = await run({ ...plan, faults: [freeze] }, arena);
  const verdict = check(history);
  expect(verdict.violations).toEqual([]);
  expect(history.processes.map(({ name }) => name)).toEqual(["A", "B", "C"]);
  expect(verdict.checked.reads).toBeGreaterThan(300);
  expect(verdict.checked.changes).toBeGreaterThan(10);
  expect(verdict.lagsMs.length).toBeGreaterThan(0);
  // A stopped process begins no call.
  const { from, to } = history.faults[0]!;
  const begins = history.reads.filter(({ process }) => process === "B").map(({ startedAt }) => startedAt);
  begins.sort((a, b) => a - b);
  expect(Math.max(...begins.slice(1).map((at, i) => at - begins[i]!))).toBeGreaterThan(990);
  for (const name of ["A", "C"])
    expect(
      history.reads.filter(({ process, startedAt }) => process === name && startedAt > from && startedAt < to).length,
    ).toBeGreaterThan(2);
});
