import type { Invalidation, ProcessStart } from "@hotset/core/inspect";
import { describe, expect, it } from "vitest";
import { marksOf, WideCalls, WideTags } from "./marks.ts";

const NOW = 10_000_000;
const tagged = (count: number, ...tags: readonly string[]): readonly { readonly tags: readonly string[] }[] =>
  Array.from({ length: count }, () => ({ tags }));
const call = (more: Partial<Invalidation>): Invalidation => ({
  ...{ at: NOW, namespace: [], scope: "tags", mode: "remove", origin: "here", ...more },
});
const start = (name: string, agoMs: number, changed: ProcessStart["changed"] = []): ProcessStart => ({
  ...{ id: name + agoMs, name, startedAt: NOW - agoMs, lastAt: NOW, isLiving: true, changed },
});

describe("tags that are wide", () => {
  it("are those of a tenth of the entries in memory, as they were while there were some", () => {
    const wide = new WideTags();
    wide.look([...tagged(18, "category:1"), ...tagged(2, "catalog", "category:2"), ...tagged(1, "product:1")]);
    expect(["category:1", "catalog", "product:1"].map((tag) => wide.has(tag))).toEqual([true, false, false]);
    wide.look(tagged(20, "catalog"));
    expect(wide.has("catalog")).toBe(true);
    // It has just been invalidated.
    wide.look(tagged(19, "category:1"));
    expect(wide.has("catalog")).toBe(true);
  });

  it("are looked for among some hundred entries", () => {
    let looked = 0;
    const entries = function* (): Iterable<{ readonly tags: readonly string[] }> {
      for (;;) {
        looked += 1;
        yield { tags: [] };
      }
    };
    new WideTags().look(entries());
    expect(looked).toBe(501);
  });
});

describe("marks", () => {
  const wide = { has: (tag: string) => tag === "catalog" };

  it("are clears and calls of wide tags, and no other invalidations", () => {
    const calls = new WideCalls();
    calls.add(call({ scope: "key", key: "p:1" }), wide);
    calls.add(call({ tags: ["product:1"] }), wide);
    calls.add(call({ tags: ["product:1", "catalog"], namespace: ["shop", "eu"], process: "web-2" }), wide);
    calls.add(call({ scope: "namespace" }), wide);
    calls.add(call({ scope: "namespace", namespace: ["search"], origin: "elsewhere" }), wide);
    // The same, as the record of that process says it.
    calls.add(call({ scope: "namespace", namespace: ["search"], origin: "elsewhere", at: NOW + 999 }), wide);
    expect(calls.list).toEqual([
      { at: NOW, kind: "tags", text: "tag catalog of shop › eu was invalidated, by web-2" },
      { at: NOW, kind: "clear", text: "the cache was cleared, by this process" },
      { at: NOW, kind: "clear", text: "search was cleared, by another process" },
    ]);
  });

  it("get the name of the process once its record says it", () => {
    const calls = new WideCalls();
    const clear = call({ scope: "namespace", origin: "elsewhere" });
    calls.add(clear, wide);
    calls.add({ ...clear, at: NOW + 30_000 }, wide);
    calls.add({ ...clear, at: NOW + 300, process: "web-2" }, wide);
    calls.add({ ...clear, at: NOW + 29_000, process: "web-2" }, wide);
    expect(calls.list.map(({ at, text }) => [at - NOW, text])).toEqual([
      [0, "the cache was cleared, by web-2"],
      [30_000, "the cache was cleared, by web-2"],
    ]);
  });

  it("are starts too, those of one deployment together with what it changed, of ten minutes in their order", () => {
    const ttl = { setting: "default ttl", was: "600000", is: "300000" };
    const clear = { at: NOW - 100_000, kind: "clear", text: "the cache was cleared, by web-1" } as const;
    const starts = [
      start("web-3", 80_000, [ttl]),
      start("web-2", 90_000),
      start("web-1", 400_000),
      start("web-1", 600_001),
    ];
    expect(marksOf(starts, [{ ...clear, at: NOW - 600_001 }, clear], NOW)).toEqual([
      { at: NOW - 400_000, kind: "start", text: "web-1 started" },
      clear,
      {
        at: NOW - 90_000,
        kind: "start",
        text: 'web-2, web-3 started with default ttl "300000" (was "600000")',
      },
    ]);
  });
});
