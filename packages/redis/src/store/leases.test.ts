import type { StoredEntry } from "@hotset/core";
import { beforeEach, describe, expect, it } from "vitest";
import { Further } from "../connection/command-queue.ts";
import { RedisLeases } from "./leases.ts";
import { ACQUIRE, RELEASE, RENEW_LEASE, STORE } from "../lua/lease-scripts.ts";
import type { Script } from "../lua/script.ts";

const NOW = 1_700_000_000_000;
const NAMES = new Map<Script, string>([
  [ACQUIRE, "ACQUIRE"],
  [RENEW_LEASE, "RENEW_LEASE"],
  [STORE, "STORE"],
  [RELEASE, "RELEASE"],
]);
const stored: StoredEntry = { data: Buffer.from("v"), staleInMs: 60_000, expiresInMs: 360_000, meta: "json none" };

let sent: string[];
/** The replies of the server, in turn. */
let replies: unknown[];
let leases: RedisLeases;

async function converse<T>(
  first: readonly (string | Buffer)[],
  interpret: (reply: unknown) => T | Further,
  send: (args: readonly (string | Buffer)[]) => void,
): Promise<T> {
  for (let args = first; ;) {
    send(args);
    const reply = replies.shift();
    if (reply instanceof Error) throw reply;
    const result = interpret(reply);
    if (!(result instanceof Further)) return result;
    args = result.args;
  }
}

const open = (layout: "full" | "plain"): RedisLeases =>
  new RedisLeases(
    (operation, script, key, args, interpret) =>
      converse(args, interpret, (given) => sent.push([operation, NAMES.get(script), key, ...given].join(" "))),
    (command, key, interpret) =>
      converse(command, interpret, ([name, ...more]) => sent.push([name, key, ...more].join(" "))),
    { layout, leaseMs: 2_000, writeIds: () => "new", epochMs: () => NOW },
  );

beforeEach(() => {
  sent = [];
  replies = [];
  leases = open("full");
});

const fields = (...texts: (string | null)[]) => texts.map((text) => (text === null ? null : Buffer.from(text)));

