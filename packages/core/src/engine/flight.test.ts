import { outcome, TestClock } from "@hotset/testing";
import { describe, expect, it, vi } from "vitest";
import type { Clock } from "../contracts/clock.ts";
import { entryKey, rootKeySpace } from "../entry/key.ts";
import { DEFAULT_POLICY } from "../entry/policy.ts";
import { runningTime } from "../primitives/deadlines.ts";
import { NamespaceMeters } from "../primitives/meters.ts";
import type { RemoteTier } from "../tiers/remote-tier.ts";
import type { GetOrSetCall } from "./call.ts";
import { Flight, type Phase, type Waiter } from "./flight.ts";
import type { Lease } from "./lease.ts";
import type { Load } from "./load.ts";

const KEY_SPACE = rootKeySpace("test");
const LEASE = { end: () => undefined } as Lease;
const LOAD = {} as Load;
const CLOCK = new TestClock();
const BACKEND = {
  label: "redis",
  deadlineMs: 500,
  meter: { answered: 1 },
  reads: { time: runningTime(CLOCK) },
} as RemoteTier;

function call({ tags = [] }: { readonly tags?: readonly string[] } = {}): GetOrSetCall {
  return {
    namespace: {
      keySpace: KEY_SPACE,
      policy: DEFAULT_POLICY,
      schema: undefined,
      checksLoads: false,
      remote: BACKEND,
      meters: new NamespaceMeters([]),
    },
    key: entryKey(KEY_SPACE, "k"),
    load: () => 1,
    policy: DEFAULT_POLICY,
    tags,
    startedAt: 1_000,
    isForced: false,
    isCurrent: false,
    signal: undefined,
    onServed: undefined,
    batch: undefined,
    item: undefined,
    usedBy: undefined,
  };
}

const flight = (): Flight => new Flight(call(), 0, "foreground");
const spend = (one: Flight, ms: number): void => {
  one.budget!.asks(1_000);
  one.budget!.answered(1_000 + ms);
};
const EPOCH = { until: 1 };
const LATER = { until: 2 };

const waiter = (tags: readonly string[] = []): Waiter => ({
  call: call({ tags }),
  role: "first",
  isNested: false,
  flight: flight(),
  again: undefined,
  isLate: false,
  hasTimer: false,
  cancels: [],
  resolve: () => undefined,
  reject: () => undefined,
});

const EVENTS = {
  queue: (one) => one.queue(),
  beginLeasing: (one) => one.beginLeasing(LEASE),
  waitElsewhere: (one) => one.waitElsewhere(1_000),
  asksAgain: (one) => one.asksAgain(1_000),
  runs: (one) => one.runs(LOAD),
  store: (one) => one.store("value"),
  end: (one) => one.end(),
} as const satisfies Readonly<Record<string, (one: Flight) => void>>;
type Event = keyof typeof EVENTS;

/** The events that lead to each phase. */
const PATHS: Readonly<Record<Phase, readonly Event[]>> = {
  reading: [],
  queued: ["queue"],
  leasing: ["queue", "beginLeasing"],
  waiting: ["queue", "beginLeasing", "waitElsewhere"],
  loading: ["queue", "beginLeasing", "runs"],
  storing: ["queue", "beginLeasing", "runs", "store"],
  over: ["end"],
};
const PHASES = Object.keys(PATHS) as readonly Phase[];

function inPhase(phase: Phase): Flight {
  const one = flight();
  for (const event of PATHS[phase]) EVENTS[event](one);
  return one;
}

