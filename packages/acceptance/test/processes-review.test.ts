/** What is promised between processes in less common company: other backends, other keys, other moments. */
import { flush, gate, outcome } from "@hotset/core/testing";
import { describe, expect, it } from "vitest";
import { gatedLoads, inStep } from "./processes.ts";
import { never } from "./stacks.ts";

const K = "test::k";
const hashed = (key: string): string => `${key.slice(0, key.indexOf("::") + 2)}#${Buffer.from(key.slice(key.indexOf("::") + 2)).toString("hex")}`;
const HASHED = { backend: { alias: hashed } } as const;

describe("C86 what was missed while a link was lost", () => {
  it.each(["load", "set"] as const)("is no less missed by what a %s takes versions of tags for, and stores afterwards", async (how) => {
    const { all: [p1, p2] } = await inStep();
    await p1.cache.set("other", 1, { tags: ["t"] });
    await flush();
    const storing = gate();
    p1.backend.script(how === "load" ? "leases.store" : "write", { before: storing });
    const first = how === "load" ? p1.cache.getOrSet("k", () => "old", { tags: ["t"] }) : p1.cache.set("k", "old", { tags: ["t"] });
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
  });

  it("while it loads, too", async () => {
    const { all: [p1, p2] } = await inStep();
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
  it.each(["load", "set"] as const)("between a %s here and its acknowledgement leaves no fresh copy here", async (how) => {
    const { all: [p1, p2] } = await inStep({ staleIfError: "1h" });
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
  });
});

describe("C81 where keys are hashed", () => {
  it("what is answered with a token, by who grants leases, is heard of like all that is read", async () => {
    const { all: [p1, p2] } = await inStep(HASHED);
    const { token } = await p1.cache.set("k", 1);
    expect(await p2.cache.getOrSet("k", never, { after: token! })).toBe(1);
    expect(p2.cache.peek("k")).toBe(1);
    await p1.cache.set("k", 2);
    expect(p2.cache.peek("k")).toBe(undefined);
  });

  it("nobody shares a load from before an invalidation of a tag that was never used here", async () => {
    const { all: [p1, p2] } = await inStep(HASHED);
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

  it.each(["invalidateTags", "markTagsStale"] as const)("also %s, in a store that keeps versions of tags as entries", async (call) => {
    const { all: [p1, p2] } = await inStep({ backend: { alias: hashed, tagVersions: false } });
    await p1.cache.set("k", 1, { tags: ["t"] });
    expect(await p1.cache.get("k")).toBe(1);
    expect(p1.cache.peek("k")).toBe(1);
    await p2.cache[call]("t");
    expect(p1.cache.peek("k")).toBe(undefined);
    expect(await p1.cache.get("k")).toBe(undefined);
  });
});

describe("C67 behind an answer that was stale", () => {
  it.each(["refreshAhead", "staleWhileRevalidate"] as const)("who comes after an invalidation elsewhere is not answered with what it hides (%s)", async (window) => {
    const { all: [p1, p2], clock } = await inStep({ ttl: 1_000, [window]: window === "refreshAhead" ? 0.5 : "1h" });
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
  });
});

it("C90 a namespace that is localOnly shares its loads, whatever is heard of tags elsewhere", async () => {
  const { all: [p1, p2] } = await inStep();
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

describe("C56 close", () => {
  it.each(["heard", "sole-writer"] as const)("gives back the leases of loads that it ends (%s)", async (coherence) => {
    const { all: [p1], store, clock } = await inStep({ backend: { coherence } });
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
});
