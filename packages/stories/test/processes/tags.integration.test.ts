/** Tags and clear across processes: by version, also when versions are lost in Redis. */
import { type OwnRedis } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadsNow, PATIENCE, Pool, type Fleet, type Member } from "../support/fleet.ts";
import { TOPOLOGIES, type FleetServers } from "@hotset/test-servers";

const pool = new Pool();
afterAll(() => pool.end());

const keysOf = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `k${i}`);
const nothing = new Map<string, unknown>();

describe.each(TOPOLOGIES)("over %s", (topology) => {
  let servers: FleetServers;
  beforeAll(async () => {
    servers = await pool.servers(topology);
  });

  it("C67: invalidateTags hides entries in Redis and in every process, with as many commands for ten as for a thousand", async () => {
    await using fleet = await pool.open(servers, 3);
    const [one, ...others] = fleet.members as [Member, Member, Member];
    const commands: number[] = [];
    for (const count of [10, 1_000]) {
      const keys = keysOf(count);
      for (let i = 0; i < count; i += 100)
        expect(
          await one.setMany(
            keys.slice(i, i + 100).map((key) => [key, "old"] as const),
            { tags: ["t"] },
          ),
        ).toMatchObject({ pending: 0 });
      await one.set("untagged", "kept");
      for (const member of others) {
        expect((await member.getMany(keys)).size).toBe(count);
        await expect.poll(async () => (await member.peekMany(keys)).size, PATIENCE).toBe(count);
      }
      const before = await writesOf(servers);
      expect(await one.invalidateTags("t")).toMatchObject({ status: "done" });
      commands.push((await writesOf(servers)) - before);
      for (const member of fleet.members) {
        await expect.poll(() => member.peekMany(keys), PATIENCE).toEqual(nothing);
        expect(await member.getMany(keys)).toEqual(nothing);
        expect([
          await member.has("k0"),
          await member.getStale("k1"),
          await member.inspect("k2"),
          await member.get("untagged"),
        ]).toEqual([false, undefined, undefined, "kept"]);
      }
    }
    expect(commands[1]).toBe(commands[0]);
  });

  it("C72: of two invalidations and a write in one millisecond the write stands, and no earlier value does", async () => {
    await using fleet = await pool.open(servers, 2);
    const [one, other] = fleet.members as [Member, Member];
    await one.setMany(
      [
        ["k", "old"],
        ["sibling", "old"],
      ],
      { tags: ["t"] },
    );
    await Promise.all(["k", "sibling"].map((key) => fleet.allHold(key, "old")));
    for (let round = 0; round < 20; round += 1) {
      const value = `new ${round}`;
      expect((await one.invalidateTwiceAndSet("t", "k", value)).map(({ status }) => status)).toEqual([
        "done",
        "done",
        "stored",
      ]);
      // The write was called after both, so it is valid, and no earlier value is.
      for (const member of fleet.members) {
        await expect.poll(() => member.get("k"), PATIENCE).toBe(value);
        expect([await member.get("sibling"), await member.peek("sibling")]).toEqual([undefined, undefined]);
      }
      expect(await other.invalidateTags("t")).toMatchObject({ status: "done" });
      expect(await one.set("sibling", value, { tags: ["t"] })).toMatchObject({ status: "stored" });
      for (const member of fleet.members)
        expect([await member.get("k"), await member.get("sibling")]).toEqual([undefined, value]);
      await one.invalidateTags("t");
    }
  });

  const losses: readonly (readonly [what: string, lose: (fleet: Fleet) => Promise<unknown>])[] = [
    ["DEL of a tag", (fleet) => fleet.redis("DEL", fleet.tagKeyOf("t"))],
    ["DEL of the namespace's version", (fleet) => fleet.redis("DEL", fleet.tagKeyOf(""))],
    ["expiry of a tag", (fleet) => fleet.redis("PEXPIRE", fleet.tagKeyOf("t"), 1)],
    ["DEL of the issuer", (fleet) => fleet.redis("DEL", fleet.issuerKey)],
    [
      "DEL of issuer and tags",
      async (fleet) => {
        for (const key of [fleet.issuerKey, fleet.tagKeyOf("t"), fleet.tagKeyOf("")]) await fleet.redis("DEL", key);
      },
    ],
    [
      "FLUSHALL",
      async (fleet) => {
        for (const primary of await fleet.servers.primaries()) await primary.command("FLUSHALL");
      },
    ],
  ];
  it.for(losses)("C73 C105: %s brings no invalidated entry back, and costs misses at most", async ([what, lose]) => {
    await using fleet = await pool.open(servers, 2);
    const [one, other] = fleet.members as [Member, Member];
    // Three generations of the tag: a version that is issued twice would show.
    const dumps: [key: string, bytes: Uint8Array][] = [];
    for (const key of ["g0", "g1", "g2"]) {
      await one.set(key, "old", { tags: ["t"] });
      dumps.push([key, (await dumpOf(fleet, key))!]);
      await one.invalidateTags("t");
    }
    await one.set("valid", "kept", { tags: ["t"] });
    await fleet.allHold("valid", "kept");
    await lose(fleet);
    if (what.startsWith("expiry"))
      await expect.poll(() => fleet.redis("EXISTS", fleet.tagKeyOf("t")), PATIENCE).toBe(0);
    // As if their keys had not been evicted with the tags.
    for (const [key, bytes] of dumps) await restore(fleet, key, bytes);
    for (const value of ["first", "second", "third"]) {
      for (const member of fleet.members) {
        for (const [key] of dumps)
          expect([await member.get(key), await member.peek(key), await member.getStale(key)], key).toEqual([
            undefined,
            undefined,
            undefined,
          ]);
        expect(["kept", undefined]).toContain(await member.get("valid"));
      }
      // The versions are issued anew, one after another.
      expect(await other.set("new", value, { tags: ["t"] })).toMatchObject({ status: "stored" });
      for (const member of fleet.members) await expect.poll(() => member.get("new"), PATIENCE).toBe(value);
      await one.invalidateTags("t");
      for (const member of fleet.members) await expect.poll(() => member.get("new"), PATIENCE).toBe(undefined);
    }
  });

  it.for(["tracking", "pubsub"] as const)(
    "C425: over %s, after the issuer of tag versions alone was lost, one load with a late tag is not stored at most",
    async (coherence) => {
      await using fleet = await pool.open(servers, 2, { coherence });
      const [one, other] = fleet.members as [Member, Member];
      const late = (value: string): Parameters<Member["getOrSet"]>[1] => ({ value, options: { tags: ["late"] } });
      await one.getOrSet("k", late("first"));
      expect(await other.get("k")).toBe("first");
      await fleet.redis("DEL", fleet.issuerKey);
      await one.delete("k");
      for (const member of fleet.members) await expect.poll(() => member.peek("k"), PATIENCE).toBe(undefined);
      expect(await one.getOrSet("k", late("second"))).toBe("second");
      await one.delete("k");
      expect([await one.getOrSet("k", late("third")), await other.get("k")]).toEqual(["third", "third"]);
    },
  );

  it("C77: an invalidation that races with the first use of its tag elsewhere is honoured", async () => {
    await using fleet = await pool.open(servers, 2);
    const [one, other] = fleet.members as [Member, Member];
    for (let round = 0; round < 60; round += 1) {
      const [key, tag] = [`k${round}`, `t${round}`];
      if (round % 2 === 0) await one.set(key, "old", { tags: [tag] });
      const load = other.getOrSet(
        key,
        { value: "loaded", ...(round % 4 === 1 ? { options: { tags: [tag] } } : {}) },
        { tags: round % 4 === 1 ? [] : [tag] },
      );
      const [{ status }, value] = await Promise.all([one.invalidateTags(tag), load]);
      expect(status).toBe("done");
      expect(["old", "loaded"]).toContain(value);
      // Meanwhile any answer is right; after the invalidation no earlier value is.
      for (const member of fleet.members) {
        await expect.poll(() => member.get(key), PATIENCE).not.toBe("old");
        expect([undefined, "loaded"], key).toContain(await member.get(key));
        expect([undefined, "loaded"], key).toContain(await member.peek(key));
      }
    }
  });

  it("C79 C78: clear is seen by all processes, keeps loads in flight from being stored, leaves siblings alone, and scans nothing", async () => {
    await using fleet = await pool.open(servers, 3);
    const [one, loading, third] = fleet.members as [Member, Member, Member];
    const keys = keysOf(200);
    const spaces = [["a"], ["a", "b"], ["ab"], []] as const;
    for (const space of spaces)
      await one.setMany(
        keys.map((key) => [key, "old"] as const),
        {},
        space,
      );
    for (const member of fleet.members)
      for (const space of spaces) {
        await member.getMany(keys, space);
        await expect.poll(async () => (await member.peekMany(keys, space)).size, PATIENCE).toBe(keys.length);
      }
    const load = loading.getOrSet("loading", { gate: "loading", value: "older" }, { space: ["a", "b"] });
    await loadsNow(loading, "loading");
    const before = await callsOf(servers);
    expect(await one.clear(["a"])).toMatchObject({ status: "done" });
    const after = await callsOf(servers);
    for (const name of ["keys", "scan", "flushdb", "flushall"]) expect(after[name]).toBe(before[name]);
    await expect.poll(() => third.peek("k0", ["a"]), PATIENCE).toBe(undefined);
    await loading.openGate("loading");
    expect(await load).toBe("older");
    for (const member of fleet.members) {
      for (const space of [["a"], ["a", "b"]]) {
        await expect.poll(() => member.peekMany(keys, space), PATIENCE).toEqual(nothing);
        expect(await member.getMany([...keys, "loading"], space)).toEqual(nothing);
      }
      for (const space of [["ab"], []]) expect((await member.getMany(keys, space)).size).toBe(keys.length);
    }
    expect(await third.getOrSet("k0", { value: "new" }, { space: ["a"] })).toBe("new");
    expect(await one.get("k0", ["a"])).toBe("new");
  });
});

