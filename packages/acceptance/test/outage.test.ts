import { BackendUnavailableError, type TierState } from "@hotset/core";
import { flush, gate, outcome, type TestClock } from "@hotset/core/testing";
import { describe, expect, it } from "vitest";
import { failing, numbered } from "./sources.ts";
import { open, STACKS_WITH_BACKEND } from "./stacks.ts";
import { watch } from "./watch.ts";

/** How long a call to the backend may take where nothing else is said. */
const DEADLINE_MS = 1_000;
const sourceDown = new Error("the source is down");

/** Time passes as it does: whatever falls due is answered before the next moment. */
async function elapse(clock: TestClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 250) {
    clock.advance(Math.min(250, left));
    await flush(2);
  }
}

describe.each(STACKS_WITH_BACKEND)("over %s, with the backend away", (stack) => {
  describe("C93 a removal is remembered and replayed", () => {
    it("the value never reappears after recovery (bentocache)", async () => {
      const { cache, clock, backend, stored } = open(stack, { ttl: "1h", staleIfError: "1h" });
      await cache.set("k", "deleted");
      backend.down();
      expect(await cache.delete("k")).toEqual({ status: "pending" });
      expect(cache.stats().pending).toBe(1);
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      expect(cache.peek("k")).toBeUndefined();

      backend.up();
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      expect(stored()).toEqual([]);
      expect(cache.stats().pending).toBe(0);
      clock.advance("1m");
      expect(await cache.getMany(["k", "other"])).toEqual(new Map());
      await expect(cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
    });

    it.for(["get", "getMany", "getOrSet", "has", "inspect"] as const)("before %s reads the key", async (how) => {
      const { cache, backend } = open(stack, { ttl: "1h" });
      await cache.set("k", "deleted");
      backend.down();
      await cache.delete("k");
      backend.up();
      switch (how) {
        case "get":
          expect(await cache.get("k")).toBeUndefined();
          break;
        case "getMany":
          expect(await cache.getMany(["k", "j"])).toEqual(new Map());
          break;
        case "getOrSet":
          expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
          break;
        case "has":
          expect(await cache.has("k")).toBe(false);
          break;
        case "inspect":
          expect(await cache.inspect("k")).toBeUndefined();
      }
    });

    it("by itself, when nobody asks", async () => {
      const { cache, clock, backend, stored } = open(stack, { ttl: "1h" });
      await cache.set("k", "deleted");
      const recovered = watch(cache, "recover");
      backend.down();
      await cache.delete("k");
      await elapse(clock, 5_000);
      expect(stored()).toEqual(["test::k"]);
      backend.up();
      await elapse(clock, 30_000);
      expect(stored()).toEqual([]);
      expect(recovered).toEqual([["recover", { cache: "test", namespace: [], tier: "scripted", replayed: 1, overflowed: false }]]);
    });

    it("where the backend executed it and the answer was lost", async () => {
      const { cache, backend, clock } = open(stack, { ttl: "1h" });
      await cache.set("k", "deleted");
      backend.script("remove", { loseAnswer: true });
      expect(await cache.delete("k")).toEqual({ status: "pending" });
      expect(await cache.get("k")).toBeUndefined();
      await elapse(clock, 5_000);
      expect(cache.stats().pending).toBe(0);
    });

    it("and a markStale that gets through does not take its place", async () => {
      const { cache, backend } = open(stack, { ttl: "1h", staleIfError: "1h", staleWhileRevalidate: "1h" });
      await cache.set("k", "deleted");
      backend.script("remove", { fail: true });
      expect(await cache.delete("k")).toEqual({ status: "pending" });
      expect(await cache.markStale("k")).toEqual({ status: "missing" });
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      await expect(cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
    });

    it.for<readonly [string, "invalidateTags" | "markTagsStale" | "clear"]>([
      ["invalidateTags", "invalidateTags"],
      ["markTagsStale", "markTagsStale"],
      ["clear", "clear"],
    ])("like %s", async ([, call]) => {
      const { cache, backend } = open(stack, { ttl: "1h" });
      await cache.set("k", "older", { tags: ["t"] });
      await cache.set("without the tag", "other");
      backend.down();
      expect(await (call === "clear" ? cache.clear() : cache[call]("t"))).toEqual({ status: "pending" });
      expect(await cache.get("k")).toBeUndefined();
      expect(cache.stats().pending).toBe(1);
      backend.up();
      expect(await cache.get("k")).toBeUndefined();
      expect(await cache.getOrSet("k", () => "newer", { tags: ["t"] })).toBe("newer");
      expect(await cache.get("without the tag")).toBe(call === "clear" ? undefined : "other");
    });

    it("not before the answer of an invalidation that was called earlier", async () => {
      const { cache, backend, clock } = open(stack, { ttl: "1h" });
      const { cache: there } = open("backend", { clock, backend, ttl: "1h" });
      const answering = gate();
      backend.script("write", { key: "{~test}::t", after: answering });
      const first = cache.invalidateTags("t");
      await answering.arrived();
      // Under the version that the first call issued.
      await there.set("k", "older", { tags: ["t"] });
      backend.script("write", { fail: true });
      expect(await cache.invalidateTags("t")).toEqual({ status: "pending" });
      answering.open();
      expect(await first).toMatchObject({ status: "done" });
      expect(await cache.get("k")).toBeUndefined();
      await elapse(clock, 5_000);
      expect(cache.stats().pending).toBe(0);
      expect(await there.get("k")).toBeUndefined();
    });

    it("and a set that it overtook is kept nowhere", async () => {
      const { cache, backend, clock, stored } = open(stack, { ttl: "1h" });
      backend.script("remove", { fail: true });
      await cache.delete("k");
      await elapse(clock, 500);
      const answering = gate();
      backend.script("write", { key: "test::k", after: answering });
      const setting = cache.set("k", "new");
      await answering.arrived();
      expect(stored()).toEqual(["test::k"]);
      await elapse(clock, 750);
      expect(stored()).toEqual([]);
      answering.open();
      expect(await setting).toMatchObject({ status: "stored" });
      expect(stored()).toEqual([]);
      expect(cache.peek("k")).toBeUndefined();
      expect(await cache.get("k")).toBeUndefined();
    });

    it("and a read that was sent before the replay brings nothing back", async () => {
      const { cache, backend, clock } = open(stack, { ttl: "1h" });
      await cache.set("k", "older", { tags: ["t"] });
      backend.down();
      await cache.invalidateTags("t");
      backend.up();
      await elapse(clock, 500);
      const answering = gate();
      backend.script("read", { key: "{~test}::t", after: answering });
      const read = cache.get("k");
      await answering.arrived();
      expect(cache.stats().pending).toBe(1);
      await elapse(clock, 750);
      expect(cache.stats().pending).toBe(0);
      answering.open();
      expect(await read).toBeUndefined();
      expect(cache.peek("k")).toBeUndefined();
    });
  });
});
