/** Links and servers that fail, and processes that freeze: no local copy is served longer than maxStaleness after it was overtaken. */
import { existsSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  holds,
  isInStep,
  overEach,
  PATIENCE,
  Pool,
  sharedNow,
  type Fleet,
  type FleetSettings,
  type Member,
} from "../support/fleet.ts";
import type { Sighting } from "../support/fleet-member.ts";
import { TOPOLOGIES, type FleetServers, type Topology } from "../support/fleet-servers.ts";

const MAX_STALENESS_MS = 1_200;
const SETTINGS: FleetSettings = { maxStalenessMs: MAX_STALENESS_MS, responseTimeoutMs: 1_000, connectTimeoutMs: 2_000 };
const PROXIED: readonly Topology[] = ["single", "cluster"];

const pool = new Pool();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hotset-faults-"));
  await Promise.all(TOPOLOGIES.map((topology) => pool.servers(topology)));
});
afterAll(async () => {
  await pool.end();
  await rm(folder, { recursive: true });
});

/** When the last look at a local copy found this value. */
const lastSeen = (sightings: readonly Sighting[], value: unknown): number =>
  Math.max(-Infinity, ...sightings.filter((each) => each.value === value).map(({ lastAt }) => lastAt));

/** By somebody without this library, past every proxy. @returns when it was acknowledged. */
async function replaceElsewhere(fleet: Fleet, key: string): Promise<number> {
  expect(await fleet.redis("DEL", fleet.keyOf(key))).toBe(1);
  return sharedNow();
}

/** Where servers answer again: everybody is in step, and nothing of before is found anywhere. */
async function allIsWell(fleet: Fleet, key: string, members: readonly Member[] = fleet.members): Promise<void> {
  await Promise.all(members.map((member) => isInStep(member)));
  for (const member of members) expect([await member.peek(key), await member.get(key)]).toEqual([undefined, undefined]);
  expect(await members[0]!.set(key, "new")).toMatchObject({ status: "stored" });
  for (const member of members) {
    await expect.poll(() => member.get(key), PATIENCE).toBe("new");
    await holds(member, key, "new");
  }
}

