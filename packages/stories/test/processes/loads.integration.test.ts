/** One load of a key across processes: which calls wait and how long, and the release of leases. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { atOnce, loadsNow, Pool, sharedNow, waitsFor, type Fleet, type Member } from "../support/fleet.ts";
import type { LoadPlan } from "../support/fleet-member.ts";
import { TOPOLOGIES, type FleetServers } from "@hotset/test-servers";

const pool = new Pool();
afterAll(() => pool.end());

/**
 * Less than the second after which a waiter that is not woken looks again. On a busy machine one of a few attempts is.
 */
const WOKEN_MS = 800;
const ATTEMPTS = 4;
/** Far less than the wait without the rule. */
const SOON_MS = 6_000;

describe.each(TOPOLOGIES)("over %s", (topology) => {
  let servers: FleetServers;
  beforeAll(async () => {
    servers = await pool.servers(topology);
  });

  it("C52: 1,000 callers in two processes on a cold key cause one load, and all get its value", async () => {
    await using fleet = await pool.open(servers, 2);
    for (const tags of [[], ["t"]]) {
      for (let round = 0; round < 5; round += 1) {
        const key = `cold ${tags.length} ${round}`;
        const herds = await Promise.all(
          fleet.members.map((member) => member.herd(key, 500, { value: "loaded", takesMs: 40 }, { tags })),
        );
        expect(herds).toEqual([["loaded"], ["loaded"]]);
        expect(await fleet.loads(key)).toHaveLength(1);
        for (const member of fleet.members) expect(await member.get(key)).toBe("loaded");
      }
    }
  });

  it("C215: a refresh that three processes ask for by maxAge is one load, and all get its value", async () => {
    // Strings know the age of a value as well as the clock of its server: decision 0149.
    await using fleet = await pool.open(servers, 3, { layout: "full" });
    const [first, ...others] = fleet.members as [Member, ...Member[]];
    for (const maxAge of [0, "1ms"] as const) {
      const key = `tick ${maxAge}`;
      for (const member of fleet.members.toReversed()) expect(await member.getOrSet(key, { value: "old" })).toBe("old");
      // A slow answer makes a value seem older, by its delay: the load ends well after the calls began.
      const refreshing = first.serve(key, { gate: key, takesMs: 1_500, value: "new" }, { maxAge });
      await loadsNow(first, key);
      const calls = others.map((member) => member.serve(key, { value: "again" }, { maxAge }));
      await Promise.all(others.map((member) => waitsFor(member, key)));
      // A caller that does not mind has the old value all the time.
      expect(await others[0]!.getOrSet(key, { value: "again" })).toBe("old");
      await first.openGate(key);
      expect(await refreshing).toMatchObject({ value: "new", status: "miss" });
      for (const call of calls) expect(await call).toMatchObject({ value: "new", status: "hit" });
      // A late one takes what was loaded a moment ago.
      for (const member of fleet.members)
        expect(await member.serve(key, { value: "again" }, { maxAge: "1m" })).toMatchObject({
          value: "new",
          status: "hit",
        });
      expect((await fleet.loads(key)).map(({ reason }) => reason).toSorted()).toEqual(["miss", "stale"]);
    }
  });

  /**
   * Lets `fleet[0]` hold the lease while the others wait, and lets its load end. @returns the outcomes, and the time
   * that the others waited from then on.
   */
  const endWhileOthersWait = async (fleet: Fleet, key: string, plan: LoadPlan, theirs: LoadPlan) => {
    const [holder, ...others] = fleet.members as [Member, ...Member[]];
    const held = holder.serve(key, { gate: key, ...plan }, { tags: ["t"] });
    await loadsNow(holder, key);
    const calls = others.map((member) => member.serve(key, theirs, { tags: ["t"] }));
    await Promise.all(others.map((member) => waitsFor(member, key)));
    const openedAt = sharedNow();
    await holder.openGate(key);
    const outcomes = await Promise.all(calls);
    return { held: await held, outcomes, tookMs: sharedNow() - openedAt };
  };

  it("C52: a waiter for a load elsewhere is woken by its end, and reads the stored entry", async () => {
    await using fleet = await pool.open(servers, 3);
    const took: number[] = [];
    for (let i = 0; i < ATTEMPTS; i += 1) {
      const { held, outcomes, tookMs } = await endWhileOthersWait(
        fleet,
        `k${i}`,
        { value: "first" },
        { value: "second" },
      );
      expect(held).toMatchObject({ value: "first", status: "miss" });
      for (const outcome of outcomes) expect(outcome).toMatchObject({ value: "first", status: "hit", tier: "redis" });
      expect(await fleet.loads(`k${i}`)).toHaveLength(1);
      took.push(tookMs);
    }
    expect(Math.min(...took)).toBeLessThan(WOKEN_MS);
  });

  it("C52 C56: when a load fails, one waiter elsewhere loads at once, and the others wait for that load", async () => {
    await using fleet = await pool.open(servers, 3);
    const took: number[] = [];
    for (let i = 0; i < ATTEMPTS; i += 1) {
      const { held, outcomes, tookMs } = await endWhileOthersWait(
        fleet,
        `k${i}`,
        { fails: "the source is down" },
        { value: "second", takesMs: 50 },
      );
      expect(held).toMatchObject({ failed: "the source is down" });
      for (const outcome of outcomes) expect(outcome).toMatchObject({ value: "second" });
      const runs = await fleet.loads(`k${i}`);
      expect([runs.length, atOnce(runs)]).toEqual([2, 1]);
      took.push(tookMs);
    }
    expect(Math.min(...took)).toBeLessThan(WOKEN_MS);
  });

  it("C52 C115: a batch in two processes loads each key once", async () => {
    await using fleet = await pool.open(servers, 2);
    const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);
    const found = await Promise.all(
      fleet.members.map((member) => member.getOrSetMany(keys, "loaded", { tags: ["t"] })),
    );
    for (const each of found) expect(each).toEqual(new Map(keys.map((key) => [key, "loaded"])));
    const runs = await fleet.loads();
    expect(new Set(runs.map(({ key }) => key)).size).toBe(keys.length);
    expect(runs).toHaveLength(keys.length);
  });

  it("C55: where the server does not answer, each process loads for itself, and no call fails", async () => {
    await using fleet = await pool.open(servers, 2, { responseTimeoutMs: 1_000 });
    const primary = await servers.primaryOf(fleet.keyOf("k"));
    primary.pause();
    try {
      const outcomes = await Promise.all(fleet.members.map((member, i) => member.serve("k", { value: i })));
      expect(outcomes.map(({ value, status }) => [value, status])).toEqual([
        [0, "miss"],
        [1, "miss"],
      ]);
      for (const { ms } of outcomes) expect(ms).toBeLessThan(SOON_MS);
    } finally {
      primary.resume();
    }
    await fleet.inStep();
    expect(await fleet.members[0]!.getOrSet("after", { value: "loaded" })).toBe("loaded");
    expect(await fleet.members[1]!.getOrSet("after", { value: "again" })).toBe("loaded");
  });
});
