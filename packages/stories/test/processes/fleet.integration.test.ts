import { existsSync } from "node:fs";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
/**
 * Processes that share one cache over Redis: loads, changes, copies and tags of one in the others. In `npm test` over
 * one server; at night over a cluster and behind sentinels, too.
 */
import { until, type FleetServers, type OwnRedis, type ReadonlyCommand } from "@hotset/test-servers";
import { createClient } from "@redis/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LoadPlan } from "../support/fleet-member.ts";
import {
  atOnce,
  gone,
  loadsNow,
  PATIENCE,
  Pool,
  TOPOLOGIES,
  waitsFor,
  type Fleet,
  type FleetSettings,
  type Member,
} from "../support/fleet.ts";
import { READ } from "../support/stored-entries.ts";

const pool = new Pool();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hotset-fleet-"));
});
afterAll(async () => {
  await pool.end();
  await rm(folder, { recursive: true });
});

/** No waiter of them looks again by itself: each has to be woken. */
const WAITING: readonly FleetSettings[] = [{ leaseTimeMs: 60_000 }, { isTimeless: true }, { isTimeless: true }];
/** Cluster nodes forward messages: a late duplicate may remove the copy just before the process is blocked. */
const ATTEMPTS = 4;

type Change = readonly [what: string, change: (by: Member) => Promise<{ readonly status: string }>, left: unknown];
const CHANGES: readonly Change[] = [
  ["delete", (by) => by.delete("k"), undefined],
  ["set", (by) => by.set("k", "set", { tags: ["t"] }), "set"],
  ["invalidateTags", (by) => by.invalidateTags("t"), undefined],
  ["clear", (by) => by.clear(), undefined],
];

const CHANNELS: FleetSettings = { coherence: "pubsub" };
const MODES: readonly (readonly [what: string, settings: readonly FleetSettings[]])[] = [
  ["tracking", [{}, {}, {}]],
  ["channels", [CHANNELS, CHANNELS, CHANNELS]],
  ["channels, one of them over RESP2", [CHANNELS, CHANNELS, { ...CHANNELS, protocol: 2 }]],
];

const keysOf = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `k${i}`);
const nothing = new Map<string, unknown>();

