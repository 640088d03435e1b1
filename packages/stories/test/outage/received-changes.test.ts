/**
 * What a process received of others before it lost its backend. The tests force the interleavings and move the clock.
 */
import type { Cache } from "@hotset/core";
import { flush, gate, type ScriptedBackendOptions } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { inStep, type SimulatedProcess } from "../support/processes.ts";

const OPTIONS = { tags: ["t"], staleIfError: "1h" } as const;

const load = (cache: Cache, value: string): Promise<string> => cache.getOrSet("k", () => value, OPTIONS);
const fail = (): never => {
  throw new Error("the source is down");
};

/** Nothing arrives any more, and no call is answered. */
function cut({ backend, link }: SimulatedProcess): void {
  backend.down();
  link.lose({ attach: "hangs" });
}

const STORES: Readonly<Record<string, Partial<ScriptedBackendOptions>>> = {
  "that reports own changes, too": { echoes: true },
  "that reports changes of others alone": { echoes: false },
  "without tag versions": { tagVersions: false },
};

const HARD: Readonly<Record<string, (cache: Cache) => Promise<unknown>>> = {
  invalidateTags: (cache) => cache.invalidateTags("t"),
  clear: (cache) => cache.clear(),
  delete: (cache) => cache.delete("k"),
};
const SOFT: Readonly<Record<string, (cache: Cache) => Promise<unknown>>> = {
  markTagsStale: (cache) => cache.markTagsStale("t"),
  "clear as stale": (cache) => cache.clear({ stale: true }),
};

