import { flush, gate, outcome } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { Semaphore } from "./semaphore.ts";
import { SharedSlot } from "./shared-slot.ts";

const NEVER = new Promise<never>(() => undefined);

let slots: Semaphore;

beforeEach(() => {
  slots = new Semaphore(1);
});

/** Whether the only slot of the semaphore is free. */
function isFree(): boolean {
  const isTaken = slots.tryTake();
  if (isTaken) slots.free();
  return isTaken;
}

describe("a slot of several holders", () => {
  it("is taken by the first, shared by the others without another one, and freed by the last", async () => {
    const shared = new SharedSlot(slots);
    expect(await shared.take(NEVER)).toBe(true);
    expect(shared.tryTake()).toBe(true);
    expect(await shared.take(NEVER)).toBe(true);
    for (const _ of [1, 2]) {
      shared.free();
      expect(isFree()).toBe(false);
    }
    shared.free();
    expect(isFree()).toBe(true);
  });

  it("is waited for in one place of the line, and granted to all at once", async () => {
    const [first, second] = [new SharedSlot(slots), new SharedSlot(slots)];
    expect(first.tryTake()).toBe(true);
    expect(second.tryTake()).toBe(false);
    const waiting = [second.take(NEVER), second.take(NEVER)];
    const third = new SharedSlot(slots).take(NEVER);
    await flush();
    expect(await Promise.all(waiting.map(outcome))).toEqual([{ status: "pending" }, { status: "pending" }]);
    first.free();
    expect(await Promise.all(waiting)).toEqual([true, true]);
    second.free();
    expect(await outcome(third)).toEqual({ status: "pending" });
    second.free();
    expect(await third).toBe(true);
  });

  it("is granted to those that wait when another one takes it before their place in the line is reached", async () => {
    slots = new Semaphore(2);
    expect([slots.tryTake(), slots.tryTake()]).toEqual([true, true]);
    const shared = new SharedSlot(slots);
    const waiting = shared.take(NEVER);
    await flush();
    // One slot is passed on to the place in the line, the other one is free.
    slots.free();
    slots.free();
    expect(shared.tryTake()).toBe(true);
    expect(await outcome(waiting)).toEqual({ status: "fulfilled", value: true });
    // The one that was passed on is given back, and the other one is of both.
    expect([slots.tryTake(), slots.tryTake()]).toEqual([true, false]);
    shared.free();
    expect(slots.tryTake()).toBe(false);
    shared.free();
    expect(slots.tryTake()).toBe(true);
  });

  it("is not waited for by a holder that was cancelled; its place goes to the next in line once none waits", async () => {
    const [first, second] = [new SharedSlot(slots), new SharedSlot(slots)];
    first.tryTake();
    const [one, other] = [gate(), gate()];
    const waiting = [second.take(one.pass()), second.take(other.pass())];
    one.open();
    expect(await waiting[0]).toBe(false);
    expect(await outcome(waiting[1]!)).toEqual({ status: "pending" });
    other.open();
    expect(await waiting[1]).toBe(false);
    first.free();
    await flush();
    expect(isFree()).toBe(true);
    expect(await second.take(NEVER)).toBe(true);
    expect(isFree()).toBe(false);
  });

  it("a cancellation after the grant changes nothing", async () => {
    const [first, second] = [new SharedSlot(slots), new SharedSlot(slots)];
    first.tryTake();
    const cancelled = gate();
    const waiting = second.take(cancelled.pass());
    first.free();
    expect(await waiting).toBe(true);
    cancelled.open();
    await flush();
    expect(isFree()).toBe(false);
    second.free();
    expect(isFree()).toBe(true);
  });
});

describe("an exempt one", () => {
  it("C38 needs no slot: all that wait go on, and nothing is freed that was not taken", async () => {
    const [first, second] = [new SharedSlot(slots), new SharedSlot(slots)];
    first.tryTake();
    const waiting = second.take(NEVER);
    second.exempt();
    second.exempt();
    expect(await waiting).toBe(true);
    expect(second.tryTake()).toBe(true);
    second.free();
    second.free();
    expect(isFree()).toBe(false);
    first.free();
    await flush();
    expect(isFree()).toBe(true);
  });

  it("is none that is taken already", () => {
    const shared = new SharedSlot(slots);
    shared.tryTake();
    shared.exempt();
    shared.free();
    expect(isFree()).toBe(true);
  });
});
