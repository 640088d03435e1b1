import diagnostics from "node:diagnostics_channel";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { consumer, streams, type Entry, type EntryId, type Stream } from "@hotset/redis-toolkit/streams";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ALONE, EVERYWHERE, startServers } from "./servers.ts";

const servers = startServers({ user: "streams", keys: "any" });

interface Payment {
  readonly type: string;
  readonly amount?: string;
}

const typesOf = (entries: readonly Entry<Payment>[]): readonly string[] => entries.map(({ fields }) => fields.type);

describe.each(EVERYWHERE)("streams over %s", (where) => {
  let redis: Redis;
  let payments: Stream<Payment>;
  beforeAll(async () => {
    redis = await servers.open(where);
  });
  beforeEach(() => {
    payments = streams(redis).stream<Payment>(randomPrefix());
  });

  it("A49: an entry gets an id, and is read in order after an id, with all of its fields", async () => {
    const first = await payments.append({ type: "created", amount: 10.5 });
    const second = await payments.append({ type: "settled" }, { id: "9999999999999-7" });
    expect(first).toMatch(/^\d{13}-\d+$/);
    expect(second).toBe("9999999999999-7");
    expect(await payments.append({ type: "last" }, { id: "9999999999999-*" })).toBe("9999999999999-8");
    expect(await payments.read()).toEqual([
      {
        id: first,
        fields: { type: "created", amount: "10.5" },
        pairs: [
          ["type", "created"],
          ["amount", "10.5"],
        ],
      },
    ]);
    expect(typesOf(await payments.read({ after: first, count: 10 }))).toEqual(["settled", "last"]);
    expect(await payments.read({ after: "9999999999999-8" })).toEqual([]);
    expect(await payments.len()).toBe(3);
  });

  it("what a subscriber gives an entry to carry is text, and stops no append", async () => {
    const produce = (message: unknown): void =>
      void Object.assign((message as { carrier: object }).carrier, { traceparent: "00-1", half: "\ud800", number: 1 });
    diagnostics.subscribe("hotset:produce", produce);
    try {
      await payments.append({ type: "created" });
    } finally {
      diagnostics.unsubscribe("hotset:produce", produce);
    }
    expect((await payments.read())[0]!.fields).toEqual({ type: "created", traceparent: "00-1" });
  });

  it("A49: appending trims to a length or to an id, and only where a stream exists if that is asked", async () => {
    expect(await payments.append({ type: "none" }, { ifExists: true })).toBeUndefined();
    expect(await payments.len()).toBe(0);
    const ids: EntryId[] = [];
    for (let n = 0; n < 10; n += 1) ids.push(await payments.append({ type: `${n}` }));
    await payments.append({ type: "10" }, { maxLen: 4, trim: "exact" });
    expect(typesOf(await payments.range())).toEqual(["7", "8", "9", "10"]);
    await payments.append({ type: "11" }, { minId: ids[9]!, trim: "exact" });
    expect(typesOf(await payments.range())).toEqual(["9", "10", "11"]);
    expect(await payments.append({ type: "12" }, { maxLen: 1 })).toBeDefined();
    // A node holds 100 entries: nothing less goes.
    expect(await payments.len()).toBe(4);
    expect(await payments.trim({ maxLen: 1 })).toBe(3);
    await payments.append({ type: "13" });
    expect(await payments.trim({ maxLen: 1, trim: "approximate" })).toBe(0);
    expect(typesOf(await payments.range())).toEqual(["12", "13"]);
  });

  it("A49: the length of a stream's options holds for each append that names none", async () => {
    const short = streams(redis).stream<Payment>(payments.key, { maxLen: 2, trim: "exact" });
    for (let n = 0; n < 5; n += 1) await short.append({ type: `${n}` });
    expect(typesOf(await short.range())).toEqual(["3", "4"]);
    await short.append({ type: "5" }, { maxLen: 3, trim: "exact" });
    expect(await short.len()).toBe(3);
  });

  it("A49: a reader loses nothing between two reads, also one that began at the end of the stream", async () => {
    await payments.append({ type: "before" });
    await using reader = payments.reader({ after: "$", count: 2, block: 20 });
    expect(await reader.next()).toEqual([]);
    for (const type of ["a", "b", "c"]) await payments.append({ type });
    expect(typesOf(await reader.next())).toEqual(["a", "b"]);
    await payments.append({ type: "d" });
    const seen: string[] = [];
    for await (const { fields } of reader) {
      seen.push(fields.type);
      if (fields.type === "c") break;
    }
    expect(seen).toEqual(["c"]);
    // Left in the middle of what was read: the next reader goes on behind the entry that was seen.
    await using next = payments.reader({ after: reader.position, block: 20 });
    expect(typesOf(await next.next())).toEqual(["d"]);
  });

  it("several streams are read at once; {} if there are none", async () => {
    const [one, other, none] = ["1", "2", "3"].map((name) =>
      streams(redis).stream<Payment>(`{${payments.key}}${name}`),
    );
    await one!.append({ type: "a" });
    await other!.append({ type: "b" });
    const { read } = streams(redis);
    const found = await read({ [one!.key]: "0", [other!.key]: "0", [none!.key]: "0" });
    expect(Object.fromEntries(Object.entries(found).map(([key, [entry]]) => [key, entry?.fields]))).toEqual({
      [one!.key]: { type: "a" },
      [other!.key]: { type: "b" },
    });
    expect(await read({ [none!.key]: "0" })).toEqual({});
    expect(await read({ [none!.key]: "$" }, { block: 10 })).toEqual({});
  });

  it("fields of one name, a field __proto__ and bytes survive", async () => {
    const pairs = [
      ["type", "a"],
      ["type", "b"],
      ["__proto__", "c"],
    ] as const;
    await payments.append(pairs as never);
    const [entry] = await payments.read();
    expect(entry!.pairs).toEqual(pairs);
    expect(Object.entries(entry!.fields)).toEqual([
      ["type", "b"],
      ["__proto__", "c"],
    ]);
    const binary = streams(redis).stream(`${payments.key}:bytes`, { values: "bytes" });
    const bytes = Buffer.from([0, 255, 13, 10, 128]);
    const id = await binary.append({ bytes });
    expect(await binary.range()).toEqual([{ id, fields: { bytes }, pairs: [["bytes", bytes]] }]);
  });

  it("R0-26: own entries that were deleted meanwhile are acknowledged, however many come first", async () => {
    const group = payments.group("g");
    await group.ensure("0");
    const ids: EntryId[] = [];
    for (const type of ["1", "2", "3", "4"]) ids.push(await payments.append({ type }));
    await group.read({ consumer: "c", count: 4 });
    await payments.delete(ids[0]!, ids[1]!, ids[2]!);
    expect(typesOf(await group.read({ consumer: "c", after: "0", count: 2 }))).toEqual(["4"]);
    expect((await group.pending()).count).toBe(2 - 1);
    await payments.delete(ids[3]!);
    expect(await group.read({ consumer: "c", after: "0" })).toEqual([]);
    expect((await group.pending()).count).toBe(0);
    // With no idle time too, an entry may be claimed.
    await payments.append({ type: "5" });
    await group.read({ consumer: "c" });
    expect(typesOf((await group.autoClaim({ consumer: "d", minIdle: 0 })).entries)).toEqual(["5"]);
    const [held] = await group.pendingEntries({ minIdle: 0 });
    expect(held).toMatchObject({ consumer: "d" });
    expect(typesOf(await group.claim({ consumer: "e", minIdle: 0, ids: [held!.id] }))).toEqual(["5"]);
  });

  it("R0-28: one call of a consumer reads several streams of its group", async () => {
    const { stream, readGroup } = streams(redis);
    const names = ["a", "b", "empty"].map((name) =>
      `{${randomPrefix()}}${name}`.replace(/\{.*\}/, `{${payments.key}}`),
    );
    const [one, other, empty] = names as [string, string, string];
    for (const name of names) await stream(name).group("g").ensure("0");
    for (const name of [one, other]) for (const n of [1, 2]) await stream(name).append({ n });
    const news = { [one]: ">", [other]: ">", [empty]: ">" } as const;
    const first = await readGroup("g", news, { consumer: "c" });
    expect(Object.keys(first)).toEqual([one, other]);
    expect(first[other]!.map(({ fields }) => fields)).toEqual([{ n: "1" }]);
    await stream(one).delete(first[one]![0]!.id);
    const own = await readGroup("g", { [one]: "0", [other]: "0" }, { consumer: "c", count: 5 });
    expect(own).toEqual({ [other]: first[other] });
    expect((await stream(one).group("g").pending()).count).toBe(0);
    expect(await readGroup("g", { [empty]: ">" }, { consumer: "c", block: 1 })).toEqual({});
    await expect(readGroup("g", { [one]: "$" as ">" }, { consumer: "c" })).rejects.toThrow(/must be an id/);
    await expect(readGroup("g", {}, { consumer: "c" })).rejects.toThrow("readGroup(after): give at least one stream");
  });

  it("a range has ends that count or not, a limit and an order; deleted entries are gone", async () => {
    for (let n = 1; n <= 5; n += 1) await payments.append({ type: `${n}` }, { id: `${n}-1` });
    expect(typesOf(await payments.range({ from: "(2-1", to: "4" }))).toEqual(["3", "4"]);
    expect(typesOf(await payments.range({ order: "newest-first", count: 2 }))).toEqual(["5", "4"]);
    expect(await payments.delete("1-1", "2-1", "7-7")).toBe(2);
    expect(await payments.delete()).toBe(0);
    expect(typesOf(await payments.range())).toEqual(["3", "4", "5"]);
    await payments.delete("5-1");
    expect(await payments.lastId()).toBe("5-1");
    expect(await payments.info()).toMatchObject({ length: 2, lastId: "5-1", groups: 0, firstEntry: { id: "3-1" } });
    const absent = streams(redis).stream(randomPrefix());
    expect([await absent.info(), await absent.groups(), await absent.lastId()]).toEqual([undefined, [], "0-0"]);
  });

  it("A50: a group is made once, wherever it begins; * and > are no places in a stream", async () => {
    const group = payments.group("processors");
    expect(await group.info()).toBeUndefined();
    expect(await group.destroy()).toBe("missing");
    expect(await Promise.all([group.ensure("0"), group.ensure("$"), group.ensure("0")])).toEqual([
      "created",
      "exists",
      "exists",
    ]);
    for (const start of ["*", ">", "", "1", "-1-1", "99999999999999999999-0"]) {
      await expect(group.ensure(start as never)).rejects.toThrow('ensure: start must be "0", "$" or an id');
      await expect(group.setId(start as never)).rejects.toThrow('setId: start must be "0", "$" or an id');
    }
    await payments.append({ type: "a" }, { id: "1-1" });
    expect(typesOf(await group.read({ consumer: "one" }))).toEqual(["a"]);
    await group.setId("0");
    expect(typesOf(await group.read({ consumer: "one" }))).toEqual(["a"]);
    expect(await group.info()).toMatchObject({ name: "processors", consumers: 1, pending: 1, lastDeliveredId: "1-1" });
    expect(await group.destroy()).toBe("destroyed");
    expect(await group.destroy()).toBe("missing");
  });

  it("A51: consumers of a group get disjoint entries, together all; ack says how many were pending", async () => {
    const group = payments.group("processors");
    await group.ensure("0");
    const ids = await Promise.all(Array.from({ length: 40 }, (_, n) => payments.append({ type: `${n}` })));
    const read = async (consumer: string): Promise<readonly EntryId[]> => {
      const mine: EntryId[] = [];
      for (;;) {
        const entries = await group.read({ consumer, count: 3 });
        if (entries.length === 0) return mine;
        mine.push(...entries.map(({ id }) => id));
      }
    };
    const [one, other] = await Promise.all([read("one"), read("other")]);
    expect([...one, ...other].toSorted()).toEqual(ids.toSorted());
    expect(await group.pending()).toEqual({
      count: 40,
      first: ids[0],
      last: ids.at(-1),
      consumers: new Map(
        [
          ["one", one.length],
          ["other", other.length],
        ].filter(([, held]) => held !== 0) as [string, number][],
      ),
    });
    expect(await group.ack(...ids.slice(0, 30))).toBe(30);
    expect(await group.ack(...ids)).toBe(10);
    expect(await group.ack()).toBe(0);
    expect(await group.pending()).toEqual({ count: 0, first: undefined, last: undefined, consumers: new Map() });
  });

  it("entries of a consumer are taken by id, or as they are idle, and counted", async () => {
    const group = payments.group("processors");
    await group.ensure("0");
    for (let n = 1; n <= 4; n += 1) await payments.append({ type: `${n}` }, { id: `${n}-1` });
    await group.read({ consumer: "gone", count: 4 });
    await payments.delete("3-1");
    expect(await group.claim({ consumer: "new", minIdle: "1h", ids: ["1-1"] })).toEqual([]);
    // The first is idle for less when the others are taken, also where this process stands still before.
    const minIdle = 3_000;
    await expect.poll(async () => (await group.pendingEntries({ minIdle })).length).toBe(4);
    expect(typesOf(await group.claim({ consumer: "new", minIdle, ids: ["1-1"] }))).toEqual(["1"]);
    expect(await group.pendingEntries({ consumer: "new" })).toEqual([
      { id: "1-1", consumer: "new", idleMs: expect.any(Number), deliveries: 2 },
    ]);
    const taken = await group.autoClaim({ consumer: "new", minIdle, count: 10 });
    expect([taken.next, typesOf(taken.entries), taken.deleted]).toEqual(["0-0", ["2", "4"], ["3-1"]]);
    expect(await group.consumers()).toMatchObject([
      { name: "gone", pending: 0 },
      { name: "new", pending: 3 },
    ]);
  });

  it("A35: the stream of a tenant, its dead letters and the names in replies are the tenant's", async () => {
    const tenant = redis.tenant(`${payments.key}{a}`);
    const events = streams(tenant).stream<Payment>("events");
    await events.append({ type: "a" });
    expect(Object.keys(await streams(tenant).read({ events: "0" }))).toEqual(["events"]);
    expect(await tenant.commands.type("events")).toBe("stream");
    expect(await redis.commands.xLen("events")).toBe(0);
  });

  it("deleting a consumer that holds entries says how many, and can be refused", async () => {
    const warned: string[] = [];
    await using own = await servers.open(where, {
      logger: { error: () => 0, warn: (text) => warned.push(text), info: () => 0 },
    });
    const group = streams(own).stream<Payment>(payments.key).group("processors");
    await group.ensure("0");
    await payments.append({ type: "a" });
    await group.read({ consumer: "one" });
    expect(await group.deleteConsumer("one", { ifPending: "keep" })).toBe(1);
    expect(await group.consumers()).toMatchObject([{ name: "one", pending: 1 }]);
    expect(await group.deleteConsumer("one")).toBe(1);
    expect(await group.consumers()).toEqual([]);
    expect(await group.deleteConsumer("one")).toBe(0);
    expect(warned).toEqual([expect.stringMatching(/^hotset: redis: stream consumer deleted/)]);
  });
});

