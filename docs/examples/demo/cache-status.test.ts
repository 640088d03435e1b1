import { describe, expect, it } from "vitest";
import { cacheHeaders, outcomeOf, type Outcome } from "./cache-status.ts";
import type { Served } from "hotset";

const served: Served = { status: "hit", tier: "memory", ageMs: 1_999, freshForMs: 58_001, coalesced: false };

describe("Age and Cache-Status", () => {
  it.each<[header: string, outcome: Outcome, served: Served]>([
    ["hotset; hit; ttl=58; detail=memory", "memory", served],
    ["hotset; hit; ttl=58; detail=redis", "store", { ...served, tier: "redis" }],
    ["hotset; hit; ttl=58; detail=sqlite", "store", { ...served, tier: "sqlite" }],
    ["hotset; hit; ttl=0; detail=memory", "memory", { ...served, freshForMs: 1 }],
    ["hotset; hit; ttl=-1; detail=memory", "stale", { ...served, status: "stale", freshForMs: -1 }],
    ["hotset; fwd=miss", "miss", { status: "miss", ageMs: 0, freshForMs: 60_000, coalesced: false }],
    ["hotset; fwd=miss; collapsed", "miss", { status: "miss", ageMs: 0, freshForMs: 60_000, coalesced: true }],
  ])("%s is %s to a client", (header, outcome, each) => {
    expect(cacheHeaders(each)).toEqual({ age: each.status === "miss" ? "0" : "1", "cache-status": header });
    expect(outcomeOf(header)).toBe(outcome);
  });

  it("a header of another cache is not an outcome", () => {
    expect(() => outcomeOf("squid; hit; ttl=1")).toThrow('Cache-Status is "squid; hit; ttl=1"');
    expect(() => outcomeOf(undefined)).toThrow("Cache-Status is undefined");
  });
});
