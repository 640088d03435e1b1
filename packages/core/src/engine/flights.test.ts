import { flush, mapTier, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { assemble, type Assembly } from "../cache/assemble.ts";
import { NamespaceView } from "../cache/namespace-view.ts";
import { Guard } from "../coherence/guards.ts";
import { TRUST_ALWAYS } from "../coherence/trust.ts";
import { entryKey, rootKeySpace } from "../entry/key.ts";
import { DEFAULT_POLICY } from "../entry/policy.ts";
import { NamespaceMeters } from "../primitives/meters.ts";
import type { Semaphore } from "../primitives/semaphore.ts";
import type { GetOrSetCall, NamespaceContext } from "./call.ts";
import { Flight } from "./flight.ts";
import { Flights } from "./flights.ts";
import type { Load } from "./load.ts";

const SPACE: NamespaceContext = {
  keySpace: rootKeySpace("test"),
  policy: DEFAULT_POLICY,
  schema: undefined,
  checksLoads: false,
  remote: undefined,
  meters: new NamespaceMeters([]),
};

function flight(): Flight {
  const call: GetOrSetCall = {
    namespace: SPACE,
    key: entryKey(SPACE.keySpace, "k"),
    load: () => 1,
    policy: DEFAULT_POLICY,
    tags: [],
    startedAt: 0,
    isForced: false,
    isCurrent: false,
    signal: undefined,
    onServed: undefined,
    batch: undefined,
    item: undefined,
    usedBy: undefined,
  };
  return new Flight(call, 0, "foreground");
}

const loading = (one: Flight): void => {
  one.queue();
  one.beginLeasing(undefined);
  one.runs({} as unknown as Load);
};

describe("Flights", () => {
  it("joins the latest that may be joined, and none that was fenced", () => {
    const flights = new Flights(TRUST_ALWAYS);
    expect(flights.joinable("k", 0)).toBe(undefined);
    const [first, second] = [flight(), flight()];
    flights.add("k", first);
    flights.add("k", new Guard());
    expect(flights.joinable("k", 0)).toBe(first);
    expect(flights.joinable("other", 0)).toBe(undefined);
    flights.add("k", second);
    flights.supersede("k", second);
    expect([flights.joinable("k", 0), first.isJoinable, second.isJoinable]).toEqual([second, false, true]);
    flights.fence("k", "delete");
    expect([flights.joinable("k", 0), first.fencedBy, second.fencedBy]).toEqual([undefined, "delete", "delete"]);
    const third = flight();
    flights.add("k", third);
    expect(flights.joinable("k", 0)).toBe(third);
  });

  it("keeps the first reason of a fence; that of an acknowledged write spares writes", () => {
    const flights = new Flights(TRUST_ALWAYS);
    const guards = [new Guard(), new Guard("write"), new Guard()] as const;
    for (const guard of guards) flights.add("k", guard);
    flights.fenceReads("k", "set");
    flights.fence("k", "delete");
    expect(guards.map(({ fencedBy }) => fencedBy)).toEqual(["set", "delete", "set"]);
  });

  it("fences what a write that is served before it is sent makes old: reads, and earlier writes", () => {
    const flights = new Flights(TRUST_ALWAYS);
    const [earlier, write, later, read] = [new Guard("write"), new Guard("write"), new Guard("write"), new Guard()];
    for (const guard of [earlier, write, later, read]) flights.add("k", guard);
    flights.fenceBefore("k", write, "set");
    expect([earlier, write, later, read].map(({ fencedBy }) => fencedBy)).toEqual(["set", undefined, undefined, "set"]);
  });

  it("fences reads, and loads that are older than a stored one; what still reads is tainted, and what loads later stays", () => {
    const flights = new Flights(TRUST_ALWAYS);
    const [older, olderQueued, olderReading, stored] = [flight(), flight(), flight(), flight()];
    const [laterLoading, laterQueued, laterReading, read] = [flight(), flight(), flight(), new Guard()];
    olderQueued.queue();
    laterQueued.queue();
    for (const each of [older, stored, laterLoading]) loading(each);
    const all = [older, olderQueued, olderReading, stored, laterLoading, laterQueued, laterReading, read];
    for (const each of all) flights.add("k", each);
    flights.fenceOlder("k", stored);
    const [set, none] = ["set", undefined];
    expect(all.map(({ fencedBy }) => fencedBy)).toEqual([set, none, none, none, none, none, none, set]);
    expect(all.map(({ isTainted }) => isTainted)).toEqual([true, false, true, false, false, false, true, true]);
  });

  it("removes each of several under one key, in any order, and no other", () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
      [1, 2, 0],
    ]) {
      const flights = new Flights(TRUST_ALWAYS);
      const each = [flight(), flight(), flight()];
      for (const one of each) flights.add("k", one);
      flights.remove(flight());
      expect([...flights.all()]).toHaveLength(3);
      for (const [i, index] of order.entries()) {
        expect(flights.size).toBe(3 - i);
        flights.remove(each[index]!);
        expect(new Set(flights.all())).toEqual(new Set(order.slice(i + 1).map((left) => each[left]!)));
      }
      expect(flights.size).toBe(0);
    }
  });

  it("settles for those that ask before its end and after", async () => {
    const one = flight();
    const before = one.whenSettled();
    one.end();
    await Promise.all([before, one.whenSettled()]);
    expect(one.isOver).toBe(true);
  });
});