describe("the phases of a flight", () => {
  it.each<[Event, Readonly<Partial<Record<Phase, Phase>>>]>([
    ["queue", { reading: "queued", leasing: "queued" }],
    ["beginLeasing", { queued: "leasing" }],
    ["waitElsewhere", { leasing: "waiting" }],
    ["asksAgain", { reading: "reading", waiting: "reading" }],
    ["runs", { leasing: "loading" }],
    ["store", { loading: "storing" }],
    [
      "end",
      {
        reading: "over",
        queued: "over",
        leasing: "over",
        waiting: "over",
        loading: "over",
        storing: "over",
      },
    ],
  ])("%s leads from %j; it changes no other phase, and throws in one that is not over", (event, next) => {
    for (const phase of PHASES) {
      const one = inPhase(phase);
      expect(one.phase).toBe(phase);
      const isMistake = next[phase] === undefined && phase !== "over";
      if (isMistake) expect(() => EVENTS[event](one)).toThrow(`a flight that is ${phase} cannot be `);
      else EVENTS[event](one);
      expect([phase, event, one.phase]).toEqual([phase, event, next[phase] ?? phase]);
    }
  });

  it("a mistake goes on in production", () => {
    vi.stubEnv("NODE_ENV", "production");
    const one = inPhase("loading");
    one.queue();
    vi.unstubAllEnvs();
    expect(one.phase).toBe("loading");
  });

  it.each(PHASES)("%s: it is over if and only if it was ended, and is settled then", async (phase) => {
    const one = inPhase(phase);
    expect(one.isOver).toBe(phase === "over");
    const before = one.whenSettled();
    expect((await outcome(before)).status).toBe(phase === "over" ? "fulfilled" : "pending");
    one.end();
    await Promise.all([before, one.whenSettled()]);
    expect(one.isOver).toBe(true);
  });

  it("has a lease while it is granted or may be, and the load and its value from when they are known", () => {
    expect([inPhase("queued").climb.lease, inPhase("leasing").climb.lease]).toEqual([undefined, LEASE]);
    expect([inPhase("leasing").climb.running, inPhase("loading").climb.running]).toEqual([undefined, LOAD]);
    expect([inPhase("loading").climb.loaded, inPhase("storing").climb.loaded]).toEqual([undefined, { value: "value" }]);
    let ended = 0;
    const one = inPhase("queued");
    one.beginLeasing({ end: () => void (ended += 1) } as unknown as Lease);
    one.dropLease();
    expect([one.climb.lease, ended]).toEqual([undefined, 1]);
  });
});

describe("a report about its lease", () => {
  const storing = (): Flight => {
    const one = inPhase("storing");
    one.sendStore(EPOCH);
    return one;
  };

  it("wakes it, and leaves its callers and its result alone", () => {
    const one = inPhase("waiting");
    one.leaseChanged("loose");
    expect([one.climb.isWoken, one.isTainted, one.isJoinable]).toEqual([true, false, true]);
    one.taint();
    one.leaseChanged("exact");
    expect(one.isTainted).toBe(true);
  });

  it("behind its own store: what was reported of the entry until then is the store, or older", () => {
    const one = storing();
    one.taint();
    one.leaseChanged("exact");
    expect(one.isTainted).toBe(false);
    one.taint();
    expect(one.isTainted).toBe(true);
  });

  it("counts once: a further one may be that of another process, behind its change", () => {
    const one = storing();
    one.leaseChanged("exact");
    one.taint();
    one.leaseChanged("exact");
    expect(one.isTainted).toBe(true);
  });

  it("that keeps to no order, or comes before the store is sent, says nothing about the entry", () => {
    const loose = storing();
    loose.taint();
    loose.leaseChanged("loose");
    const early = inPhase("loading");
    early.taint();
    early.leaseChanged("exact");
    expect([loose.isTainted, early.isTainted]).toEqual([true, true]);
  });

  it("that it was renewed, and that nothing else was: callers join again", () => {
    const one = inPhase("loading");
    one.taint();
    expect(one.isJoinable).toBe(false);
    one.leaseChanged("exact");
    expect(one.isJoinable).toBe(false);
    one.leaseChanged("renewed");
    expect([one.isJoinable, one.isTainted]).toEqual([true, true]);
  });

  it("undoes neither an own call, nor a change before it loads or while it stores", () => {
    const fenced = inPhase("loading");
    fenced.fence("delete");
    const early = inPhase("reading");
    early.taint();
    const late = inPhase("storing");
    late.taint();
    for (const one of [fenced, early, late]) {
      one.leaseChanged("renewed");
      expect(one.isJoinable).toBe(false);
    }
  });

  it("that comes while the lease is asked for is of a change before its load: callers go on joining", () => {
    const one = inPhase("leasing");
    one.taint();
    expect([one.isJoinable, one.isTainted]).toEqual([true, true]);
    one.fence("delete");
    expect(one.isJoinable).toBe(false);
  });

  it("does not undo a fence, nor the loss of the link", () => {
    const one = storing();
    one.fence("delete");
    one.leaseChanged("exact");
    expect([one.fencedBy, one.epoch]).toEqual(["delete", EPOCH]);
  });
});

