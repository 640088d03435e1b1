import { expect, it } from "vitest";
import { timeLineOf } from "./entries.ts";

it("a time line has the newest first, and equal changes between two other decisions are one line", () => {
  const at = (agoMs: number, what: "call" | "changed", why: string) => ({ agoMs, what, why });
  const decisions = [
    at(90, "changed", "a"),
    at(80, "call", "miss"),
    at(70, "changed", "a"),
    at(60, "changed", "b"),
    at(50, "changed", "a"),
    at(40, "call", "hit"),
    at(30, "call", "hit"),
  ];
  expect(timeLineOf(decisions, 100)).toEqual([
    { at: 70, what: "call", why: "hit", times: 1 },
    { at: 60, what: "call", why: "hit", times: 1 },
    { at: 50, what: "changed", why: "a", times: 2 },
    { at: 40, what: "changed", why: "b", times: 1 },
    { at: 20, what: "call", why: "miss", times: 1 },
    { at: 10, what: "changed", why: "a", times: 1 },
  ]);
  expect(timeLineOf(undefined, 100)).toBe(null);
});
