import { TestClock } from "@hotset/testing";
import { beforeEach, expect, it } from "vitest";
import type { EntryKey, KeySpace } from "../entry/key.ts";
import { RecentInvalidations } from "./recent-invalidations.ts";

const WINDOW_MS = 1_000;
const SPACE = {} as KeySpace;

let clock: TestClock;

beforeEach(() => {
  clock = new TestClock();
});

/** Each takes 1 KiB: two bytes for each character, and 128. */
const nameOf = (i: number): string => `k${i}`.padStart((1_024 - 128) / 2);
const keyOf = (i: number): EntryKey => ({ backend: nameOf(i) }) as EntryKey;

function recentOf(maxKiB: number): RecentInvalidations & { add(from: number, to: number): void } {
  const recent = new RecentInvalidations(clock, WINDOW_MS, maxKiB * 1_024);
  return Object.assign(recent, {
    add: (from: number, to: number) => {
      for (let i = from; i < to; i += 1) recent.addKey(keyOf(i));
    },
  });
}

const taken = (recent: RecentInvalidations): readonly [string[], string[], boolean] => {
  const { keys, tags, overflowed } = recent.take();
  return [
    keys.map(({ backend }) => backend.trim()),
    tags.map((each) => `${each.keys.join()} ${each.mode}`),
    overflowed,
  ];
};

it("gives back what was invalidated within the window, its last instant included, and what is soft after hard as hard", () => {
  const recent = recentOf(10);
  recent.add(0, 1);
  recent.addTags(SPACE, ["t", "u"], "hard");
  recent.addTags(SPACE, ["t", "v"], "soft");
  clock.advance(1);
  recent.add(1, 2);
  clock.advance(WINDOW_MS - 1);
  expect(taken(recent)).toEqual([["k0", "k1"], ["u hard", "t hard", "v soft"], false]);
  clock.advance(1);
  expect(taken(recent)).toEqual([["k1"], [], false]);
});

it("the window stands still from when it was stopped until it is resumed", () => {
  const recent = recentOf(10);
  recent.add(0, 1);
  clock.advance(600);
  recent.stop(clock.now());
  clock.advance(10_000);
  expect(taken(recent)[0]).toEqual(["k0"]);
  recent.resume();
  recent.resume();
  clock.advance(400);
  expect(taken(recent)[0]).toEqual(["k0"]);
  clock.advance(1);
  expect(taken(recent)[0]).toEqual([]);
});

it("forgets what is older than the window, once it holds 1 MiB more than the bound, and does not overflow", () => {
  const recent = recentOf(10);
  recent.add(0, 1_025);
  clock.advance(WINDOW_MS + 1);
  recent.add(1_025, 1_035);
  expect(taken(recent)).toEqual([Array.from({ length: 10 }, (_, i) => `k${1_025 + i}`), [], false]);
});

it("keeps the newest up to the bound, and counts as overflowed for one window", () => {
  const recent = recentOf(10);
  recent.add(0, 1_034);
  expect(taken(recent)[2]).toBe(false);
  recent.add(1_034, 1_035);
  expect(taken(recent)).toEqual([Array.from({ length: 10 }, (_, i) => `k${1_025 + i}`), [], true]);
  clock.advance(WINDOW_MS);
  expect(taken(recent)[2]).toBe(true);
  clock.advance(1);
  expect(taken(recent)[2]).toBe(false);
});
