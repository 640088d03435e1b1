import { TOPOLOGIES } from "@hotset/test-servers";
/** Leases whose holder dies, freezes, or takes longer than the lease: in real time, so the tests run at once. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadsNow, overEach, Pool, sharedNow, waitsFor, type Fleet, type Member } from "../support/fleet.ts";

const LEASE_MS = 2_000;
/** Much longer than a lease, and than the copies of a silent process are trusted. */
const FROZEN_MS = 11_000;

const pool = new Pool();
beforeAll(async () => {
  await Promise.all(TOPOLOGIES.map((topology) => pool.servers(topology)));
});
afterAll(() => pool.end());

describe.concurrent("over one server, a cluster and sentinels", () => {
  it(
    "C53: when the holder of a lease is killed, a waiter goes on once the lease has ended, at the latest",
    overEach(pool, TOPOLOGIES, async (servers) => {
      await using fleet = await pool.open(servers, 2);
      const { call, lost } = await endWhileLoading(fleet, "SIGKILL");
      // By the clock of Redis: from now on the lease is not renewed.
      const leftMs = Number(await fleet.redis("PTTL", fleet.keyOf("k")));
      expect(leftMs).toBeLessThanOrEqual(LEASE_MS);
      expect(await call).toMatchObject({ value: "taken over", status: "miss" });
      expect(await lost).toContain("SIGKILL");
      expect(await fleet.stored("k")).toBe('"taken over"');
    }),
  );

  it.each(["SIGKILL", "SIGTERM"] as const)(
    "a process that ends by %s while it loads delays others by two seconds at most",
    async (signal) => {
      await using fleet = await pool.open(await pool.servers("single"), 2);
      const { call, lost } = await endWhileLoading(fleet, signal);
      // By the clock of Redis: what is left of the lease is all that others wait for.
      expect(Number(await fleet.redis("PTTL", fleet.keyOf("k")))).toBeLessThanOrEqual(LEASE_MS);
      expect(await call).toMatchObject({ value: "taken over", status: "miss" });
      expect(await lost).toContain(signal);
    },
  );

  it(
    "C54: a load that takes longer than a lease keeps it, and no other process loads",
    overEach(pool, TOPOLOGIES, async (servers) => {
      const leaseMs = 5_000;
      await using fleet = await pool.open(servers, 2, { leaseTimeMs: leaseMs });
      const [holder, other] = fleet.members as [Member, Member];
      const held = holder.serve("k", { value: "loaded", gate: "k" }, { tags: ["t"] });
      await loadsNow(holder, "k");
      const call = other.serve("k", { value: "loaded twice" }, { tags: ["t"] });
      await waitsFor(other, "k");
      const startedAt = sharedNow();
      const left: number[] = [];
      while (sharedNow() - startedAt < 1.8 * leaseMs) {
        left.push(Number(await fleet.redis("PTTL", fleet.keyOf("k"))));
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      await holder.openGate("k");
      left.sort((a, b) => a - b);
      expect(left[0]).toBeGreaterThan(0);
      // It is renewed when a quarter of it is over; a busy machine may be late with some of the renewals.
      expect(left[left.length >> 1]).toBeGreaterThan(leaseMs * 0.7);
      expect(await held).toMatchObject({ value: "loaded", status: "miss" });
      expect(await call).toMatchObject({ value: "loaded", status: "hit", tier: "redis" });
      expect(await fleet.loads("k")).toHaveLength(1);
      expect(await fleet.isLeased("k")).toBe(false);
    }),
  );

  it(
    "C53 C86: a holder that was frozen for longer than its lease stores nothing over a newer load, and serves no former copy",
    overEach(pool, TOPOLOGIES, async (servers) => {
      await using fleet = await pool.open(servers, 2);
      const [frozen, other] = fleet.members as [Member, Member];
      await other.set("copy", "old");
      await fleet.allHold("copy", "old");
      const held = frozen.getOrSet("k", { gate: "go on", value: "from before" });
      await loadsNow(frozen, "k");
      await frozen.watch("copy");
      await frozen.watch("k");
      frozen.process.pause();
      const pausedAt = sharedNow();
      await other.set("copy", "new");
      expect(await other.serve("k", { value: "newer" })).toMatchObject({ value: "newer", status: "miss" });
      await new Promise((resolve) => setTimeout(resolve, FROZEN_MS - (sharedNow() - pausedAt)));
      const resumedAt = sharedNow();
      frozen.process.resume();
      await frozen.openGate("go on");
      expect(await held).toBe("from before");
      expect([await frozen.get("copy"), await frozen.get("k")]).toEqual(["new", "newer"]);
      expect(await fleet.stored("k")).toBe('"newer"');
      for (const { value, lastAt } of await frozen.sightings("copy"))
        expect(value === "old" && lastAt >= resumedAt).toBe(false);
      for (const { value } of await frozen.sightings("k")) expect([undefined, "newer"]).toContain(value);
      expect((await frozen.events("load")).map(({ result }) => result)).toEqual(["fenced"]);
    }),
  );
});

/** The first member ends by `signal` while it loads `k`, and the second waits for `k`. */
async function endWhileLoading(fleet: Fleet, signal: "SIGKILL" | "SIGTERM") {
  const [holder, other] = fleet.members as [Member, Member];
  const lost = holder.getOrSet("k", { gate: "never" }).catch((error: Error) => error.message);
  await loadsNow(holder, "k");
  const call = other.serve("k", { value: "taken over" });
  await waitsFor(other, "k");
  await holder.process.kill(signal);
  return { call, lost };
}
