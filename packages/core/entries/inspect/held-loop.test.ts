import { expect, it } from "vitest";
import { heldIn, LoopDelay } from "./held-loop.ts";

it("the longest delay of each step is taken, without that of the timer, and forgotten", () => {
  const calls: string[] = [];
  const histogram = {
    max: 0,
    enable: () => void calls.push("enable"),
    disable: () => void calls.push("disable"),
    reset: () => void (histogram.max = 0),
  };
  const delay = new LoopDelay(histogram);
  expect(delay.take()).toBe(0);
  histogram.max = 450e6;
  expect([delay.take(), delay.take()]).toEqual([400, 0]);
  delay.end();
  expect(calls).toEqual(["enable", "disable"]);
});

it("the runtime of these tests measures it", () => {
  const delay = LoopDelay.begin()!;
  expect(delay.take()).toBeGreaterThanOrEqual(0);
  delay.end();
});

it("steps in which callers noticed it are counted, with the longest delay", () => {
  expect(heldIn([{ heldMs: 199 }, { heldMs: 0 }])).toEqual({});
  expect(heldIn([{ heldMs: 200 }, { heldMs: 0 }, { heldMs: 1_400.4 }])).toEqual({
    heldLoop: { seen: 2, looks: 3, longestMs: 1_400 },
  });
});
