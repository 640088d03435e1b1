/**
 * The time in which a copy is served without asking the backend: interleavings are forced, time is moved by hand.
 * Counter-examples: docs/reference/counter-examples.md.
 */
import type { Cache } from "@hotset/core";
import { flush, gate, outcome, type Gate, type ScriptedOperation } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { gatedLoads, holding, inStep, notYetInStep, refreshing, type SimulatedProcess } from "../support/processes.ts";
import { never } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const DOWN = new Error("db down");
const answered = <T>(value: T) => ({ status: "fulfilled", value }) as const;

/** Each call that keeps a copy, with the operation whose answer it waits for. */
const CALLS: readonly (readonly [how: string, operation: ScriptedOperation, begin: (cache: Cache) => unknown])[] = [
  ["get", "read", (cache) => cache.get("k")],
  ["getOrSet", "read", (cache) => cache.getOrSet("k", never)],
  ["set", "write", (cache) => cache.set("k", "old")],
  ["load", "leases.store", (cache) => cache.getOrSet("k", () => "old")],
];

/** The value that `get` finds, and the commands it sent for it. */
async function got(
  { cache, backend }: SimulatedProcess,
  key = "k",
): Promise<{ readonly value: unknown; readonly reads: number }> {
  backend.forgetCalls();
  const value = await cache.get(key);
  return { value, reads: backend.count("read", `test::${key}`) };
}

/** What is trusted after a call that was under way when the link came back. */
async function trustedAfter(p1: SimulatedProcess, call: unknown, answering: Gate): Promise<readonly unknown[]> {
  await flush();
  expect(p1.link.attached).toBe(1);
  answering.open();
  await call;
  await flush();
  await p1.cache.get("other");
  return [p1.cache.peek("k"), await p1.cache.get("k")];
}

