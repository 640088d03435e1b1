/** markStale in one process, and copies, loads and fallbacks there and in another one. */
import { flush, gate } from "@hotset/testing";
import { expect, it } from "vitest";
import { gatedLoads, inStep } from "../support/processes.ts";

/** The duration of a lease that is not renewed. */
const LEASE_MS = 2_000;

it.each(["load", "set"] as const)(
  "C26 a markStale elsewhere: between a %s here and its acknowledgement leaves no fresh copy here",
  async (how) => {
    const { p1, p2 } = await inStep({ staleIfError: "1h" });
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

/** A load over a stale value, which is its fallback. */
async function loadOverStale() {
  const { p1, clock } = await inStep({ ttl: 100, staleIfError: "1h" });
  await p1.cache.set("k", "old");
  clock.advance(100);
  const loads = gatedLoads<string>();
  const call = p1.cache.getOrSet("k", loads.load);
  await loads.arrived(1);
  return { p1, clock, loads, call };
}

it("C26 a value that was marked stale here and then deleted is not a fallback", async () => {
  const { p1, loads, call } = await loadOverStale();
  await p1.cache.markStale("k");
  await p1.cache.delete("k");
  const down = new Error("db down");
  loads.runs[0]!.fail(down);
  await expect(call).rejects.toBe(down);
});

it("C26 a value that was marked stale here is the fallback of a load that lost its lease by that", async () => {
  const { p1, clock, loads, call } = await loadOverStale();
  const answering = gate();
  p1.backend.script("markStale", { after: answering });
  const marking = p1.cache.markStale("k");
  await answering.arrived();
  // The load renews its lease meanwhile.
  clock.advance(LEASE_MS / 4);
  await flush();
  answering.open();
  await marking;
  loads.runs[0]!.fail(new Error("db down"));
  expect(await call).toBe("old");
});