describe.each(Object.entries(STORES))(
  "C740 over a store %s, a change that was received before the cut",
  (_, backend) => {
    it.for(Object.entries({ ...HARD, ...SOFT }))("is obeyed as long as the outage lasts: %s", async ([, change]) => {
      for (const waitMs of [0, 1_000, 20_000]) {
        const { p1, p2, clock } = await inStep({ backend });
        await load(p1.cache, "old");
        await change(p2.cache);
        clock.advance(waitMs);
        await flush();
        cut(p1);
        clock.advance(5_000);
        expect([await p1.cache.get("k"), p1.cache.peek("k"), await load(p1.cache, "new")]).toEqual([
          undefined,
          undefined,
          "new",
        ]);
      }
    });

    it.for(Object.entries(HARD))("brings nothing back, not even after an error: %s", async ([, change]) => {
      const { p1, p2 } = await inStep({ backend });
      await load(p1.cache, "old");
      await change(p2.cache);
      cut(p1);
      expect(await p1.cache.get("k", { allowStale: true })).toBe(undefined);
      await expect(p1.cache.getOrSet("k", fail, OPTIONS)).rejects.toThrow("the source is down");
    });

    // Without tag versions, that of a namespace is hard alone.
    const marks = Object.entries(SOFT).filter(([name]) => backend.tagVersions !== false || name === "markTagsStale");
    it.for(marks)("leaves a stale value once the process knows it for a mark: %s", async ([, change]) => {
      const { p1, p2 } = await inStep({ backend });
      await load(p1.cache, "old");
      await p1.cache.set("other", 1, { tags: ["t"] });
      await change(p2.cache);
      await p1.cache.get("other");
      await flush();
      cut(p1);
      expect(await p1.cache.get("k")).toBe(undefined);
      expect(await p1.cache.get("k", { allowStale: true })).toBe("old");
      expect(await p1.cache.getOrSet("k", fail, OPTIONS)).toBe("old");
    });

    it("is obeyed by a value that was stored before it, and whose answer came after it", async () => {
      const { p1, p2 } = await inStep({ backend });
      const answer = gate<unknown>();
      p1.backend.script("leases.store", { after: answer });
      const loading = load(p1.cache, "old");
      await answer.arrived();
      await p2.cache.set("k", "new", OPTIONS);
      // What it has is not confirmed before the cut.
      p1.backend.script("leases.confirm", { before: gate() });
      answer.open(undefined);
      expect(await loading).toBe("old");
      cut(p1);
      expect(await p1.cache.get("k", { allowStale: true })).toBe(undefined);
    });

    it.for(["of its key", "of its tag"])(
      "is obeyed by a set behind a fence that is older: a change %s",
      async (what) => {
        const { p1, p2 } = await inStep({ backend });
        const since = await p1.cache.fence("k");
        await (what === "of its key" ? p2.cache.set("k", "new") : p2.cache.invalidateTags("t"));
        cut(p1);
        expect(await p1.cache.set("k", "old", { tags: ["t"], since })).toEqual({ status: "refused" });
        expect(await p1.cache.get("k", { allowStale: true })).toBe(undefined);
      },
    );

    it("is obeyed by a load that it came during, and whose store failed", async () => {
      const { p1, p2 } = await inStep({ backend });
      const source = gate<string>();
      const loading = p1.cache.getOrSet("k", () => source.pass(), OPTIONS);
      await source.arrived();
      await p2.cache.set("k", "new", OPTIONS);
      cut(p1);
      source.open("old");
      expect(await loading).toBe("old");
      await flush();
      expect(await p1.cache.get("k", { allowStale: true })).toBe(undefined);
    });

    it("is obeyed if the copy itself was not confirmed since an earlier cut", async () => {
      const { p1, p2 } = await inStep({ backend });
      await load(p1.cache, "old");
      await p1.cache.set("other", 1, { tags: ["t"] });
      p1.link.lose({ attach: "hangs" });
      p1.link.heal();
      await flush();
      await p1.cache.get("other");
      await p2.cache.invalidateTags("t");
      cut(p1);
      expect(await load(p1.cache, "new")).toBe("new");
    });

    it("is obeyed by a copy that was loaded during an earlier outage", async () => {
      const { p1, p2, clock } = await inStep({ backend });
      cut(p1);
      expect(await load(p1.cache, "old")).toBe("old");
      p1.backend.up();
      p1.link.heal();
      clock.advance(2_000);
      await flush();
      await p1.cache.getOrSet("other", () => 1, OPTIONS);
      await p2.cache.invalidateTags("t");
      cut(p1);
      expect(await load(p1.cache, "new")).toBe("new");
    });

    it("costs no copy of another tag", async () => {
      const { p1, p2 } = await inStep({ backend });
      await p1.cache.getOrSet("k", () => "kept", { tags: ["u"] });
      await load(p1.cache, "old");
      await p2.cache.invalidateTags("t");
      cut(p1);
      expect(await p1.cache.get("k")).toBe("kept");
    });

    it("does not make more of an own mark", async () => {
      const { p1 } = await inStep({ backend });
      await load(p1.cache, "old");
      await p1.cache.markTagsStale("t");
      await flush();
      cut(p1);
      expect([await p1.cache.get("k"), await p1.cache.get("k", { allowStale: true })]).toEqual([undefined, "old"]);
      expect(await p1.cache.getOrSet("k", fail, OPTIONS)).toBe("old");
    });

    /** The first value of its namespace and tag: the report of the versions that it issues comes behind their answer. */
    async function setFirst({ cache, backend, link }: SimulatedProcess): Promise<void> {
      const writing = gate<void>();
      backend.script("write", { before: writing });
      link.hold();
      const setting = cache.set("k", "first", OPTIONS);
      await writing.arrived();
      link.deliver();
      await flush();
      writing.open(undefined);
      await setting;
    }

    it.for(
      Object.entries({
        "a value that is set": ({ cache }) => cache.set("k", "first", OPTIONS),
        "a tag that a loader adds": ({ cache }) =>
          cache.getOrSet("k", ({ setOptions }) => (setOptions({ tags: ["t"] }), "first")),
        "a value whose versions are reported behind their answer": setFirst,
      } satisfies Readonly<Record<string, (process: SimulatedProcess) => Promise<unknown>>>),
    )("is not the first version that it issued itself, for %s", async ([, begin]) => {
      const { p1 } = await inStep({ backend });
      await begin(p1);
      await flush();
      cut(p1);
      expect(await load(p1.cache, "new")).toBe("first");
    });

    it("is obeyed if it came right behind the report of an own first version", async () => {
      const { p1, p2 } = await inStep({ backend });
      await setFirst(p1);
      await p2.cache.invalidateTags("t");
      cut(p1);
      expect(await load(p1.cache, "new")).toBe("new");
    });

    it("counts for a caller that joins a load after it", async () => {
      const { p1, p2, clock } = await inStep({ backend, ttl: 100 });
      await load(p1.cache, "old");
      clock.advance(100);
      const there = gate<string>();
      const first = p2.cache.getOrSet("k", () => there.pass(), OPTIONS);
      await there.arrived();
      // It waits for the load of the other process, and has the stale value as its fallback.
      const here = gate<string>();
      const waiting = p1.cache.getOrSet("k", () => here.pass(), OPTIONS);
      await flush();
      // Its next read fails, when the change has ended the lease that it waits for.
      p1.backend.down();
      await p2.cache.invalidateTags("t");
      await here.arrived();
      p1.link.lose({ attach: "hangs" });
      const joined = p1.cache.getOrSet("k", fail, OPTIONS);
      here.fail(new Error("the source is down"));
      expect(await Promise.allSettled([waiting, joined])).toEqual([DOWN, DOWN]);
      there.open("new");
      await first;
    });
  },
);

const DOWN = { status: "rejected", reason: new Error("the source is down") };
