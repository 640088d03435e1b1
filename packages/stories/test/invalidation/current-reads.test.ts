/**
 * Calls with `current: true` must not be older than a write in another process. The tests force the interleavings and
 * delay messages.
 */
import { flush, gate, outcome } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { gatedLoads, inStep, type SimulatedProcess } from "../support/processes.ts";
import { never } from "../support/stacks.ts";

const answered = <T>(value: T) => ({ status: "fulfilled", value }) as const;

const writes = {
  set: ({ cache }: SimulatedProcess) => cache.set("k", "new", { tags: ["t"] }),
  delete: ({ cache }: SimulatedProcess) => cache.delete("k"),
  invalidateTags: ({ cache }: SimulatedProcess) => cache.invalidateTags("t"),
  clear: ({ cache }: SimulatedProcess) => cache.clear(),
};
const names = Object.keys(writes) as (keyof typeof writes)[];

async function written(name: keyof typeof writes, process: SimulatedProcess): Promise<void> {
  expect((await writes[name](process)).status).not.toBe("pending");
}

/** Another process loads `k` from before a write that a third has made; no message arrives. */
async function olderLoad(name: keyof typeof writes) {
  const { all, clock } = await inStep({}, 3);
  const [p1, p2, p3] = all;
  const loads = gatedLoads<string>();
  expect(await p1.cache.getOrSet("other", () => 1, { tags: ["t"] })).toBe(1);
  await flush();
  p1.link.hold();
  p3.link.hold();
  const stored = p3.cache.getOrSet("k", loads.load, { tags: ["t"] });
  await loads.arrived(1);
  await written(name, p2);
  return { p1, stored, loads, clock };
}

describe("C81 a current call after another process's write", () => {
  it.for(names)("%s: returns nothing older, before any message arrives", async (name) => {
    const { p1, p2 } = await inStep();
    await p2.cache.set("k", "old", { tags: ["t"] });
    expect(await p1.cache.getOrSet("k", never, { tags: ["t"] })).toBe("old");
    p1.link.hold();
    await written(name, p2);
    const now = name === "set" ? "new" : "loaded";
    expect(await p1.cache.getOrSet("k", never, { tags: ["t"] })).toBe("old");
    expect(await p1.cache.getOrSet("k", () => "loaded", { tags: ["t"], current: true })).toBe(now);
    p1.link.deliver();
    expect(await p2.cache.get("k")).toBe(now);
    expect(await p1.cache.get("k")).toBe(now);
  });

  it.for(["invalidateTags", "clear"] as const)(
    "%s: has tag versions from where they are issued, even of tags that the call does not name",
    async (name) => {
      const { p1, p2 } = await inStep();
      await p2.cache.set("k", "old", { tags: ["t"] });
      expect(await p1.cache.get("k")).toBe("old");
      p1.link.hold();
      await written(name, p2);
      p1.backend.forgetCalls();
      expect(await p1.cache.getOrSet("k", () => "loaded", { current: true })).toBe("loaded");
      // Beside both requests for the lease, and both parts of the entry that was found. A replica answers reads too.
      expect([p1.backend.count("tags.read"), p1.backend.count("tags.pin")]).toEqual([0, 4]);
    },
  );

  const late = (["invalidateTags", "clear"] as const).flatMap((name) => [false, true].map((is) => [name, is] as const));
  it.for(late)(
    "%s: checks a newly found entry against the current tag versions, with late answers to tag requests: %s",
    async ([name, isLate]) => {
      const { p1, stored, loads } = await olderLoad(name);
      // The read comes before the older load is stored, the request for the lease after it.
      const asking = gate();
      p1.backend.script("leases.acquire", { before: asking });
      const pinning = gate();
      if (isLate) p1.backend.script("tags.pin", { before: pinning });
      const call = p1.cache.getOrSet("k", () => "loaded", { tags: ["t"], current: true });
      await asking.arrived();
      loads.runs[0]!.open("old");
      expect(await stored).toBe("old");
      asking.open();
      await flush();
      pinning.open();
      expect(await call).toBe("loaded");
    },
  );

  it.for(["invalidateTags", "clear"] as const)(
    "%s: does not accept the result of an older load in another process for which it waited",
    async (name) => {
      const { p1, stored, loads, clock } = await olderLoad(name);
      const call = p1.cache.getOrSet("k", () => "loaded", { tags: ["t"], current: true });
      await flush();
      expect(await outcome(call)).toEqual({ status: "pending" });
      loads.runs[0]!.open("old");
      expect(await stored).toBe("old");
      clock.advance(1_000);
      expect(await outcome(call)).toEqual(answered("loaded"));
    },
  );

  it("does not join an older running load, and later callers join its own load", async () => {
    const { p1, p2 } = await inStep();
    const loads = gatedLoads<string>();
    p1.link.hold();
    const older = p1.cache.getOrSet("k", loads.load);
    await loads.arrived(1);
    await written("delete", p2);
    const call = p1.cache.getOrSet("k", loads.load, { current: true });
    await loads.arrived(2);
    const later = p1.cache.getOrSet("k", never);
    loads.runs[0]!.open("old");
    loads.runs[1]!.open("new");
    expect([await older, await call, await later]).toEqual(["old", "new", "new"]);
    p1.link.deliver();
    expect([await p1.cache.get("k"), await p2.cache.get("k")]).toEqual(["new", "new"]);
  });

  it.for(["at once", "after waiting for another process"] as const)(
    "does not accept the answer of a lagging replica, %s",
    async (when) => {
      const { p1, p2, store } = await inStep();
      await p2.cache.set("k", "old");
      const old = store.get("test::k")!;
      p1.backend.script("read", { times: Infinity, answer: () => old });
      await written("delete", p2);
      const loads = gatedLoads<string>();
      const loading = when === "at once" ? undefined : p2.cache.getOrSet("k", loads.load);
      if (loading !== undefined) await loads.arrived(1);
      const call = p1.cache.getOrSet("k", () => "new", { current: true });
      await flush();
      if (loading !== undefined) loads.runs[0]!.open("new");
      expect([await outcome(call), await loading]).toEqual([answered("new"), loading && "new"]);
    },
  );
});

it.for(["set", "delete", "invalidateTags"] as const)(
  "C93 C94 a current call in a process with a pending change: %s: waits for the replay",
  async (name) => {
    const { p1, p2 } = await inStep();
    await p2.cache.set("k", "old", { tags: ["t"] });
    await p2.cache.set("j", "other");
    p1.backend.down();
    expect(await writes[name](p1)).toMatchObject({ status: "pending" });
    p1.backend.up();
    // The backend is read before the replay, and the answer arrives after it.
    const late = gate<void>();
    p1.backend.script("leases.acquire", { after: late });
    const asked = p1.cache.getOrSet("k", () => "loaded", { tags: ["t"], current: true });
    await flush();
    await p1.cache.get("k");
    expect(p1.cache.stats().pending).toBe(0);
    late.open();
    expect(await asked).toBe("loaded");
  },
);
