import { json, type TagVersions } from "@hotset/core";
import { redis, type RedisBackend } from "@hotset/redis";
import { randomPrefix, startOwnRedis, startProxy } from "@hotset/test-servers";
import { afterAll, afterEach, beforeEach, expect, it } from "vitest";
import { makeFull } from "./memory-full.ts";

let prefix: string;
let backend: RedisBackend;
let tags: TagVersions;

const A = "{~shop}::a";
const B = "{~shop}:ns::b";
const ROOT = "{~shop}::";

const over = (url: string) => redis(url).keyPrefix(prefix).valueFormat(json()).responseTimeout("10s");

const server = await startOwnRedis();
afterAll(() => server.stop());
beforeEach(async () => {
  prefix = randomPrefix();
  backend = over(server.url).build();
  tags = backend.tagVersions!;
  await backend.connect!();
});
afterEach(() => backend.close());

/** By a process that has not pinned it within six hours. */
async function pinnedElsewhere(): Promise<void> {
  const other = over(server.url).build();
  await other.tagVersions!.pin([A]);
  await other.close();
}

it("a missing version is read as missing, and issued once it is pinned", async () => {
  expect(await tags.read([A, ROOT])).toEqual([undefined, undefined]);
  const { versions } = await tags.pin([A, ROOT]);
  expect(versions.every(({ hard, soft }) => hard === soft && /^[\w-]{8}\.0$/.test(hard))).toBe(true);
  expect(await tags.read([ROOT, A])).toEqual([versions[1], versions[0]]);
  expect((await tags.pin([A, ROOT])).versions).toEqual(versions);
});

it("a hard renewal changes both halves, a soft one the second, and others stay", async () => {
  const before = (await tags.pin([A, B])).versions;
  await tags.renew([A], "hard");
  const [hard, other] = await tags.read([A, B]);
  expect(hard!.hard).not.toBe(before[0]!.hard);
  expect(hard!.soft).toBe(hard!.hard);
  expect(other).toEqual(before[1]);
  await tags.renew([A], "soft");
  const [soft] = await tags.read([A, B].slice(0, 1));
  expect(soft!.hard).toBe(hard!.hard);
  expect(soft!.soft).not.toBe(hard!.soft);
});

it("C72 no version is issued twice, although many renew at once", async () => {
  const seen = new Set<string>();
  for (let round = 0; round < 50; round += 1) {
    await Promise.all([tags.renew([A], "hard"), tags.renew([A], "hard")]);
    const [version] = await tags.read([A, ROOT].slice(0, 1));
    expect(seen.has(version!.hard)).toBe(false);
    seen.add(version!.hard);
  }
});

it("C73 an issuer that was evicted starts under a new id", async () => {
  await tags.renew([A], "hard");
  const [before] = await tags.read([A]);
  await server.command("DEL", `${prefix}~issuer:{~shop}`, `${prefix}:${A}`);
  await tags.renew([A], "hard");
  const [after] = await tags.read([A, B].slice(0, 1));
  expect(before!.hard.split(".")[1]).toBe("1");
  expect(after!.hard.split(".")[1]).toBe("1");
  expect(after!.hard).not.toBe(before!.hard);
});

it("C41 a late tag counts as unchanged while no tag was renewed since, and never after its own renewal", async () => {
  const { at } = await tags.pin([ROOT]);
  const [late] = await tags.unchangedSince(at, [A]);
  expect(await tags.read([A])).toEqual([late]);
  await tags.renew([B], "hard");
  // A was issued before the renewal of B. A missing one is issued after it: the issuer knows which were renewed.
  expect(await tags.unchangedSince(at, [A])).toEqual([late]);
  expect(await tags.unchangedSince(at, ["{~shop}::missing"])).toEqual(await tags.read(["{~shop}::missing"]));
  await tags.renew([A], "soft");
  expect(await tags.unchangedSince(at, [A])).toEqual([undefined]);
  const { at: later } = await tags.pin([ROOT]);
  expect((await tags.unchangedSince(later, [A, "{~shop}::missing"])).every((version) => version !== undefined)).toBe(
    true,
  );
});

it("C73 a late tag is refused after the issuer was lost, whether it is there or not", async () => {
  const { at } = await tags.pin([ROOT, B]);
  await server.command("DEL", `${prefix}~issuer:{~shop}`);
  expect(await tags.unchangedSince(at, [A, B])).toEqual([undefined, undefined]);
});

it("a late tag that was renewed before the grant counts as unchanged, and so does one of a former issuer", async () => {
  await tags.renew([A], "hard");
  const { at } = await tags.pin([ROOT]);
  const [ours] = await tags.read([A]);
  await server.command("SET", `${prefix}:${B}`, "former.9|former.9");
  expect(await tags.unchangedSince(at, [A, B])).toEqual([ours, { hard: "former.9", soft: "former.9" }]);
});

