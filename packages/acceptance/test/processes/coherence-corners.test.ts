/** What is promised between processes in less common company: other backends, other keys, other moments. */
import type { Cache, Clock, Coherence, CoherenceListener } from "@hotset/core";
import {
  createTestCache,
  flush,
  gate,
  outcome,
  scriptedBackend,
  TestClock,
  type ScriptedBackend,
} from "@hotset/core/testing";
import { memory } from "@hotset/memory";
import { describe, expect, it } from "vitest";
import { gatedLoads, inStep } from "../support/processes.ts";
import { never, rejectionsDuring } from "../support/stacks.ts";

const K = "test::k";
/** As long as a lease lasts without being renewed. */
const LEASE_MS = 10_000;
const hashed = (key: string): string =>
  `${key.slice(0, key.indexOf("::") + 2)}#${Buffer.from(key.slice(key.indexOf("::") + 2)).toString("hex")}`;
const HASHED = { backend: { alias: hashed } } as const;

describe("C86 what was missed while a link was lost", () => {
  it.each(["load", "set"] as const)(
    "is no less missed by what a %s takes versions of tags for, and stores afterwards",
    async (how) => {
      const {
        all: [p1, p2],
      } = await inStep();
      await p1.cache.set("other", 1, { tags: ["t"] });
      await flush();
      const storing = gate();
      p1.backend.script(how === "load" ? "leases.store" : "write", { before: storing });
      const first =
        how === "load"
          ? p1.cache.getOrSet("k", () => "old", { tags: ["t"] })
          : p1.cache.set("k", "old", { tags: ["t"] });
      await storing.arrived();
      p1.link.lose({ attach: "hangs" });
      await p2.cache.invalidateTags("t");
      p1.link.heal();
      await flush();
      storing.open();
      await first;
      await flush();
      expect(p1.cache.peek("k")).toBe(undefined);
      expect(await p2.cache.get("k")).toBe(undefined);
      expect(await p1.cache.get("k")).toBe(undefined);
    },
  );

  it("while it loads, too", async () => {
    const {
      all: [p1, p2],
    } = await inStep();
    await p1.cache.set("other", 1, { tags: ["t"] });
    await flush();
    const loads = gatedLoads<string>();
    const first = p1.cache.getOrSet("k", loads.load, { tags: ["t"] });
    await loads.arrived(1);
    p1.link.lose({ attach: "hangs" });
    await p2.cache.invalidateTags("t");
    p1.link.heal();
    await flush();
    loads.runs[0]!.open("old");
    expect(await first).toBe("old");
    await flush();
    expect(p1.cache.peek("k")).toBe(undefined);
    expect(await p1.cache.get("k")).toBe(undefined);
  });
});

describe("C26 a markStale elsewhere", () => {
  it.each(["load", "set"] as const)(
    "between a %s here and its acknowledgement leaves no fresh copy here",
    async (how) => {
      const {
        all: [p1, p2],
      } = await inStep({ staleIfError: "1h" });
      const answering = gate();
      p1.backend.script(how === "load" ? "leases.store" : "write", { after: answering });
      const first = how === "load" ? p1.cache.getOrSet("k", () => "old") : p1.cache.set("k", "old");
      await answering.arrived();
      expect(await p2.cache.markStale("k")).toEqual({ status: "stale" });
      answering.open();
      await first;
      await flush();
      expect(p1.cache.peek("k")).toBe(undefined);
      expect(await p1.cache.get("k")).toBe(undefined);
      expect(await p1.cache.get("k", { allowStale: true })).toBe("old");
    },
  );
});

