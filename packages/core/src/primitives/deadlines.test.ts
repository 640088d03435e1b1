import { TestClock } from "@hotset/testing";
import { describe, expect, it, vi } from "vitest";
import { Deadline, Deadlines, scheduleRunning } from "./deadlines.ts";

class Named extends Deadline {
  override readonly pass: () => void;

  constructor(pass: () => void) {
    super();
    this.pass = pass;
  }
}

function setUp() {
  const clock = new TestClock();
  const start = clock.now();
  const passed: [string, number][] = [];
  const deadlines = Deadlines.of(clock, 100);
  const begin = (name: string, lengthMs = 100): Deadline => {
    const deadline = new Named(() => passed.push([name, clock.now() - start]));
    deadlines.start(deadline, lengthMs);
    return deadline;
  };
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
  const again = (): void => void deadlines.start(new Named(again));
  again();
  clock.advance(50);
  begin("other");
  again();
  for (let i = 0; i < 20; i += 1) clock.advance(50);
  // Four parts in a hundred milliseconds.
  expect(schedule.mock.calls.length).toBeLessThanOrEqual(44);
});

describe("C617 the event loop stands still", () => {
  it("for longer than the deadline: it does not count, but for the part in which it began", () => {
    const { clock, passed, begin } = setUp();
    begin("a");
    begin("own", 80);
    clock.advance(10);
    clock.stall(5_000);
    expect(passed).toEqual([]);
    clock.advance(200);
    // The first part was to end at 25, and ended at 5,010.
    expect(passed).toEqual([
      ["own", 5_010 + 55],
      ["a", 5_010 + 75],
    ]);
  });

  it("time and again: the same each time", () => {
    const { clock, passed, begin } = setUp();
    begin("a");
    for (let i = 0; i < 3; i += 1) clock.stall(1_000);
    expect(passed).toEqual([]);
    clock.stall(1_000);
    expect(passed).toEqual([["a", 4_000]]);
  });

  it("in pauses of a tenth of the deadline: of each, a part of a fortieth counts", () => {
    const clock = new TestClock();
    const passed: number[] = [];
    const start = clock.now();
    scheduleRunning(clock, 1_000, () => passed.push(clock.now() - start));
    for (let i = 0; i < 40; i += 1) clock.stall(100);
    expect(passed).toEqual([4_000]);
  });

  it("a deadline without an end needs no timer", () => {
    const clock = new TestClock();
    const schedule = vi.spyOn(clock, "schedule");
    scheduleRunning(clock, Infinity, () => undefined)();
    expect(schedule).not.toHaveBeenCalled();
  });

  it("deadlines of time pass meanwhile", () => {
    const clock = new TestClock();
    const passed: string[] = [];
    Deadlines.of(clock, 1_000, "whole").start(new Named(() => passed.push("load")));
    scheduleRunning(clock, 1_000, () => passed.push("call"));
    clock.stall(1_000);
    expect(passed).toEqual(["load"]);
  });

  it("a timer that will not fire, since a test had replaced it, is armed again", () => {
    for (const passedMs of [5_000, -500]) {
      const clock = new TestClock();
      const passed: string[] = [];
      // Armed in a world that ends.
      const schedule = vi.spyOn(clock, "schedule").mockReturnValue(() => undefined);
      scheduleRunning(clock, 100, () => passed.push("before"));
      schedule.mockRestore();
      const now = vi.spyOn(clock, "now").mockReturnValue(1_000 + passedMs);
      scheduleRunning(clock, 100, () => passed.push("after"));
      now.mockRestore();
      clock.advance(10_000);
      expect(passed).toContain("after");
    }
  });

  it("a deadline that began meanwhile has its whole length afterwards, and no more", () => {
    const { clock, deadlines, passed, begin } = setUp();
    begin("before");
    // Within the same turn: timers cannot run yet.
    const now = clock.now();
    vi.spyOn(clock, "now").mockReturnValue(now + 700);
    begin("meanwhile");
    vi.restoreAllMocks();
    clock.stall(1_000);
    clock.advance(500);
    expect(passed).toEqual([
      ["before", 1_075],
      ["meanwhile", 1_100],
    ]);
    expect(deadlines.lengthMs).toBe(100);
  });

  it("scheduleRunning waits likewise, and can be cancelled in each part", () => {
    const clock = new TestClock();
    const start = clock.now();
    const ended: number[] = [];
    scheduleRunning(clock, 400, () => ended.push(clock.now() - start));
    const cancel = scheduleRunning(clock, 400, () => ended.push(NaN));
    clock.advance(150);
    clock.stall(9_850);
    cancel();
    clock.advance(1_000);
    // 175 ms had passed.
    expect(ended).toEqual([10_000 + 225]);
  });
});
