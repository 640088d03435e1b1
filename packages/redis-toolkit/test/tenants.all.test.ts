import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { randomPrefix, startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { createClient } from "@redis/client";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { invocationOf, isMethodName, loadTable } from "../src/commands/node-redis-commands.ts";
import { KeySpace } from "../src/keys/key-space.ts";
import { ALONE, startServers } from "./servers.ts";

const servers = startServers();

describe.each(["one server", "a cluster"] as const)("tenants over %s", (where) => {
  let redis: Redis;
  let p: string;
  beforeAll(async () => {
    redis = await servers.open(where);
  });
  beforeEach(() => {
    p = randomPrefix();
  });

  it("A35: a tenant sees its own keys alone, by their own names", async () => {
    const [one, other] = [redis.tenant(`${p}one`), redis.tenant(`${p}other`)];
    await one.commands.set("k", "of one");
    await other.commands.set("k", "of the other");
    expect(await one.commands.get("k")).toBe("of one");
    expect(await redis.commands.get(`${p}one:k`)).toBe("of one");
    await one.commands.xAdd("{s}a", "1-1", { f: "v" });
    expect(await one.commands.xRead({ key: "{s}a", id: "0" })).toMatchObject([{ name: "{s}a" }]);
    await one.commands.rPush("{s}list", ["x"]);
    expect(await one.commands.lmPop(["{s}list"], "LEFT")).toEqual(["{s}list", ["x"]]);
    await one.commands.zAdd("{s}z", { score: 1, value: "m" });
    expect(await one.commands.zmPop("{s}z", "MIN")).toMatchObject({ key: "{s}z" });
    await one.commands.mSet({ "{w}1": "10", "{w}2": "5" });
    const keys: string[] = [];
    for await (const key of one.commands.scan()) keys.push(key);
    expect(keys.toSorted()).toEqual(["k", "{s}a", "{w}1", "{w}2"]);
  });

  it("A38: a purge removes the keys of the tenant, and no other", async () => {
    const [one, other] = [redis.tenant(`${p}*`), redis.tenant(`${p}x`)];
    await Promise.all(Array.from({ length: 1_500 }, (_, i) => one.commands.set(`k${i}`, "v", { ttl: "1m" })));
    await other.commands.set("k", "v");
    await redis.commands.set(`${p}`, "v");
    const bytes = [Buffer.from([0xff, 0xfe]), Buffer.from([0xff, 0xfd])] as const;
    for (const key of bytes) await one.commands.set(key, "v", { ttl: "1m" });
    await redis.commands.set(bytes[0], "v", { ttl: "1m" });
    expect(await one.purge()).toBe(1_502);
    expect(await one.commands.exists(bytes[0])).toBe(false);
    expect(await redis.commands.exists(bytes[0])).toBe(true);
    expect([await other.commands.exists("k"), await redis.commands.exists(p)]).toEqual([true, true]);
    expect(await one.purge()).toBe(0);
    await expect(redis.purge()).rejects.toThrow("only the keys of a tenant can be purged");
  });

  it("A37: what a tenant does not have is read outside it, and goes away with it", async () => {
    const tenant = redis.tenant(p, { fallback: "read" });
    const root = redis.commands;
    await root.set(`${p}k`, "7", { ttl: "1m" });
    await root.hset(`${p}h`, { a: "1" });
    await root.setJson(`${p}j`, { a: 1 });
    const { commands } = tenant;
    expect([await commands.get(`${p}k`), await commands.getNumber(`${p}k`)]).toEqual(["7", 7]);
    expect(await commands.getMany([`${p}k`, `${p}none`])).toEqual(["7", undefined]);
    expect([await commands.exists(`${p}k`), await commands.exists(`${p}none`)]).toEqual([true, false]);
    expect([await commands.hget(`${p}h`, "a"), await commands.hgetAll(`${p}h`)]).toEqual(["1", new Map([["a", "1"]])]);
    expect(await commands.getJson(`${p}j`)).toEqual({ a: 1 });
    expect(await tenant.lenient.get(`${p}k`)).toBe("7");
    await commands.set(`${p}k`, "8");
    expect([await commands.get(`${p}k`), await root.get(`${p}k`)]).toEqual(["8", "7"]);
    expect(await commands.delete(`${p}k`)).toBe(1);
    expect([await commands.get(`${p}k`), await root.get(`${p}k`)]).toEqual([undefined, undefined]);
    expect(await redis.tenant(p).commands.get(`${p}j`)).toBe(undefined);
  });

  it("A37: it can be moved to the tenant as it is read, with the life that is left", async () => {
    const { commands } = redis.tenant(p, { fallback: "migrate" });
    await redis.commands.set(`${p}k`, "v", { ttl: "1m" });
    await redis.commands.hset(`${p}h`, { a: "1" });
    expect([await commands.get(`${p}k`), await commands.hget(`${p}h`, "a")]).toEqual(["v", "1"]);
    expect([await redis.commands.exists(`${p}k`), await redis.commands.exists(`${p}h`)]).toEqual([false, false]);
    expect(await commands.ttlMs(`${p}k`)).toSatisfy((ms: number) => ms > 50_000 && ms <= 60_000);
    expect(await commands.ttlMs(`${p}h`)).toBe("none");
  });

  it("R0-22: each read of a tenant looks outside, unless the tenant has the key, and its writes are its own", async () => {
    const { commands: root } = redis;
    const tenant = redis.tenant(p, { fallback: "read" });
    const { commands } = tenant;
    const [h, j, l, n] = [`{${p}}h`, `{${p}}j`, `{${p}}l`, `{${p}}n`];
    const [s, x, z] = [`{${p}}s`, `{${p}}x`, `{${p}}z`];
    await root.hset(h, { a: "1", b: "2" });
    await root.setJson(j, { a: 1 });
    await root.rPush(l, ["1", "2"]);
    await root.set(n, 10, { ttl: "1m" });
    await root.sAdd(s, ["m"]);
    await root.xAdd(x, "1-1", { f: "v" });
    await root.zAdd(z, { score: 1, value: "m" });
    await root.set(Buffer.from(`${p}bytes`), "v");
    const read = async (): Promise<unknown> => ({
      json: await commands.getManyJson([j, n, `${p}none`]),
      life: typeof (await commands.ttlMs(n)),
      list: [await commands.lRange(l, 0, -1), await commands.lLen(l)],
      sets: [await commands.sMembers(s), await commands.zScore(z, "m"), await commands.xLen(x)],
      hash: [await commands.hget(h, "b"), await commands.hGet(h, "b"), [...(await commands.hgetAll(h)).keys()]],
      bytes: await commands.getBytes(Buffer.from(`${p}bytes`)),
      type: await commands.type(z),
      pipeline: await tenant.pipeline((all) => [all.get(n), all.lLen(l), all.exists(`${p}none`)]),
    });
    const outside = {
      json: [{ a: 1 }, 10, undefined],
      life: "number",
      list: [["1", "2"], 2],
      sets: [["m"], 1, 1],
      hash: ["2", "2", ["a", "b"]],
      bytes: Buffer.from("v"),
      type: "zset",
      pipeline: [10, 2, false].map((value) => ({ ok: true, value: value === 10 ? "10" : value })),
    };
    expect(await read()).toEqual(outside);
    const fields: unknown[] = [];
    for await (const pair of commands.hscan(h)) fields.push(pair);
    expect(fields).toEqual([
      ["a", "1"],
      ["b", "2"],
    ]);
    // A key that is there outside is not absent.
    expect([await commands.setIfAbsent(n, 1), await commands.set(n, 1, { if: "absent" })]).toEqual([
      "exists",
      "unchanged",
    ]);
    expect(await commands.setIfAbsentAndGet(n, 1)).toEqual({ value: "10", status: "exists" });
    expect(
      await commands.setManyIfAbsent([
        [n, 1],
        [`{${p}}none`, 1],
      ]),
    ).toBe("exists");
    expect([await commands.setNX(n, "1"), await commands.exists(`{${p}}none`)]).toEqual([0, false]);
    expect(await commands.setIfAbsent(`${p}new`, 1)).toBe("set");
    // As soon as the tenant has a key, all reads of it agree.
    await commands.hset(h, { c: "3" });
    expect([await commands.hget(h, "b"), [...(await commands.hgetAll(h)).keys()]]).toEqual([undefined, ["c"]]);
    expect([...(await root.hgetAll(h)).keys()]).toEqual(["a", "b"]);
    for (const [name, call] of [
      ["LPOP", () => commands.lPop(l)],
      ["GETDEL", () => commands.getDel(n)],
      ["SUNIONSTORE", () => commands.sUnionStore(`{${p}}u`, [s])],
      ["XREAD", () => commands.xRead({ key: x, id: "0" })],
      ["GET", () => tenant.transaction({}, ({ queue }) => [queue.get(n)])],
      ["SET", () => tenant.transaction({}, ({ queue }) => [queue.set(n, 1, { if: "absent" })])],
    ] as readonly (readonly [string, () => Promise<unknown>])[])
      await expect(call(), name).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringMatching(new RegExp(`^${name} of a tenant with fallback: "read" cannot look outside`)),
      });
    expect(await tenant.transaction({}, ({ queue }) => [queue.set(n, 5)])).toMatchObject({ status: "committed" });
    expect([await commands.get(n), await root.get(n)]).toEqual(["5", "10"]);
    expect(await commands.delete(n, l, `${p}none`)).toBe(2);
    expect(await root.exists(l)).toBe(false);
  });

  it("R0-22: each command of a tenant that migrates moves its keys first, so nothing is hidden", async () => {
    const { commands: root } = redis;
    const tenant = redis.tenant(p, { fallback: "migrate" });
    const { commands } = tenant;
    const key = (name: string): string => `{${p}}${name}`;
    await root.set(key("n"), 10, { ttl: "1m" });
    await root.hset(key("h"), { a: "1" });
    await root.rPush(key("l"), ["1"]);
    await root.sAdd(key("s"), ["m"]);
    await root.set(key("t"), "te");
    await root.set(key("j"), "1");
    await root.set(key("w"), "1");
    await root.set(key("p"), "1");
    expect(await commands.incr(key("n"))).toBe(11);
    expect(await commands.ttlMs(key("n"))).toSatisfy((ms: number) => ms > 50_000 && ms <= 60_000);
    await commands.hset(key("h"), { b: "2" });
    expect([await commands.hget(key("h"), "a"), (await commands.hgetAll(key("h"))).size]).toEqual(["1", 2]);
    expect([await commands.rPush(key("l"), "2"), await commands.lPop(key("l"))]).toEqual([2, "1"]);
    expect(await commands.sAdd(key("s"), ["m", "o"])).toBe(1);
    expect(await commands.append(key("t"), "xt")).toBe(4);
    expect(await commands.setIfAbsent(key("j"), 2)).toBe("exists");
    expect(await tenant.pipeline((all) => [all.incr(key("p")), all.get(key("p"))])).toMatchObject([
      { value: 2 },
      { value: "2" },
    ]);
    const result = await tenant.transaction({ watch: [key("w")] }, async ({ commands: now, queue }) => [
      queue.set(key("w"), Number(await now.get(key("w"))) + 1),
      queue.incr(key("n")),
    ]);
    expect(result).toMatchObject({ status: "committed", results: [{ value: "set" }, { value: 12 }] });
    expect(await commands.get(key("w"))).toBe("2");
    for (const name of ["n", "h", "l", "s", "t", "j", "w", "p"])
      expect([name, await root.exists(key(name))]).toEqual([name, false]);
    // The tenant has it: what another program writes outside later is not seen, and goes with it.
    await root.set(key("n"), "later");
    expect(await commands.incr(key("n"))).toBe(13);
    expect([await commands.delete(key("n")), await root.exists(key("n"))]).toEqual([1, false]);
  });

  it("A37: a key that is moved in its last millisecond does not live for ever", async () => {
    const { commands } = redis.tenant(p, { fallback: "migrate" });
    // About one in ten of them is read in that millisecond.
    const keys = Array.from({ length: 500 }, (_, i) => `${p}k${i}`);
    for (const key of keys) {
      await redis.commands.set(key, "v", { ttl: "1ms" });
      await commands.get(key);
    }
    const lives = await Promise.all(keys.map((key) => redis.tenant(p).commands.ttlMs(key)));
    expect(lives.filter((life) => life === "none")).toEqual([]);
  });

  it("a tenant of a tenant falls back to that one, and no further", async () => {
    const outer = redis.tenant(p);
    await redis.commands.set(`${p}key`, "of all");
    await outer.commands.set("own", "of the outer one");
    for (const fallback of ["read", "migrate"] as const) {
      const inner = outer.tenant("inner", { fallback }).within({ deadline: "5s" });
      expect(await inner.commands.get(`${p}key`)).toBe(undefined);
      expect(await inner.commands.delete(`${p}key`)).toBe(0);
      expect(await inner.commands.get("own")).toBe("of the outer one");
    }
    expect(await redis.commands.get(`${p}key`)).toBe("of all");
    expect(await outer.tenant("inner").commands.get("own")).toBe("of the outer one");
  });

  it("A37: a tenant that falls back has the other commands of node-redis too, more than once", async () => {
    const { commands } = redis.tenant(p, { fallback: "read" });
    expect([await commands.zAdd("z", { score: 1, value: "m" }), await commands.zCard("z")]).toEqual([1, 1]);
    expect([await commands.zCard("z"), await redis.commands.zCard(`${p}:z`)]).toEqual([1, 1]);
  });

  it("A36: what reaches beyond the keys of a tenant is refused", async () => {
    const { commands } = redis.tenant(p);
    for (const call of [
      () => commands.flushDb(),
      () => commands.keys("*"),
      () => commands.dbSize(),
      () => commands.randomKey(),
      () => commands.configGet("*"),
      () => commands.scriptFlush(),
      () => commands.send(["GET", "k"]),
      () => commands.move("k", 1),
    ])
      await expect(call()).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(() => redis.tenant("")).toThrow("1 to 256 characters");
    expect(() => redis.tenant("a", { fallback: "maybe" as never })).toThrow('fallback must be "read" or "migrate"');
    expect(() => redis.tenant("a", { falback: "read" } as never)).toThrow('unknown option "falback"');
  });
});