describe("C81 where keys are hashed", () => {
  it("what is answered with a token, by who grants leases, is heard of like all that is read", async () => {
    const {
      all: [p1, p2],
    } = await inStep(HASHED);
    const { token } = await p1.cache.set("k", 1);
    expect(await p2.cache.getOrSet("k", never, { after: token! })).toBe(1);
    expect(p2.cache.peek("k")).toBe(1);
    await p1.cache.set("k", 2);
    expect(p2.cache.peek("k")).toBe(undefined);
  });

  it("nobody shares a load from before an invalidation of a tag that was never used here", async () => {
    const {
      all: [p1, p2],
    } = await inStep(HASHED);
    const loads = gatedLoads<string>();
    const first = p1.cache.getOrSet("k", (context) => {
      context.setOptions({ tags: ["late"] });
      return loads.load(context);
    });
    await loads.arrived(1);
    await p2.cache.invalidateTags("late");
    const second = p1.cache.getOrSet("k", loads.load);
    await flush();
    loads.runs[0]!.open("old");
    await flush();
    expect(loads.runs).toHaveLength(2);
    loads.runs[1]!.open("new");
    expect([await first, await second]).toEqual(["old", "new"]);
  });

  it.each(["invalidateTags", "markTagsStale"] as const)(
    "also %s, in a store that keeps versions of tags as entries",
    async (call) => {
      const {
        all: [p1, p2],
      } = await inStep({ backend: { alias: hashed, tagVersions: false } });
      await p1.cache.set("k", 1, { tags: ["t"] });
      expect(await p1.cache.get("k")).toBe(1);
      expect(p1.cache.peek("k")).toBe(1);
      await p2.cache[call]("t");
      expect(p1.cache.peek("k")).toBe(undefined);
      expect(await p1.cache.get("k")).toBe(undefined);
    },
  );
});

describe("C67 where versions of tags are kept as entries", () => {
  const AS_ENTRIES = { backend: { tagVersions: false } } as const;

  it("an invalidation elsewhere leaves copies alone that have none of its tags", async () => {
    const {
      all: [p1, p2],
    } = await inStep(AS_ENTRIES);
    await p1.cache.set("k", 1, { tags: ["t"] });
    expect(await p1.cache.get("k")).toBe(1);
    await p2.cache.invalidateTags("other");
    expect(p1.cache.peek("k")).toBe(1);
    await p2.cache.invalidateTags("t}::", "t");
    expect(p1.cache.peek("k")).toBe(undefined);
  });

  it("no load takes them from before an invalidation that was heard before it began", async () => {
    const {
      all: [p1, p2],
    } = await inStep(AS_ENTRIES);
    await p1.cache.set("copy", "old", { tags: ["t"] });
    expect(await p1.cache.get("copy")).toBe("old");
    const reading = gate();
    for (const key of ["{~test}::t", "{~~test}::t"]) p1.backend.script("read", { key, after: reading });
    const first = p1.cache.getOrSet("before", () => "old", { tags: ["t"] });
    await reading.arrived(2);
    await p2.cache.invalidateTags("t");
    const second = p1.cache.getOrSet("after", () => "new", { tags: ["t"] });
    await flush();
    const again = gate();
    for (const key of ["{~test}::t", "{~~test}::t"]) p1.backend.script("read", { key, before: again });
    reading.open();
    await flush();
    expect(p1.cache.peek("copy")).toBe(undefined);
    again.open();
    expect([await first, await second]).toEqual(["old", "new"]);
    expect([await p2.cache.get("before"), await p2.cache.get("after"), await p1.cache.get("copy")]).toEqual([
      undefined,
      "new",
      undefined,
    ]);
  });
});

describe("C67 behind an answer that was stale", () => {
  it.each(["refreshAhead", "staleWhileRevalidate"] as const)(
    "who comes after an invalidation elsewhere is not answered with what it hides (%s)",
    async (window) => {
      const {
        all: [p1, p2],
        clock,
      } = await inStep({ ttl: 1_000, [window]: window === "refreshAhead" ? 0.5 : "1h" });
      await p1.cache.set("k", "old", { tags: ["t"] });
      await flush();
      clock.advance(window === "refreshAhead" ? 600 : 1_000);
      await flush();
      const reading = gate();
      p1.backend.script("read", { key: K, after: reading });
      const loads = gatedLoads<string>();
      expect(await p1.cache.getOrSet("k", loads.load, { tags: ["t"] })).toBe("old");
      await reading.arrived();
      const asking = gate();
      p1.backend.script("tags.pin", { before: asking });
      reading.open();
      await asking.arrived();
      await p2.cache.invalidateTags("t");
      asking.open();
      await loads.arrived(1);
      await flush();
      const second = p1.cache.getOrSet("k", loads.load, { tags: ["t"] });
      expect(await outcome(second)).toEqual({ status: "pending" });
      for (const run of loads.runs) run.open("new");
      expect(await second).toBe("new");
    },
  );
});