describe("C86 a copy is served on trust", () => {
  it.each([
    ["with tag versions", {}],
    ["without", { backend: { tagVersions: false } }],
  ])("until the last sign of life is maxStaleness old, which is too late, %s", async (_what, options) => {
    const { p1, clock } = await inStep(options);
    await p1.cache.set("k", "v");
    await flush();
    p1.link.freezeHeartbeat();
    clock.advance(1_999);
    expect(await got(p1)).toEqual({ value: "v", reads: 0 });
    clock.advance(1);
    expect(p1.cache.peek("k")).toBe(undefined);
    expect(await got(p1)).toEqual({ value: "v", reads: 1 });
  });

  it("as long as signs of life come, each a quarter of maxStaleness after the other", async () => {
    const { p1, clock } = await inStep({ backend: { maxStalenessMs: 40 } });
    await p1.cache.set("k", "v");
    await flush();
    for (let i = 0; i < 100; i += 1) {
      clock.advance(10);
      expect(p1.cache.peek("k")).toBe("v");
    }
    p1.link.freezeHeartbeat();
    clock.advance(39);
    expect(p1.cache.peek("k")).toBe("v");
    clock.advance(1);
    expect(p1.cache.peek("k")).toBe(undefined);
  });

  it("no longer by a process that was frozen, before any message arrives", async () => {
    const { p1, p2, clock } = await inStep();
    await p1.cache.set("k", "old");
    await flush();
    p1.link.hold();
    await p2.cache.set("k", "new");
    clock.advance("1m");
    expect(p1.cache.peek("k")).toBe(undefined);
    const read = p1.cache.get("k");
    p1.link.deliver();
    expect(await read).toBe("new");
  });

  it("no longer from the first read after the machine was suspended, until a later sign of life", async () => {
    const { p1, p2, clock } = await inStep();
    await p1.cache.set("k", "v");
    await p1.cache.getOrSet("loaded", () => "v");
    await flush();
    clock.advance(100);
    expect(await got(p1)).toEqual({ value: "v", reads: 0 });
    // Deleted by another machine, which goes on.
    p1.link.hold();
    p1.link.freezeHeartbeat();
    await p2.cache.delete("k");
    clock.suspend("8s");
    clock.advance(60);
    expect([p1.cache.peek("k"), p1.cache.peek("loaded")]).toEqual([undefined, undefined]);
    expect(await got(p1)).toEqual({ value: undefined, reads: 1 });
    expect(await got(p1, "loaded")).toEqual({ value: "v", reads: 1 });
  });

  it("as ever where the wall clock was corrected by less, and never longer where it was set back", async () => {
    const { p1, clock } = await inStep();
    await p1.cache.set("k", "v");
    await flush();
    for (const correction of [400, -3_600_000, 400]) {
      clock.suspend(correction);
      clock.advance(60);
      expect(await got(p1)).toEqual({ value: "v", reads: 0 });
    }
    p1.link.freezeHeartbeat();
    clock.advance(2_000);
    expect(await got(p1)).toEqual({ value: "v", reads: 1 });
  });

  it("no longer over a link that was cut in silence", async () => {
    const { p1, p2, clock } = await inStep();
    await p1.cache.set("k", "old");
    await flush();
    p1.link.hold();
    await p2.cache.delete("k");
    for (let i = 0; i < 4; i += 1) {
      p1.link.drop();
      expect(p1.cache.peek("k")).toBe("old");
      clock.advance(i === 3 ? 499 : 500);
    }
    expect(p1.cache.peek("k")).toBe("old");
    clock.advance(1);
    expect([p1.cache.peek("k"), await p1.cache.get("k"), await p1.cache.getOrSet("k", () => "loaded")]).toEqual([
      undefined,
      undefined,
      "loaded",
    ]);
  });

  it("again after a late sign of life, if no message could be missed meanwhile", async () => {
    const { p1, clock } = await inStep();
    await p1.cache.set("k", "v");
    await flush();
    p1.link.hold();
    clock.advance(2_500);
    expect(p1.cache.peek("k")).toBe(undefined);
    p1.link.deliver();
    expect(p1.cache.peek("k")).toBe("v");
  });

  it("no longer from the loss of the link on, in the same tick, and again once the backend has confirmed it", async () => {
    const { p1, clock } = await inStep();
    const states = watch(p1.cache, "backend:state");
    await p1.cache.set("k", "v");
    await p1.cache.set("j", "v");
    await flush();
    p1.link.lose();
    expect([p1.cache.peek("k"), p1.cache.peek("j")]).toEqual([undefined, undefined]);
    expect(await got(p1)).toEqual({ value: "v", reads: 1 });
    expect(p1.cache.peek("k")).toBe(undefined);
    p1.link.heal();
    clock.advance(1_000);
    await flush();
    expect(p1.cache.peek("k")).toBe(undefined);
    expect([await got(p1), await got(p1), p1.cache.peek("k"), p1.cache.peek("j")]).toEqual([
      { value: "v", reads: 1 },
      { value: "v", reads: 0 },
      "v",
      undefined,
    ]);
    expect(states.map(([, { state }]) => state)).toEqual(["detached", "up"]);
  });

  it("unless any key may have changed", async () => {
    const { p1 } = await inStep();
    await p1.cache.set("warm", 1, { tags: ["t"] });
    await p1.cache.set("k", "v", { tags: ["t"] });
    await flush();
    expect(p1.cache.peek("k")).toBe("v");
    p1.link.everything();
    expect(p1.cache.peek("k")).toBe(undefined);
    // The same once the versions of its tags are known again.
    await p1.cache.getOrSet("other", ({ noStore }) => noStore(1), { tags: ["t"] });
    await flush();
    expect(p1.cache.peek("k")).toBe(undefined);
    p1.link.everything();
    p1.backend.forgetCalls();
    expect(await p1.cache.get("k")).toBe("v");
    // Tag versions are asked for again as well.
    expect(p1.backend.calls.map(({ operation }) => operation)).toEqual(expect.arrayContaining(["read", "tags.read"]));
    expect(p1.cache.peek("k")).toBe("v");
  });

  it("after an attachment that is tried again each second while it is refused", async () => {
    const { p1, clock } = notYetInStep();
    p1.backend.script("attach", { fail: true, times: 3 });
    await p1.cache.set("k", "v");
    await flush();
    for (let attempts = 1; attempts <= 4; attempts += 1) {
      expect([p1.backend.count("attach"), p1.cache.peek("k")]).toEqual([attempts, undefined]);
      clock.advance(1_000);
      await flush();
    }
    expect(p1.backend.count("attach")).toBe(4);
    expect(await got(p1)).toEqual({ value: "v", reads: 1 });
    expect(p1.cache.peek("k")).toBe("v");
  });
});

