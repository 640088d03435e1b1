/** Messages about changes between processes: how soon they arrive, their content, and their effect. */
import { until } from "@hotset/test-servers";
import { createClient } from "@redis/client";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gone, PATIENCE, Pool, type Fleet, type FleetSettings, type Member } from "../support/fleet.ts";
import { TOPOLOGIES, type FleetServers } from "@hotset/test-servers";

const pool = new Pool();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hotset-coherence-"));
});
afterAll(async () => {
  await pool.end();
  await rm(folder, { recursive: true });
});

const CHANNELS: FleetSettings = { coherence: "pubsub" };
const MODES: readonly (readonly [what: string, settings: readonly FleetSettings[]])[] = [
  ["tracking", [{}, {}, {}]],
  ["channels", [CHANNELS, CHANNELS, CHANNELS]],
  ["channels, one of them over RESP2", [CHANNELS, CHANNELS, { ...CHANNELS, protocol: 2 }]],
];

describe.each(TOPOLOGIES)("over %s", (topology) => {
  let servers: FleetServers;
  beforeAll(async () => {
    servers = await pool.servers(topology);
  });

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
      await using fleet = await pool.open(servers, 3, settings);
      for (const [what, change] of changes) {
        const took: number[] = [];
        for (const [i, changing] of fleet.members.entries()) {
          await changing.set("k", "old", { tags: ["t"] });
          for (const member of fleet.members)
            await expect
              .poll(async () => [await member.get("k"), await member.peek("k")], PATIENCE)
              .toEqual(["old", "old"]);
          await change(changing, i);
          for (const member of fleet.members) {
            took.push(await gone(member, "k", "old"));
            expect([undefined, `new ${i}`], what).toContain(await member.get("k"));
          }
        }
        // The rest is for a busy machine.
        expect(Math.min(...took), what).toBeLessThan(100);
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
    await until("50 messages", PATIENCE.timeout, () => Promise.resolve(ofK().length >= 50));
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
    await until("messages of all of these", PATIENCE.timeout, () =>
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
    // A process hears each message once from each primary. Those of one primary come in the order of their calls.
    const allArrived = async (last: string): Promise<void> => {
      const primaries = await servers.primaries();
      for (const each of primaries) await each.command("PUBLISH", own, `1 x ${fleet.keyOf(last)}`);
      for (const member of fleet.members)
        await until(`all messages until ${last}`, PATIENCE.timeout, async () => {
          const arrived = (await member.explain(last)).filter((decision) => decision.startsWith("changed: elsewhere"));
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
