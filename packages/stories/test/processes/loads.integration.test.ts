/** One load of a key across processes: which calls wait and how long, and the release of leases. */
import { startAclRedis } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  atOnce,
  gone,
  holds,
  isInStep,
  loadsNow,
  PATIENCE,
  Pool,
  refreshBegins,
  sharedNow,
  waitsFor,
  type Fleet,
  type Member,
} from "../support/fleet.ts";
import type { CallOptions, LoadPlan } from "../support/fleet-member.ts";
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

  it("C11: forceRefresh does not wait for a load elsewhere, and that load stores nothing over its result", async () => {
    await using fleet = await pool.open(servers, 2);
    const [holder, other] = fleet.members as [Member, Member];
    const held = holder.getOrSet("k", { gate: "k", value: "older" });
    await loadsNow(holder, "k");
    expect(await other.getOrSet("k", { value: "forced" }, { forceRefresh: true })).toBe("forced");
    await holder.openGate("k");
    expect(await held).toBe("older");
    for (const member of fleet.members) expect(await member.get("k")).toBe("forced");
    expect(await fleet.stored("k")).toBe('"forced"');
  });

  it("C24: while a source is down, each process tries once within errorBackoff, and never two at a time", async () => {
    await using fleet = await pool.open(servers, 3, { policy: { errorBackoff: "1m" } });
    await fleet.members[0]!.set("k", "old", { staleIfError: "1h" });
    await fleet.members[0]!.markStale("k");
    for (let turn = 0; turn < 3; turn += 1)
      expect(
        await Promise.all(
          fleet.members.map((member) => member.herd("k", 20, { fails: "the source is down", takesMs: 40 })),
        ),
      ).toEqual([["old"], ["old"], ["old"]]);
    expect((await Promise.all(fleet.members.map((member) => member.loads("k")))).map(({ length }) => length)).toEqual([
      1, 1, 1,
    ]);
    expect(atOnce(await fleet.loads("k"))).toBe(1);
  });

  const changes: readonly (readonly [what: string, change: (other: Member) => Promise<unknown>, left: unknown])[] = [
    ["set", (other) => other.set("k", "set", { tags: ["t"] }), "set"],
    ["deleted", (other) => other.delete("k"), undefined],
    ["invalidated by tag", (other) => other.invalidateTags("t"), undefined],
    ["cleared", (other) => other.clear(), undefined],
  ];
  it.for(changes)(
    "C41: a refresh behind an answer stores nothing where the key was %s elsewhere since it began",
    async ([what, change, left]) => {
      await using fleet = await pool.open(servers, 2);
      const [loading, other] = fleet.members as [Member, Member];
      await loading.set("k", "old", { ttl: 50, staleWhileRevalidate: "1h", tags: ["t"] });
      await expect.poll(async () => (await loading.inspect("k"))?.state, PATIENCE).toBe("stale");
      const plan = { gate: "k", value: "refreshed" };
      expect(await refreshBegins(loading, "k", plan, { tags: ["t"], ttl: "10m" })).toEqual(["old"]);
      await change(other);
      await loading.openGate("k");
      await loading.drain();
      const [load] = await loading.events("load");
      // Tag versions may be on another server, whose message comes later: an entry stored under the former ones is a
      // miss.
      expect(load).toMatchObject({
        background: true,
        result: what === "set" || what === "deleted" ? "fenced" : expect.stringMatching(/^(fenced|stored)$/),
      });
      await fleet.receivesMessages("k");
      for (const member of fleet.members) {
        expect(await member.get("k")).toBe(left);
        expect(await member.getStale("k")).toBe(left);
        expect([undefined, left]).toContain(await member.peek("k"));
      }
    },
  );

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

  const ways: readonly (readonly [what: string, plan: LoadPlan, options?: CallOptions])[] = [
    ["throws", { fails: "the source is down" }],
    ["gives undefined", { value: undefined, kind: "noStore" }],
    ["uses noStore", { value: "not kept", kind: "noStore" }],
    ["gives what no format writes", { kind: "unwritable" }],
    ["gives what the local tier cannot keep", { kind: "uncloneable", value: 1 }],
    ["gives a ttl of 0", { value: "not kept", options: { ttl: 0 } }],
    ["runs into loadTimeout", { gate: "never" }, { loadTimeout: 5_000 }],
    ["is left by its last caller", { gate: "never" }, { abortGate: "abort" }],
  ];
  it("C56: the lease is free at once after every kind of end of a load", async () => {
    await using fleet = await pool.open(servers, 2, { memory: { values: "cloned" }, leaseTimeMs: 10_000 });
    const [loading, other] = fleet.members as [Member, Member];
    for (const [what, plan, options] of ways) {
      const call = loading.serve(what, plan, options);
      if (plan.gate !== undefined) {
        await loadsNow(loading, what);
        expect(await fleet.isLeased(what), what).toBe(true);
      }
      if (options?.abortGate !== undefined) await loading.openGate(options.abortGate);
      await call;
      // Without a release it would last ten seconds, and longer while it is renewed.
      await expect.poll(() => fleet.isLeased(what), { message: what, timeout: SOON_MS }).toBe(false);
      expect(await other.getOrSet(what, { value: "next" }), what).toEqual(
        plan.kind === "uncloneable" ? { value: 1 } : "next",
      );
    }
  });

  it("C57: a call waits for a load elsewhere no longer than its own limits, and gets the value that staleIfError covers", async () => {
    await using fleet = await pool.open(servers, 2);
    const [holder, waiting] = fleet.members as [Member, Member];
    await holder.set("stale", "old", { staleIfError: "1h" });
    await holder.markStale("stale");
    const held = ["k", "stale"].map((key) => holder.serve(key, { gate: "go on", value: "loaded" }));
    await Promise.all(["k", "stale"].map((key) => loadsNow(holder, key)));
    const hard = await waiting.serve("k", { value: "never" }, { hardTimeout: 250 });
    expect(hard).toMatchObject({ code: "LOAD_TIMEOUT" });
    expect(hard.ms).toBeLessThan(SOON_MS);
    const soft = await waiting.serve("stale", { value: "never" }, { softTimeout: 250 });
    expect(soft).toMatchObject({ value: "old", status: "stale", cause: "timeout" });
    expect(soft.ms).toBeLessThan(SOON_MS);
    const inAll = await waiting.serve("another wait", { value: "loaded" }, { loadTimeout: 250 });
    expect(inAll).toMatchObject({ value: "loaded" });
    await holder.openGate("go on");
    expect(await Promise.all(held)).toMatchObject([{ value: "loaded" }, { value: "loaded" }]);
    expect(await waiting.loads()).toHaveLength(1);
  });

  it("C57: no call waits for a load elsewhere longer than loadTimeout", async () => {
    await using fleet = await pool.open(servers, 2);
    const [holder, waiting] = fleet.members as [Member, Member];
    const held = holder.getOrSet("k", { gate: "go on", value: "loaded" });
    await loadsNow(holder, "k");
    const late = await waiting.serve("k", { value: "never" }, { loadTimeout: 300 });
    expect(late).toMatchObject({ code: "LOAD_TIMEOUT" });
    expect(late.ms).toBeGreaterThan(290);
    expect(late.ms).toBeLessThan(SOON_MS);
    await holder.openGate("go on");
    expect(await held).toBe("loaded");
    expect(await waiting.loads()).toEqual([]);
  });

  it("C58: a refresh behind an answer does not wait for one elsewhere", async () => {
    await using fleet = await pool.open(servers, 2);
    const [holder, other] = fleet.members as [Member, Member];
    await holder.set("k", "old", { ttl: 50, staleWhileRevalidate: "1h" });
    await expect.poll(async () => (await holder.inspect("k"))?.state, PATIENCE).toBe("stale");
    const plan = { gate: "k", value: "refreshed" };
    expect(await refreshBegins(holder, "k", plan, { ttl: "10m" })).toEqual(["old"]);
    for (let i = 0; i < 3; i += 1) {
      const startedAt = sharedNow();
      expect(await other.serve("k", { value: "second" })).toMatchObject({
        value: "old",
        status: "stale",
        cause: "revalidating",
      });
      await other.drain();
      expect(sharedNow() - startedAt).toBeLessThan(SOON_MS);
    }
    expect(await other.loads()).toEqual([]);
    await holder.openGate("k");
    await holder.drain();
    await holds(other, "k", "refreshed");
    expect(await other.peek("k")).toBe("refreshed");
  });
});

describe("where leases are refused", () => {
  it("C55: each process loads for itself, and no call fails, where the user lacks the rights", async () => {
    await using users = await startAclRedis({
      users: ["user reader on >readerpass allchannels ~t??????????:* +@all -@dangerous +info +client"],
    });
    const place = { topology: "single", url: users.urlOf("reader", "readerpass") } as const;
    await using fleet = await pool.open({ place } as FleetServers, 2);
    for (const [i, member] of fleet.members.entries())
      expect(await member.serve("k", { value: i })).toMatchObject({ value: i, status: "miss" });
    for (const member of fleet.members) {
      expect(await member.state()).toBe("up");
      expect((await member.events("backend:error")).map(({ operation }) => operation)).toContain("lease");
    }
    await Promise.all(fleet.members.map((member) => isInStep(member)));
    expect(await gone(fleet.members[0]!, "never there", "x")).toBeGreaterThanOrEqual(0);
  });
});