describe("C87 trust begins with reads after changes are received (counter-example 10)", () => {
  it.for(["get", "getOrSet", "getMany", "set", "load"] as const)(
    "an earlier copy is confirmed first: %s",
    async (how) => {
      const { p1: p2, start } = await inStep();
      if (how !== "load") await p2.cache.set("k", "old");
      const p1 = start();
      const attaching = gate();
      p1.backend.script("attach", { before: attaching });
      const calls = {
        get: () => p1.cache.get("k"),
        getOrSet: () => p1.cache.getOrSet("k", never),
        getMany: () => p1.cache.getMany(["k"]),
        set: () => p1.cache.set("k", "old"),
        load: () => p1.cache.getOrSet("k", () => "old"),
      };
      await calls[how]();
      expect(p1.cache.peek("k")).toBe(undefined);
      await p2.cache.delete("k");
      attaching.open();
      await flush();
      expect(p1.link.attached).toBe(1);
      // The same once it is known that nothing was cleared.
      await p1.cache.get("other");
      expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual([undefined, undefined]);
    },
  );

  it.for(CALLS)(
    "the copy of a call under way at that moment is confirmed first, since it may have been answered before: %s",
    async ([how, operation, begin]) => {
      const { p1: p2, start } = await inStep();
      if (how !== "load") await p2.cache.set("k", "old");
      const p1 = start();
      const [attaching, answering] = [gate(), gate()];
      p1.backend.script("attach", { before: attaching });
      p1.backend.script(operation, { after: answering });
      const call = begin(p1.cache);
      await answering.arrived();
      await p2.cache.delete("k");
      attaching.open();
      expect(await trustedAfter(p1, call, answering)).toEqual([undefined, undefined]);
    },
  );
});

