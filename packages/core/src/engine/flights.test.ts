import { describe, expect, it } from "vitest";
import { Ladder } from "./read-through.ts";
import { Callers } from "./waiters.ts";
import type { Core } from "./context.ts";
import { Chains } from "../primitives/keyed-queue.ts";
import { createEvents } from "../contracts/events.ts";
import type { Call, Space } from "./call.ts";
import { Flight, Flights, Guard, WriteGuard } from "./flights.ts";
import { rootPlace } from "../entry/key.ts";
import { LocalCopies } from "../tiers/local-copies.ts";
import { Mutations } from "./mutations.ts";
import { View } from "../cache/namespace-view.ts";
import { DEFAULT_POLICY } from "../entry/policy.ts";
import { Reads } from "./reads.ts";
import { RemoteTier } from "../tiers/remote-tier.ts";
import { Slots } from "../primitives/semaphore.ts";
import { Meter } from "../primitives/meters.ts";
import { Storing } from "./store-loaded.ts";
import { Tags } from "../tags/tag-events.ts";
import { mapTier } from "../testing/map-tier.ts";
import { flush } from "../testing/outcome.ts";
import { scriptedBackend } from "../testing/scripted-backend.ts";
import { TestClock } from "../testing/test-clock.ts";
import { Trust } from "../coherence/trust.ts";

const SPACE: Space = { place: rootPlace("test"), policy: DEFAULT_POLICY, schema: undefined, remote: undefined };

function flight(): Flight {
  const call: Call = {
    space: SPACE,
    key: "k",
    at: "k",
    load: () => 1,
    policy: DEFAULT_POLICY,
    tags: [],
    startedAt: 0,
    isForced: false,
    isAfter: false,
    signal: undefined,
    onServed: undefined,
    batch: undefined,
  };
  return new Flight(call, 0, "miss", false);
}

describe("Flights", () => {
  it("joins the latest that may be joined, and none that was fenced", () => {
    const flights = new Flights(new Trust());
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
    const flights = new Flights(new Trust());
    const guards = [new Guard(), new WriteGuard(), new Guard()] as const;
    for (const guard of guards) flights.add("k", guard);
    flights.fenceReads("k", "set");
    flights.fence("k", "delete");
    expect(guards.map(({ fencedBy }) => fencedBy)).toEqual(["set", "delete", "set"]);
  });

  it("fences what is older than a stored load, and every read, but no later load: of one that still reads it breaks what that brings", () => {
    const flights = new Flights(new Trust());
    const [older, stored, laterLoading, laterReading, read] = [flight(), flight(), flight(), flight(), new Guard()];
    older.isReading = false;
    laterLoading.isReading = false;
    for (const each of [older, stored, laterLoading, laterReading, read]) flights.add("k", each);
    flights.fenceOlder("k", stored);
    const all = [older, stored, laterLoading, laterReading, read];
    expect(all.map(({ fencedBy }) => fencedBy)).toEqual(["set", undefined, undefined, undefined, "set"]);
    expect(all.map(({ isBroken }) => isBroken)).toEqual([true, false, false, true, true]);
  });

  it("forgets each of several under one key, in any order, and others not", () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
      [1, 2, 0],
    ]) {
      const flights = new Flights(new Trust());
      const each = [flight(), flight(), flight()];
      for (const one of each) flights.add("k", one);
      flights.remove(flight());
      expect([...flights.all()]).toHaveLength(3);
      for (const [i, at] of order.entries()) {
        expect(flights.size).toBe(3 - i);
        flights.remove(each[at]!);
        expect(new Set(flights.all())).toEqual(new Set(order.slice(i + 1).map((left) => each[left]!)));
      }
      expect(flights.size).toBe(0);
    }
  });

  it("tells when a flight is settled, before and after", async () => {
    const one = flight();
    const before = one.whenSettled();
    one.settled();
    await Promise.all([before, one.whenSettled()]);
    expect(one.isOver).toBe(true);
  });
});

/** A cache whose parts can be looked at. */
function engine({ hasBackend = false }: { readonly hasBackend?: boolean } = {}): {
  readonly core: Core;
  readonly view: View;
  readonly clock: TestClock;
} {
  const clock = new TestClock();
  const events = createEvents();
  const tags = new Tags();
  const trust = new Trust();
  const remote = hasBackend ? new RemoteTier(scriptedBackend({ clock }), clock, events, "test") : undefined;
  const core: Core = {
    name: "test",
    clock,
    events,
    tags,
    trust,
    recovery: undefined,
    journal: undefined,
    random: Math.random,
    local: new LocalCopies(mapTier({ maxEntries: 1_000 }), tags, trust, undefined, clock, events, "test"),
    meter: new Meter(),
    flights: new Flights(trust),
    leases: new Set(),
    chains: new Chains(),
    loads: new Slots(1_000),
    backgroundLoads: new Slots(100),
    waitUntil: undefined,
    isClosed: false,
  };
  const callers = new Callers(core);
  const storing = new Storing(core, callers);
  const ladder = new Ladder(core, callers, storing);
  return {
    core,
    clock,
    view: new View(
      { core, ladder, mutations: new Mutations(core, ladder, storing), reads: new Reads(core, callers) },
      { ...SPACE, remote },
    ),
  };
}

function freeSlots(slots: Slots): number {
  let free = 0;
  while (slots.tryTake()) free += 1;
  return free;
}

describe("C51 nothing is left", () => {
  it("after a million keys", { timeout: 120_000 }, async () => {
    const { core, view } = engine();
    const load = ({ key }: { readonly key: string }): string => key;
    for (let begun = 0; begun < 1_000_000; begun += 1_000) {
      const calls = Array.from({ length: 1_000 }, (_, i) => view.getOrSet(`key ${begun + i}`, load));
      if (begun === 0) expect(core.flights.size).toBe(1_000);
      const values = await Promise.all(calls);
      expect([values[999], core.flights.size]).toEqual([`key ${begun + 999}`, 0]);
    }
    expect(core.meter.loads).toBe(1_000_000);
    expect([core.flights.size, core.chains.size, freeSlots(core.loads), freeSlots(core.backgroundLoads)]).toEqual([
      0, 0, 1_000, 100,
    ]);
  });

  it("after loads that fail, time out, are left, are fenced, come behind an answer or in a batch, and after reads and writes", async () => {
    const { core, view, clock } = engine({ hasBackend: true });
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
    await Promise.all([...core.flights.all()].map((each) => each.whenSettled()));
    await core.chains.settled();
    expect([core.flights.size, core.chains.size, freeSlots(core.loads), freeSlots(core.backgroundLoads)]).toEqual([
      0, 0, 1_000, 100,
    ]);
  });
});