describe("C86: no copy is served longer than maxStaleness after it was replaced elsewhere, and after the fault all is well,", () => {
  const faults: readonly (readonly [
    what: string,
    settings: FleetSettings,
    topologies: readonly Topology[],
    begin: (servers: FleetServers) => Promise<void> | void,
    end: (servers: FleetServers) => Promise<void> | void,
  ])[] = [
    [
      "when the server closes every connection (CLIENT KILL)",
      {},
      TOPOLOGIES,
      (servers) => killClients(servers, "normal"),
      ignore,
    ],
    [
      "when it closes those that channels are heard on",
      { coherence: "pubsub" },
      TOPOLOGIES,
      (servers) => killClients(servers, "pubsub"),
      ignore,
    ],
    ["when all connections are cut", {}, PROXIED, ({ proxies }) => proxies.forEach((proxy) => proxy.cut()), ignore],
    [
      "when links swallow everything",
      {},
      PROXIED,
      ({ proxies }) => proxies.forEach((proxy) => proxy.swallow()),
      passAll,
    ],
    [
      "when links swallow everything, over channels",
      { coherence: "pubsub" },
      PROXIED,
      ({ proxies }) => proxies.forEach((proxy) => proxy.swallow()),
      passAll,
    ],
    [
      "when links swallow what servers say",
      {},
      PROXIED,
      ({ proxies }) => proxies.forEach((proxy) => proxy.swallow("toClient")),
      passAll,
    ],
    [
      "when links hold everything back, and then deliver it",
      {},
      PROXIED,
      ({ proxies }) => proxies.forEach((proxy) => proxy.stall()),
      passAll,
    ],
    [
      "when nobody can connect any more",
      {},
      PROXIED,
      async ({ proxies }) => {
        for (const proxy of proxies) {
          await proxy.refuse();
          proxy.cut();
        }
      },
      passAll,
    ],
  ];
  for (const [what, settings, topologies, begin, end] of faults)
    it(
      `${what}`,
      overEach(pool, topologies, async (servers) => {
        await using fleet = await pool.open(servers, 2, { ...SETTINGS, ...settings });
        await fleet.members[0]!.set("k", "old", { tags: ["t"] });
        await fleet.allHold("k", "old");
        for (const member of fleet.members) await member.watch("k");
        await begin(servers);
        const replacedAt = await replaceElsewhere(fleet, "k");
        // Meanwhile everybody is served: from a copy that nobody could confirm, or from the source.
        while (sharedNow() < replacedAt + MAX_STALENESS_MS + 200)
          for (const member of fleet.members)
            expect(["old", "loaded"]).toContain((await member.serve("k", { value: "loaded", kind: "noStore" })).value);
        await end(servers);
        await Promise.all(fleet.members.map((member) => isInStep(member)));
        for (const member of fleet.members)
          expect(lastSeen(await member.sightings("k"), "old") - replacedAt).toBeLessThanOrEqual(MAX_STALENESS_MS);
        await fleet.members[0]!.delete("k");
        for (const member of fleet.members) await expect.poll(() => member.peek("k"), PATIENCE).toBe(undefined);
        await allIsWell(fleet, "k");
      }),
    );

  it(
    "also where the change came while everybody connected again, many times",
    overEach(pool, TOPOLOGIES, async (servers) => {
      // A read that is not answered in time is served from the unconfirmed copy, which is not the subject here.
      await using fleet = await pool.open(servers, 3, { ...SETTINGS, responseTimeoutMs: 10_000 });
      for (let round = 0; round < 12; round += 1) {
        const value = `value ${round}`;
        await fleet.members[round % 3]!.set("k", value);
        await Promise.all(fleet.members.map((member) => member.get("k")));
        const killing = killClients(servers, "normal");
        const deleting = fleet.redis("DEL", fleet.keyOf("k"));
        const read = fleet.members.map((member) => member.get("k"));
        await Promise.all([killing, deleting, ...read]);
        // Who has not noticed yet still serves it.
        for (const member of fleet.members) await expect.poll(() => member.peek("k"), PATIENCE).toBe(undefined);
        await fleet.inStep();
        for (const member of fleet.members)
          expect([await member.get("k"), await member.peek("k")], `round ${round}`).toEqual([undefined, undefined]);
      }
    }),
  );

  it(
    "when a process is frozen (SIGSTOP)",
    overEach(pool, TOPOLOGIES, async (servers) => {
      await using fleet = await pool.open(servers, 2, SETTINGS);
      const [one, frozen] = fleet.members as [Member, Member];
      await one.set("k", "old", { tags: ["t"] });
      await fleet.allHold("k", "old");
      for (const [key, frozenMs] of [
        ["k", MAX_STALENESS_MS + 300],
        ["j", 300],
      ] as const) {
        await one.set(key, "old");
        await fleet.allHold(key, "old");
        await frozen.watch(key);
        frozen.process.pause();
        const pausedAt = sharedNow();
        await one.delete(key);
        const deletedAt = sharedNow();
        await sleep(Math.max(0, pausedAt + frozenMs - sharedNow()));
        frozen.process.resume();
        const resumedAt = sharedNow();
        await expect.poll(() => frozen.get(key), PATIENCE).toBe(undefined);
        const seenAt = lastSeen(await frozen.sightings(key), "old");
        expect(seenAt - deletedAt).toBeLessThanOrEqual(MAX_STALENESS_MS);
        // The first thing that runs after a long pause is a timer, before anything was heard.
        if (frozenMs > MAX_STALENESS_MS) expect(seenAt).toBeLessThan(resumedAt);
      }
      await allIsWell(fleet, "k");
    }),
  );

  it(
    "when the loop of a process is blocked",
    overEach(pool, TOPOLOGIES, async (servers, topology) => {
      await using fleet = await pool.open(servers, 2, SETTINGS);
      const [one, blocked] = fleet.members as [Member, Member];
      await one.set("k", "old");
      await fleet.allHold("k", "old");
      const [begun, end] = ["begun", "end"].map((name) => join(folder, `${topology} ${name}`)) as [string, string];
      const outcome = blocked.blocked("k", begun, end);
      await until("a process whose loop is blocked", PATIENCE.timeout, () => Promise.resolve(existsSync(begun)));
      await one.delete("k");
      await sleep(MAX_STALENESS_MS + 100);
      writeFileSync(end, "");
      expect((await outcome).peeked).toBe(undefined);
      await allIsWell(fleet, "k");
    }),
  );

  it(
    "when a server is frozen (SIGSTOP): in a cluster that ends trust in what the others hold, too",
    overEach(pool, TOPOLOGIES, async (servers, topology) => {
      await using fleet = await pool.open(servers, 2, SETTINGS);
      const primaries = await servers.primaries();
      const keys = await Promise.all(primaries.map((primary) => keyOn(fleet, primary.port)));
      await fleet.members[0]!.setMany(keys.map((key) => [key, "old"] as const));
      for (const key of keys) await fleet.allHold(key, "old");
      for (const member of fleet.members) for (const key of keys) await member.watch(key);
      const [frozen] = primaries;
      frozen!.pause();
      const pausedAt = sharedNow();
      try {
        for (const member of fleet.members)
          for (const key of keys) await expect.poll(() => member.peek(key), PATIENCE).toBe(undefined);
        for (const member of fleet.members)
          for (const key of keys)
            expect(await member.serve(key, { value: "loaded", kind: "noStore" })).toMatchObject({ value: "old" });
      } finally {
        frozen!.resume();
      }
      for (const member of fleet.members) {
        for (const key of keys) {
          const until_ = pausedAt + MAX_STALENESS_MS;
          const seen = (await member.sightings(key)).filter(({ value }) => value === "old");
          // Its last sign of life may have been sent just before.
          expect(seen[0]!.lastAt).toBeLessThanOrEqual(until_);
        }
      }
      await fleet.inStep();
      for (const member of fleet.members) for (const key of keys) expect(await member.get(key), topology).toBe("old");
      await fleet.members[0]!.delete(keys[0]!);
      for (const member of fleet.members) await expect.poll(() => member.peek(keys[0]!), PATIENCE).toBe(undefined);
      await allIsWell(fleet, keys[0]!);
    }),
  );
});

async function keyOn(fleet: Fleet, port: number): Promise<string> {
  for (let i = 0; ; i += 1) if ((await fleet.servers.primaryOf(fleet.keyOf(`k${i}`))).port === port) return `k${i}`;
}

async function killClients(servers: FleetServers, type: "normal" | "pubsub"): Promise<void> {
  for (const server of await servers.primaries())
    for (const each of type === "normal" ? ["normal", "pubsub"] : [type])
      await server.command("CLIENT", "KILL", "TYPE", each, "SKIPME", "yes");
}

async function passAll({ proxies }: FleetServers): Promise<void> {
  await Promise.all(proxies.map((proxy) => proxy.pass()));
}

function ignore(): void {
  return;
}