it("C90 a namespace that is localOnly shares its loads, whatever is heard of tags elsewhere", async () => {
  const {
    all: [p1, p2],
  } = await inStep();
  const here = p1.cache.namespace("n", { localOnly: true });
  const loads = gatedLoads<string>();
  const first = here.getOrSet("k", loads.load, { tags: ["t"] });
  await loads.arrived(1);
  await p2.cache.clear();
  await p2.cache.namespace("n").invalidateTags("t");
  const second = here.getOrSet("k", never);
  loads.runs[0]!.open("v");
  expect([await first, await second]).toEqual(["v", "v"]);
});

describe("C86 who hears of changes", () => {
  /** A cache that is told of changes by the test. */
  function told(attach: Coherence["attach"]): {
    readonly cache: Cache;
    readonly clock: TestClock;
    readonly backend: ScriptedBackend;
  } {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: { attach } });
    return { cache: createTestCache({ clock, local: memory(), backend }), clock, backend };
  }

  it("is detached from each link that was lost", async () => {
    const listeners: CoherenceListener[] = [];
    let detached = 0;
    const { cache } = told((listener) => {
      listeners.push(listener);
      return Promise.resolve(() => Promise.resolve(void (detached += 1)));
    });
    await cache.connect();
    for (let i = 0; i < 3; i += 1) {
      listeners[i]!.lost(new Error("reset"));
      await flush();
    }
    expect([listeners.length, detached]).toEqual([4, 3]);
    await cache.close();
    expect(detached).toBe(4);
  });

  it("holds up nobody where a link is lost each time before it stands", async () => {
    let attempts = 0;
    const { cache, clock } = told((listener) => {
      attempts += 1;
      // Else a mistake would never end.
      if (attempts > 100) return new Promise<never>(() => undefined);
      listener.lost(new Error("reset"));
      return Promise.resolve(() => Promise.reject(new Error("it is over")));
    });
    await cache.connect();
    await flush();
    expect(attempts).toBe(2);
    for (let i = 0; i < 5; i += 1) {
      clock.advance("1s");
      await flush();
    }
    expect(attempts).toBe(7);
    await cache.close();
  });

  it("asks the backend, and trusts nothing, where attaching never comes to an end", async () => {
    const { cache, clock, backend } = told(() => new Promise<never>(() => undefined));
    const connecting = cache.connect();
    await flush();
    clock.advance("1s");
    await connecting;
    await cache.set("k", 1);
    expect([await cache.get("k"), await cache.getOrSet("k", never), cache.peek("k")]).toEqual([1, 1, undefined]);
    await cache.close();
    expect(backend.isClosed).toBe(true);
  });
});

/** A load that would replace what is stale, and what may stand in for it. */
async function loadOverStale() {
  const {
    all: [p1],
    clock,
  } = await inStep({ ttl: 100, staleIfError: "1h" });
  await p1.cache.set("k", "old");
  clock.advance(100);
  const loads = gatedLoads<string>();
  const call = p1.cache.getOrSet("k", loads.load);
  await loads.arrived(1);
  return { p1, clock, loads, call };
}

it("C26 what was marked stale here and then deleted stands in for nobody", async () => {
  const { p1, loads, call } = await loadOverStale();
  await p1.cache.markStale("k");
  await p1.cache.delete("k");
  const down = new Error("db down");
  loads.runs[0]!.fail(down);
  await expect(call).rejects.toBe(down);
});

it("C26 what was marked stale here stands in for a load that lost its lease by that", async () => {
  const { p1, clock, loads, call } = await loadOverStale();
  const answering = gate();
  p1.backend.script("markStale", { after: answering });
  const marking = p1.cache.markStale("k");
  await answering.arrived();
  // Meanwhile it renews.
  clock.advance(LEASE_MS / 3);
  await flush();
  answering.open();
  await marking;
  loads.runs[0]!.fail(new Error("db down"));
  expect(await call).toBe("old");
});