describe("a flight that starts again", () => {
  it("keeps its fence until it starts over; then none, no taint, and no caller joins", () => {
    const one = inPhase("waiting");
    spend(one, 400);
    one.fence("delete");
    expect([one.fencedBy, one.isTainted, one.isJoinable, one.budget!.leftMs]).toEqual(["delete", true, false, 100]);
    one.asksAgain(3_000);
    expect([one.fencedBy, one.isTainted, one.isJoinable]).toEqual(["delete", true, false]);
    one.startOver(LATER, 7);
    expect([one.fencedBy, one.isTainted, one.epoch, one.tagSequence]).toEqual([undefined, false, LATER, 7]);
    expect([one.readAt, one.budget!.leftMs, one.isJoinable]).toEqual([3_000, 100, false]);
  });

  it("stays joinable within one epoch", () => {
    const one = inPhase("waiting");
    one.begin(EPOCH);
    one.asksAgain(3_000);
    one.startOver(EPOCH, 0);
    expect(one.isJoinable).toBe(true);
  });

  it("waits since the first time it had to", () => {
    const one = inPhase("waiting");
    one.asksAgain(3_000);
    one.queue();
    one.beginLeasing(LEASE);
    expect([one.waitElsewhere(4_000), one.phase]).toEqual([1_000, "waiting"]);
  });
});

describe("the time for the backend", () => {
  it("is whole again once it has waited for another process", () => {
    const one = inPhase("leasing");
    spend(one, 400);
    one.waitElsewhere(1_000);
    expect(one.budget!.leftMs).toBe(500);
  });
});

describe("waking", () => {
  const wakes: readonly (readonly [string, (one: Flight, clock: TestClock) => void])[] = [
    ["a wake", (one) => one.wake()],
    ["a change of its key", (one) => one.taint()],
    ["a fence", (one) => one.fence("set")],
    ["its end", (one) => one.end()],
    ["the limit", (_, clock) => clock.advance(10)],
  ];
  it.each(wakes)("%s ends the wait, and leaves no timer", async (_, wake) => {
    const test = new TestClock();
    let timers = 0;
    const clock: Clock = {
      now: () => test.now(),
      schedule: (callback, delayMs) => {
        timers += 1;
        const cancel = test.schedule(callback, delayMs);
        return () => {
          timers -= 1;
          cancel();
        };
      },
    };
    const one = inPhase("waiting");
    const woken = one.nextWake(clock, 10);
    expect([(await outcome(woken)).status, timers]).toEqual(["pending", 1]);
    wake(one, test);
    expect([(await outcome(woken)).status, timers]).toEqual(["fulfilled", 0]);
  });

  it("counts from the request for the lease", () => {
    const one = inPhase("queued");
    one.wake();
    expect(one.climb.isWoken).toBe(true);
    one.beginLeasing(LEASE);
    expect(one.climb.isWoken).toBe(false);
    one.wake();
    expect(one.climb.isWoken).toBe(true);
  });
});

