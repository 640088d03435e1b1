/**
 * Links and servers that fail, and processes that freeze: no local copy is served longer than maxStaleness after a
 * newer value was stored.
 */
import { existsSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "@hotset/test-servers";
import { TOPOLOGIES, type FleetServers, type Topology } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Sighting } from "../support/fleet-member.ts";
import {
  holds,
  overEach,
  PATIENCE,
  Pool,
  sharedNow,
  type Fleet,
  type FleetSettings,
  type Member,
} from "../support/fleet.ts";

const MAX_STALENESS_MS = 1_200;
const SETTINGS: FleetSettings = { maxStalenessMs: MAX_STALENESS_MS, responseTimeoutMs: 1_000, connectTimeoutMs: 2_000 };
const PATIENT: FleetSettings = { ...SETTINGS, responseTimeoutMs: 10_000 };
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

/** The instant of the last look at a local copy that found this value. */
const lastSeen = (sightings: readonly Sighting[], value: unknown): number =>
  Math.max(-Infinity, ...sightings.filter((each) => each.value === value).map(({ lastAt }) => lastAt));

/** Deletes the entry as another program would, past every proxy. @returns the instant of the acknowledgement. */
async function replaceElsewhere(fleet: Fleet, key: string): Promise<number> {
  expect(await fleet.redis("DEL", fleet.keyOf(key))).toBe(1);
  return sharedNow();
}

/** Once servers answer again: all processes are in step, and no older value is found anywhere. */
async function allIsWell(fleet: Fleet, key: string): Promise<void> {
  const { members } = fleet;
  await fleet.reachesServerOf(key);
  await fleet.inStep();
  for (const member of members) expect([await member.peek(key), await member.get(key)]).toEqual([undefined, undefined]);
  expect(await members[0]!.set(key, "new")).toMatchObject({ status: "stored" });
  for (const member of members) {
    await expect.poll(() => member.get(key), PATIENCE).toBe("new");
    await holds(member, key, "new");
  }
}

describe("C86: no copy is served longer than maxStaleness after it was replaced elsewhere, and all recovers after the fault,", () => {
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
      "when the server closes the connections of channels",
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
      "when links swallow the replies of servers",
      {},
      PROXIED,
      ({ proxies }) => proxies.forEach((proxy) => proxy.swallow("toClient")),
      passAll,
    ],
    [
      "when links hold all bytes back, and then deliver them",
      {},
      PROXIED,
      ({ proxies }) => proxies.forEach((proxy) => proxy.stall()),
      passAll,
    ],
    [
      "when no process can connect any more",
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
        // Meanwhile each call is answered: from a copy that could not be confirmed, or from the source.
        while (sharedNow() < replacedAt + MAX_STALENESS_MS + 200)
          for (const member of fleet.members)
            expect(["old", "loaded"]).toContain((await member.serve("k", { value: "loaded", kind: "noStore" })).value);
        await end(servers);
        await fleet.inStep();
        for (const member of fleet.members)
          expect(lastSeen(await member.sightings("k"), "old") - replacedAt).toBeLessThanOrEqual(MAX_STALENESS_MS);
        await fleet.members[0]!.delete("k");
        for (const member of fleet.members) await expect.poll(() => member.peek("k"), PATIENCE).toBe(undefined);
        await allIsWell(fleet, "k");
      }),
    );

  it(
    "when a process is frozen (SIGSTOP)",
    overEach(pool, TOPOLOGIES, async (servers) => {
      await using fleet = await pool.open(servers, 2, PATIENT);
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
        // A timer runs first after a long pause, before any message is received.
        if (frozenMs > MAX_STALENESS_MS) expect(seenAt).toBeLessThan(resumedAt);
      }
      await allIsWell(fleet, "k");
    }),
  );

  it(
    "when the loop of a process is blocked",
    overEach(pool, TOPOLOGIES, async (servers, topology) => {
      await using fleet = await pool.open(servers, 2, PATIENT);
      const [one, blocked] = fleet.members as [Member, Member];
      await one.set("k", "old");
      await fleet.allHold("k", "old");
      const [begun, end] = ["begun", "end"].map((name) => join(folder, `${topology} ${name}`)) as [string, string];
      const outcome = blocked.blocked("k", begun, end);
      await until("a process whose loop is blocked", () => Promise.resolve(existsSync(begun)));
      await one.delete("k");
      await sleep(MAX_STALENESS_MS + 100);
      writeFileSync(end, "");
      expect((await outcome).peeked).toBe(undefined);
      await allIsWell(fleet, "k");
    }),
  );

  it(
    "when a server is frozen (SIGSTOP): in a cluster trust ends in copies of its keys, and of no others",
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
        for (const member of fleet.members) await expect.poll(() => member.peek(keys[0]!), PATIENCE).toBe(undefined);
        // Trust in those may end, too, where the machine is too busy for a sign of life, and it comes back.
        for (const member of fleet.members)
          for (const key of keys.slice(1)) await expect.poll(() => member.peek(key), PATIENCE).toBe("old");
        for (const member of fleet.members)
          for (const key of keys)
            expect(await member.serve(key, { value: "loaded", kind: "noStore" })).toMatchObject({ value: "old" });
      } finally {
        frozen!.resume();
      }
      for (const member of fleet.members) {
        for (const key of keys.slice(0, 1)) {
          const until_ = pausedAt + MAX_STALENESS_MS;
          const seen = (await member.sightings(key)).filter(({ value }) => value === "old");
          // The last sign of life may have been sent just before the pause.
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