it("C61 a load that a set fenced which could not be encoded keeps nobody waiting", async () => {
  const {
    all: [p1, p2],
  } = await inStep();
  const loads = gatedLoads<string>();
  const first = p1.cache.getOrSet("k", loads.load);
  await loads.arrived(1);
  await expect(p1.cache.set("k", 1n)).rejects.toMatchObject({ code: "ENCODE_FAILED" });
  expect(await p2.cache.getOrSet("k", () => "there")).toBe("there");
  loads.runs[0]!.open("here");
  expect(await first).toBe("here");
  expect(await p2.cache.get("k")).toBe("there");
});

it("C52 who still looked when an older load was stored here loads for everybody", async () => {
  const {
    all: [p1, p2],
    clock,
  } = await inStep({ ttl: 100 });
  const loads = gatedLoads<string>();
  const first = p1.cache.getOrSet("k", loads.load);
  await loads.arrived(1);
  await p2.cache.invalidateTags("any");
  const looking = gate();
  p1.backend.script("read", { key: K, before: looking });
  const second = p1.cache.getOrSet("k", loads.load);
  await looking.arrived();
  loads.runs[0]!.open("first");
  expect(await first).toBe("first");
  clock.advance(100);
  looking.open();
  await loads.arrived(2);
  const third = p2.cache.getOrSet("k", never);
  await flush();
  loads.runs[1]!.open("second");
  expect([await second, await third]).toEqual(["second", "second"]);
});

it("C93 where versions of tags may not be renewed, keys are replayed all the same", async () => {
  const {
    all: [p1],
    clock,
  } = await inStep();
  await p1.cache.set("k", "old");
  p1.backend.script("tags.renew", { fail: new Error("NOPERM"), times: Infinity });
  p1.backend.script("remove", { fail: true });
  expect([await p1.cache.invalidateTags("t"), await p1.cache.delete("k")]).toEqual([
    { status: "pending" },
    { status: "pending" },
  ]);
  clock.advance("1s");
  await flush();
  expect([p1.backend.store.keys(), p1.cache.stats().pending]).toEqual([[], 1]);
  expect(await p1.cache.getOrSet("k", () => "new")).toBe("new");
  expect(p1.backend.store.keys()).toEqual([K]);
});

it("C52 waiting for a place to load takes nothing from the time in which leases can be had", async () => {
  const {
    all: [p1, p2],
    clock,
  } = await inStep({ maxLoads: 1, ttl: 100, staleIfError: "1h" });
  const loads = gatedLoads<string>();
  const busy = p1.cache.getOrSet("busy", loads.load);
  await loads.arrived(1);
  const call = p1.cache.getOrSet("k", loads.load);
  await flush();
  clock.advance("2s");
  await p2.cache.set("k", "stale by then");
  clock.advance(100);
  await flush();
  p1.backend.script("leases.acquire", { key: K });
  const asking = gate();
  p1.backend.script("leases.acquire", { key: K, after: asking });
  loads.runs[0]!.open("done");
  await asking.arrived();
  clock.advance(500);
  asking.open();
  await loads.arrived(2);
  loads.runs[1]!.open("new");
  expect([await busy, await call, await p2.cache.get("k")]).toEqual(["done", "new", "new"]);
});

