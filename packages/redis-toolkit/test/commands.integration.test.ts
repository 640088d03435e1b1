import { createRedis, type CommandError, type Commands, type Redis } from "@hotset/redis-toolkit";
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import { defineScript, type ScriptReply } from "@hotset/redis-toolkit/scripts";
import { streams } from "@hotset/redis-toolkit/streams";
import { randomPrefix, startOwnRedis, startProxy } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { loadTable, isMethodName } from "../src/commands/node-redis-commands.ts";
import { NEEDS_A_CONNECTION } from "../src/commands/refused-commands.ts";
import { ALONE, EVERYWHERE, secondsLeft, startServers } from "./servers.ts";

const servers = startServers();

const failureOf = (call: Promise<unknown>): Promise<CommandError> =>
  call.then(
    () => expect.unreachable("it was carried out"),
    (error: CommandError) => error,
  );

describe.each(EVERYWHERE)("commands over %s", (where) => {
  let redis: Redis;
  let commands: Commands;
  let p: string;
  beforeAll(async () => {
    redis = await servers.open(where);
    ({ commands } = redis);
  });
  beforeEach(() => {
    p = randomPrefix();
  });

  it("A25: strings, their life and their conditions", async () => {
    expect(await commands.get(p)).toBe(undefined);
    const since = performance.now();
    const isOfAMinute = (ms: number): boolean => ms > 59_990 - (performance.now() - since) && ms <= 60_000;
    expect(await commands.set(p, "v", { ttl: "1m" })).toBe("set");
    expect(await commands.ttlMs(p)).toSatisfy(isOfAMinute);
    expect(await commands.set(p, 1.5, { keepTtl: true })).toBe("set");
    expect(await commands.ttlMs(p)).toSatisfy(isOfAMinute);
    expect(await commands.getNumber(p)).toBe(1.5);
    expect(await commands.set(p, "w")).toBe("set");
    expect(await commands.ttlMs(p)).toBe("none");
    expect(await commands.set(p, "x", { if: "absent" })).toBe("unchanged");
    expect(await commands.set(`${p}:2`, "x", { if: "present" })).toBe("unchanged");
    expect(await commands.set(`${p}:2`, "x", { keepTtl: true })).toBe("unchanged");
    expect(await commands.exists(`${p}:2`)).toBe(false);
    expect(await commands.ttlMs(`${p}:2`)).toBe("missing");
    expect(await commands.expire(p, "1m", { if: "some" })).toBe(false);
    expect(await commands.expire(p, "1m")).toBe(true);
    expect(await commands.expireAt(p, new Date(Date.now() + 90_000), { if: "later" })).toBe(true);
    expect(await commands.expire(p, "2m", { if: "sooner" })).toBe(false);
    expect(await commands.persist(p)).toBe(true);
    expect(await commands.getMany([`${p}:2`, p, `${p}:2`])).toEqual([undefined, "w", undefined]);
    expect(await commands.getMany([])).toEqual([]);
    expect(await commands.delete(p, `${p}:2`)).toBe(1);
    expect(await commands.delete()).toBe(0);
  });

  it("A25: a life of less than a millisecond is one, and 0 is refused", async () => {
    await commands.set(p, "v", { ttl: "0.2ms" });
    await expect.poll(() => commands.get(p)).toBe(undefined);
    for (const ttl of ["0ms", "-1s", "soon" as never, 60 as never, Infinity as never] as const)
      expect(await failureOf(commands.set(p, "v", { ttl }))).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await commands.exists(p)).toBe(false);
  });

  it("A25: a bare number, and options of other clients, are refused with the unit and the option", async () => {
    const message = (call: Promise<unknown>): Promise<string> => failureOf(call).then((error) => error.message);
    const seconds = /must have a unit, such as "60s" or "60ms", got 3600: redis clients count a bare number in seconds/;
    const ttl = 3_600 as never;
    for (const call of [
      commands.expire(p, ttl),
      commands.set(p, 1, { ttl }),
      commands.setJson(p, 1, { ttl }),
      commands.setIfAbsent(p, 1, { ttl }),
      commands.incr(p, { ttl }),
      commands.incrMany([p], 1, { ttl }),
      commands.hset(p, { a: 1 }, { ttl }),
      commands.hincrMany(p, { a: 1 }, { ttl }),
    ])
      expect(await message(call)).toMatch(seconds);
    expect(await message(commands.set(p, 1, { ttl: Infinity as never }))).toMatch(/"never" makes a key without an end/);
    for (const [given, hint] of [
      [{ ex: 60 }, 'EX counts seconds: { ttl: "60s" }'],
      [{ EX: 60 }, 'EX counts seconds: { ttl: "60s" }'],
      [{ px: 60 }, 'PX counts milliseconds: { ttl: "60ms" }'],
      [{ expiration: { type: "EX", value: 60 } }, 'it is ttl here: { ttl: "60s" }'],
      [{ NX: true }, 'NX is { if: "absent" }'],
      [{ xx: true }, 'XX is { if: "present" }'],
      [{ KEEPTTL: true }, "{ keepTtl: true }"],
      [{ tll: "1m" }, "did you mean ttl?"],
      ["EX", 'EX counts seconds: { ttl: "60s" }'],
    ] as const)
      expect(await message(commands.set(p, 1, given as never))).toContain(hint);
    const setex = (commands as unknown as { setex(...args: unknown[]): Promise<unknown> }).setex(p, 60, 1);
    expect(await message(setex)).toContain('set(key, value, { ttl: "60s" })');
    expect(await commands.exists(p)).toBe(false);
  });

  it("A25: defaultTtl holds for every command that makes a key, unless its ttl is never", async () => {
    const own = (await servers.open(where, { defaultTtl: "5m", defaultHashTtl: "15m" })).commands;
    const makers: readonly ((key: string, life: { readonly ttl?: "never" }) => Promise<unknown>)[] = [
      (key, life) => own.set(key, 1, life),
      (key, life) => own.setJson(key, 1, life),
      (key, life) => own.setIfAbsent(key, 1, life),
      (key, life) => own.setIfAbsentAndGet(key, 1, life),
      (key, life) => own.setManyIfAbsent([[key, 1]], life),
      (key, life) => own.incr(key, life),
      (key, life) => own.incr(key, { by: 1n, ...life }),
      (key, life) => own.incrMany([key], 1, life),
      (key, life) => own.hset(key, { a: 1 }, life),
      (key, life) => own.hsetIfAbsent(key, "a", 1, life),
      (key, life) => own.hincrMany(key, { a: 1 }, life),
    ];
    for (const make of makers) {
      const lives: unknown[] = [];
      for (const life of [{}, { ttl: "never" }] as const) {
        await own.delete(p);
        await make(p, life);
        const left = await own.ttlMs(p);
        lives.push(typeof left === "number" ? Math.ceil(left / 300_000) : left);
      }
      expect([String(make), ...lives]).toEqual([String(make), /h(set|incr)/.test(String(make)) ? 3 : 1, "none"]);
    }
    // A counter that exists keeps its life.
    await own.set(p, 1, { ttl: "never" });
    await own.incrMany([p], 1, { ttl: "1m" });
    expect([await own.ttlMs(p), await own.get(p)]).toEqual(["none", "2"]);
  });

  it("A25: counters; many of them grow all, or none", async () => {
    expect(await commands.incr(p, { ttl: "1m" })).toBe(1);
    expect(await commands.incr(p, { by: -5, ttl: "1h" })).toBe(-4);
    expect(await commands.ttlMs(p)).toSatisfy((ms: number) => ms <= 60_000);
    expect(await commands.incr(`{${p}}b`)).toBe(1);
    expect(await commands.incrMany([`{${p}}b`, `{${p}}c`], 2)).toEqual([3, 2]);
    await commands.set(`{${p}}d`, "text");
    expect(await failureOf(commands.incrMany([`{${p}}b`, `{${p}}d`]))).toMatchObject({ code: "NOT_A_NUMBER" });
    expect(await commands.getNumber(`{${p}}b`)).toBe(3);
    await commands.expire(`{${p}}b`, "1m");
    await commands.set(`{${p}}e`, 2n ** 63n - 1n);
    await commands.lPush(`{${p}}f`, "x");
    for (const wrong of ["e", "f"])
      expect(await failureOf(commands.incrMany([`{${p}}b`, `{${p}}new`, `{${p}}b`, `{${p}}${wrong}`]))).toMatchObject({
        code: wrong === "e" ? "NOT_A_NUMBER" : "WRONG_TYPE",
        maybeExecuted: false,
      });
    expect([await commands.getNumber(`{${p}}b`), await commands.exists(`{${p}}new`)]).toEqual([3, false]);
    expect(await commands.ttlMs(`{${p}}b`)).not.toBe("none");
    expect(await failureOf(commands.getNumber(`{${p}}d`))).toMatchObject({ code: "NOT_A_NUMBER" });
    expect(await failureOf(commands.incr(p, { by: 0.5 }))).toMatchObject({ code: "INVALID_ARGUMENT" });
    for (const text of [" 1", "1 ", "0x10", "Infinity", "1e999", "", "01", "+1", "1_000", "NaN"]) {
      await commands.set(p, text);
      expect(await failureOf(commands.getNumber(p))).toMatchObject({ code: "NOT_A_NUMBER" });
      expect(await failureOf(commands.getBigInt(p))).toMatchObject({ code: "NOT_A_NUMBER" });
    }
    for (const [text, number] of [
      ["-1.50", -1.5],
      ["1e+21", 1e21],
      ["9007199254740991", 2 ** 53 - 1],
      ["0", 0],
    ] as const) {
      await commands.set(p, text);
      expect(await commands.getNumber(p)).toBe(number);
    }
  });

  it("A26: of a thousand that set one key if it is absent one does", async () => {
    const results = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) => commands.setIfAbsent(p, i, { ttl: "1m" })),
    );
    expect(results.filter((result) => result === "set")).toHaveLength(1);
    expect(await commands.ttlMs(p)).toSatisfy((ms: number) => ms <= 60_000);
  });

  it("A27: set if absent and get is one step, and so are many keys at once", async () => {
    const all = await Promise.all(
      Array.from({ length: 100 }, (_, i) => commands.setIfAbsentAndGet(p, i, { ttl: "1m" })),
    );
    expect(new Set(all.map(({ value }) => value)).size).toBe(1);
    expect(all.filter(({ status }) => status === "set")).toHaveLength(1);
    const entries = [1, 2, 3].map((i) => [`{${p}}${i}`, i] as const);
    expect(await commands.setManyIfAbsent(entries, { ttl: "1m" })).toBe("set");
    expect(await commands.setManyIfAbsent([[`{${p}}9`, 9], entries[0]!])).toBe("exists");
    expect(await commands.exists(`{${p}}9`)).toBe(false);
    for (const [key] of entries) expect(await commands.ttlMs(key)).toSatisfy((ms: number) => ms <= 60_000);
  });

  it("A28 A29: a hash and its life are one step; a field that exists leaves the life as it is", async () => {
    expect(await commands.hset(p, { a: "1", b: 2 }, { ttl: "1m" })).toBe(2);
    expect(await commands.ttlMs(p)).toSatisfy((ms: number) => ms <= 60_000);
    expect(await commands.hset(p, new Map([["__proto__", "3"]]))).toBe(1);
    expect(await commands.hgetAll(p)).toEqual(
      new Map([
        ["a", "1"],
        ["b", "2"],
        ["__proto__", "3"],
      ]),
    );
    expect(await commands.hGetAll(p)).toEqual(await commands.hgetAll(p));
    expect(await commands.hget(p, "a")).toBe("1");
    expect(await commands.hget(p, "z")).toBe(undefined);
    expect(await commands.hsetIfAbsent(p, "a", "9", { ttl: "1h" })).toBe("exists");
    expect(await commands.ttlMs(p)).toSatisfy((ms: number) => ms <= 60_000);
    expect(await commands.hsetIfAbsent(p, "n", "9", { ttl: "1h" })).toBe("set");
    expect(await commands.ttlMs(p)).toSatisfy((ms: number) => ms > 60_000);
    expect(await commands.hgetAll(`${p}none`)).toEqual(new Map());
    expect(await failureOf(commands.hset(p, {}))).toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it("A27 A28: ten thousand fields are one step with their life; 64 keys are set, or none", async () => {
    const fields = new Map(Array.from({ length: 10_000 }, (_, i) => [`field ${i}`, i] as const));
    expect(await commands.hset(p, fields, { ttl: "1m" })).toBe(10_000);
    expect([await commands.hLen(p), await commands.hget(p, "field 9999")]).toEqual([10_000, "9999"]);
    expect(await commands.ttlMs(p)).toSatisfy((ms: number) => ms <= 60_000);
    const keys = Array.from({ length: 64 }, (_, i) => [`{${p}}${i}`, i] as const);
    expect(await commands.setManyIfAbsent(keys, { ttl: "1m" })).toBe("set");
    expect(await commands.setManyIfAbsent([[`{${p}}new`, 1], ...keys.slice(1)])).toBe("exists");
    expect([await commands.get(`{${p}}63`), await commands.exists(`{${p}}new`)]).toEqual(["63", false]);
    await commands.delete(keys.map(([key]) => key));
  });

  it("A30: many fields grow in one step, also by negative numbers, exactly as bigint; bytes come back unchanged; all or none", async () => {
    expect(await commands.hincrMany(p, { a: 5, b: -7 }, { ttl: "1m" })).toEqual(
      new Map([
        ["a", 5],
        ["b", -7],
      ]),
    );
    expect(await commands.ttlMs(p)).toSatisfy((ms: number) => ms <= 60_000);
    expect(await commands.hincrMany(p, { a: 2n ** 60n })).toEqual(new Map([["a", 2n ** 60n + 5n]]));
    await commands.hset(p, { text: "x" });
    expect(await failureOf(commands.hincrMany(p, { b: 1, text: 1 }))).toMatchObject({ code: "NOT_A_NUMBER" });
    expect(await commands.hget(p, "b")).toBe("-7");
    const most = 2n ** 63n - 1n;
    await commands.hset(p, { most, padded: "007" });
    for (const wrong of ["most", "padded"])
      expect(await failureOf(commands.hincrMany(p, { b: 1, new: 1, [wrong]: 1 }))).toMatchObject({
        code: "NOT_A_NUMBER",
        maybeExecuted: false,
      });
    expect([await commands.hget(p, "b"), await commands.hget(p, "new")]).toEqual(["-7", undefined]);
    expect(await commands.ttlMs(p)).not.toBe("none");
    const bytes = Buffer.from([0, 255, 13, 10, 195]);
    await commands.set(`${p}b`, bytes);
    expect(await commands.getBytes(`${p}b`)).toEqual(bytes);
  });

  it("A31: a scan finds every key once, of all primaries, and every field", async () => {
    const keys = Array.from({ length: 3_000 }, (_, i) => `${p}:${i}`);
    await Promise.all(keys.map((key) => commands.set(key, "v", { ttl: "1m" })));
    await commands.hset(`${p}:hash`, Object.fromEntries(keys.map((key, i) => [key, i])));
    const found: string[] = [];
    for await (const key of commands.scan({ match: `${p}:*`, type: "string", count: 100 })) found.push(key);
    expect(found.toSorted()).toEqual(keys.toSorted());
    const fields = new Map<string, string>();
    for await (const [field, value] of commands.hscan(`${p}:hash`, { count: 100 })) fields.set(field, value);
    expect(fields.size).toBe(3_000);
    for await (const key of commands.scan({ match: `${p}:*`, count: 10 })) {
      expect(key).toContain(p);
      break;
    }
    expect(await commands.delete(keys, `${p}:hash`)).toBe(3_001);
    expect(await failureOf(commands.scan({ count: 0 }).next())).toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it("A32: JSON values come back as they were, falsy ones are no misses, and corrupt ones are errors", async () => {
    const values = [0, "", false, null, [], {}, { a: [1, "ä"] }, "x".repeat(5_000)];
    for (const value of values) {
      await commands.setJson(p, value, { ttl: "1m", compressAbove: 1_000 });
      expect(await commands.getJson(p)).toEqual(value);
    }
    expect((await commands.getBytes(p))!.byteLength).toBeLessThan(200);
    expect(await commands.getJson(`${p}none`)).toBe(undefined);
    for (const value of [undefined, 1n, Number.NaN, new Map()])
      expect(await failureOf(commands.setJson(p, value))).toMatchObject({ code: "ENCODE_FAILED" });
    await commands.set(`${p}bad`, "{");
    expect(await failureOf(commands.getJson(`${p}bad`))).toMatchObject({ code: "CORRUPT_VALUE" });
    expect(await commands.getManyJson([p, `${p}none`, `${p}bad`])).toEqual([
      "x".repeat(5_000),
      undefined,
      expect.objectContaining({ code: "CORRUPT_VALUE" }),
    ]);
    const schema = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value: unknown) =>
          typeof value === "number"
            ? { value: value + 1 }
            : { issues: [{ message: "secret", path: ["a", { key: 0 }] }] },
      },
    } as const;
    await commands.setJson(p, 1);
    expect(await commands.getJson(p, schema)).toBe(2);
    await commands.setJson(p, "secret");
    const refused = await failureOf(commands.getJson(p, schema));
    expect(refused).toMatchObject({ code: "CORRUPT_VALUE" });
    expect(refused.message).toContain("a.0");
    expect(refused.message).not.toContain("secret");
  });

  it("A33: an error reply is a typed error that names the command", async () => {
    await commands.set(p, "text");
    expect(await failureOf(commands.lPush(p, "1"))).toMatchObject({
      name: "CommandError",
      code: "WRONG_TYPE",
      operation: "LPUSH",
      retryable: false,
      maybeExecuted: false,
    });
    expect(await failureOf(commands.send(["NOSUCH", "secret"]))).toMatchObject({
      code: "UNKNOWN_COMMAND",
      message: expect.not.stringContaining("secret") as string,
    });
  });

  it("commands of node-redis, by name: lists, sets, sorted sets, bitmaps, counts, places", async () => {
    expect(await commands.rPush(p, ["a", "b", "c"])).toBe(3);
    expect(await commands.lRange(p, 0, -1)).toEqual(["a", "b", "c"]);
    expect(await commands.lLen(p)).toBe(3);
    expect(await commands.lPopCount(p, 2)).toEqual(["a", "b"]);
    expect(await commands.lPop(`${p}none`)).toBe(undefined);
    expect(await commands.sAdd(`${p}s`, ["a", "b"])).toBe(2);
    expect(await commands.zAdd(`${p}z`, [{ score: 1.5, value: "m" }])).toBe(1);
    expect(await commands.zRangeWithScores(`${p}z`, 0, -1)).toEqual([{ value: "m", score: 1.5 }]);
    expect(await commands.zScore(`${p}z`, "none")).toBe(undefined);
    await commands.setBit(`${p}b`, 7, 1);
    expect(await commands.bitCount(`${p}b`)).toBe(1);
    await commands.pfAdd(`${p}h`, ["a", "b", "c"]);
    expect(await commands.pfCount(`${p}h`)).toBe(3);
    await commands.geoAdd(`${p}g`, { longitude: 13.4, latitude: 52.5, member: "Berlin" });
    expect(await commands.geoDist(`${p}g`, "Berlin", "Berlin", "km")).toBe(0);
  });

  it("a pipeline has a result for each command, in one go", async () => {
    await commands.set(`{${p}}text`, "v");
    const results = await redis.pipeline((c) => [
      c.get(`{${p}}text`),
      c.zAdd(`{${p}}z`, { score: 1, value: "m" }),
      c.lPush(`{${p}}text`, "x"),
      c.hset(`{${p}}h`, { a: 1 }, { ttl: "1m" }),
    ]);
    expect(results).toEqual([
      { ok: true, value: "v" },
      { ok: true, value: 1 },
      { ok: false, error: expect.objectContaining({ code: "WRONG_TYPE" }) as Error },
      { ok: true, value: 1 },
    ]);
    const before = await commands.exists(`{${p}}new`);
    await expect(redis.pipeline((c) => [c.set(`{${p}}new`, "v"), c.set("", "v")])).rejects.toThrow(
      "a key must be text",
    );
    expect([before, await commands.exists(`{${p}}new`)]).toEqual([false, false]);
  });

  it("a pipeline is carried out in its order, also by a server that has forgotten the scripts", async () => {
    const [n, h] = [`{${p}}n`, `{${p}}h`];
    const ttl = { ttl: "1m" } as const;
    await commands.scriptFlush();
    const results = await redis.pipeline((c) => [
      c.incr(n, ttl),
      c.get(n),
      c.hset(h, { a: 1 }, ttl),
      c.hgetAll(h),
      c.incr(n, ttl),
      c.delete(n),
    ]);
    expect(results.map((result) => result.ok && result.value)).toEqual([1, "1", 1, new Map([["a", "1"]]), 2, true]);
    expect(await commands.exists(n)).toBe(false);
  });

  it("A25: bytes come back as they were written, in every kind of value, and as names of fields and keys", async () => {
    const { bytes } = redis;
    const [one, two, three] = [Buffer.of(0xff, 0), Buffer.of(0xfe), Buffer.of(0xc3)] as const;
    const key = Buffer.concat([Buffer.from(`{${p}}`), one]);
    expect(await bytes.setIfAbsentAndGet(key, two)).toEqual({ value: two, status: "set" });
    expect(await bytes.setIfAbsentAndGet(key, three)).toEqual({ value: two, status: "exists" });
    expect([await bytes.get(key), await bytes.getMany([key, `${p}absent`])]).toEqual([two, [two, undefined]]);
    expect(await bytes.hset(`{${p}}h`, new Map([["f", one]]))).toBe(1);
    await bytes.hSet(`{${p}}h`, two, three);
    expect(await bytes.hget(`{${p}}h`, two)).toEqual(three);
    const pairs = [
      [Buffer.from("f"), one],
      [two, three],
    ];
    expect((await bytes.hgetAll(`{${p}}h`)).toSorted(([a], [b]) => Buffer.compare(a, b))).toEqual(pairs);
    expect(await bytes.hgetAll(`{${p}}absent`)).toEqual([]);
    expect((await bytes.hGetAll(`{${p}}h`)) as unknown).toEqual((await bytes.hgetAll(`{${p}}h`)).flat());
    const fields = [];
    for await (const pair of bytes.hscan(`{${p}}h`)) fields.push(pair);
    expect(fields.toSorted(([a], [b]) => Buffer.compare(a, b))).toEqual(pairs);
    await bytes.rPush(`{${p}}l`, [one, two]);
    expect(await bytes.lRange(`{${p}}l`, 0, -1)).toEqual([one, two]);
    expect(await bytes.blPop(`{${p}}l`, 1)).toEqual({ key: Buffer.from(`{${p}}l`), element: one });
    await bytes.zAdd(`{${p}}z`, { score: 1.5, value: one });
    expect(await bytes.zRangeWithScores(`{${p}}z`, 0, -1)).toEqual([{ value: one, score: 1.5 }]);
    expect(await bytes.send(["LRANGE", `{${p}}l`, "0", "-1"], { key: `{${p}}l` })).toEqual([two]);
    // Replies without text are the same.
    expect(await bytes.set(`{${p}}n`, 5)).toBe("set");
    expect([await bytes.incr(`{${p}}n`, { by: 2n }), await bytes.getNumber(`{${p}}n`)]).toEqual([7n, 7]);
    expect(await bytes.hincrMany(`{${p}}c`, { a: 2 })).toEqual(new Map([["a", 2]]));
    await bytes.setJson(`{${p}}j`, { a: 1 });
    expect(await bytes.getJson(`{${p}}j`)).toEqual({ a: 1 });
    // Two names that are one as text.
    const twins = [one, two].map((end) => Buffer.concat([Buffer.from(`{${p}}twin`), end]));
    for (const twin of twins) await bytes.set(twin, 1);
    const tenant = redis.tenant("acme");
    for (const twin of twins) await tenant.bytes.set(twin, 1);
    for (const view of [redis, tenant]) {
      const found = [];
      for await (const name of view.bytes.scan({ match: `{${p}}twin*` })) found.push(name);
      expect(found.toSorted((a, b) => Buffer.compare(a, b))).toEqual(twins.toReversed());
    }
    const outer = redis.tenant(`fallback${p}`, { fallback: "read" }).bytes;
    expect(await outer.hgetAll(`{${p}}h`)).toHaveLength(2);
  });

  it("A25: bytes come back in a pipeline, a transaction and on an exclusive connection, next to text", async () => {
    const [one, two] = [Buffer.of(0xff, 0), Buffer.of(0xfe)] as const;
    const [key, hash] = [`{${p}}k`, `{${p}}h`];
    await redis.bytes.set(key, one);
    await redis.bytes.hSet(hash, two, one);
    const results = (values: readonly unknown[]): unknown => values.map((value) => ({ ok: true, value }));
    const [pair, map] = [[[two, one]], new Map([[two.toString(), one.toString()]])];
    const piped = await redis.pipeline((c) => [
      c.bytes.get(key),
      c.bytes.hget(hash, two),
      c.bytes.hgetAll(hash),
      c.bytes.hGetAll(hash),
      c.bytes.setIfAbsentAndGet(key, two),
      c.hgetAll(hash),
      c.hGetAll(hash),
      c.bytes.exists(key),
    ]);
    const value = { value: one, status: "exists" };
    expect(piped).toEqual(results([one, one, pair, pair.flat(), value, map, map, true]));
    for (const watch of [[], [key]]) {
      const outcome = await redis.transaction({ watch }, async ({ queue: c, bytes }) => {
        expect([await bytes.get(key), await bytes.hgetAll(hash)]).toEqual([one, pair]);
        return [
          c.bytes.hgetAll(hash),
          c.bytes.hGetAll(hash),
          c.bytes.lRange(`{${p}}none`, 0, -1),
          c.hgetAll(hash),
          c.get(key),
          c.getBytes(key),
          c.setIfAbsentAndGet(key, two),
          c.incr(`{${p}}n`),
        ];
      });
      const text = { value: one.toString(), status: "exists" };
      const count = watch.length + 1;
      expect(outcome).toEqual({
        status: "committed",
        results: results([pair, pair.flat(), [], map, one.toString(), one, text, count]),
      });
    }
    await expect(
      redis.transaction({}, ({ queue: c }) => [c.bytes.get(key), c.set(key, 1), c.zRange(key, 0, -1)]),
    ).rejects.toThrow("transaction: ZRANGE stands next to commands of queue.bytes; take it from queue.bytes, too");
    expect(await redis.pool.use((_, bytes) => bytes.get(key))).toEqual(one);
  });

  it("A25: half of a surrogate pair is refused everywhere, since two texts would be one in Redis", async () => {
    const half = "\ud800";
    for (const call of [
      () => commands.get(half),
      () => commands.set(p, half),
      () => commands.hset(p, { [half]: 1 }),
      () => commands.hset(p, { a: half }),
      () => commands.sAdd(p, half),
      () => commands.zAdd(p, { score: 1, value: half }),
      () => commands.send(["SET", p, half], { key: p }),
      () => commands.hincrMany(p, { [half]: 1 }),
      () => commands.setManyIfAbsent([[half, 1]]),
      () => defineScript({ keys: 0, args: ["text"], reply: "nothing", lua: "return 1" })(redis, [], [half]),
      () => redis.pipeline((c) => [c.set(p, 1), c.hset(p, { a: half })]),
      () => redis.transaction({}, ({ queue }) => [queue.set(p, 1), queue.hget(p, half)]),
      () => pubsub(redis).channel(half).publish(1),
      () => pubsub(redis).channel(half).subscribe(),
      () => pubsub(redis).channel<string>("c", { codec: "text" }).publish(half),
      () => streams(redis).stream(p).append({ a: half }),
      () => redis.pool.use((own) => own.set(p, half), { key: p }),
    ])
      expect([String(call), await failureOf(call())]).toMatchObject([String(call), { code: "INVALID_ARGUMENT" }]);
    expect(await commands.exists(p)).toBe(false);
  });

  it("A86: a script is defined once, runs after the server forgot it, and its reply is read as it says", async () => {
    const add = defineScript({
      keys: 2,
      args: ["integer"],
      reply: "integer",
      lua: "return redis.call('INCRBY', KEYS[1], ARGV[1]) + redis.call('INCRBY', KEYS[2], ARGV[1])",
    });
    const keys = [`{${p}}a`, `{${p}}b`];
    expect(await add(redis, keys, [5])).toBe(10);
    await commands.scriptFlush();
    expect(await add(redis, keys, [-1])).toBe(8);
    expect(await add(redis.tenant("acme"), keys, [1])).toBe(2);
    const half = defineScript({ keys: 0, args: ["number"], reply: "text", lua: "return tostring(ARGV[1] / 2)" });
    expect(await half(redis, [], [5])).toBe("2.5");
    const none = defineScript({ keys: 0, reply: "maybe text", lua: "return false", readOnly: true });
    expect(await none(redis, [], [])).toBe(undefined);
    const fails = defineScript({
      keys: 1,
      reply: "nothing",
      lua: "redis.call('SET', KEYS[1], 'v') return redis.call('LPUSH', KEYS[1], 'v')",
    });
    expect(await failureOf(fails(redis, [p], []))).toMatchObject({ code: "WRONG_TYPE", maybeExecuted: true });
    expect(await failureOf(add(redis, [p], [5]))).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await failureOf(add(redis, keys, [0.5]))).toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it.for(["SOLD_OUT", "SOLD_OUT of 7", "none left", "None left"])(
    "A86: the error %j of a script is a refusal, and the script may have written before",
    async (text) => {
      const fails = defineScript({
        keys: 1,
        reply: "nothing",
        lua: `redis.call('INCR', KEYS[1]) return redis.error_reply('${text}')`,
      });
      expect(await failureOf(fails(redis, [p], []))).toMatchObject({
        name: "CommandError",
        code: "REFUSED",
        operation: "EVALSHA",
        message: expect.stringContaining(text),
        maybeExecuted: true,
      });
      expect(await commands.get(p)).toBe("1");
    },
  );

  it("A86: a script takes any number of keys and arguments, and each kind of reply refuses what does not fit", async () => {
    const write = (lua: string) => (reply: ScriptReply) =>
      defineScript({ keys: "any", args: ["text"], rest: "integer", reply, lua: `return ${lua}` })(
        ...([redis, [`{${p}}a`, `{${p}}b`, `{${p}}c`], ["first", 2, 3n]] as const),
      );
    const all = write("{#KEYS, #ARGV, ARGV[3]}");
    expect(await all("list")).toEqual([3, 3, "3"]);
    const none = defineScript({ keys: "any", rest: "text", reply: "integer", lua: "return #KEYS + #ARGV" });
    expect(await none(redis, [], [])).toBe(0);
    expect(await failureOf(none(redis, [], [1 as never]))).toMatchObject({ code: "INVALID_ARGUMENT" });
    const json = write(`cjson.encode({ a = { 1, 2 } })`);
    expect([await json("json"), await json("maybe json")]).toEqual([{ a: [1, 2] }, { a: [1, 2] }]);
    const booleans = ["1", "true", "0", "false", "nil"].map((lua) => write(lua)("boolean"));
    expect(await Promise.all(booleans)).toEqual([true, true, false, false, false]);
    const wrong: readonly (readonly [string, readonly ScriptReply[]])[] = [
      ["redis.status_reply('OK')", ["boolean", "integer", "bigint", "list", "json"]],
      ["2", ["boolean", "text", "bytes", "list", "json"]],
      ["'5'", ["boolean", "integer", "list"]],
      ["nil", ["text", "bytes", "json", "integer", "bigint", "list"]],
    ];
    for (const [lua, replies] of wrong)
      for (const reply of replies)
        expect([lua, reply, await failureOf(write(lua)(reply))]).toMatchObject([lua, reply, { code: "CORRUPT_VALUE" }]);
  });

  it("A86: a whole number beyond 2^53 is exact as a bigint, and never another number", async () => {
    const before = 2n ** 53n;
    const set = (n = before) => commands.set(p, n);
    const beyond = { code: "NOT_A_NUMBER", message: expect.stringContaining("beyond 2^53") as string };
    const asScript = (reply: "integer" | "bigint" | "list") =>
      defineScript({
        keys: 1,
        reply,
        lua: `return ${reply === "list" ? "{" : ""}redis.call('INCR', KEYS[1])${reply === "list" ? "}" : ""}`,
      });
    await commands.hset(`{${p}}h`, { n: before });
    for (const call of [
      () => commands.incr(p),
      () => commands.incr(p, { ttl: "1m" }),
      () => commands.incrMany([p]),
      () => commands.hincrMany(`{${p}}h`, { n: 1 }),
      () => commands.decr(p),
      () => commands.incrBy(p, 5),
      () => commands.hIncrBy(`{${p}}h`, "n", 1),
      () =>
        commands.bitField(`{${p}}bits`, [
          { operation: "SET", encoding: "i64", offset: 0, value: 2 ** 53 },
          { operation: "GET", encoding: "i64", offset: 0 },
        ]),
      () => commands.send(["INCR", p], { key: p }),
      () => asScript("integer")(redis, [p], []),
      () => asScript("list")(redis, [p], []),
      () => commands.getNumber(p),
    ]) {
      await set(before + 5n);
      expect([String(call), await failureOf(call())]).toMatchObject([String(call), beyond]);
    }
    await set();
    expect(await commands.incr(p, { by: 1n })).toBe(before + 1n);
    expect(await commands.incr(p, { by: 1n, ttl: "1m" })).toBe(before + 2n);
    expect(await commands.incrMany([p], -3n)).toEqual([before - 1n]);
    await set(before + 1n);
    const read = defineScript({ keys: 1, reply: "bigint", lua: "return redis.call('GET', KEYS[1])" });
    expect(await read(redis, [p], [])).toBe(before + 1n);
    expect(await failureOf(asScript("bigint")(redis, [p], []))).toMatchObject(beyond);
    await set(before + 1n);
    expect(await commands.getBigInt(p)).toBe(before + 1n);
    expect(await commands.hincrMany(`{${p}}h`, { n: 1n })).toEqual(new Map([["n", before + 3n]]));
    const outcome = await redis.transaction({}, ({ queue: c }) => [
      c.incr(p),
      c.incr(p, { by: 1n, ttl: "1m" }),
      c.getBigInt(p),
    ]);
    expect(outcome).toMatchObject({
      results: [
        { ok: false, error: { ...beyond, message: expect.stringContaining(`(${before + 2n})`) as string } },
        { ok: true, value: before + 3n },
        { ok: true, value: before + 3n },
      ],
    });
    await set(5n);
    const [list, hash] = [`{${p}}l`, `{${p}}digits`];
    await commands.hset(hash, { n: "12" });
    const others = await redis.transaction({}, ({ queue: c }) => [
      ...[c.incr(p, { by: -1 }), c.incr(p), c.rPush(list, "12"), c.lRange(list, 0, -1), c.type(list), c.hGetAll(hash)],
    ]);
    const values = [4, 5, 1, ["12"], "list", new Map([["n", "12"]])];
    expect(others).toEqual({ status: "committed", results: values.map((value) => ({ ok: true, value })) });
    expect([await commands.incr(p), await commands.incr(p, { by: 2n }), await commands.decr(p)]).toEqual([6, 8n, 7]);
    const score = await commands.zAdd(`{${p}}z`, { score: 1e300, value: "m" });
    expect([score, await commands.zScore(`{${p}}z`, "m")]).toEqual([1, 1e300]);
  });

  it("a command that would change the shared connection is refused by name, and so is a name that does not exist", async () => {
    for (const name of ["auth", "wait", "clientTracking", "select", "zAddd"] as const) {
      const call = (commands as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[name]!("x", "y");
      expect(await failureOf(call)).toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining(name) });
    }
    for (const args of [["SUBSCRIBE", "c"], ["select", "1"], ["client", "reply", "off"], []])
      expect(await failureOf(commands.send(args))).toMatchObject({ code: "INVALID_ARGUMENT" });
    const waiting = commands.send(["BLPOP", p, "0"], { key: p });
    expect(await commands.send(["RPUSH", p, "x"], { key: p })).toBe(1);
    expect(await waiting).toEqual([p, "x"]);
    expect(await failureOf(commands.get(undefined as never))).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await failureOf(commands.zAdd(p, { score: 1, value: undefined as never }))).toMatchObject({
      code: "INVALID_ARGUMENT",
    });
  });
});