describe("C86 a call under way when the link is lost", () => {
  it.for(CALLS)(
    "leaves no trusted copy, although the link is back before it ends: %s",
    async ([how, operation, begin]) => {
      const { p1, p2 } = await inStep();
      if (how !== "load") await p2.cache.set("k", "old");
      const answering = gate();
      p1.backend.script(operation, { after: answering });
      const call = begin(p1.cache);
      await answering.arrived();
      p1.link.lose({ attach: "hangs" });
      await p2.cache.delete("k");
      p1.link.heal();
      expect(await trustedAfter(p1, call, answering)).toEqual([undefined, undefined]);
    },
  );

  it("is not shared by later callers: the messages it missed are not known (counter-example 17)", async () => {
    const { p1, p2, loads, first: older } = await holding();
    p1.link.lose({ attach: "hangs" });
    await p2.cache.delete("k");
    p1.link.heal();
    await flush();
    expect(p1.link.attached).toBe(1);
    const newer = p1.cache.getOrSet("k", loads.load);
    await loads.arrived(2);
    loads.runs[0]!.open("old");
    loads.runs[1]!.open("new");
    expect([await older, await newer]).toEqual(["old", "new"]);
  });

  it.for(["silent", "lost"] as const)(
    "is not shared for longer than a copy would be served without messages: the link is %s",
    async (how) => {
      const { p1, p2, clock } = await inStep();
      if (how === "silent") p1.link.hold();
      else p1.link.lose();
      await flush();
      const loads = gatedLoads<string>();
      const older = p1.cache.getOrSet("k", loads.load);
      await loads.arrived(1);
      await p2.cache.delete("k");
      clock.advance(1_999);
      await flush();
      const within = p1.cache.getOrSet("k", never);
      clock.advance(1);
      const newer = p1.cache.getOrSet("k", loads.load);
      await loads.arrived(2);
      loads.runs[0]!.open("old");
      loads.runs[1]!.open("new");
      expect([await older, await within, await newer]).toEqual(["old", "old", "new"]);
      expect(await p2.cache.get("k")).toBe("new");
    },
  );

  it("gives later callers no copy as fallback that is not trusted any more when the load fails", async () => {
    const { p1, p2, clock } = await inStep({ ttl: 100, staleIfError: "1h" });
    await p1.cache.set("k", "old");
    await flush();
    p1.link.hold();
    await p2.cache.delete("k");
    clock.advance(1_500);
    const loads = gatedLoads<string>();
    const within = p1.cache.getOrSet("k", loads.load);
    await loads.arrived(1);
    clock.advance(500);
    const beyond = p1.cache.getOrSet("k", () => Promise.reject(DOWN));
    await flush();
    loads.runs[0]!.fail(DOWN);
    expect([await within, await outcome(beyond)]).toEqual(["old", { status: "rejected", reason: DOWN }]);
  });

  it("is shared by all if it loads without the backend, for any time", async () => {
    const { p1, clock } = await inStep();
    p1.link.lose();
    p1.backend.down();
    const loads = gatedLoads<string>();
    const first = p1.cache.getOrSet("k", loads.load);
    await loads.arrived(1);
    clock.advance(10_000);
    const second = p1.cache.getOrSet("k", never);
    loads.runs[0]!.open("loaded");
    expect([await first, await second]).toEqual(["loaded", "loaded"]);
  });

  it("is not shared once it looks again while it waits for another process: its fallback may be gone (counter-example 17)", async () => {
    const { p1, p2, loads } = await refreshing("by both");
    const asking = gate();
    p2.backend.script("leases.acquire", { before: asking });
    expect(await p2.cache.getOrSet("k", () => "newest")).toBe("old");
    await asking.arrived();
    const strict = p2.cache.getOrSet("k", () => "newest", { staleWhileRevalidate: 0 });
    asking.open();
    await flush();
    p2.link.lose({ attach: "hangs" });
    await p1.cache.delete("k");
    p2.link.heal();
    await flush();
    expect(p2.link.attached).toBe(1);
    const late = p2.cache.getOrSet("k", () => "newest");
    expect(await outcome(late)).toEqual(answered("newest"));
    expect(await strict).toBe("newest");
    loads.runs[0]!.open("new");
    await p1.cache.drain();
  });
});

