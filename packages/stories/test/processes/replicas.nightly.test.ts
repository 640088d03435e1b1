import type { Topology } from "@hotset/test-servers";
/** Replicas that lag: promoted without a removal, or asked for entries. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { beside, overEach, PATIENCE, Pool, type FleetSettings, type Member } from "../support/fleet.ts";

const SETTINGS: FleetSettings = { maxStalenessMs: 2_000, responseTimeoutMs: 2_500, connectTimeoutMs: 2_000 };
const WITH_REPLICAS: readonly Topology[] = ["cluster", "sentinel"];

const pool = new Pool();
beforeAll(async () => {
  await Promise.all(WITH_REPLICAS.map((topology) => pool.servers(topology, { patienceMs: 2_000 })));
});
afterAll(() => pool.end());

it(
  "A97 C93: a removal that a promoted replica never received is issued again: by the process that made it, which never serves the removed value",
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
    await fleet.inStep();
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