it("a read that waits does not hold up other commands", async () => {
  await using own = await startOwnRedis();
  await using redis = createRedis({ ...ALONE, url: own.url });
  const events = streams(redis).stream<Payment>("events");
  const waiting = events.read({ after: "$", block: "20s" });
  await expect.poll(async () => (await own.info("clients"))["blocked_clients"]).toBe("1");
  const id = await events.append({ type: "a" });
  expect(await waiting).toMatchObject([{ id }]);
});

it("A49: a reader goes on from its position after a restart of Redis, and ends by its signal", async () => {
  await using own = await startOwnRedis({ config: ["appendonly yes", "appendfsync always"] });
  await using redis = createRedis({ ...ALONE, url: own.url });
  const events = streams(redis).stream<Payment>("events");
  const ending = new AbortController();
  const reader = events.reader({ signal: ending.signal, block: "10s" });
  await events.append({ type: "a" });
  expect(typesOf(await reader.next())).toEqual(["a"]);
  const cut = reader.next();
  cut.catch(() => undefined);
  await expect.poll(async () => (await own.info("clients"))["blocked_clients"]).toBe("1");
  await own.restart();
  await expect(cut).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
  await expect.poll(() => events.append({ type: "b" }).then(() => true)).toBe(true);
  expect(typesOf(await reader.next())).toEqual(["b"]);
  const ended = (async () => {
    for await (const _ of reader) throw new Error("there is no other entry");
  })();
  await expect.poll(async () => (await own.info("clients"))["blocked_clients"]).toBe("1");
  ending.abort();
  await ended;
  await expect(reader.next()).rejects.toThrow("aborted");
});