it("a late tag is issued also where it is refused, so that the next load finds it", async () => {
  const { at } = await tags.pin([ROOT]);
  await tags.renew([A], "hard");
  await server.command("DEL", `${prefix}:${A}`);
  expect(await tags.unchangedSince(at, [A])).toEqual([undefined]);
  const [issued] = await tags.read([A]);
  expect(issued).toEqual({ hard: at.replace(/0$/, "1"), soft: at.replace(/0$/, "1") });
  expect(await tags.unchangedSince((await tags.pin([ROOT])).at, [A])).toEqual([issued]);
});

it("C41 a late tag that was issued anew since counts as unchanged, as long as the issuer remembers every renewal", async () => {
  const { at } = await tags.pin([ROOT]);
  for (let i = 0; i < 128; i += 1) await tags.renew([B], "hard");
  const { versions } = await tags.pin([A]);
  expect(await tags.unchangedSince(at, [A, B])).toEqual([...versions, undefined]);
  await tags.renew([B], "soft");
  expect(await tags.unchangedSince(at, [A])).toEqual([undefined]);
});

it("C41 a renewal by a program that keeps no record of it, or of 1,009 tags, refuses every late tag from before", async () => {
  const { at } = await tags.pin([ROOT]);
  await server.command("HINCRBY", `${prefix}~issuer:{~shop}`, "n", "1");
  await tags.renew([B], "hard");
  expect(await tags.unchangedSince(at, [A])).toEqual([undefined]);
  const { at: later } = await tags.pin([ROOT]);
  const many = Array.from({ length: 1009 }, (_, i) => `{~shop}::${i}`);
  await tags.renew(many.slice(1), "hard");
  expect(await tags.unchangedSince(later, ["{~shop}::new", many[1008]!, many[512]!])).toEqual([
    expect.any(Object),
    undefined,
    undefined,
  ]);
  await tags.renew(many.slice(0, 1), "hard");
  expect(await tags.unchangedSince(later, ["{~shop}::newer"])).toEqual([undefined]);
});

it("a renewal of tags that are missing issues them, hard or soft", async () => {
  await tags.renew([A], "soft");
  const [soft] = await tags.read([A]);
  expect(soft!.hard).toBe(soft!.soft);
  expect(soft!.hard).toMatch(/^[\w-]{8}\.1$/);
  await tags.renew([A, B], "soft");
  const [again, other] = await tags.read([A, B]);
  expect(again).toEqual({ hard: soft!.hard, soft: soft!.hard.replace(/1$/, "2") });
  expect(other).toEqual({ hard: again!.soft, soft: again!.soft });
});

it.each([
  ["of another type", "RPUSH", "x"],
  ["with one half", "SET", "x.1"],
  ["with three", "SET", "x.1|x.1|x.1"],
  ["with an empty half", "SET", "x.1|"],
  ["that is empty", "SET", ""],
  ["that is longer than any", "SET", `${"x".repeat(50)}.1|${"x".repeat(50)}.1`],
])("a version %s counts as missing", async (_, command, value) => {
  const key = `${prefix}:${A}`;
  const spoil = async (): Promise<void> => {
    await server.command("DEL", key);
    await server.command(command, key, value);
    expect(await tags.read([A])).toEqual([undefined]);
  };
  await spoil();
  const { at, versions } = await tags.pin([A]);
  expect(versions).toEqual([{ hard: at, soft: at }]);
  expect(await tags.read([A])).toEqual(versions);
  await spoil();
  expect(await tags.unchangedSince(at, [A])).toEqual(versions);
  await spoil();
  await tags.renew([A], "soft");
  const [renewed] = await tags.read([A]);
  expect(renewed).toEqual({ hard: at.replace(/0$/, "1"), soft: at.replace(/0$/, "1") });
});

