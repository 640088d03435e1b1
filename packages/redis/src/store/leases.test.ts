import type { StoredEntry } from "@hotset/core";
import { beforeEach, describe, expect, it } from "vitest";
import { Further } from "../connection/command-queue.ts";
import { HASH_LEASES } from "../lua/lease-scripts.ts";
import { hashes } from "./entry-fields.ts";
import { RedisLeases } from "./leases.ts";
import { over } from "./steps.ts";

const NOW = 1_700_000_000_000;
const NAMES = new Map<string, string>([
  [HASH_LEASES.acquire.text, "ACQUIRE"],
  [HASH_LEASES.renew.text, "RENEW"],
  [HASH_LEASES.store.text, "STORE"],
  [HASH_LEASES.release.text, "RELEASE"],
]);
const stored: StoredEntry = { data: Buffer.from("v"), staleInMs: 60_000, expiresInMs: 360_000, meta: "json none" };

let sent: string[];
/** The replies of the server, in turn. */
let replies: unknown[];
let leases: RedisLeases;
let now = 0;

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

const open = (layout: "full" | "plain", isShared = false): RedisLeases =>
  new RedisLeases(
    {
      run: ({ operation, key, script, over: its, args, interpret, plain }) => {
        const asked = (on: string) => (given: readonly (string | Buffer)[]) =>
          sent.push([operation, NAMES.get(script.text), on, ...given].join(" "));
        if (plain === undefined) return converse(args, interpret, asked(its === "entry" ? key : `${key}+lease`));
        const answers = plain.commands(key, "lease").map((command) => {
          sent.push(command.join(" "));
          return replies.shift();
        });
        const settled = plain.settled(answers);
        return settled instanceof Further ? converse(settled.args, interpret, asked(key)) : Promise.resolve(settled);
      },
      confirm: async (key, { command, interpret, onWrongType }) => {
        const send = (args: readonly (string | Buffer)[]): unknown => sent.push(over(key, args).join(" "));
        try {
          return await converse(command, interpret, send);
        } catch (error) {
          const further = String(error).includes("WRONGTYPE") ? onWrongType?.() : undefined;
          if (further === undefined) throw error;
          return converse(further.args, interpret, send);
        }
      },
      counted: (_, change) => change(),
      mayPlace: () => !isShared,
      announces: false,
      keepsCopies: () => true,
      now: () => now,
      timeAt: () => NOW,
      epochMs: () => NOW,
    },
    hashes(layout),
    { leaseMs: 2_000, writeIds: () => "new" },
  );

beforeEach(() => {
  sent = [];
  replies = [];
  now = 0;
  leases = open("full");
});

const fields = (...texts: (string | null)[]) => texts.map((text) => (text === null ? null : Buffer.from(text)));

