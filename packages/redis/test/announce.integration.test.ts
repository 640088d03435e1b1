import { RespClient, startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { RedisClient } from "@redis/client";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { MARK_STALE, REMOVE, WRITE } from "../src/lua/entry-scripts.ts";
import { HASH_LEASES } from "../src/lua/lease-scripts.ts";
import type { Script } from "../src/lua/script.ts";
import { PIN, RENEW, UNCHANGED_SINCE } from "../src/lua/tag-scripts.ts";
import { makeFull } from "./memory-full.ts";

const E = "hotset:shop::user:1";
const L = "hotset~lease:{hotset:shop::user:1}";
const FREED = "hotset:~freed:{hotset:shop::user:1}";
const ISSUER = "hotset~issuer:{~shop}";
const A = "hotset:{~shop}::a";
const B = "hotset:{~shop}::b";
const CHANNEL = "hotset~changes";

const { acquire: ACQUIRE, renew: RENEW_LEASE, store: STORE, release: RELEASE } = HASH_LEASES;

const newClient = (url: string) => new RedisClient({ url });
const messages: string[] = [];

const server = await startOwnRedis();
const subscriber = newClient(server.url);
subscriber.on("error", () => undefined);
await subscriber.connect();
await subscriber.pSubscribe("*", (message, channel) => messages.push(`${channel} ${message}`));
afterAll(async () => {
  subscriber.destroy();
  await server.stop();
});

beforeEach(async () => {
  await server.command("FLUSHALL");
  for (const [name, value] of [
    ["id", "issuer"],
    ["n", "7"],
  ] as const)
    await server.command("HSET", ISSUER, name, value);
  messages.length = 0;
});

/** The messages announced up to now. */
async function announced(): Promise<readonly string[]> {
  await subscriber.sendCommand(["PING"]);
  return messages.splice(0);
}

type Sender = Pick<OwnRedis, "command">;
const run = (by: Sender, { text }: Script, keys: readonly string[], args: readonly string[], channel = CHANNEL) =>
  by.command("EVAL", text, keys.length, ...keys, ...args, channel, "me");
const ENTRY = [E, L];
const LEASE = [E, L, FREED];
const LIFE = String(30 * 86_400_000);
const FIELDS = ["60000", "d", "v", "s", "0 w2;"];

const changed = (...keys: string[]): string[] => keys.map((key) => `${CHANNEL} 1 me ${key}`);

/** The state before, the step, its reply, and the keys that it announces. */
const STEPS: readonly [
  name: string,
  before: readonly (readonly [string, ...string[]])[],
  script: Script,
  keys: readonly string[],
  args: readonly string[],
  reply: unknown,
  keys: readonly string[],
][] = [
  ["write", [], WRITE, ENTRY, FIELDS, 1, [E]],
  ["write over another type", [["SET", E, "x"]], WRITE, ENTRY, FIELDS, 1, [E]],
  ["remove", [["HSET", E, "d", "v"]], REMOVE, ENTRY, [], 1, [E]],
  ["remove what is not there", [], REMOVE, ENTRY, [], 0, [E]],
  ["markStale", [["HSET", E, "d", "v", "s", "5 w1;"]], MARK_STALE, ENTRY, [], 1, [E]],
  ["markStale of what is not there", [], MARK_STALE, ENTRY, [], 0, [E]],
  ["markStale of another type", [["SET", E, "x"]], MARK_STALE, ENTRY, [], 0, [E]],
  ["acquire, granted", [], ACQUIRE, ENTRY, ["mine", "1000", "", "0", "0"], [1, ""], []],
  ["acquire, held without an end", [["SET", L, "theirs"]], ACQUIRE, ENTRY, ["mine", "1000", "", "0", "0"], [1, ""], []],
  ["renew", [["SET", L, "mine"]], RENEW_LEASE, ENTRY, ["mine", "1000"], 1, []],
  ["store", [["SET", L, "mine"]], STORE, ENTRY, ["mine", "", ...FIELDS], 1, [E]],
  ["store, of a life that is over", [["SET", L, "mine"]], STORE, ENTRY, ["mine", "", "0"], 1, [E]],
  ["store without the lease", [["SET", L, "theirs"]], STORE, ENTRY, ["mine", "", ...FIELDS], 0, []],
  [
    "store over something else",
    [
      ["SET", L, "mine"],
      ["HSET", E, "d", "v", "s", "0 w3;"],
    ],
    STORE,
    ENTRY,
    ["mine", "", ...FIELDS],
    0,
    [E],
  ],
  [
    "release",
    [
      ["SET", L, "mine"],
      ["HSET", E, "d", "v"],
    ],
    RELEASE,
    LEASE,
    ["mine"],
    1,
    [FREED],
  ],
  ["release without an entry", [["SET", L, "mine"]], RELEASE, LEASE, ["mine"], 1, [FREED]],
  ["release of another's", [["SET", L, "theirs"]], RELEASE, LEASE, ["mine"], 0, []],
  [
    "pin: those that are issued",
    [["SET", A, "issuer.1|issuer.2"]],
    PIN,
    [ISSUER, A, B],
    ["nonce", LIFE],
    ["issuer.7", "issuer.1|issuer.2", "issuer.7|issuer.7"],
    [B],
  ],
  [
    "renewal of tags",
    [["SET", A, "issuer.1|issuer.2"]],
    RENEW,
    [ISSUER, A, B],
    ["nonce", LIFE, "soft"],
    "issuer.8",
    [A, B],
  ],
  [
    "late tags: those that are issued",
    [["SET", A, "issuer.1|issuer.2"]],
    UNCHANGED_SINCE,
    [ISSUER, A, B],
    ["nonce", LIFE, "issuer.6"],
    ["issuer.1|issuer.2", ""],
    [B],
  ],
];

describe("announcements, in the step of the change", () => {
  it.each(STEPS)("%s", async (_, before, script, keys, args, reply, told) => {
    for (const command of before) await server.command(...command);
    expect(await run(server, script, keys, args)).toEqual(reply);
    expect(await announced()).toEqual(changed(...told));
  });

  it.each(STEPS)("are not made without a channel: %s", async (_, before, script, keys, args, reply) => {
    for (const command of before) await server.command(...command);
    expect(await run(server, script, keys, args, "")).toEqual(reply);
    expect(await announced()).toEqual([]);
  });

  it("name keys as they are, byte by byte", async () => {
    const key = "hotset:shop::é 🦊 \r\n";
    await run(server, REMOVE, [key, `hotset~lease:{${key}}`], []);
    expect(await announced()).toEqual(changed(key));
  });

  it("A94: are made with memory full too, also for a write that was refused", async () => {
    await using full = await startOwnRedis();
    const listener = newClient(full.url);
    await listener.connect();
    const received: string[] = [];
    await listener.subscribe(CHANNEL, (message) => received.push(message));
    await full.command("SET", L, "mine");
    await makeFull(full);
    const large = ["60000", "d", "x".repeat(50_000)];
    await expect(run(full, STORE, ENTRY, ["mine", "", ...large])).rejects.toThrow(/^OOM /);
    await expect(run(full, WRITE, ENTRY, large)).rejects.toThrow(/^OOM /);
    expect(await run(full, RENEW, [ISSUER, A], ["nonce", LIFE, "hard"])).toBe("nonce.1");
    await listener.sendCommand(["PING"]);
    expect(received).toEqual([E, E, A].map((key) => `1 me ${key}`));
    listener.destroy();
  });

  it("do not stop a user without the right to publish from changing entries", async () => {
    await server.command("ACL", "SETUSER", "quiet", "on", ">secret", "~*", "+@all", "resetchannels");
    const quiet = RespClient.fromUrl(server.url.replace("redis://", "redis://quiet:secret@"));
    await expect(quiet.command("PUBLISH", CHANNEL, "x")).rejects.toThrow(/^NOPERM /);
    expect(await run(quiet, WRITE, ENTRY, FIELDS)).toBe(1);
    expect(await run(quiet, PIN, [ISSUER, A], ["nonce", LIFE])).toEqual(["issuer.7", "issuer.7|issuer.7"]);
    expect(await server.command("HGET", E, "d")).toBe("v");
    expect(await announced()).toEqual([]);
    quiet.close();
  });
});