it("A35: channels and the patterns of SORT lie below the tenant", async () => {
  const redis = await servers.open("one server");
  const subscriber = createClient({ url: servers.single.url });
  await subscriber.connect();
  const received: string[] = [];
  await subscriber.pSubscribe("*", (message, channel) => received.push(`${channel} ${message}`));
  const { commands } = redis.tenant("acme");
  expect(await commands.publish("news", "hello")).toBe(1);
  await expect.poll(() => received).toEqual(["acme:news hello"]);
  subscriber.destroy();
  await commands.rPush("ids", ["1", "2"]);
  await commands.mSet({ weight_1: "9", weight_2: "3", name_1: "one", name_2: "two" });
  expect(await commands.sort("ids", { BY: "weight_*", GET: ["#", "name_*"] })).toEqual(["2", "two", "1", "one"]);
});

describe("every command that names keys", () => {
  let own: OwnRedis;
  beforeAll(async () => {
    own = await startOwnRedis();
  });
  afterAll(() => own.stop());

  it("A35: names keys of the tenant alone, as the server itself reads the command", async () => {
    const table = await loadTable();
    const place = { space: KeySpace.root.tenant("acme"), replies: "text", protocol: 3 } as const;
    const checked: string[] = [];
    for (const name of Object.keys(table.commands).filter(isMethodName))
      for (const args of ARGUMENTS) {
        let sent: readonly (string | Buffer)[];
        try {
          sent = invocationOf(table, name, args, place).args;
        } catch {
          continue;
        }
        const keys = await own.command("COMMAND", "GETKEYS", ...sent.map(String)).catch(() => undefined);
        if (!Array.isArray(keys)) continue;
        for (const key of keys) expect(String(key), name).toMatch(/^acme:/);
        checked.push(name);
        break;
      }
    // Redis 7.0 knows so many of them; the others are newer.
    expect(checked.length).toBeGreaterThan(200);
  });
});

