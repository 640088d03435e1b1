import { TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { ExpiryWheel } from "./expiry-wheel.ts";

/** A wheel over ends that the test sets, and a record of its checks. */
function start() {
  const clock = new TestClock();
  const ends = new Map<string, number>();
  const looks: { readonly key: string; readonly at: number }[] = [];
  let timers = 0;
  const counting = {
    now: () => clock.now(),
    schedule(callback: () => void, delayMs: number) {
      let isDone = false;
      const settle = () => {
        if (!isDone) timers -= 1;
        isDone = true;
      };
      timers += 1;
      const cancel = clock.schedule(() => {
        settle();
        callback();
      }, delayMs);
      return () => {
        settle();
        cancel();
      };
    },
  };
  const wheel = new ExpiryWheel(counting, (key, now) => {
    looks.push({ key, at: clock.now() });
    const end = ends.get(key) ?? Infinity;
    if (end > now) return end;
    ends.delete(key);
    wheel.unfile(key, end);
    return Infinity;
  });
  const file = (key: string, end: number) => {
    if (ends.has(key)) wheel.unfile(key, ends.get(key)!);
    ends.set(key, end);
    wheel.file(key, end);
  };
  return { clock, ends, looks, wheel, file, timers: () => timers };
}

it("checks a key when its second has passed, and not before", () => {
  const { clock, looks, file } = start();
  const begun = clock.now();
  file("a", begun + 4_300);
  clock.advance(4_999);
  expect(looks).toEqual([]);
  clock.advance(1);
  expect(looks).toEqual([{ key: "a", at: begun + 5_000 }]);
  clock.advance("1d");
  expect(looks.length).toBe(1);
});

it("runs no timer without keys, and one timer with any number", () => {
  const { clock, wheel, file, timers } = start();
  file("never", Infinity);
  expect(timers()).toBe(0);
  for (let i = 0; i < 100; i += 1) file(`k${i}`, clock.now() + 60_000 - 500 * i);
  expect(timers()).toBe(1);
  clock.advance(61_000);
  expect(timers()).toBe(0);
  file("again", clock.now() + 10);
  wheel.clear();
  expect(timers()).toBe(0);
});

it("forgets keys that were unfiled or cleared", () => {
  const { clock, looks, wheel, file } = start();
  const end = clock.now() + 1_500;
  file("a", end);
  file("b", end);
  wheel.unfile("a", end);
  clock.advance(3_000);
  expect(looks.map(({ key }) => key)).toEqual(["b"]);
  file("c", clock.now() + 10);
  wheel.clear();
  clock.advance(3_000);
  expect(looks.length).toBe(1);
});

it("finds the earlier end when one is filed after a later one", () => {
  const { clock, ends, file } = start();
  file("late", clock.now() + 3_600_000);
  file("early", clock.now() + 1_000);
  clock.advance(2_000);
  expect([...ends.keys()]).toEqual(["late"]);
});

it("checks at once a key that had ended before it was filed", () => {
  const { clock, ends, file } = start();
  clock.advance(60_000);
  file("over", 3_000);
  clock.advance(0);
  expect(ends.size).toBe(0);
});

it("distinguishes ends that share a slot, whole turns of 512 seconds from one another", () => {
  const { clock, ends, file } = start();
  const end = clock.now() + 10_000;
  for (let turn = 0; turn < 4; turn += 1) file(`turn ${turn}`, end + turn * 512_000);
  clock.advance(11_000);
  expect([...ends.keys()]).toEqual(["turn 1", "turn 2", "turn 3"]);
  clock.advance(512_000);
  expect([...ends.keys()]).toEqual(["turn 2", "turn 3"]);
  clock.advance(2 * 512_000);
  expect(ends.size).toBe(0);
});

it("does nothing for a hundred years for a key that ends then", () => {
  const { clock, ends, looks, file } = start();
  const century = 100 * 365 * 86_400_000;
  for (let i = 0; i < 100; i += 1) file(`k${i}`, clock.now() + century + i * 100_000);
  clock.advance(century - 1_000);
  expect(looks).toEqual([]);
  clock.advance(100 * 100_000 + 2_000);
  expect(ends.size).toBe(0);
});

it("checks, after a long sleep of the machine, all keys that ended during it", () => {
  const { clock, ends, wheel } = start();
  let now = clock.now();
  let wake: (() => void) | undefined;
  const asleep = new ExpiryWheel(
    { now: () => now, schedule: (callback) => ((wake = callback), () => undefined) },
    (key) => {
      ends.delete(key);
      return Infinity;
    },
  );
  for (let i = 0; i < 400; i += 1) {
    ends.set(`k${i}`, 0);
    asleep.file(`k${i}`, now + i * 3_000);
  }
  now += 86_400_000;
  wake!();
  expect(ends.size).toBe(0);
  wheel.clear();
});

it("checks at most 500 keys at a time, and the next ones a millisecond later", () => {
  const { clock, ends, looks, file } = start();
  const end = clock.now() + 100;
  for (let i = 0; i < 1_800; i += 1) file(`k${i}`, end);
  const left = [];
  clock.advance(1_000);
  for (let ms = 0; ms < 5; ms += 1) {
    left.push(ends.size);
    clock.advance(1);
  }
  expect(left).toEqual([1_300, 800, 300, 0, 0]);
  expect(looks.length).toBe(1_800);
});

it("keeps a key that is filed again between two slices for its new end", () => {
  const { clock, ends, file } = start();
  const begun = clock.now();
  for (let i = 0; i < 1_500; i += 1) file(`k${i}`, begun + 100);
  clock.advance(1_000);
  file("k1499", begun + 10_500);
  file("k1498", begun + 512_000 + 100);
  clock.advance(9_000);
  expect([...ends.keys()]).toEqual(["k1498", "k1499"]);
  clock.advance(1_000);
  expect([...ends.keys()]).toEqual(["k1498"]);
  clock.advance(512_000);
  expect(ends.size).toBe(0);
});

it("checks keys in the same way before the zero of a clock, and across it", () => {
  const clock = new TestClock();
  const early = {
    now: () => clock.now() - 1_000_000,
    schedule: (callback: () => void, delayMs: number) => clock.schedule(callback, delayMs),
  };
  const checked: [string, number][] = [];
  const wheel = new ExpiryWheel(early, (key) => (checked.push([key, early.now()]), Infinity));
  const begun = early.now();
  for (const inMs of [4_300, 600_000, 998_500, 1_000_500]) wheel.file(String(inMs), begun + inMs);
  wheel.file("unfiled", begun + 4_300);
  wheel.unfile("unfiled", begun + 4_300);
  clock.advance("1h");
  expect(checked).toEqual([
    ["4300", -994_000],
    ["600000", -398_000],
    ["998500", 0],
    ["1000500", 2_000],
  ]);
});
