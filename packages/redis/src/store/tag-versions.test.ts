import { scheduler } from "node:timers/promises";
import { expect, it } from "vitest";
import { RedisKeys } from "./redis-keys.ts";
import { RedisTagVersions } from "./tag-versions.ts";

it("C80 parsed versions are shared while they come again, and 1,000 at most are kept", async () => {
  let version = "";
  const versions = new RedisTagVersions(
    async () => [Buffer.from(version)],
    new RedisKeys({ prefix: "hotset", format: "readable" }),
    () => "id",
    { channel: "", sender: "" },
  );
  // A new array each time: reads of one array share a command.
  const read = async (text: string) => {
    version = text;
    return (await versions.read(["{~shop}::t"]))[0];
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
  );
  expect(await versions.read(["{~shop}::t", "{~shop}::u"])).toEqual([version, undefined]);
});

it.for(["pin", "renew", "unchangedSince"] as const)(
  "C439 %s of 1,200 tags is a script, and when it was answered 16 at a time, none with more than 64 keys",
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