describe("acquire", () => {
  const acquire = (seen = "w1", isOver?: boolean) => leases.acquire("shop::1", "token", 10_000, seen, isOver);

  it("is granted over the entry there", async () => {
    replies = [
      [1, Buffer.from("")],
      [1, Buffer.from("")],
      [1, Buffer.from("!")],
    ];
    expect(await acquire()).toEqual({ granted: true, version: "" });
    expect(await acquire("w1", true)).toEqual({ granted: true, version: "" });
    expect(await acquire("*")).toEqual({ granted: true, version: "!" });
    expect(sent).toEqual([
      "acquire ACQUIRE shop::1 token 10000 w1 0",
      "acquire ACQUIRE shop::1 token 10000 w1 1",
      "acquire ACQUIRE shop::1 token 10000 * 0",
    ]);
  });

  it("is held for the time left", async () => {
    replies = [[0, 700]];
    expect(await acquire()).toEqual({ granted: false, heldForMs: 700 });
  });

  it("returns the entry that another process stored, as a read would", async () => {
    replies = [
      [2, 301, fields("v", "1", "1 100;json none", "w2")],
      [2, -1, fields("theirs", null, null, null)],
    ];
    expect(await acquire()).toEqual({
      granted: false,
      entry: { data: Buffer.from("v"), staleInMs: 200, expiresInMs: 300, meta: "json none", version: "w2" },
    });
    expect(await acquire()).toEqual({
      granted: false,
      entry: { data: Buffer.from("theirs"), staleInMs: Infinity, expiresInMs: Infinity, meta: "", version: "-" },
    });
  });

  it.each([
    ["without a value", 300, fields(null, "1", "1 100;", "w2"), "w2"],
    ["of another layout", 300, fields("v", "1", "2 100;", "w2"), "w2"],
    ["that ends now", 0, fields("v", "1", "1 100;", "w2"), "w2", "1"],
    ["in its last millisecond", 1, fields("v", "1", "1 100;", "w2"), "w2", "1"],
    ["of another program, and without a value", 300, fields(null, null, null, null), "-"],
  ])("asks again over an entry %s: it cannot be read", async (_, ttlMs, unreadable, version, over = "0") => {
    replies = [
      [2, ttlMs, unreadable],
      [1, Buffer.from(version)],
    ];
    expect(await acquire("")).toEqual({ granted: true, version });
    expect(sent).toEqual([
      "acquire ACQUIRE shop::1 token 10000  0",
      `acquire ACQUIRE shop::1 token 10000 ${version} ${over}`,
    ]);
  });

  it.each([
    [0, "1"],
    [-5, "1"],
    [0.2, "1"],
    [1_500.2, "1501"],
    [60_001, "60000"],
    [Infinity, "60000"],
  ])("lasts whole milliseconds: %d are %s", async (leaseMs, sentMs) => {
    replies = [[1, Buffer.from("")], 1];
    await leases.acquire("shop::1", "token", leaseMs, "");
    await leases.renew("shop::1", "token", leaseMs);
    expect(sent).toEqual([`acquire ACQUIRE shop::1 token ${sentMs}  0`, `renew RENEW_LEASE shop::1 token ${sentMs}`]);
  });

  it("refuses a time that is not a number", async () => {
    await expect(leases.acquire("shop::1", "token", NaN, "")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(leases.renew("shop::1", "token", NaN)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(sent).toEqual([]);
  });
});

describe("store", () => {
  it("sends the expected version, and the entry under its own version or a new one", async () => {
    replies = [1, 0];
    expect(await leases.store("shop::1", "token", "w1", { ...stored, version: "token" })).toBe(true);
    expect(await leases.store("shop::1", "token", "", stored)).toBe(false);
    expect(sent).toEqual([
      "store STORE shop::1 token w1 360000 d v s 1700000060000 m 1 300000;json none w token",
      "store STORE shop::1 token  360000 d v s 1700000060000 m 1 300000;json none w new",
    ]);
  });

  it("C9: of an entry whose lifetime is over is a removal", async () => {
    replies = [1];
    expect(await leases.store("shop::1", "token", "w1", { ...stored, expiresInMs: 0.5 })).toBe(true);
    expect(sent).toEqual(["store STORE shop::1 token w1 0"]);
  });

  it("refuses an entry that cannot be written", async () => {
    await expect(leases.store("shop::1", "token", "", { ...stored, expiresInMs: NaN })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    await expect(leases.store("shop::1", "token", "", { ...stored, version: "*" })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    expect(sent).toEqual([]);
  });
});

describe("confirm", () => {
  it.each([
    ["the version of what is there", [Buffer.from("w1")], "w1", 1],
    ["- for one that could not be a version", [Buffer.from("*")], "-", 1],
    ["- for an entry without one", [null, 3], "-", 2],
    ["nothing for no entry", [null, 0], "", 2],
    [
      "! for a key of another type",
      [new Error("WRONGTYPE Operation against a key holding the wrong kind of value")],
      "!",
      1,
    ],
  ])("is %s", async (_, answers, expected, commands) => {
    replies = [...answers];
    expect(await leases.confirm("shop::1")).toBe(expected);
    expect(sent).toEqual(["HGET shop::1 w", "HLEN shop::1"].slice(0, commands));
  });

  it("fails as its command does", async () => {
    replies = [new Error("NOPERM this user has no permissions")];
    await expect(leases.confirm("shop::1")).rejects.toThrow(/^NOPERM/);
  });
});

describe("the plain layout", () => {
  it("compares nothing, and confirms nothing", async () => {
    leases = open("plain");
    replies = [[1, Buffer.from("")], [1, Buffer.from("-")], 1];
    expect(await leases.acquire("shop::1", "token", 1, "w1")).toEqual({ granted: true, version: "" });
    expect(await leases.acquire("shop::1", "token", 1, "*")).toEqual({ granted: true, version: "" });
    expect(await leases.store("shop::1", "token", "w1", stored)).toBe(true);
    expect(await leases.confirm("shop::1")).toBe("");
    expect(sent).toEqual([
      "acquire ACQUIRE shop::1 token 1 ? 0",
      "acquire ACQUIRE shop::1 token 1 * 0",
      "store STORE shop::1 token ? 360000 d v s 1700000060000",
    ]);
  });
});
