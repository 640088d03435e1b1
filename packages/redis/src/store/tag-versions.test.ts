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