/** A cache whose parts are visible. */
function engine({ hasBackend = false }: { readonly hasBackend?: boolean } = {}): {
  readonly context: Assembly["context"];
  readonly view: NamespaceView;
  readonly clock: TestClock;
} {
  const clock = new TestClock();
  const { context, engine, namespace } = assemble({
    options: { name: "test", clock },
    local: mapTier({ maxEntries: 1_000 }),
    backend: hasBackend ? scriptedBackend({ clock }) : undefined,
    policy: DEFAULT_POLICY,
  });
  return { context, clock, view: new NamespaceView(engine, namespace) };
}

function freeSlots(slots: Semaphore): number {
  let free = 0;
  while (slots.tryTake()) free += 1;
  return free;
}

describe("C51 nothing is left", () => {
  it("after many sets of one key, and those that wait share one place until then", async () => {
    const { context, view } = engine({ hasBackend: true });
    const sets = Array.from({ length: 100 }, (_, i) => view.set("k", i));
    expect([context.flights.size, context.writes.size]).toEqual([2, 2]);
    await Promise.all(sets);
    expect([context.flights.size, context.writes.size]).toEqual([0, 0]);
  });

  it("after loads that fail, time out, are left, are fenced, come behind an answer or in a batch, and after reads and writes", async () => {
    const { context, view, clock } = engine({ hasBackend: true });
    const down = (): never => {
      throw new Error("db down");
    };
    for (let round = 0; round < 50; round += 1) {
      const key = (what: string): string => `${what} ${round % 5}`;
      const hung = (): Promise<never> => new Promise(() => {});
      const controller = new AbortController();
      const policy = { ttl: 10, staleWhileRevalidate: 100, staleIfError: 100 };
      const calls = [
        view.getOrSet(key("ok"), () => round, { ...policy, refreshAhead: 0.5 }),
        view.getOrSet(key("down"), down, policy),
        view.getOrSet(key("late"), hung, { hardTimeout: 5, loadTimeout: 20 }),
        view.getOrSet(key("left"), hung, { signal: controller.signal }),
        view.getOrSet(key("forced"), () => round, { forceRefresh: true }),
        view.getOrSet(key("deleted"), () => view.delete(key("deleted")).then(() => round)),
        view.getOrSet(key("dropped"), () => round, { ttl: 0 }),
        view.getOrSetMany(
          ["a", "b", "ok"].map(key),
          (each) => each,
          (missing) => missing.slice(1).map((each) => [each, round] as const),
          policy,
        ),
        view.get(key("ok")),
        view.getMany(["ok", "a", "none"].map(key)),
        view.set(key("set"), round),
        view.delete(key("set")),
        view.markStale(key("a")),
        view.invalidateTags("t"),
        view.clear(),
      ];
      const settled = Promise.allSettled(calls);
      await flush(1);
      controller.abort();
      clock.advance(20);
      await settled;
    }
    await Promise.all([...context.flights.all()].map((each) => each.whenSettled()));
    await context.writes.settled();
    expect([
      context.flights.size,
      context.writes.size,
      freeSlots(context.loads),
      freeSlots(context.backgroundLoads),
    ]).toEqual([0, 0, 1_000, 100]);
  });
});
