import { setTimeout as passed } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { TestClock } from "./test-clock.ts";

it("runs callbacks in the order of time, also those scheduled by callbacks", () => {
  const clock = new TestClock();
  const start = clock.now();
  const seen: [string, number][] = [];
  clock.schedule(() => seen.push(["late", clock.now() - start]), 20);
  clock.schedule(() => {
    seen.push(["early", clock.now() - start]);
    clock.schedule(() => seen.push(["nested", clock.now() - start]), 5);
  }, 10);
  const cancel = clock.schedule(() => seen.push(["cancelled", 0]), 12);
  cancel();

  clock.advance(20);

  expect(seen).toEqual([
    ["early", 10],
    ["nested", 15],
    ["late", 20],
  ]);
  expect(clock.now() - start).toBe(20);
});

it("stall() runs at its end, at the time then, callbacks that fell due meanwhile", () => {
  const clock = new TestClock();
  const start = clock.now();
  const seen: [string, number][] = [];
  clock.schedule(() => seen.push(["early", clock.now() - start]), 10);
  clock.schedule(() => seen.push(["later", clock.now() - start]), 60);
  clock.stall("50ms");
  expect(seen).toEqual([["early", 50]]);
  clock.advance(10);
  expect(seen.slice(1)).toEqual([["later", 60]]);
});

it("moves the wall clock with it, from the same instant in each test", () => {
  const clock = new TestClock();
  expect(clock.epochMs()).toBe(1_700_000_000_000);
  clock.advance("1m");
  expect(clock.epochMs()).toBe(1_700_000_060_000);
});

it("is abandoned after a second of real time in which nothing moved it", async () => {
  const clocks = { left: new TestClock(), moved: new TestClock(), cancelled: new TestClock() };
  const abandoned: string[] = [];
  const [, , cancel] = Object.entries(clocks).map(([name, clock]) => clock.whenAbandoned(() => abandoned.push(name)));
  cancel!();
  const moving = setInterval(() => clocks.moved.advance(1), 20);
  onTestFinished(() => clearInterval(moving));
  await passed(500);
  expect(abandoned).toEqual([]);
  await expect.poll(() => abandoned).toEqual(["left"]);
});