describe.each(TOPOLOGIES)("over %s", (topology) => {
  let servers: FleetServers;
  beforeAll(async () => {
    servers = await pool.servers(topology);
  });

  describe("a load", () => {
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

    it("a refresh that three processes ask for by maxAge is one load, and all get its value", async () => {
      // Strings know the age of a value as well as the clock of its server: decision 0149.
      await using fleet = await pool.open(servers, 3, { layout: "full" });
      const [first, ...others] = fleet.members as [Member, ...Member[]];
      for (const maxAge of [0, "1ms"] as const) {
        const key = `tick ${maxAge}`;
        for (const member of fleet.members.toReversed())
          expect(await member.getOrSet(key, { value: "old" })).toBe("old");
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

    /** Lets `fleet[0]` hold the lease while the others wait, and lets its load end. */
    const endWhileOthersWait = async (fleet: Fleet, key: string, plan: LoadPlan, theirs: LoadPlan) => {
      const [holder, ...others] = fleet.members as [Member, ...Member[]];
      const held = holder.serve(key, { gate: key, ...plan }, { tags: ["t"] });
      await loadsNow(holder, key);
      const calls = others.map((member) => member.serve(key, theirs, { tags: ["t"] }));
      await Promise.all(others.map((member) => waitsFor(member, key)));
      await holder.openGate(key);
      return { held: await held, outcomes: await Promise.all(calls) };
    };

    it("C52: a waiter for a load elsewhere is woken by its end, and reads the stored entry", async () => {
      await using fleet = await pool.open(servers, 3, WAITING);
      const { held, outcomes } = await endWhileOthersWait(fleet, "k", { value: "first" }, { value: "second" });
      expect(held).toMatchObject({ value: "first", status: "miss" });
      for (const outcome of outcomes) expect(outcome).toMatchObject({ value: "first", status: "hit", tier: "redis" });
      expect(await fleet.loads("k")).toHaveLength(1);
    });

    it("C52 C56: when a load fails, one waiter elsewhere loads at once, and the others wait for that load", async () => {
      await using fleet = await pool.open(servers, 3, WAITING);
      const failing = { fails: "the source is down" };
      const { held, outcomes } = await endWhileOthersWait(fleet, "k", failing, { value: "second", takesMs: 50 });
      expect(held).toMatchObject({ failed: "the source is down" });
      for (const outcome of outcomes) expect(outcome).toMatchObject({ value: "second" });
      const runs = await fleet.loads("k");
      expect([runs.length, atOnce(runs)]).toEqual([2, 1]);
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
      } finally {
        primary.resume();
      }
      await fleet.inStep();
      expect(await fleet.members[0]!.getOrSet("after", { value: "loaded" })).toBe("loaded");
      expect(await fleet.members[1]!.getOrSet("after", { value: "again" })).toBe("loaded");
    });
  });

  describe("a change", () => {
    it.for(CHANGES)(
      "C61 C59 C60 C66: after %s in one process no call joins or waits for an older load of another, and its result is not kept",
      async ([, change, left]) => {
        await using fleet = await pool.open(servers, 3);
        const [loading, changing, third] = fleet.members as [Member, Member, Member];
        const before = loading.getOrSet("k", { gate: "k", value: "older" }, { tags: ["t"] });
        await loadsNow(loading, "k");
        expect((await change(changing)).status).toMatch(/^(stored|missing|done)$/);
        // A call that follows the message knows of the change.
        await fleet.receivesMessages("k");
        const after = await Promise.all(
          [loading, third].map((member) => member.serve("k", { value: "newer" }, { tags: ["t"] })),
        );
        const expected = left ?? "newer";
        expect(after).toEqual([
          expect.objectContaining({ value: expected }),
          expect.objectContaining({ value: expected }),
        ]);
        await loading.openGate("k");
        expect(await before).toBe("older");
        for (const member of fleet.members) {
          expect(await member.get("k")).toBe(expected);
          expect([undefined, expected]).toContain(await member.peek("k"));
        }
        expect(await fleet.stored("k")).toBe(JSON.stringify(expected));
        expect((await fleet.loads("k")).length).toBe(left === undefined ? 2 : 1);
      },
    );

    it.for<readonly [mode: "tracking" | "pubsub"]>([["tracking"], ["pubsub"]])(
      "a current read after a change answers nothing older, also before its message has arrived (%s)",
      async ([coherence]) => {
        await using fleet = await pool.open(servers, 2, { coherence });
        const [changing, reading] = fleet.members as [Member, Member];
        const cases: readonly (readonly [...Change, got: unknown])[] = CHANGES.map((each) => [
          ...each,
          each[2] ?? "loaded",
        ]);
        for (const [what, change, , got] of cases) {
          let peeked: unknown;
          for (let attempt = 0; peeked !== "old" && attempt < ATTEMPTS; attempt += 1) {
            await changing.set("k", "old", { tags: ["t"] });
            await fleet.allHold("k", "old");
            // All messages until now have arrived.
            await reading.getMany(["k", "something else", "another thing"]);
            await fleet.allHold("k", "old");
            const [begun, end] = ["begun", "end"].map((name) =>
              join(folder, `${topology} ${coherence} ${what} ${attempt} ${name}`),
            ) as [string, string];
            const blocked = reading.blocked("k", begun, end);
            await until("a process whose loop is blocked", () => Promise.resolve(existsSync(begun)));
            await change(changing);
            await writeWhole(end, "read");
            const outcome = await blocked;
            expect(outcome.got, what).toBe(got);
            peeked = outcome.peeked;
          }
          expect(peeked, what).toBe("old");
        }
      },
    );
  });

  describe.skipIf(topology === "sentinel")("a reply that is held up", () => {
    it.for(CHANGES)(
      "C62 C63: a read in flight that %s elsewhere overtook leaves no copy",
      async ([what, change, left]) => {
        await using fleet = await pool.open(servers, 2);
        const [changing, reading] = fleet.members as [Member, Member];
        await changing.set("k", "old", { tags: ["t"] });
        for (const begin of [
          () => reading.get("k"),
          () => reading.getOrSet("k", { value: "loaded" }, { tags: ["t"] }),
        ]) {
          const hold = (await servers.proxyOf(fleet.keyOf("k")))!.hold(reads(fleet, "k"), "reply");
          const read = begin();
          await hold.reached;
          await change(changing);
          hold.release();
          // It began before: any value of that time is an answer.
          expect(["old", left, "loaded"]).toContain(await read);
          await fleet.receivesMessages("k");
          expect(await reading.peek("k"), what).not.toBe("old");
          expect(await reading.get("k"), what).not.toBe("old");
          await changing.delete("k");
          await changing.set("k", "old", { tags: ["t"] });
        }
      },
    );

    it("C64: a write that was stuck in a connection does not come after a later one over the next", async () => {
      await using fleet = await pool.open(servers, 2, { responseTimeoutMs: 2_500, maxStalenessMs: 2_000 });
      const [writing, other] = fleet.members as [Member, Member];
      const proxy = (await servers.proxyOf(fleet.keyOf("k")))!;
      const hold = proxy.hold((command) => command.some((text) => text.includes("stuck")));
      expect(await writing.set("k", "stuck")).toEqual({ status: "pending" });
      await hold.reached;
      await fleet.inStep();
      expect(await writing.set("k", "newer")).toMatchObject({ status: "stored" });
      const open = proxy.openConnections;
      hold.release();
      await expect.poll(() => proxy.openConnections, PATIENCE).toBeLessThan(open);
      for (let i = 0; i < 20; i += 1) {
        expect(await fleet.stored("k")).toBe('"newer"');
        expect([await writing.get("k"), await other.get("k")]).toEqual(["newer", "newer"]);
      }
    });
  });

  describe("a copy", () => {
    const changes: readonly (readonly [what: string, change: (by: Member, i: number) => Promise<unknown>])[] = [
      ["set", (by, i) => by.set("k", `new ${i}`, { tags: ["t"] })],
      ["delete", (by) => by.delete("k")],
      ["markStale", (by) => by.markStale("k")],
      ["invalidateTags", (by) => by.invalidateTags("t")],
      ["markTagsStale", (by) => by.markTagsStale("t")],
      ["clear", (by) => by.clear()],
      ["a load", (by, i) => by.getOrSet("k", { value: `new ${i}` }, { forceRefresh: true, tags: ["t"] })],
    ];
    it.for(MODES)(
      "C81 C83: a change by each process is seen by the others within one delivery, by %s",
      async ([, settings]) => {
        // No copy of them ends by itself.
        const timeless = settings.map((each) => ({ ...each, isTimeless: true }));
        await using fleet = await pool.open(servers, 3, timeless);
        for (const [what, change] of changes) {
          for (const [i, changing] of fleet.members.entries()) {
            await changing.set("k", "old", { tags: ["t"] });
            for (const member of fleet.members)
              await expect
                .poll(async () => [await member.get("k"), await member.peek("k")], PATIENCE)
                .toEqual(["old", "old"]);
            await change(changing, i);
            for (const member of fleet.members) {
              await gone(member, "k", "old");
              expect([undefined, `new ${i}`], what).toContain(await member.get("k"));
            }
          }
        }
      },
    );

    it.for([
      ["tracking", {}],
      ["channels", { coherence: "pubsub" }],
    ] as const)(
      "C82: messages about its own writes cost a process none of 500 copies that it set, and none of 500 that it loaded, by %s",
      async ([, settings]) => {
        await using fleet = await pool.open(servers, 2, settings);
        const [one, other] = fleet.members as [Member, Member];
        const [set, loaded] = ["set", "loaded"].map((how) => Array.from({ length: 500 }, (_, i) => `${how} ${i}`)) as [
          string[],
          string[],
        ];
        // Creating the version of a tag, once, is a change of its own.
        await one.set("first", "value", { tags: ["t"] });
        await fleet.allHold("first", "value");
        for (let i = 0; i < set.length; i += 50)
          expect(
            await one.setMany(
              set.slice(i, i + 50).map((key) => [key, key] as const),
              { tags: ["t"] },
            ),
          ).toMatchObject({ stored: 50 });
        for (let i = 0; i < loaded.length; i += 50)
          await Promise.all(loaded.slice(i, i + 50).map((key) => one.getOrSet(key, { value: key }, { tags: ["t"] })));
        for (const keys of [set, loaded]) {
          // They are confirmed in the background.
          await expect.poll(async () => (await one.peekMany(keys)).size, PATIENCE).toBe(500);
          for (const [key, value] of await one.peekMany(keys)) expect(value).toBe(key);
        }
        // No copy is one that another process has replaced meanwhile.
        await Promise.all([
          other.setMany(set.map((key) => [key, "theirs"] as const)),
          one.setMany(set.map((key) => [key, "mine"] as const)),
        ]);
        // A reply comes after the earlier messages of its server.
        for (const { port } of await servers.primaries()) {
          const beside = await keyOn(fleet, port);
          for (const member of fleet.members) await member.get(beside);
        }
        const now = await one.getMany(set);
        for (const member of fleet.members)
          for (const [key, value] of await member.peekMany(set)) expect(value, key).toBe(now.get(key));
      },
    );

    it("C84: over channels a message names a key and its sender, and comes once the change is in Redis", async () => {
      await using fleet = await pool.open(servers, 2, { coherence: "pubsub" });
      const [one, other] = fleet.members as [Member, Member];
      // The first write creates the version of the namespace, too. In a cluster its messages may come late.
      await one.set("another key", { secret: 0 });
      await using reported = await listen(fleet);
      const ofK = () => reported.messages.filter(({ text }) => text.endsWith(` ${fleet.keyOf("k")}`));
      for (let i = 1; i <= 50; i += 1) await one.set("k", { secret: i });
      await until("50 messages", () => Promise.resolve(ofK().length >= 50));
      const before = reported.messages.length;
      for (const [i, { text, there }] of ofK().slice(0, 50).entries()) {
        expect(text).toMatch(new RegExp(`^1 [\\w-]+ ${fleet.keyOf("k")}$`));
        expect((JSON.parse(there!) as { secret: number }).secret).toBeGreaterThanOrEqual(i + 1);
      }
      for (const change of [
        () => other.delete("k"),
        () => one.getOrSet("k", { value: "secret" }, { tags: ["t"] }),
        () => one.markStale("k"),
        () => one.invalidateTags("t"),
        () => other.clear(),
      ])
        await change();
      await until("messages of all of these", () =>
        Promise.resolve(
          [fleet.keyOf("k"), fleet.tagKeyOf("t"), fleet.tagKeyOf("")].every((key) =>
            reported.messages.slice(before).some(({ text }) => text.endsWith(` ${key}`)),
          ),
        ),
      );
      for (const { text } of reported.messages) expect(text).not.toContain("secret");
      expect(new Set(reported.messages.map(({ text }) => text.split(" ")[1])).size).toBe(2);
    });

    it("C88: messages that are malformed, of another version or of another channel change nothing", async () => {
      await using fleet = await pool.open(servers, 2, { coherence: "pubsub" });
      const [one, other] = fleet.members as [Member, Member];
      const [primary] = await servers.primaries();
      const say = (channel: string, text: string | Uint8Array) => primary!.command("PUBLISH", channel, text);
      const key = fleet.keyOf("k");
      const [own, foreign] = [`${fleet.keyPrefix}~changes`, "somebody~changes"];
      // A process receives each message once from each primary. A primary sends them in the order of calls.
      const allArrived = async (last: string): Promise<void> => {
        const primaries = await servers.primaries();
        for (const each of primaries) await each.command("PUBLISH", own, `1 x ${fleet.keyOf(last)}`);
        for (const member of fleet.members)
          await until(`all messages until ${last}`, async () => {
            const arrived = (await member.explain(last)).filter((decision) =>
              decision.startsWith("changed: elsewhere"),
            );
            return arrived.length === primaries.length ** 2;
          });
      };
      await one.set("k", "value", { tags: ["t"] });
      await allArrived("last of the set");
      await fleet.allHold("k", "value");
      for (const text of [
        "",
        " ",
        "1",
        "1 ",
        "1 x",
        "1 x ",
        `0 x ${key}`,
        `2 x ${key}`,
        `x 1 ${key}`,
        `1  ${key}`,
        `1 x ${key} more`,
        `{"key":"${key}"}`,
        key,
        "1 x other:shop::k",
        "1 x :",
        "\0\0",
        "1".repeat(100_000),
        `1 ${"x".repeat(100_000)} none`,
      ])
        await say(own, text);
      await say(own, Uint8Array.of(0xff, 0xfe, 0x20, 0xc3, 0x28));
      for (const channel of [foreign, `${fleet.keyPrefix}~change`, `${fleet.keyPrefix}:changes`])
        await say(channel, `1 x ${key}`);
      await allArrived("last of these");
      for (const member of fleet.members) {
        expect([await member.peek("k"), await member.state()]).toEqual(["value", "up"]);
        expect(await member.events("backend:error")).toEqual([]);
      }
      // A well-formed message counts, from any sender.
      await say(own, `1 x ${key}`);
      for (const member of fleet.members) await gone(member, "k", "value");
      for (const member of fleet.members) expect(await member.get("k")).toBe("value");
      await other.set("k", "new");
      await gone(one, "k", "value");
    });
  });

  describe("a tag", () => {
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
      "over %s, after the issuer of tag versions alone was lost, one load with a late tag is not stored at most",
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
});

const reads =
  (fleet: Fleet, key: string) =>
  ([name, redisKey]: ReadonlyCommand): boolean =>
    name === READ && redisKey === fleet.keyOf(key);

async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.next`, text);
  await rename(`${path}.next`, path);
}

interface Listener extends AsyncDisposable {
  /** The messages on the channel of changes, and the value of `k` in Redis after each of them. */
  readonly messages: readonly { readonly text: string; readonly there: string | undefined }[];
}

async function listen(fleet: Fleet): Promise<Listener> {
  const server = await fleet.servers.primaryOf(fleet.keyOf("k"));
  const subscriber = createClient({ url: server.url });
  await subscriber.connect();
  const messages: { text: string; there: string | undefined }[] = [];
  // The reads may end in another order than the messages came.
  let reads = Promise.resolve();
  await subscriber.subscribe(`${fleet.keyPrefix}~changes`, (text) => {
    const reading = fleet.stored("k");
    reads = reads.then(async () => void messages.push({ text, there: await reading }));
  });
  return {
    messages,
    [Symbol.asyncDispose]: () => {
      subscriber.destroy();
      return Promise.resolve();
    },
  };
}

/** A key of the root namespace whose entry lies on the server with this port. */
async function keyOn(fleet: Fleet, port: number): Promise<string> {
  for (let i = 0; ; i += 1)
    if ((await fleet.servers.primaryOf(fleet.keyOf(`last ${i}`))).port === port) return `last ${i}`;
}

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
