/**
 * Redis becomes unreachable, loses data, or is changed by others: every call made meanwhile holds afterwards, for every
 * process.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type FleetServers } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { beside, PATIENCE, Pool, sharedNow, TOPOLOGIES, type FleetSettings, type Member } from "../support/fleet.ts";

const SETTINGS: FleetSettings = { maxStalenessMs: 2_000, responseTimeoutMs: 1_000, connectTimeoutMs: 2_000 };
/** Where no server is frozen. */
const PATIENT: FleetSettings = { ...SETTINGS, responseTimeoutMs: 10_000 };

const pool = new Pool();
afterAll(() => pool.end());

/**
 * No process reaches Redis until the returned function is called. Behind sentinels the server is frozen: it executes
 * later the commands it was sent.
 */
async function takeAway(servers: FleetServers): Promise<() => Promise<void>> {
  if (servers.proxies.length === 0) {
    const primaries = await servers.primaries();
    for (const primary of primaries) primary.pause();
    return async () => {
      for (const primary of primaries) primary.resume();
    };
  }
  for (const proxy of servers.proxies) {
    await proxy.refuse();
    proxy.cut();
  }
  return async () => {
    await Promise.all(servers.proxies.map((proxy) => proxy.pass()));
  };
}

describe.each(TOPOLOGIES)("over %s", (topology) => {
  let servers: FleetServers;
  beforeAll(async () => {
    // Sentinels replace no primary that a test pauses.
    servers = await pool.servers(topology, topology === "sentinel" ? { patienceMs: 30_000 } : {});
  });

  it("C93 C94 A97: a value that was removed or replaced while Redis was unreachable does not come back, in any process", async () => {
    await using fleet = await pool.open(servers, 2, SETTINGS);
    const [one] = fleet.members as [Member, Member];
    const keys = ["deleted", "set", "tagged", "in ns"];
    for (const key of keys.slice(0, 3)) await one.set(key, "old", { tags: key === "tagged" ? ["t"] : [] });
    await one.set("k", "old", {}, ["ns"]);
    for (const key of keys.slice(0, 3)) await fleet.allHold(key, "old");
    const giveBack = await takeAway(servers);
    try {
      expect([
        await one.delete("deleted"),
        await one.set("set", "new"),
        await one.invalidateTags("t"),
        await one.clear(["ns"]),
      ]).toEqual([{ status: "pending" }, { status: "pending" }, { status: "pending" }, { status: "pending" }]);
      const { pending } = await one.stats();
      expect(pending).toBeGreaterThanOrEqual(4);
      // In a cluster the replica of a lost primary is asked for versions: it may lack writes, so removals of "tagged"
      // and "k" are issued again.
      expect(pending).toBeLessThanOrEqual(topology === "cluster" ? 6 : 4);
      expect([
        await one.get("deleted"),
        await one.get("set"),
        await one.get("tagged"),
        await one.get("k", ["ns"]),
      ]).toEqual([undefined, "new", undefined, undefined]);
      expect(await one.getOrSet("deleted", { value: "loaded", kind: "noStore" })).toBe("loaded");
    } finally {
      // From now on no read here may find it, at any moment of the reconnection.
      const reading = ["deleted", "tagged"].map((key) => one.readFor(key, 1_500));
      await giveBack();
      for (const seen of await Promise.all(reading)) expect(seen).toEqual([undefined]);
    }
    await fleet.inStep();
    for (const member of fleet.members) {
      for (const key of ["deleted", "tagged"])
        await expect
          .poll(async () => [await member.peek(key), await member.get(key), await member.getStale(key)], PATIENCE)
          .toEqual([undefined, undefined, undefined]);
      await expect.poll(() => member.get("set"), PATIENCE).not.toBe("old");
      expect(await member.get("k", ["ns"])).toBe(undefined);
    }
    expect([
      await fleet.redis("EXISTS", fleet.keyOf("deleted")),
      await fleet.redis("EXISTS", fleet.keyOf("set")),
    ]).toEqual([0, 0]);
    expect(
      (await one.events("recover")).reduce((sum, { replayed }) => sum + Number(replayed), 0),
    ).toBeGreaterThanOrEqual(4);
  });

  it("A92 C97 C92: while Redis is unreachable no call fails, none waits once the breaker is open, a key is loaded once, and once more for each link that is lost, and the breaker closes by itself", async () => {
    const losses = (await servers.primaries()).length;
    await using fleet = await pool.open(servers, 2, SETTINGS);
    const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);
    const pressing = fleet.members.map((member) => member.press(keys, 150, "over"));
    await expect.poll(async () => (await fleet.members[0]!.stats()).hits, PATIENCE).toBeGreaterThan(20);
    const giveBack = await takeAway(servers);
    const awayAt = sharedNow();
    await Promise.all(fleet.members.map((member) => expect.poll(() => member.state(), PATIENCE).toBe("down")));
    await sleep(5_000);
    const backAt = sharedNow();
    await giveBack();
    await fleet.inStep();
    await Promise.all(fleet.members.map((member) => member.openGate("over")));
    const pressed = await Promise.all(pressing);
    for (const [i, member] of fleet.members.entries()) {
      const calls = pressed[i]!;
      expect(calls.filter(({ failed }) => failed !== undefined)).toEqual([]);
      expect(calls.length).toBeGreaterThan(400);
      const states = await member.events("backend:state");
      // The nodes of a cluster go and come one by one.
      const whole = states.map(({ state }) => state).filter((state) => state === "up" || state === "down");
      expect(whole).toEqual(["up", "down", "up"]);
      const [downAt, upAt] = ["down", "up"].map((state) =>
        Number(states.findLast((each) => each["state"] === state)!["at"]),
      ) as [number, number];
      expect(upAt).toBeGreaterThanOrEqual(backAt);
      expect(calls.filter(({ at }) => at > downAt && at < backAt).length).toBeGreaterThan(100);
      // Calls sent before run into their deadlines; then only a probe waits for an answer, and is an error: after 1 s,
      // after 2 s more, and after 4 s more.
      const lastWaited = Math.max(...calls.filter(({ at }) => at <= downAt).map(({ at, ms }) => at + ms));
      const errors = (await member.events("backend:error")).filter(
        ({ at, operation }) => Number(at) > lastWaited && Number(at) < backAt && operation === "read",
      );
      expect(errors.length).toBeLessThanOrEqual(3);
      // A call joins no flight that began before a link was lost, since it may have missed a change.
      for (const key of keys) {
        const loads = (await member.loads(key)).filter(({ startedAt }) => startedAt > awayAt && startedAt < backAt);
        expect(loads.length, key).toBeLessThanOrEqual(1 + losses);
      }
    }
  });

  it("A97: after a restart from an older snapshot all later invalidations are issued again, and their process never sees a former value", async () => {
    await using fleet = await pool.open(servers, 2, PATIENT);
    const [one, other] = fleet.members as [Member, Member];
    for (const key of ["deleted", "set", "stale"]) await one.set(key, "old", { staleIfError: "1h" });
    // Where the cluster has several primaries, all keys are on the primary of the tags.
    const key = await beside(fleet, fleet.tagKeyOf("t"), "tagged");
    await one.set(key, "old", { tags: ["t"] });
    await one.set("k", "old", {}, ["ns"]);
    for (const each of ["deleted", "set", key]) await fleet.allHold(each, "old");
    const primaries = await servers.primaries();
    for (const primary of primaries) expect(await primary.command("SAVE")).toBe("OK");

    expect(
      [
        await one.delete("deleted"),
        await one.set("set", "new"),
        await one.invalidateTags("t"),
        await one.clear(["ns"]),
        await one.markStale("stale"),
      ].map(({ status }) => status),
    ).toEqual(["deleted", "stored", "done", "done", "stale"]);
    const before = await Promise.all(primaries.map((primary) => primary.runId()));
    for (const primary of primaries) await primary.kill();
    const reading = ["deleted", "set", key].map((each) => one.readFor(each, 2_500));
    for (const primary of primaries) await primary.start();
    for (const [i, primary] of primaries.entries()) expect(await primary.runId()).not.toBe(before[i]);
    const [deleted, set, tagged] = await Promise.all(reading);
    expect([deleted, tagged]).toEqual([[undefined], [undefined]]);
    expect(set).not.toContain("old");
    await fleet.inStep();
    await expect
      .poll(
        async () => [
          await fleet.redis("EXISTS", fleet.keyOf("deleted")),
          await fleet.redis("EXISTS", fleet.keyOf("set")),
        ],
        PATIENCE,
      )
      .toEqual([0, 0]);
    for (const member of fleet.members) {
      for (const each of ["deleted", key])
        await expect
          .poll(async () => [await member.get(each), await member.peek(each)], PATIENCE)
          .toEqual([undefined, undefined]);
      expect([await member.get("set"), await member.get("k", ["ns"]), await member.get("stale")]).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
    }
    expect(await other.getOrSet("deleted", { value: "new" })).toBe("new");
    for (const member of fleet.members) await expect.poll(() => member.get("deleted"), PATIENCE).toBe("new");
  });
});
