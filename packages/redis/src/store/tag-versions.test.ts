import { scheduler } from "node:timers/promises";
import { BackendUnavailableError } from "@hotset/core";
import { expect, it } from "vitest";
import { RedisKeys } from "./redis-keys.ts";
import { RedisTagVersions } from "./tag-versions.ts";

it("C80 parsed versions are shared while they come again, and 1,000 at most are kept", async () => {
  let version = "";
  const versions = new RedisTagVersions(
    async () => [Buffer.from(version), null],
    new RedisKeys({ prefix: "hotset", format: "readable" }),
    () => "id",
    { channel: "", sender: "" },
    () => 0,
  );
  // A new list each time: reads of one list, or of one tag alone, share a command.
  const read = async (text: string) => {
    version = text;
    return (await versions.read(["{~shop}::t", "{~shop}::u"]))[0];
  };
  const first = await read("h0|s0");
  expect(first).toEqual({ hard: "h0", soft: "s0" });
  for (let i = 1; i < 1_000; i += 1) await read(`h${i}|s${i}`);
  expect(await read("h0|s0")).toBe(first);
  await read("another|one");
  expect(await read("h0|s0")).not.toBe(first);
});

it.each([
  ["h|s", { hard: "h", soft: "s" }],
  ["|s", undefined],
  ["h|", undefined],
  ["|", undefined],
  ["hs", undefined],
  ["h|s|x", undefined],
  ["", undefined],
  [`h|${"s".repeat(78)}`, { hard: "h", soft: "s".repeat(78) }],
  [`h|${"s".repeat(79)}`, undefined],
])("what another program wrote into a version does not count, unless it could be one: %j", async (text, version) => {
  const versions = new RedisTagVersions(
    async () => [Buffer.from(text), null],
    new RedisKeys({ prefix: "hotset", format: "readable" }),
    () => "id",
    { channel: "", sender: "" },
    () => 0,
  );
  expect(await versions.read(["{~shop}::t", "{~shop}::u"])).toEqual([version, undefined]);
});

it.for(["pin", "renew", "unchangedSince"] as const)(
  "%s of 1,200 tags is a script, and when it was answered 16 at a time, none with more than 64 keys",
  async (operation) => {
    const sent: (readonly string[])[] = [];
    let [underWay, most] = [0, 0];
    const versions = new RedisTagVersions(
      async (args) => {
        const keys = (args as string[]).slice(3, 3 + Number(args[2]));
        sent.push(keys);
        const at = sent.length;
        most = Math.max(most, (underWay += 1));
        if (at === 2) expect(underWay).toBe(1);
        await scheduler.yield();
        underWay -= 1;
        const found = keys.slice(1).map((key) => Buffer.from(`h|${key.split("::")[1]}`));
        return operation === "pin" ? [Buffer.from(`at ${at}`), ...found] : found;
      },
      new RedisKeys({ prefix: "hotset", format: "readable" }),
      () => "id",
      { channel: "", sender: "" },
      () => 0,
    );
    const tags = Array.from({ length: 1_200 }, (_, i) => `{~shop}::${i}`);
    const expected = tags.map((_, i) => ({ hard: "h", soft: String(i) }));
    const answer =
      operation === "pin"
        ? await versions.pin(tags)
        : operation === "renew"
          ? await versions.renew(tags, "hard")
          : await versions.unchangedSince("at 0", tags);
    expect(answer).toEqual(
      { pin: { at: "at 1", versions: expected }, renew: undefined, unchangedSince: expected }[operation],
    );
    const issuer = sent[0]![0];
    expect(sent.map((keys) => [keys[0], keys.length])).toEqual([...Array(19).fill([issuer, 64]), [issuer, 4]]);
    expect(most).toBe(16);
    expect(sent.flatMap((keys) => keys.slice(1)).map((key) => key.split("::")[1])).toEqual(
      tags.map((_, i) => String(i)),
    );
  },
);

