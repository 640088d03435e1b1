import { flush, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import type { RedisConnection } from "../client/contract.ts";
import type { Module } from "../module/module.ts";
import { pauseOf } from "./acquisition.ts";
import { PAUSE_MS, Waiter, Wakes } from "./wakes.ts";

/** A module whose subscriptions are confirmed at once. */
function start() {
  const clock = new TestClock();
  const listeners = new Map<string, () => void>();
  let gap: (() => void) | undefined;
  let stop: (() => Promise<unknown>) | undefined;
  const subscriber = {
    on: (_event: string, listener: () => void) => (gap = listener),
    subscribe: async (_kind: string, channel: string, listener: () => void) => {
      listeners.set(channel, listener);
      return async () => void listeners.delete(channel);
    },
  };
  const module = {
    clock,
    random: () => 0,
    connection: { open: async () => subscriber } as unknown as RedisConnection,
    onDisconnect: (given: () => Promise<unknown>) => (stop = given),
    report: (_kind: string, error: unknown) => {
      throw error;
    },
  } as unknown as Module;
  const wakes = Wakes.of(module);
  const woken: string[] = [];
  const waiter = (name: string): Waiter => {
    const one = new Waiter(clock);
    one.tries();
    void one.sleep(10_000, undefined).then(() => woken.push(name));
    return one;
  };
  const publish = async (channel: string): Promise<void> => {
    listeners.get(channel)?.();
    await flush();
  };
  return { clock, wakes, woken, waiter, publish, listeners, gap: () => gap?.(), stop: () => stop?.() };
}

it("a message wakes the first in line that may try, one for each message", async () => {
  const { clock, wakes, woken, waiter, publish } = start();
  const [a, b, c] = [waiter("a"), waiter("b"), waiter("c")];
  for (const one of [a, b, c]) wakes.join(["x"], one);
  await flush();
  clock.advance(PAUSE_MS);
  // Confirming the subscription woke the first.
  await flush();
  expect(woken).toEqual(["a"]);
  await publish("x");
  expect(woken).toEqual(["a", "b"]);
  await publish("y");
  expect(woken).toEqual(["a", "b"]);
  await publish("x");
  await publish("x");
  expect(woken).toEqual(["a", "b", "c"]);
});

it("a waiter that has just tried is woken when it may try again, and only once", async () => {
  const { clock, wakes, woken, waiter, publish } = start();
  const first = waiter("first");
  wakes.join(["x"], first);
  await flush();
  await publish("x");
  clock.advance(PAUSE_MS - 1);
  await flush();
  expect([woken, first.isAsleep]).toEqual([[], false]);
  clock.advance(1);
  await flush();
  expect(woken).toEqual(["first"]);
  clock.advance("1m");
  await flush();
  expect(woken).toEqual(["first"]);
});

it("the last waiter of a channel ends its subscription; a gap, and the end of the connection, wake", async () => {
  const { clock, wakes, woken, waiter, listeners, gap, stop } = start();
  const [a, b] = [waiter("a"), waiter("b")];
  const [leaveA, leaveB] = [wakes.join(["x", "y"], a), wakes.join(["x"], b)];
  await flush();
  expect([...listeners.keys()]).toEqual(["x", "y"]);
  clock.advance(PAUSE_MS);
  await flush();
  expect(woken).toEqual(["a"]);
  gap();
  await flush();
  expect(woken).toEqual(["a", "b"]);
  leaveA();
  leaveA();
  await flush();
  expect([...listeners.keys()]).toEqual(["x"]);
  void b.sleep(10_000, undefined).then(() => woken.push("b again"));
  await stop();
  await flush();
  expect([woken.at(-1), wakes.isClosed]).toEqual(["b again", true]);
  leaveB();
  await flush();
  expect([...listeners.keys()]).toEqual([]);
});

it("A64: pauses grow with jitter, from 60 ms to half a second, and end soon after the holder's time", () => {
  expect([0, 1, 2, 3, 9].map((pauses) => pauseOf(pauses, -1, 0.999_999)).map(Math.round)).toEqual([
    120, 180, 300, 500, 500,
  ]);
  expect([0, 9].map((pauses) => pauseOf(pauses, -1, 0))).toEqual([60, 60]);
  expect([pauseOf(9, 200, 0.5), pauseOf(9, 10, 0), pauseOf(9, 5_000, 0.5)]).toEqual([231, 60, 280]);
});