it.each([
  ["of another type", ["RPUSH", "x"]],
  ["without a counter", ["HSET", "id", "x"]],
  ["with a counter that counts nothing", ["HSET", "id", "x", "n", "many"]],
  ["with a counter at its end", ["HSET", "id", "x", "n", "9223372036854775807"]],
  ["with a counter that is not exact", ["HSET", "id", "x", "n", "9007199254740993"]],
  ["with an id that is longer than any", ["HSET", "id", "x".repeat(5_000), "n", "0"]],
  ["with an id that is none", ["HSET", "id", "x|y", "n", "0"]],
])("an issuer %s is replaced by a new one", async (_, [command, ...values]) => {
  const issuer = `${prefix}~issuer:{~shop}`;
  const { at } = await tags.pin([A]);
  const before = await tags.read([A]);
  for (const call of [() => tags.pin([A]), () => tags.unchangedSince(at, [A]), () => tags.renew([B], "hard")]) {
    await server.command("DEL", issuer);
    await server.command(command!, issuer, ...values);
    await call();
    const [id, n] = (await server.command("HMGET", issuer, "id", "n")) as [string, string];
    expect(id).toMatch(/^[\w-]{8}$/);
    expect(id).not.toBe(at.split(".")[0]);
    expect(Number(n)).toBeLessThanOrEqual(1);
    expect(await tags.read([A])).toEqual(before);
  }
});

it("with memory full, present versions are pinned and judged, and missing ones are refused", async () => {
  await using full = await startOwnRedis();
  const other = over(full.url).coherence("none").build();
  const pinned = await other.tagVersions!.pin([A]);
  await makeFull(full);
  expect(await other.tagVersions!.pin([A])).toEqual(pinned);
  expect(await other.tagVersions!.unchangedSince(pinned.at, [A])).toEqual(pinned.versions);
  await expect(other.tagVersions!.unchangedSince(pinned.at, [A, B])).rejects.toThrow(/^OOM /);
  expect(await other.tagVersions!.read([A, B])).toEqual([...pinned.versions, undefined]);
  await other.tagVersions!.renew([A], "soft");
  expect((await other.tagVersions!.read([A]))[0]!.soft).toBe(pinned.at.replace(/0$/, "1"));
  await other.close();
});

it("versions that late tags and renewals use are prolonged, or issued anew, for 30 days, and so is the issuer", async () => {
  const days30 = 30 * 86_400_000;
  const keys = [`${prefix}:${A}`, `${prefix}~issuer:{~shop}`];
  const { at } = await tags.pin([A]);
  for (const call of [() => tags.unchangedSince(at, [A]), () => tags.renew([A], "soft"), pinnedElsewhere]) {
    for (const key of keys) await server.command("PEXPIRE", key, days30 / 2 - 60_000);
    await call();
    for (const key of keys) expect(Number(await server.command("PTTL", key))).toBeGreaterThan(days30 * 0.9);
  }
});

it("versions live 30 days, prolonged when half is over", async () => {
  await tags.pin([A]);
  const days30 = 30 * 86_400_000;
  const key = `${prefix}:${A}`;
  await server.command("PEXPIRE", key, String(days30 / 2 + 60_000));
  await pinnedElsewhere();
  expect(Number(await server.command("PTTL", key))).toBeLessThan(days30 * 0.6);
  expect(Number(await server.command("PTTL", `${prefix}~issuer:{~shop}`))).toBeGreaterThan(days30 * 0.9);
  await server.command("PEXPIRE", key, String(days30 / 2 - 60_000));
  await pinnedElsewhere();
  expect(Number(await server.command("PTTL", key))).toBeGreaterThan(days30 * 0.9);
});

it("with memory full, renewing works and pinning a missing version is refused", async () => {
  const full = await startOwnRedis();
  const other = over(full.url).build();
  try {
    await other.tagVersions!.pin([A]);
    const [before] = await other.tagVersions!.read([A]);
    await makeFull(full);
    await other.tagVersions!.renew([A, B], "hard");
    const [after, fresh] = await other.tagVersions!.read([A, B]);
    expect(after!.hard).not.toBe(before!.hard);
    expect(fresh).toEqual(after);
    await expect(other.tagVersions!.pin(["{~shop}::new"])).rejects.toThrow(/OOM/);
  } finally {
    await other.close();
    await full.stop();
  }
});

it("reads of one list in one tick share one command", async () => {
  const proxy = await startProxy(server.port);
  const proxied = over(proxy.url).build();
  try {
    await proxied.connect!();
    const list = [ROOT];
    proxy.resetCounts();
    const [one, two] = await Promise.all([proxied.tagVersions!.read(list), proxied.tagVersions!.read(list)]);
    expect(proxy.counts.commandsByName).toEqual({ MGET: 1 });
    expect(one).toEqual(two);
    await proxied.tagVersions!.pin(list);
    // Not remembered beyond the tick.
    expect((await proxied.tagVersions!.read(list))[0]).toBeDefined();
  } finally {
    await proxied.close();
    await proxy.close();
  }
});

it("the plain layout has no versions", async () => {
  const plain = redis(server.url).layout("plain").valueFormat(json()).build();
  expect(plain.tagVersions).toBeUndefined();
  expect(plain.keepsMeta).toBe(false);
  await plain.close();
});