/** The number of calls of each command, on all servers that accept writes. */
async function callsOf(servers: FleetServers): Promise<Readonly<Record<string, number>>> {
  const calls: Record<string, number> = {};
  for (const server of await servers.primaries())
    for (const [name, text] of Object.entries(await server.info("commandstats"))) {
      const command = name.replace("cmdstat_", "");
      calls[command] = (calls[command] ?? 0) + Number(/calls=(\d+)/.exec(text)![1]);
    }
  return calls;
}

/** The number of commands that change data, those in scripts included. */
async function writesOf(servers: FleetServers): Promise<number> {
  const calls = await callsOf(servers);
  return [
    "hset",
    "set",
    "del",
    "evalsha",
    "eval",
    "pexpire",
    "persist",
    "unlink",
    "expire",
    "setex",
    "psetex",
    "hincrby",
  ].reduce((sum, name) => sum + (calls[name] ?? 0), 0);
}

async function dumpOf(fleet: Fleet, key: string): Promise<Uint8Array | undefined> {
  const bytes = await (await fleet.servers.primaryOf(fleet.keyOf(key))).commandBytes("DUMP", fleet.keyOf(key));
  return Buffer.isBuffer(bytes) ? bytes : undefined;
}

async function restore(fleet: Fleet, key: string, bytes: Uint8Array): Promise<void> {
  const server: OwnRedis = await fleet.servers.primaryOf(fleet.keyOf(key));
  expect(await server.command("RESTORE", fleet.keyOf(key), 600_000, bytes, "REPLACE")).toBe("OK");
}