it("what can never work is refused, and nothing is sent", async () => {
  await using redis = createRedis({ ...ALONE, url: "redis://127.0.0.1:1" });
  const events = streams(redis).stream<Record<string, string>>("events");
  const refused: readonly (readonly [() => unknown, string])[] = [
    [() => streams(redis).stream(""), "stream(name) must be text of 1 to 512 characters"],
    [() => streams(redis).stream("a}b"), "a key with braces must have a hash tag"],
    [() => streams(redis).stream("a{}b"), "a key with braces must have a hash tag"],
    [() => streams(redis).stream("a", { maxlen: 1 } as never), 'stream: unknown option "maxlen"'],
    [() => streams(redis).stream("a", { maxLen: -1 }), "maxLen must be a whole number of at least 0, got -1"],
    [() => streams(redis).stream("a", { requireNoEviction: 1 as never }), "requireNoEviction must be true or false"],
    [() => streams(redis).stream("a", { values: "json" as never }), 'values must be "text" or "bytes"'],
    [() => events.append({}), "an entry needs at least one field"],
    [() => events.append({ a: undefined as never }), 'the field "a" must be text, a finite number or a Buffer'],
    [() => events.append({ a: Number.NaN }), "got NaN"],
    [() => events.append({ a: {} as never }), "got an object"],
    [() => events.append([["a"]] as never), "each pair must be the name of a field"],
    [() => events.append("a" as never), "fields must be an object"],
    [() => events.append({ a: 1 }, { id: ">" as never }), 'append: id must be "*", an id above "0-0"'],
    [() => events.append({ a: 1 }, { id: "0-0" }), 'append: id must be "*"'],
    [() => events.append({ a: 1 }, { maxLen: 1, minId: "1-1" }), "give maxLen or minId, not both"],
    [() => events.append({ a: 1 }, { maxLen: 1, limit: 5, trim: "exact" }), 'limit is for trim: "approximate"'],
    [() => events.append({ a: 1 }, { minId: "x" as never }), "minId must be an id"],
    [() => events.read({ count: 0 }), "read: count must be a whole number from 1 to 10000, got 0"],
    [() => events.read({ block: 0 }), "read: block must be from 1 to 3600000 ms"],
    [() => events.read({ after: "*" as never }), 'read: after must be "0", "$" or an id'],
    [() => events.range({ from: "x" as never }), "range: from must be"],
    [() => events.range({ order: "up" as never }), "order must be"],
    [() => events.trim({}), "trim: give maxLen or minId"],
    [() => events.delete("*" as never), 'delete: id must be an id such as "1700000000000-0"'],
    [() => events.group(""), "group(name) must be text"],
    [() => events.group("g").ack(">" as never), "ack: id must be an id"],
    [() => events.group("g").read({ consumer: "c", after: "$" as never }), "group.read: after must be an id"],
    [() => events.group("g").claim({ consumer: "c", minIdle: -1, ids: ["1-1"] }), "claim: minIdle must be from 0"],
    [() => events.group("g").ensure("0", { entriesRead: -1 }), "entriesRead must be a whole number"],
    [() => streams(redis).read({}), "give at least one stream"],
  ];
  for (const [call, message] of refused)
    await expect((async () => call())(), message).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(message),
    });
});

