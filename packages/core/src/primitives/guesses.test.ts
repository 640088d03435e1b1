import { expect, it } from "vitest";
import { Guesses } from "./guesses.ts";

const after = (misses: number): Guesses => {
  const guesses = new Guesses();
  for (let i = 0; i < misses; i += 1) guesses.read(true);
  return guesses;
};
/** Begins as many guesses as it may. */
const begin = (guesses: Guesses): number => {
  let begun = 0;
  for (; guesses.isLikely; begun += 1) guesses.begins();
  return begun;
};

it("a miss is expected after twelve reads in a row that found nothing, and no more after one that found something", () => {
  expect([after(11).isLikely, after(12).isLikely]).toEqual([false, true]);
  const guesses = after(12);
  guesses.read(false);
  expect(guesses.isLikely).toBe(false);
  for (let i = 0; i < 4; i += 1) guesses.read(true);
  expect(guesses.isLikely).toBe(true);
});

it("one that has lasted outlives one read that found something", () => {
  const guesses = after(100);
  guesses.read(false);
  expect(guesses.isLikely).toBe(true);
  guesses.read(false);
  expect(guesses.isLikely).toBe(false);
});

it("one guess is in flight at first; right ones that use the whole window double it", () => {
  const guesses = after(12);
  for (const window of [1, 2, 4, 8]) {
    expect(begin(guesses)).toBe(window);
    for (let i = 0; i < window; i += 1) guesses.ended(true);
  }
  expect(begin(guesses)).toBe(16);
});

it("right guesses one by one leave the window as it is", () => {
  const guesses = after(12);
  for (let i = 0; i < 100; i += 1) {
    guesses.begins();
    guesses.ended(true);
  }
  expect(begin(guesses)).toBe(2);
});

it("a wrong guess ends guessing, and closes the window; one without an answer says nothing", () => {
  const guesses = after(12);
  for (const window of [1, 2, 4]) {
    begin(guesses);
    for (let i = 0; i < window; i += 1) guesses.ended(true);
  }
  begin(guesses);
  guesses.ended(undefined);
  expect(guesses.isLikely).toBe(true);
  guesses.ended(false);
  expect(guesses.isLikely).toBe(false);
  for (let i = 0; i < 6; i += 1) guesses.ended(undefined);
  for (let i = 0; i < 4; i += 1) guesses.read(true);
  expect(begin(guesses)).toBe(1);
});
