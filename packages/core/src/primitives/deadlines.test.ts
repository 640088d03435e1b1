import { expect, it, vi } from "vitest";
import { Deadlines } from "./deadlines.ts";
import { TestClock } from "../testing/test-clock.ts";

function setUp() {
  const clock = new TestClock();
  const start = clock.now();
  const passed: [string, number][] = [];
  const deadlines = new Deadlines(100, clock);
  const begin = (name: string, lengthMs = 100) =>
    deadlines.start(clock.now(), lengthMs, () => passed.push([name, clock.now() - start]));
  return { clock, deadlines, passed, begin };
}

it("passes each at its own instant", () => {
  const { clock, passed, begin } = setUp();
  begin("a");
  clock.advance(30);
  begin("b");
  begin("short", 10);
  clock.advance(200);
  expect(passed).toEqual([
    ["short", 40],
    ["a", 100],
    ["b", 130],
  ]);
});

it("an ended deadline never passes, first, middle or last", () => {
  const { clock, deadlines, passed, begin } = setUp();
  const [first, middle, last, own] = [begin("first"), begin("middle"), begin("last"), begin("own", 50)];
  begin("kept");
  expect([first, middle, last, own].map((each) => deadlines.end(each))).toEqual([true, true, true, true]);
  expect(deadlines.end(first)).toBe(false);
  clock.advance(500);
  expect(passed).toEqual([["kept", 100]]);
});

it("a passed deadline is over", () => {
  const { clock, deadlines, begin } = setUp();
  const [equal, own] = [begin("equal"), begin("own", 5)];
  clock.advance(100);
  expect([deadlines.end(equal), deadlines.end(own)]).toEqual([false, false]);
});

it("serves a later deadline after all earlier ones were ended", () => {
  const { clock, deadlines, passed, begin } = setUp();
  deadlines.end(begin("early"));
  clock.advance(250);
  begin("late");
  clock.advance(100);
  expect(passed).toEqual([["late", 350]]);
});

it("has one timer, also when callbacks start more deadlines", () => {
  const { clock, deadlines, begin } = setUp();
  const schedule = vi.spyOn(clock, "schedule");
  const again = (): void => void deadlines.start(clock.now(), 100, again);
  again();
  clock.advance(50);
  begin("other");
  again();
  for (let i = 0; i < 20; i += 1) clock.advance(50);
  // One for each of the two instants in a hundred milliseconds.
  expect(schedule.mock.calls.length).toBeLessThanOrEqual(22);
});