it("pins after a change by plain commands, the position first, for six hours after the script", async () => {
  const [tag, other] = ["{~shop}::t", "{~shop}::u"];
  const keys = new RedisKeys({ prefix: "hotset", format: "readable" });
  const issuer = keys.issuer(tag);
  let sent: string[] = [];
  let now = 0;
  let [n, found]: [Buffer | null, readonly (Buffer | null)[]] = [Buffer.from("7"), [Buffer.from("h|s")]];
  const send = async (args: readonly (string | Buffer)[], script?: object): Promise<unknown> => {
    sent.push(script === undefined ? args.join(" ") : "script");
    if (script !== undefined) return [Buffer.from("id.9"), ...Array(Number(args[2]) - 1).fill(Buffer.from("h|s"))];
    return args[0] === "MGET" ? found : [Buffer.from("id"), n];
  };
  const versions = new RedisTagVersions(
    send,
    keys,
    () => "id",
    { channel: "", sender: "" },
    () => now,
  );
  const pinned = async (...tags: readonly string[]): Promise<readonly [at: string, sent: readonly string[]]> => {
    sent = [];
    const pin = await versions.pin(tags);
    expect(pin.versions).toEqual(tags.map(() => ({ hard: "h", soft: "s" })));
    return [pin.at, sent];
  };
  const plain = [`hmget ${issuer} id n`, `MGET ${keys.entry(tag)}`];
  expect(await pinned(tag)).toEqual(["id.9", ["script"]]);
  expect(await pinned(tag)).toEqual(["id.7", plain]);
  // The life of the other one may have to be prolonged.
  expect(await pinned(tag, other)).toEqual(["id.9", ["script"]]);
  now = 6 * 3_600_000 - 1;
  expect(await pinned(tag)).toEqual(["id.7", plain]);
  found = [null];
  expect(await pinned(tag)).toEqual(["id.9", [...plain, "script"]]);
  [n, found] = [null, [Buffer.from("h|s")]];
  expect(await pinned(tag)).toEqual(["id.9", [...plain, "script"]]);
  n = Buffer.from("7");
  now = 12 * 3_600_000 - 1;
  expect(await pinned(tag)).toEqual(["id.9", ["script"]]);
});

it("remembers the prolongation of 10,000 tags, so that a load under each pins it by plain commands", async () => {
  const keys = new RedisKeys({ prefix: "hotset", format: "readable" });
  let scripts = 0;
  const send = async (args: readonly (string | Buffer)[], script?: object): Promise<unknown> => {
    if (script !== undefined) {
      scripts += 1;
      return [Buffer.from("id.9"), Buffer.from("h|s")];
    }
    return args[0] === "MGET" ? [Buffer.from("h|s")] : [Buffer.from("id"), Buffer.from("9")];
  };
  const versions = new RedisTagVersions(
    send,
    keys,
    () => "id",
    { channel: "", sender: "" },
    () => 0,
  );
  const scriptsOf = async (count: number): Promise<number> => {
    scripts = 0;
    for (let i = 0; i < count; i += 1) await versions.pin([`{~shop}::t${i}`]);
    return scripts;
  };
  expect(await scriptsOf(10_000)).toBe(10_000);
  expect(await scriptsOf(10_000)).toBe(0);
  // One more forgets them, so that the table has an end.
  expect(await scriptsOf(10_001)).toBe(1);
  expect(await scriptsOf(1)).toBe(1);
});

it("asks the script where a plain command is refused, and not where nothing answers", async () => {
  const tag = "{~shop}::t";
  let sent: unknown[] = [];
  let error: Error | undefined;
  const send = async (args: readonly (string | Buffer)[]): Promise<unknown> => {
    sent.push(args[0]);
    if (args[0] === "EVALSHA") return [Buffer.from("id.9"), Buffer.from("h|s")];
    throw error;
  };
  const versions = new RedisTagVersions(
    send,
    new RedisKeys({ prefix: "hotset", format: "readable" }),
    () => "id",
    { channel: "", sender: "" },
    () => 0,
  );
  const { at } = await versions.pin([tag]);
  sent = [];
  error = new Error("NOPERM this user has no permissions to run the 'hmget' command");
  expect((await versions.pin([tag])).at).toBe(at);
  expect(sent).toEqual(["hmget", "MGET", "EVALSHA"]);
  sent = [];
  error = new BackendUnavailableError("tags was not answered");
  await expect(versions.pin([tag])).rejects.toBe(error);
  expect(sent).toEqual(["hmget", "MGET"]);
});