it("a tenant of a tenant, and the events of the whole, go over the same sockets", async () => {
  await using own = await startOwnRedis();
  await using redis = createRedis({ ...ALONE, url: own.url });
  await Promise.all(
    Array.from({ length: 100 }, (_, i) => redis.tenant(`t${i}`).tenant("inner").commands.set("k", "v")),
  );
  expect(await redis.commands.get("t7:inner:k")).toBe("v");
  expect(String(await own.command("CLIENT", "LIST")).match(/name=hotset/g)).toHaveLength(1);
});

/** Arguments of one command or another. */
const ARGUMENTS: readonly (readonly unknown[])[] = [
  ["a"],
  ["a", "b"],
  ["a", "b", "c"],
  ["a", "b", "c", "d"],
  ["a", 1],
  ["a", 1, 2],
  ["a", "b", 1],
  ["a", "b", 1, 2],
  [["a", "b"]],
  ["x", ["a", "b"]],
  ["x", ["a", "b"], 1],
  [["a", "b"], 1],
  [1, ["a", "b"], "LEFT"],
  [["a", "b"], "LEFT"],
  [["a", "b"], "MIN"],
  [1, ["a", "b"], "MIN"],
  ["a", "b", "LEFT", "RIGHT"],
  ["a", { score: 1, value: "m" }],
  ["a", { longitude: 1, latitude: 2, member: "m" }],
  ["a", { key: "b", id: "0" }],
  [{ key: "a", id: "0" }],
  ["g", "c", { key: "a", id: ">" }],
  ["a", "*", { f: "v" }],
  ["a", "g", "c", 1, "0"],
  ["a", "g", "c", 1, ["1-1"]],
  ["a", "g", "$"],
  ["a", "b", "m", { radius: 1, unit: "m" }],
  ["a", "m", { radius: 1, unit: "m" }],
  ["a", "m", { radius: 1, unit: "m" }, ["WITHDIST"]],
  ["a", { longitude: 1, latitude: 2 }, 1, "m"],
  ["a", "m", 1, "m"],
  ["a", { longitude: 1, latitude: 2 }, 1, "m", ["WITHDIST"]],
  ["a", "m", 1, "m", ["WITHDIST"]],
  ["a", { longitude: 1, latitude: 2 }, 1, "m", "b"],
  ["a", "m", 1, "m", "b"],
  ["a", [{ operation: "GET", encoding: "u8", offset: 0 }]],
  ["AND", "a", "b"],
  ["a", { f: "v" }],
  ["a", "BEFORE", "p", "v"],
  ["s", { keys: ["a"], arguments: ["x"] }],
  ["a", 1, "v"],
  ["a", "MAXLEN", 1],
  ["a", "-", "+"],
  ["a", "g"],
  ["a", "g", "-", "+", 1],
  ["a", new Date()],
  [{ a: "v" }],
];
