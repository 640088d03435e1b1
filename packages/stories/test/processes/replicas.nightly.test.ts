/** Replicas that lag: promoted without a removal, or asked for entries. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { overEach, PATIENCE, Pool, type Fleet, type FleetSettings, type Member } from "../support/fleet.ts";
import type { FleetServers, Topology } from "@hotset/test-servers";

const SETTINGS: FleetSettings = { maxStalenessMs: 2_000, responseTimeoutMs: 2_500, connectTimeoutMs: 2_000 };
const WITH_REPLICAS: readonly Topology[] = ["cluster", "sentinel"];

const pool = new Pool();
beforeAll(async () => {
  await Promise.all(WITH_REPLICAS.map((topology) => pool.servers(topology, { patienceMs: 2_000 })));
});
afterAll(() => pool.end());

/** Strings are read from primaries alone. */
const HASHES: FleetSettings = { ...SETTINGS, responseTimeoutMs: 5_000, layout: "full" };

describe("A97 C93: a removal that a promoted replica never received is issued again", () => {
  it(
    "by the process that made it, which never serves the removed value",
    overEach(pool, WITH_REPLICAS, async (servers) => {
      await servers.healed();
      await using fleet = await pool.open(servers, 2, SETTINGS);
      const [one] = fleet.members as [Member, Member];
      // All keys are on the server of the tags, so one failover brings all of them back.
      const [deleted, tagged] = [
        await beside(fleet, fleet.tagKeyOf("t"), "deleted"),
        await beside(fleet, fleet.tagKeyOf("t"), "tagged"),
      ];
      await one.set(deleted, "old");
      await one.set(tagged, "old", { tags: ["t"] });
      for (const key of [deleted, tagged]) await fleet.allHold(key, "old");
      await servers.replicated();
      await servers.cutReplicas(fleet.keyOf(deleted));
      expect(await one.delete(deleted)).toMatchObject({ status: "deleted" });
      expect(await one.invalidateTags("t")).toMatchObject({ status: "done" });
      const reading = [deleted, tagged].map((key) => one.readFor(key, 8_000));
      const next = await servers.failOver(fleet.keyOf(deleted));
      await fleet.inStep(40_000);
      expect(await Promise.all(reading)).toEqual([[undefined], [undefined]]);
      await expect.poll(() => next.command("EXISTS", fleet.keyOf(deleted)), PATIENCE).toBe(0);
      for (const member of fleet.members)
        for (const key of [deleted, tagged])
          await expect
            .poll(async () => [await member.get(key), await member.peek(key)], PATIENCE)
            .toEqual([undefined, undefined]);
      for (const member of fleet.members) expect(await member.getOrSet(deleted, { value: "new" })).toBe("new");
    }),
  );
});

describe("A44: a process that reads from replicas", () => {
  it("replicas that may lag answer reads, but no current call, no tags, and none where changes come in", async () => {
    const servers = await pool.servers("cluster");
    await servers.healed();
    await using fleet = await pool.open(servers, 3, HASHES);
    const [one, listening, deaf] = fleet.members as [Member, Member, Member];
    const place = { ...servers.place, readFromReplicas: true } as typeof servers.place;
    await deaf.open({ ...HASHES, place, keyPrefix: fleet.keyPrefix, coherence: "none", policy: { localTtl: "1m" } });
    await fleet.inStep();
    const primary = await servers.primaryOf(fleet.keyOf("k"));
    await one.set("k", "old", { tags: ["t"] });
    await servers.replicated();
    // Replicas are found and connected in the background.
    const { plain } = await readsOfReplicas(servers);
    await expect
      .poll(async () => [await deaf.get("k"), (await readsOfReplicas(servers)).plain > plain], PATIENCE)
      .toEqual(["old", true]);
    const before = await readsOfReplicas(servers);
    await servers.cutReplicas(fleet.keyOf("k"));
    try {
      await one.set("k", "new", { tags: ["t"] });
      const seen = new Set<unknown>();
      for (let i = 0; i < 20; i += 1) {
        expect(await listening.getOrSet("k", { value: "not loaded" }, { current: true })).toBe("new");
        expect(await listening.get("k")).toBe("new");
        expect(["new", undefined]).toContain(await listening.peek("k"));
        // This replica lags, which is accepted here.
        seen.add(await deaf.get("k"));
        expect(await deaf.getOrSet("k", { value: "not loaded" }, { current: true })).toBe("new");
        expect(await deaf.peek("k")).toBe(undefined);
      }
      expect(seen).toContain("old");
      await one.invalidateTags("t");
      for (const member of [listening, deaf]) await expect.poll(() => member.get("k"), PATIENCE).toBe(undefined);
      // Only the primary grants leases.
      const herds = await Promise.all(
        [listening, deaf].map((member) => member.herd("k", 20, { value: "loaded", takesMs: 30 }, { tags: ["t"] })),
      );
      expect(herds).toEqual([["loaded"], ["loaded"]]);
      expect(await fleet.loads("k")).toHaveLength(1);
    } finally {
      await primary.command("CONFIG", "SET", "requirepass", "");
    }
    const reads = await readsOfReplicas(servers);
    expect(reads.plain).toBeGreaterThan(before.plain);
    expect(reads.other).toBe(before.other);
  });
});

/** Commands of clients to replicas: reads of entries, and others. */
async function readsOfReplicas(servers: FleetServers): Promise<{ readonly plain: number; readonly other: number }> {
  const counts = { plain: 0, other: 0 };
  for (const replica of await servers.cluster!.replicas()) {
    const stats = await replica.info("commandstats");
    const calls = (name: string): number => Number(/calls=(\d+)/.exec(stats[`cmdstat_${name}`] ?? "calls=0")![1]);
    counts.plain += calls("hmget");
    // Replicas receive the effects of scripts, and not the scripts.
    counts.other += calls("mget") + calls("evalsha") + calls("hget");
  }
  return counts;
}

/** A key of the root namespace whose entry lies on the server of `redisKey`. */
async function beside(fleet: Fleet, redisKey: string, name: string): Promise<string> {
  const { port } = await fleet.servers.primaryOf(redisKey);
  for (let i = 0; ; i += 1)
    if ((await fleet.servers.primaryOf(fleet.keyOf(`${name} ${i}`))).port === port) return `${name} ${i}`;
}