it("every command of node-redis is callable by its name, or listed with the reason", async () => {
  const redis = await servers.open("one server");
  const { commands: table } = await loadTable();
  const names = Object.keys(table).filter(isMethodName);
  expect(names.length).toBeGreaterThan(350);
  for (const name of Object.keys(NEEDS_A_CONNECTION)) expect(names).toContain(name);
  const commands = redis.commands as unknown as Readonly<Record<string, unknown>>;
  for (const name of names) expect(commands[name], name).toBeTypeOf("function");
  expect(commands["then"]).toBe(undefined);
  expect(JSON.stringify(commands)).toBe("{}");
});

it("in a cluster, keys of several slots in one command are refused before they are sent; all primaries answer for all keys", async () => {
  const redis = await servers.open("a cluster");
  const refused = await failureOf(redis.commands.mGet(["a", "b"]));
  expect(refused).toMatchObject({ code: "CROSS_SLOT", operation: "MGET", maybeExecuted: false });
  await redis.commands.flushAll();
  await Promise.all(Array.from({ length: 90 }, (_, i) => redis.commands.set(`k${i}`, "v")));
  expect(await redis.commands.dbSize()).toBe(90);
  expect(await redis.commands.keys("k*")).toHaveLength(90);
  expect(await redis.commands.randomKey()).toMatch(/^k\d+$/);
  expect(await redis.commands.flushAll()).toBe("OK");
  expect(await redis.commands.dbSize()).toBe(0);
});