it("errors of Redis are typed: another type, a lower id, no memory, no group, disabled, away", async () => {
  await using own = await startOwnRedis();
  await using redis = createRedis({ ...ALONE, url: own.url });
  const events = streams(redis).stream<Payment>("events");
  await redis.commands.set("text", "x");
  await expect(streams(redis).stream("text").len()).rejects.toMatchObject({ code: "WRONG_TYPE" });
  await events.append({ type: "a" }, { id: "5-5" });
  await expect(events.append({ type: "b" }, { id: "5-5" })).rejects.toThrow("equal or smaller");
  await expect(events.group("none").read({ consumer: "c" })).rejects.toThrow("NOGROUP");
  await events.group("g").ensure("0");
  await own.command("CONFIG", "SET", "maxmemory", "1");
  await expect(events.append({ type: "c" })).rejects.toMatchObject({ code: "OUT_OF_MEMORY", retryable: true });
  // A stream can be drained while memory is short.
  expect(await events.group("g").read({ consumer: "c" })).toHaveLength(1);
  expect(await events.group("g").ack("5-5")).toBe(1);
  await using off = createRedis({ ...ALONE, enabled: false });
  await expect(streams(off).stream("events").append({ a: 1 })).rejects.toMatchObject({ code: "REDIS_DISABLED" });
  await own.kill();
  await expect(events.append({ type: "d" })).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
});

it("a server that may evict streams is reported once, or refused by append and consumers", async () => {
  await using own = await startOwnRedis({ config: ["maxmemory 100mb", "maxmemory-policy allkeys-lru"] });
  const lines: string[] = [];
  const logger = { error: () => 0, warn: (line: string) => lines.push(line), info: () => 0 };
  await using redis = createRedis({ ...ALONE, url: own.url, logger });
  const events = streams(redis).stream("events");
  await events.append({ a: 1 });
  await events.append({ a: 2 });
  await expect.poll(() => lines).toEqual([expect.stringContaining("streams: maxmemory-policy is allkeys-lru")]);
  const strict = streams(redis).stream("events", { requireNoEviction: true });
  await expect(strict.append({ a: 3 })).rejects.toMatchObject({ name: "ConfigurationError" });
  const handled: unknown[] = [];
  const worker = consumer(strict, "processors", { block: 20 }, (entry) => handled.push(entry));
  await expect.poll(() => lines.some((line) => line.includes("stream consumer: streams: maxmemory-policy"))).toBe(true);
  await worker.stop();
  expect([handled, await events.len(), await events.groups()]).toEqual([[], 2, []]);
});
