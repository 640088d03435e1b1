import { TestClock } from "@hotset/testing";
import { beforeEach, expect, it } from "vitest";
import { OwnChanges } from "./own-changes.ts";

let clock: TestClock;
let changes: OwnChanges;

beforeEach(() => {
  clock = new TestClock();
  changes = new OwnChanges(clock, 1_000);
});

const change = (key: string, id?: string): void => changes.end(key, changes.begin(key, id));
const served = (key = "k"): readonly boolean[] => ["mine", "other"].map((id) => changes.mayServe(key, id));

it("after a change only the copy that this process wrote is served, until none from before is left", () => {
  expect(served()).toEqual([true, true]);
  change("k", "mine");
  expect(served()).toEqual([true, false]);
  clock.advance(999);
  change("k");
  clock.advance(999);
  expect(served()).toEqual([false, false]);
  clock.advance(1);
  expect(served()).toEqual([true, true]);
});

it("a change hides copies for as long as it runs, and then as long again", () => {
  const running = changes.begin("k", undefined);
  clock.advance(5_000);
  expect(served()).toEqual([false, false]);
  changes.end("k", running);
  clock.advance(999);
  expect(served()).toEqual([false, false]);
});

it("what was read before a change has ended is not copied; what was read later is, and is served", () => {
  const mayCopy = (since: number): boolean => changes.mayCopy("k", "later", since, false);
  const before = changes.sequence;
  const running = changes.begin("k", undefined);
  const during = changes.sequence;
  expect([mayCopy(before), mayCopy(during), changes.mayCopy("l", "later", before, false)]).toEqual([
    false,
    false,
    true,
  ]);
  changes.end("k", running);
  expect([mayCopy(before), mayCopy(during), mayCopy(changes.sequence)]).toEqual([false, false, true]);
  changes.copied("k", "later");
  expect([changes.mayServe("k", "later"), changes.mayServe("k", "old")]).toEqual([true, false]);
});

it("where reads may lag, nothing but what this process wrote is copied for as long", () => {
  change("k", "mine");
  const mayCopy = (): readonly boolean[] =>
    ["mine", "old"].map((id) => changes.mayCopy("k", id, changes.sequence, true));
  expect(mayCopy()).toEqual([true, false]);
  clock.advance(1_000);
  expect(mayCopy()).toEqual([true, true]);
});

it("C80 of 10,000 changes the last are remembered; nothing read before a forgotten one is copied", () => {
  const before = changes.sequence;
  for (let i = 0; i <= 10_000; i += 1) change(`k${i}`, "mine");
  expect(["k0", "k1", "k10000"].map((key) => changes.mayServe(key, "old"))).toEqual([true, false, false]);
  expect(changes.mayCopy("k0", "old", before, false)).toBe(false);
  expect(changes.mayCopy("k0", "new", changes.sequence, false)).toBe(true);
});
