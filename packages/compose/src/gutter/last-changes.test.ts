import { TestClock } from "@hotset/testing";
import { beforeEach, expect, it } from "vitest";
import { LastChanges, TAGS } from "./last-changes.ts";

let clock: TestClock;
let changes: LastChanges;

beforeEach(() => {
  clock = new TestClock();
  changes = new LastChanges(clock);
});

const change = (key: string): void => changes.begin(key)("unknown");
const judged = (ageMs: number, key = "k"): string => changes.judge(key, clock.now() - ageMs, changes.asking());

it("an entry whose load began after a change of its key, and after each tag call, is newer", () => {
  expect(judged(1_000)).toBe("newer");
  change("k");
  clock.advance(100);
  expect([judged(99), judged(100), judged(100, "l")]).toEqual(["newer", "older", "newer"]);
  change(TAGS);
  clock.advance(10);
  expect([judged(9), judged(10), judged(10, "l")]).toEqual(["newer", "older", "older"]);
});

it("while a change is under way, nothing says whether an entry is", () => {
  const end = changes.begin("k");
  clock.advance(100);
  expect([judged(0), judged(0, "l")]).toEqual(["changing", "newer"]);
  end("known");
  expect(judged(200)).toBe("newer");
});

it("after a removal only what is asked for later is newer, whenever its load began", () => {
  const before = changes.removing("k");
  change("k");
  clock.advance(100);
  before();
  expect(judged(200), "sent before the change ended").toBe("older");
  const asked = changes.asking();
  const removed = changes.removing("k");
  expect(judged(200)).toBe("older");
  removed();
  expect(changes.judge("k", 0, asked)).toBe("older");
  expect(judged(200)).toBe("newer");
  change(TAGS);
  expect(judged(0)).toBe("older");
});

it("of 10,000 changes the last are remembered; each forgotten key counts as changed when the last of them was", () => {
  change("first");
  clock.advance(100);
  for (let i = 0; i < 10_000; i += 1) change(`k${i}`);
  clock.advance(100);
  expect([judged(199, "first"), judged(200, "first"), judged(200, "none")]).toEqual(["newer", "older", "older"]);
});
