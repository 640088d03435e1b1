import { flush, gate, outcome } from "@hotset/testing";
import { expect, it } from "vitest";
import { Semaphore } from "./semaphore.ts";

it("gives out as many slots as there are", () => {
  const slots = new Semaphore(2);
  expect([slots.tryTake(), slots.tryTake(), slots.tryTake()]).toEqual([true, true, false]);
  slots.free();
  expect([slots.tryTake(), slots.tryTake()]).toEqual([true, false]);
});

it("passes a free slot to the caller that has waited longest, and to no other in the meantime", async () => {
  const slots = new Semaphore(1);
  expect(await slots.take()).toBe(true);
  const waiting = [slots.take(), slots.take()];
  slots.free();
  // It is taken already, though the one who waits has not run yet.
  expect(slots.tryTake()).toBe(false);
  expect(await Promise.all(waiting.map((each) => outcome(each)))).toEqual([
    { status: "fulfilled", value: true },
    { status: "pending" },
  ]);
  slots.free();
  expect(await waiting[1]).toBe(true);
  slots.free();
  expect(slots.tryTake()).toBe(true);
});

it("lets cancelled callers leave, and gives their turn to the next", async () => {
  const slots = new Semaphore(1);
  slots.tryTake();
  const leaves = gate();
  const [leaver, next] = [slots.take(leaves.pass()), slots.take()];
  leaves.open();
  expect(await leaver).toBe(false);
  slots.free();
  expect(await next).toBe(true);
  slots.free();
  expect([slots.tryTake(), slots.tryTake()]).toEqual([true, false]);
});

it("leaves a slot with a caller that got it before it was cancelled", async () => {
  const slots = new Semaphore(1);
  slots.tryTake();
  const leaves = gate();
  const taken = slots.take(leaves.pass());
  slots.free();
  leaves.open();
  expect(await taken).toBe(true);
  expect(slots.tryTake()).toBe(false);
  slots.free();
  expect(slots.tryTake()).toBe(true);
});

it("gives a free slot at once, with or without `cancelled`", async () => {
  const slots = new Semaphore(Infinity);
  expect(await Promise.all(Array.from({ length: 100 }, () => slots.take(Promise.resolve())))).toEqual(
    Array.from({ length: 100 }, () => true),
  );
  await flush();
  expect(slots.tryTake()).toBe(true);
});

it("calls work with a slot, in the order of the calls", () => {
  const slots = new Semaphore(1);
  const begun: string[] = [];
  for (const name of ["a", "b", "c"]) slots.enter(() => begun.push(name));
  expect(begun).toEqual(["a"]);
  slots.free();
  expect(begun).toEqual(["a", "b"]);
  slots.free();
  slots.free();
  expect([begun, slots.tryTake(), slots.tryTake()]).toEqual([["a", "b", "c"], true, false]);
});

it("finds the next of those that wait without a search", async () => {
  const slots = new Semaphore(1);
  slots.tryTake();
  const waiting = [slots.take(), slots.take(), slots.take()];
  let searches = 0;
  const walks = [Map.prototype, Set.prototype].flatMap((of) =>
    ([Symbol.iterator, "keys", "values", "entries", "forEach"] as const).map((name) => {
      const walk = Object.getOwnPropertyDescriptor(of, name)!;
      const counted = function (this: unknown, ...args: unknown[]): unknown {
        searches += 1;
        return Reflect.apply(walk.value as () => unknown, this, args);
      };
      Object.defineProperty(of, name, { ...walk, value: counted });
      return () => Object.defineProperty(of, name, walk);
    }),
  );
  try {
    slots.free();
    slots.free();
  } finally {
    for (let i = 0; i < walks.length; i += 1) walks[i]!();
  }
  expect(searches).toBe(0);
  expect(await Promise.all(waiting.slice(0, 2))).toEqual([true, true]);
});