describe("acquire", () => {
  const acquire = (seen = "w1", isOver?: boolean) =>
    leases.acquire({ key: "shop::1", token: "token", leaseMs: 10_000, seen, isOver });

  it("asks the script to take it from its holder, and over an entry that has ended", async () => {
    replies = [
      [1, Buffer.from("")],
      [1, Buffer.from("!")],
      [1, Buffer.from("-")],
    ];
    expect(await acquire("w1", true)).toEqual({ granted: true, version: "" });
    expect(await acquire("*")).toEqual({ granted: true, version: "!" });
    expect(await acquire("-")).toEqual({ granted: true, version: "-" });
    expect(sent).toEqual([
      "acquire ACQUIRE shop::1+lease token 10000 w1 0 1",
      "acquire ACQUIRE shop::1+lease token 10000 * 0 0",
      "acquire ACQUIRE shop::1+lease token 10000 - 0 0",
    ]);
  });

  const beside = ["SET lease token NX PX 10000", "HGET shop::1 s", "pttl lease"];
  const head = (version: string): Buffer => Buffer.from(`100 ${version};json none`);

  it.each<[string, unknown[], object]>([
    ["granted", [Buffer.from("OK"), head("w1"), 10_000], { granted: true, version: "w1" }],
    ["held for the time left", [null, head("w1"), 700], { granted: false, heldForMs: 700 }],
    ["held for the longest time that any is", [null, head("w1"), 60_000], { granted: false, heldForMs: 60_000 }],
  ])("takes plain commands over the entry there: it is %s", async (_, answers, result) => {
    replies = answers;
    expect(await acquire()).toEqual(result);
    expect(sent).toEqual(beside);
  });

  it.each<[string, unknown[]]>([
    ["it was set, and the entry has changed", [Buffer.from("OK"), head("w2"), 10_000]],
    ["another holds it, and the entry has changed", [null, head("w2"), 700]],
    ["the entry is gone", [Buffer.from("OK"), null, 10_000]],
    ["it has ended since", [null, head("w1"), -2]],
    ["it has no end", [null, head("w1"), -1]],
    ["more time is left than any is given", [null, head("w1"), 60_001]],
    ["the version may not be read", [Buffer.from("OK"), new Error("NOPERM"), 10_000]],
    ["memory is full", [new Error("OOM"), head("w1"), -2]],
  ])("asks the script, which gives up a lease of this token, where %s", async (_, answers) => {
    replies = [...answers, [1, Buffer.from("w2")]];
    expect(await acquire()).toEqual({ granted: true, version: "w2" });
    expect(sent).toEqual([...beside, "acquire ACQUIRE shop::1 token 10000 w1 2 0"]);
  });

  it("returns the entry that another process stored, as a read would", async () => {
    const changed = [Buffer.from("OK"), head("w3"), 10_000];
    replies = [...changed, [2, 301, fields("v", "100 w2;json none")], ...changed, [2, -1, fields("theirs", null)]];
    expect(await acquire()).toEqual({
      granted: false,
      entry: { data: Buffer.from("v"), staleInMs: 200, expiresInMs: 300, meta: "json none", version: "w2" },
    });
    expect(await acquire()).toEqual({
      granted: false,
      entry: { data: Buffer.from("theirs"), staleInMs: Infinity, expiresInMs: Infinity, meta: "", version: "-" },
    });
  });

  const mine = "\xc1\x00token";

  it("takes plain commands over nothing: the placeholder, a look at the lease of a refresh, and a read", async () => {
    replies = [Buffer.from("OK"), null, [Buffer.from(mine, "latin1")]];
    expect(await acquire("")).toEqual({ granted: true, version: "" });
    const placeholder = Buffer.from(mine, "latin1").toString();
    expect(sent).toEqual([`SET shop::1 ${placeholder} NX PX 10000`, "GETEX lease", "MGET shop::1"]);
  });

  it.each<[string, unknown[], string]>([
    ["something is there", [null, null, [null]], "0"],
    ["a refresh runs", [Buffer.from("OK"), Buffer.from("theirs"), [Buffer.from(mine, "latin1")]], "1"],
    ["the placeholder is gone again", [Buffer.from("OK"), null, [null]], "1"],
    ["it is that of another", [Buffer.from("OK"), null, [Buffer.from("\xc1\x00other", "latin1")]], "1"],
    ["memory is full", [new Error("OOM"), null, [null]], "0"],
  ])("asks the script where %s", async (_, answers, isTaken) => {
    replies = [...answers, [1, Buffer.from("")]];
    expect(await acquire("")).toEqual({ granted: true, version: "" });
    expect(sent.slice(3)).toEqual([`acquire ACQUIRE shop::1 token 10000  ${isTaken} 0`]);
  });

  it("asks the script alone while a refresh runs, and where GETEX is refused, for a minute", async () => {
    replies = [Buffer.from("OK"), Buffer.from("theirs"), [Buffer.from(mine, "latin1")], [0, 700]];
    expect(await acquire("")).toEqual({ granted: false, heldForMs: 700 });
    const script = "acquire ACQUIRE shop::1+lease token 10000  0 0";
    for (const [until, first] of [
      [700, [0, 0]],
      [60_700, [Buffer.from("OK"), new Error("NOPERM"), [null], [1, Buffer.from("")]]],
    ] as const) {
      now = until - 1;
      if (until > 700) {
        now = 700;
        replies = [...first];
        await acquire("");
        now = until - 1;
      }
      sent = [];
      replies = [[1, Buffer.from("")]];
      await acquire("");
      expect(sent).toEqual([script]);
    }
  });

  it("keeps in mind 1,000 refreshes: each more costs the oldest alone, and one noted again is new", async () => {
    const noted = async (n: number): Promise<void> => {
      replies = [Buffer.from("OK"), Buffer.from("theirs"), [Buffer.from(mine, "latin1")], [0, 700]];
      await leases.acquire({ key: `key ${n}`, token: "token", leaseMs: 10_000, seen: "" });
    };
    for (let n = 0; n < 1_000; n += 1) await noted(n);
    now = 700;
    await noted(1);
    now = 0;
    for (const n of [1_000, 1_001]) await noted(n);
    const isKept = async (n: number): Promise<boolean> => {
      sent = [];
      replies = Array.from({ length: 4 }, () => [1, Buffer.from("")]);
      await leases.acquire({ key: `key ${n}`, token: "token", leaseMs: 10_000, seen: "" });
      return sent[0]!.startsWith("acquire ACQUIRE");
    };
    const kept: number[] = [];
    for (let n = 0; n <= 1_001; n += 1) if (await isKept(n)) kept.push(n);
    // The second of all is newer than the third.
    expect(kept).toEqual([1, ...Array.from({ length: 999 }, (_, n) => n + 3)]);
  });

  it.each([
    ["without a value", 300, fields(null, "100 w2;"), "w2"],
    ["of another layout", 300, fields("v", "100 w2"), "-"],
    ["that ends now", 0, fields("v", "100 w2;"), "w2", "1"],
    ["in its last millisecond", 1, fields("v", "100 w2;"), "w2", "1"],
    ["of another program, and without a value", 300, fields(null, null), "-"],
  ])("asks again over an entry %s: it cannot be read", async (_, ttlMs, unreadable, version, over = "0") => {
    replies = [Buffer.from("OK"), head("w3"), 10_000, [2, ttlMs, unreadable], [1, Buffer.from(version)]];
    expect(await acquire("w1")).toEqual({ granted: true, version });
    expect(sent.slice(3)).toEqual([
      "acquire ACQUIRE shop::1 token 10000 w1 2 0",
      `acquire ACQUIRE shop::1 token 10000 ${version} 0 ${over}`,
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
    await leases.acquire({ key: "shop::1", token: "token", leaseMs, seen: "*" });
    await leases.renew("shop::1", "token", leaseMs);
    expect(sent).toEqual([
      `acquire ACQUIRE shop::1+lease token ${sentMs} * 0 0`,
      `renew RENEW shop::1+lease token ${sentMs}`,
    ]);
  });

  it("refuses a time that is not a number", async () => {
    await expect(leases.acquire({ key: "shop::1", token: "token", leaseMs: NaN, seen: "" })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    await expect(leases.renew("shop::1", "token", NaN)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(sent).toEqual([]);
  });
});

describe("store", () => {
  it("sends the expected version, and the entry under its own version or a new one", async () => {
    replies = [1, 0, 0];
    expect(await leases.store("shop::1", "token", "w1", { ...stored, version: "token" })).toBe(true);
    expect(await leases.store("shop::1", "token", "", stored)).toBe(false);
    expect(sent).toEqual([
      "store STORE shop::1+lease token w1 360000 d v s 300000 token;json none",
      "store STORE shop::1 token  360000 d v s 300000 new;json none",
      "store STORE shop::1 token  360000 d v s 300000 new;json none",
    ]);
  });

  it("C9: of an entry whose lifetime is over is a removal", async () => {
    replies = [1];
    expect(await leases.store("shop::1", "token", "w1", { ...stored, expiresInMs: 0.5 })).toBe(true);
    expect(sent).toEqual(["store STORE shop::1+lease token w1 0"]);
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

const WRONG_TYPE = new Error("WRONGTYPE Operation against a key holding the wrong kind of value");

describe("confirm", () => {
  const [S, LEN, GET] = ["HGET shop::1 s", "HLEN shop::1", "GET shop::1"];

  it.each([
    ["the version of what is there", [Buffer.from("0 w1;json none")], "w1", [S]],
    ["- for one that could not be a version", [Buffer.from("0 *;json none")], "-", [S]],
    ["- for the instant of another program", [Buffer.from("1700000060000")], "-", [S]],
    ["- for an entry without one", [null, 1], "-", [S, LEN]],
    ["nothing for no entry", [null, 0], "", [S, LEN]],
    ["! for a key of another type", [WRONG_TYPE, WRONG_TYPE], "!", [S, GET]],
    ["! for a string", [WRONG_TYPE, Buffer.from("theirs")], "!", [S, GET]],
    ["nothing for a placeholder", [WRONG_TYPE, Buffer.from("\xc1\x00token", "latin1")], "", [S, GET]],
  ])("is %s", async (_, answers, expected, commands) => {
    replies = [...answers];
    expect(await leases.confirm("shop::1")).toBe(expected);
    expect(sent).toEqual(commands);
  });

  it("fails as its command does", async () => {
    replies = [new Error("NOPERM this user has no permissions")];
    await expect(leases.confirm("shop::1")).rejects.toThrow(/^NOPERM/);
  });
});

describe("keys that other programs know", () => {
  it("have no placeholder in the plain layout, which compares nothing, and confirms nothing", async () => {
    leases = open("plain");
    replies = [[1, Buffer.from("")], [1, Buffer.from("-")], 1];
    expect(await leases.acquire({ key: "shop::1", token: "token", leaseMs: 1, seen: "" })).toEqual({
      granted: true,
      version: "",
    });
    expect(await leases.acquire({ key: "shop::1", token: "token", leaseMs: 1, seen: "*" })).toEqual({
      granted: true,
      version: "",
    });
    expect(await leases.store("shop::1", "token", "", stored)).toBe(true);
    expect(await leases.confirm("shop::1")).toBe("");
    expect(sent).toEqual([
      "acquire ACQUIRE shop::1+lease token 1 ? - 0",
      "acquire ACQUIRE shop::1+lease token 1 * - 0",
      "store STORE shop::1+lease token ? 360000 d v s 1700000060000",
    ]);
  });

  it("have none without a prefix, where versions are compared", async () => {
    leases = open("full", true);
    replies = [[1, Buffer.from("")], 1];
    expect(await leases.acquire({ key: "1", token: "token", leaseMs: 1, seen: "" })).toEqual({
      granted: true,
      version: "",
    });
    expect(await leases.store("1", "token", "", { ...stored, version: "token" })).toBe(true);
    expect(sent).toEqual([
      "acquire ACQUIRE 1+lease token 1  - 0",
      "store STORE 1+lease token  360000 d v s 300000 token;json none",
    ]);
  });
});
