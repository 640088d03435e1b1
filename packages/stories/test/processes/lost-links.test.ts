/** A link that is lost and attached again: no change that was missed meanwhile is overlooked. */
import type { Cache, Coherence, CoherenceListener } from "@hotset/core";
import { memory } from "@hotset/memory";
import { createTestCache, flush, gate, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { gatedLoads, inStep } from "../support/processes.ts";
import { never } from "../support/stacks.ts";

describe("C86 an invalidation that was missed while a link was lost", () => {
  it.each(["load", "set"] as const)(
    "hides the value of a %s that took tag versions before and stores after it",
    async (how) => {
      const { p1, p2 } = await inStep();
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

  it("hides the value of a load that ran meanwhile", async () => {
    const { p1, p2 } = await inStep();
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

describe("C86 a process that receives changes", () => {
  /** A cache that the test notifies of changes. */
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

  it("does not block calls where a link is lost each time before it is attached", async () => {
    let attempts = 0;
    const { cache, clock } = told((listener) => {
      attempts += 1;
      // Otherwise a mistake would never end.
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

  it("asks the backend, and trusts nothing, where attaching never ends", async () => {
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