it("A34: lenient commands answer with their defaults while Redis is away, count and log once a second", async () => {
  await using own = await startOwnRedis();
  const lines: string[] = [];
  const logger = { error: () => undefined, info: () => undefined, warn: (line: string) => lines.push(line) };
  const redis = createRedis({ ...ALONE, url: own.url, logger, clock: new TestClock() });
  const { lenient } = redis;
  const since = performance.now();
  expect(await lenient.set("k", "v", { ttl: "1m" })).toBe(true);
  expect(secondsLeft(60, since)).toContain(await lenient.ttl("k"));
  await own.kill();
  expect(await lenient.get("k")).toBe(undefined);
  expect([await lenient.set("k", "v"), await lenient.exists("k"), await lenient.expire("k", "1m")]).toEqual([
    false,
    false,
    false,
  ]);
  expect([await lenient.delete("k"), await lenient.ttl("k"), await lenient.hset("h", { a: 1 })]).toEqual([0, -2, 0]);
  expect([await lenient.incr("n"), await lenient.hget("h", "a"), await lenient.getJson("j")]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(await lenient.setJson("j", {})).toBe(false);
  expect(lenient.failures.get("get BACKEND_UNAVAILABLE")).toBe(1);
  expect([...lenient.failures.values()].reduce((sum, one) => sum + one)).toBe(11);
  // Views of tenants are made for each request: they count and log together.
  expect(await redis.tenant("a").lenient.get("k")).toBe(undefined);
  expect(redis.tenant("b").lenient.failures.get("get BACKEND_UNAVAILABLE")).toBe(2);
  expect(lines.filter((line) => line.includes("answered with its default"))).toHaveLength(1);
  await expect(lenient.get("")).rejects.toThrow("a key must be text");
  await redis.disconnect();
});

it("A26: an outage is an error, and never the answer that a key exists", async () => {
  await using own = await startOwnRedis();
  await using redis = createRedis({ ...ALONE, url: own.url });
  await redis.commands.ping();
  await own.kill();
  await expect(redis.commands.setIfAbsent("k", "v")).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
});

it("A19: commands of one tick leave in one write", async () => {
  await using proxy = await startProxy(Number(new URL(servers.single.url).port));
  await using redis = createRedis({ ...ALONE, url: proxy.url });
  await redis.commands.ping();
  proxy.resetCounts();
  await redis.pipeline((c) => Array.from({ length: 50 }, (_, i) => c.get(`k${i}`)));
  expect(proxy.counts.commands).toBe(50);
  expect(proxy.counts.roundTrips).toBe(1);
});