describe("C92 while the backend does not answer, a copy that cannot be confirmed is the answer", () => {
  it("for its whole life, although the link is lost", async () => {
    const { p1, clock } = await inStep({ ttl: 10_000 });
    await p1.cache.set("k", "v");
    await flush();
    p1.backend.down();
    p1.link.lose();
    clock.advance(9_999);
    expect(p1.cache.peek("k")).toBe(undefined);
    expect([
      await p1.cache.get("k"),
      await p1.cache.getOrSet("k", never),
      (await p1.cache.getMany(["k"])).get("k"),
      (await p1.cache.inspect("k"))?.state,
    ]).toEqual(["v", "v", "v", "fresh"]);
    clock.advance(1);
    expect(await p1.cache.get("k")).toBe(undefined);
    expect(await p1.cache.getOrSet("k", () => "loaded")).toBe("loaded");
  });

  it("except a copy that this process has invalidated or removed since (counter-example 14)", async () => {
    const { p1 } = await inStep();
    for (const key of ["tag", "deleted", "kept"]) await p1.cache.set(key, "old", { tags: [key] });
    const users = p1.cache.namespace("users");
    await users.set("k", "old");
    await flush();
    p1.backend.down();
    p1.link.lose();
    expect([await p1.cache.invalidateTags("tag"), await p1.cache.delete("deleted"), await users.clear()]).toEqual([
      { status: "pending" },
      { status: "pending" },
      { status: "pending" },
    ]);
    expect([...(await p1.cache.getMany(["tag", "deleted", "kept"]))]).toEqual([["kept", "old"]]);
    expect(await users.get("k")).toBe(undefined);
    for (const key of ["tag", "deleted"])
      await expect(p1.cache.getOrSet(key, () => Promise.reject(DOWN))).rejects.toBe(DOWN);
  });

  it("except a copy whose invalidation was acknowledged before the outage (counter-example 14)", async () => {
    const { p1 } = await inStep({ backend: { echoes: false } });
    await p1.cache.set("k", "old", { tags: ["t"] });
    await p1.cache.invalidateTags("t");
    p1.backend.down();
    p1.link.lose();
    expect(await p1.cache.get("k")).toBe(undefined);
  });

  it("a value loaded meanwhile is kept for that time, and not served once the backend is back", async () => {
    const { p1, p2, clock, store } = await inStep();
    p1.backend.down();
    expect(await p1.cache.getOrSet("k", () => "alone")).toBe("alone");
    expect([p1.cache.peek("k"), await p1.cache.get("k"), await p1.cache.getOrSet("k", never)]).toEqual([
      undefined,
      "alone",
      "alone",
    ]);
    await p2.cache.set("k", "elsewhere");
    p1.backend.up();
    clock.advance(1_000);
    expect(await p1.cache.get("k")).toBe("elsewhere");
    await p2.cache.delete("k");
    p1.backend.down();
    expect(await p1.cache.getOrSet("k", () => "alone again")).toBe("alone again");
    p1.backend.up();
    clock.advance(1_000);
    expect([store.keys().includes("test::k"), await p1.cache.get("k")]).toEqual([false, undefined]);
  });

  it("a stale copy that cannot be confirmed is refreshed like any other", async () => {
    const { p1, clock } = await inStep({ ttl: 100, staleWhileRevalidate: "1h" });
    await p1.cache.set("k", "v");
    await flush();
    p1.backend.down();
    clock.advance(5_000);
    expect(p1.cache.peek("k")).toBe(undefined);
    expect(await p1.cache.getOrSet("k", () => "refreshed")).toBe("v");
    await p1.cache.drain();
    expect(await p1.cache.getOrSet("k", never)).toBe("refreshed");
  });
});

it("C86 without coherence, copies are trusted for localTtl, and nothing is confirmed", async () => {
  const { p1, clock } = notYetInStep({ localTtl: 500, backend: { coherence: "none" } });
  await p1.cache.set("k", "v");
  clock.advance(499);
  expect(p1.cache.peek("k")).toBe("v");
  clock.advance(1);
  expect(p1.cache.peek("k")).toBe(undefined);
  expect(p1.backend.count("leases.confirm")).toBe(0);
});

it("an attachment that fails half-way is made again, and leaves no listener behind (C86)", async () => {
  const { p1, p2 } = notYetInStep();
  const attaching = gate();
  p1.backend.script("attach", { after: attaching });
  const connecting = p1.cache.connect();
  await attaching.arrived();
  p1.link.lose();
  p1.link.heal();
  attaching.open();
  await connecting;
  await flush();
  expect([p1.link.attached, p1.backend.count("attach")]).toEqual([1, 2]);
  await p1.cache.set("k", "v");
  await flush();
  expect(p1.cache.peek("k")).toBe("v");
  await p2.cache.delete("k");
  expect(p1.cache.peek("k")).toBe(undefined);
  await p1.cache.close();
  expect(p1.link.attached).toBe(0);
});