describe("C56 close", () => {
  it.each(["heard", "sole-writer"] as const)("gives back the leases of loads that it ends (%s)", async (coherence) => {
    const {
      all: [p1],
      store,
      clock,
    } = await inStep({ backend: { coherence } });
    const loads = gatedLoads<string>();
    const first = outcome(p1.cache.getOrSet("k", loads.load));
    await loads.arrived(1);
    expect(store.leaseHolder(K)).not.toBe(undefined);
    const closing = p1.cache.close({ timeout: 0 });
    clock.advance(1);
    await closing;
    await first;
    expect(store.leaseHolder(K)).toBe(undefined);
  });

  it("leaves behind no timer, no listener, no lease that it was granted, and no rejection, whatever is under way", async () => {
    const clock = new TestClock();
    const timers = new Set<() => void>();
    const counting: Clock = {
      now: () => clock.now(),
      schedule(callback, delayMs) {
        const due = (): void => {
          timers.delete(due);
          callback();
        };
        timers.add(due);
        const cancel = clock.schedule(due, delayMs);
        return () => {
          timers.delete(due);
          cancel();
        };
      },
    };
    const pass = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 500) {
        clock.advance(500);
        await flush();
      }
    };
    const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "heard" });
    const cache = createTestCache({
      clock: counting,
      ttl: 1_000,
      staleWhileRevalidate: "1h",
      local: memory(),
      backend,
    });
    const other = createTestCache({ clock, loadTimeout: "1h", local: memory(), backend: backend.peer() });
    const loads = gatedLoads<string>();
    const theirs = gatedLoads<string>();
    const hanging = gate();
    const calls: Promise<unknown>[] = [];
    const rejected = await rejectionsDuring(async () => {
      await Promise.all([cache.connect(), other.connect()]);
      calls.push(other.getOrSet("theirs", theirs.load));
      await cache.set("stale", 1);
      clock.advance(1_000);
      await flush();
      expect(await cache.getOrSet("stale", loads.load)).toBe(1);
      calls.push(
        outcome(cache.getOrSet("loading", loads.load, { hardTimeout: "1h" })),
        outcome(cache.getOrSet("forced", loads.load, { forceRefresh: true })),
        outcome(cache.getOrSet("theirs", loads.load)),
        outcome(
          cache.getOrSetMany(
            ["theirs", "many"],
            (key) => key,
            () => new Promise<never>(() => undefined),
          ),
        ),
      );
      await flush();
      backend.script("remove", { fail: true });
      expect(await cache.delete("pending")).toEqual({ status: "pending" });
      for (const operation of ["write", "read", "leases.acquire"] as const)
        backend.script(operation, { key: `test::${operation}`, before: hanging });
      calls.push(
        outcome(cache.set("write", 1)),
        outcome(cache.getOrSet("read", loads.load)),
        outcome(cache.getOrSet("leases.acquire", loads.load)),
      );
      await flush();
      backend.link.lose();
      const closing = cache.close({ timeout: 10 });
      await flush();
      await pass(3_000);
      await closing;
      const keys = ["stale", "loading", "forced", "many", "theirs"];
      expect(keys.filter((key) => backend.store.leaseHolder(`test::${key}`) !== undefined)).toEqual(["theirs"]);
      hanging.open();
      await pass(60_000);
      expect(timers.size).toBe(0);
      expect(backend.link.attached).toBe(0);
      for (const run of theirs.runs) run.open("v");
      await Promise.all(calls);
      await other.close();
    });
    expect(rejected).toEqual([]);
  });
});

describe("C102 what the backend refuses for its size, where changes are heard", () => {
  const LARGE = "x".repeat(200);
  const two = () => inStep({ backend: { maxEntryBytes: 100 } });

  it.each(["load", "set"] as const)(
    "is no copy to trust after a %s, since nothing is there to confirm it by; it stands in while the backend is away",
    async (how) => {
      const {
        all: [p1],
      } = await two();
      if (how === "load") await p1.cache.getOrSet("k", () => LARGE);
      else expect(await p1.cache.set("k", LARGE)).toMatchObject({ status: "refused" });
      await flush();
      expect(p1.cache.peek("k")).toBe(undefined);
      p1.backend.down();
      expect(await p1.cache.getOrSet("k", never)).toBe(LARGE);
    },
  );

  it("neither outlives nor removes what another process stored while it was loaded", async () => {
    const {
      all: [p1, p2],
    } = await two();
    const loads = gatedLoads<string>();
    const loading = p1.cache.getOrSet("k", loads.load);
    await loads.arrived(1);
    await p2.cache.set("k", "newer");
    loads.runs[0]!.open(LARGE);
    expect(await loading).toBe(LARGE);
    await flush();
    expect(p1.cache.peek("k")).toBe(undefined);
    expect(await p2.cache.get("k")).toBe("newer");
    expect(await p1.cache.get("k")).toBe("newer");
  });

  it("is not served after another process removed it before its own set was answered", async () => {
    const {
      all: [p1, p2],
    } = await two();
    const late = gate();
    p1.backend.script("remove", { after: late });
    const setting = p1.cache.set("k", LARGE);
    await late.arrived();
    await p2.cache.set("k", "newer");
    await p2.cache.delete("k");
    late.open();
    expect(await setting).toMatchObject({ status: "refused" });
    await flush();
    expect(p1.cache.peek("k")).toBe(undefined);
    expect(await p1.cache.get("k")).toBe(undefined);
  });
});