describe("the callers of a flight", () => {
  it("end once each; it is abandoned when all of them were aborted", () => {
    const { crowd } = flight();
    const [first, second] = [waiter(), waiter()];
    crowd.add(first);
    crowd.add(second);
    const leave = (each: Waiter): boolean => crowd.leave(each, "signal", false);
    expect([leave(first), leave(first), crowd.isAbandoned]).toEqual([true, false, false]);
    expect([leave(second), crowd.isAbandoned, crowd.waiters]).toEqual([true, true, []]);
  });

  it("one that ran out of time, or was answered, did not abort", () => {
    const { crowd } = flight();
    const [first, second] = [waiter(), waiter()];
    crowd.add(first);
    crowd.add(second);
    expect(crowd.take((each) => each === first)).toEqual([first]);
    expect([crowd.leave(second, "signal", false), crowd.isAbandoned]).toEqual([true, false]);
  });

  it.each([
    ["time", false, true],
    ["time", true, false],
    ["signal", true, true],
  ] as const)("are unserved if the last one leaves by its %s; the load has begun: %s", (by, hasBegun, isUnserved) => {
    const { crowd } = flight();
    const only = waiter();
    crowd.add(only);
    expect([crowd.leave(only, by, hasBegun), crowd.isUnserved]).toEqual([true, isUnserved]);
  });

  it("are taken one by one, or all at once", () => {
    const one = flight();
    const [tagged, plain] = [waiter(["t"]), waiter()];
    one.crowd.add(tagged);
    one.crowd.add(plain);
    expect(one.isAwaited).toBe(true);
    expect(one.crowd.take((each) => each === tagged)).toEqual([tagged]);
    expect([one.crowd.waiters, one.isAwaited]).toEqual([[plain], true]);
    expect(one.crowd.take()).toEqual([plain]);
    expect([one.crowd.waiters, one.isAwaited]).toEqual([[], false]);
  });

  it("are one, without a crowd, until it is asked for; then it is the first in it", () => {
    const ends = { resolve: () => undefined, reject: () => undefined };
    const one = flight();
    one.awaitAlone(ends);
    expect([one.isAwaited, one.hasOnlyCaller]).toEqual([true, true]);
    const second = waiter();
    one.crowd.add(second);
    expect([one.isAwaited, one.hasOnlyCaller, one.takeOnlyCaller()]).toEqual([true, false, undefined]);
    expect(one.crowd.waiters).toEqual([{ ...second, ...ends, call: one.call, role: "first", flight: one }, second]);
  });

  it("end with it where there is one alone", () => {
    const ends = { resolve: () => undefined, reject: () => undefined };
    const one = flight();
    one.awaitAlone(ends);
    expect([one.takeOnlyCaller(), one.isAwaited, one.crowd.waiters]).toEqual([ends, false, []]);
  });

  it("add their tags, each once", () => {
    const one = new Flight(call({ tags: ["a"] }), 0, "foreground");
    one.crowd.addTags(["a", "b"]);
    one.crowd.addTags(["b"]);
    expect([one.tags, one.expectedTags]).toEqual([["a", "b"], ["a"]]);
  });

  it("a caller that joins with a long list of tags costs one look at each of them", () => {
    const names = Array.from({ length: 1_000 }, (_, i) => `tag ${i}`);
    let looks = 0;
    const counted = new Proxy(names, {
      get: (target, name, receiver) => {
        looks += 1;
        return Reflect.get(target, name, receiver) as unknown;
      },
    });
    const one = new Flight(call({ tags: counted }), 0, "foreground");
    one.crowd.addTags([...names]);
    one.crowd.addTags(names.toReversed());
    expect(one.tags).toBe(counted);
    one.crowd.addTags([...names, "another"]);
    expect([one.tags.length, one.tags.at(-1)]).toEqual([1_001, "another"]);
    expect(looks).toBeLessThan(20_000);
  });
});

describe("a fallback", () => {
  it("counts as a copy from before until the backend has another; dropped, it is served no more", () => {
    const one = flight();
    const entry = { terms: { tags: [] as readonly string[] } } as Parameters<Flight["fallBackOn"]>[0];
    one.fallBackOn(entry, "memory", "copy");
    expect([one.fallback, one.fallbackTier, one.hasCopy]).toEqual([entry, "memory", true]);
    one.dropFallback();
    expect([one.fallback, one.hasCopy]).toEqual([undefined, true]);
    one.fallBackOn(entry, "redis", "read");
    expect([one.fallback, one.fallbackTier, one.hasCopy]).toEqual([entry, "redis", false]);
  });
});
