import { InvalidArgumentError } from "@hotset/core";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { activeUsers, uniques, windowAt, windowBefore } from "@hotset/redis-toolkit/counters";
import { presence, userPresence, type Presence, type PresenceOptions } from "@hotset/redis-toolkit/presence";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ALONE, ALSO_OVER_HTTP, startServers } from "./servers.ts";

const servers = startServers({ user: "boards" });
const DAY = 86_400_000;

const today = (back = 0): string => windowBefore("daily", windowAt("daily", Date.now()), back).name;

describe.each(ALSO_OVER_HTTP)("presence and counters over %s", (where) => {
  let redis: Redis;
  let name: string;
  const online = (options?: PresenceOptions): Presence => presence(redis, name, options);
  beforeAll(async () => {
    redis = await servers.open(where);
  });
  beforeEach(() => {
    name = randomPrefix();
  });

  it("A85: members that were seen lately are active, until their time is over or they are gone", async () => {
    const users = online({ ttl: "1m" });
    expect([await users.seen("ada", "bob", "ada"), await users.seen("ada"), await users.seen()]).toEqual([2, 0, 0]);
    // Its end is not sooner because another process gives less time.
    expect(await online({ ttl: "4s" }).seen("ada", "cem")).toBe(1);
    const [count, members, third, ...are] = await Promise.all([
      users.count(),
      users.list(),
      users.list({ limit: 1, skip: 2 }),
      users.isActive("cem"),
      users.isActive("dan"),
    ]);
    expect([count, members.toSorted(), members.at(-1)]).toEqual([3, ["ada", "bob", "cem"], "cem"]);
    expect([third, are]).toEqual([["cem"], [true, false]]);
    await expect.poll(() => users.isActive("cem"), { interval: 20 }).toBe(false);
    expect([await users.count(), (await users.list()).toSorted()]).toEqual([2, ["ada", "bob"]]);
    // The key still has it, until a call that writes removes it.
    const key = `presence:{${name}}:until`;
    expect(await redis.commands.zCard(key)).toBe(3);
    expect([await users.seen("cem"), await users.gone("ada", "nobody", "ada"), await users.count()]).toEqual([1, 1, 2]);
    expect(await redis.commands.ttlMs(key)).toBeGreaterThan(50_000);
  });

  it("A85: members whose time is over are removed by later calls, and all of them when none comes", async () => {
    const users = online({ ttl: "500ms" });
    for (let i = 0; i < 3; i += 1) await users.seen(...Array.from({ length: 1_000 }, (_, n) => `${i}:${n}`));
    const key = `presence:{${name}}:until`;
    await online({ ttl: "1m" }).seen("ada");
    await expect.poll(() => users.count(), { interval: 20 }).toBe(1);
    // All others have ended; the slower the fill was, the fewer of them are left.
    let left = await redis.commands.zCard(key);
    for (let i = 0; i < 4; i += 1) {
      await online({ ttl: "1m" }).seen("ada");
      left = Math.max(1, left - 1_000);
      expect(await redis.commands.zCard(key)).toBe(left);
    }
    expect(left).toBe(1);
    const short = presence(redis, `${name}short`, { ttl: "50ms" });
    await short.seen("ada");
    await expect.poll(() => redis.commands.exists(`presence:{${name}short}:until`), { interval: 20 }).toBe(false);
  });

  it("active users are exactly those that were marked, by window and over windows", async () => {
    const users = activeUsers(redis, name, { keep: 29, maxId: 1_000_000 });
    expect([await users.mark(0), await users.mark(7), await users.mark(7), await users.mark(1_000_000)]).toEqual([
      true,
      true,
      false,
      true,
    ]);
    for (const [back, id] of [
      [1, 7],
      [1, 8],
      [29, 9],
      [30, 10],
    ] as const)
      await redis.commands.setBit(`active:{${name}}:${today(back)}:bits`, id, 1);
    expect([await users.isActive(7), await users.isActive(8), await users.isActive(8, { back: 1 })]).toEqual([
      true,
      false,
      true,
    ]);
    expect([await users.count(), await users.count({ windows: 2 }), await users.count({ windows: 30 })]).toEqual([
      3, 4, 5,
    ]);
    expect(await users.count({ windows: 2, in: "every" })).toBe(1);
    expect(await users.counts({ windows: 3 })).toEqual([
      { window: today(2), count: 0 },
      { window: today(1), count: 2 },
      { window: today(), count: 3 },
    ]);
    const end = windowAt("daily", Date.now()).endsAt + 29 * DAY;
    expect(await redis.commands.pExpireTime(`active:{${name}}:${today()}:bits`)).toBe(end);
    for await (const key of redis.commands.scan({ match: `active:{${name}}*` })) expect(key).not.toContain("together");
  });

  it("999 past windows, and many counters, are counted in steps, and nothing of it stays", async () => {
    const users = activeUsers(redis, name, { keep: 999 });
    await users.mark(1);
    for (const [back, id] of [
      [63, 2],
      [64, 3],
      [127, 1],
      [999, 4],
    ] as const)
      await redis.commands.setBit(`active:{${name}}:${today(back)}:bits`, id, 1);
    const counts: number[] = [];
    for (const windows of [63, 64, 65, 128, 1_000]) counts.push(await users.count({ windows }));
    expect(counts).toEqual([1, 2, 3, 3, 4]);
    for (const back of [1, 2, 3]) await redis.commands.setBit(`active:{${name}2}:${today(back)}:bits`, 1, 1);
    const each = await users.counts({ windows: 1_000 });
    expect(each.length).toBe(1_000);
    expect(each.flatMap(({ window, count }) => (count > 0 ? [window] : []))).toEqual(
      [999, 127, 64, 63, 0].map((back) => today(back)),
    );
    const every = activeUsers(redis, `${name}every`, { keep: 99 });
    await every.mark(7);
    for (let back = 1; back < 100; back += 1)
      await redis.commands.setBit(`active:{${name}every}:${today(back)}:bits`, back === 80 ? 8 : 7, 1);
    expect([
      await every.count({ windows: 80, in: "every" }),
      await every.count({ windows: 81, in: "every" }),
      await every.count({ windows: 100 }),
    ]).toEqual([1, 0, 2]);

    const pages = Array.from({ length: 200 }, (_, i) => uniques(redis, `page ${i}`, { group: `${name} pages` }));
    for (const i of [0, 63, 64, 199]) await pages[i]!.add("ada", `visitor of ${i}`);
    const others = pages.slice(1);
    expect([await pages[0]!.count({ with: others.slice(0, 63) }), await pages[0]!.count({ with: others })]).toEqual([
      3, 5,
    ]);
    for (const match of [`active:{${name}}*`, `uniques:{${name} pages}*`])
      for await (const key of redis.commands.scan({ match })) expect(key).not.toContain("together");
  });

  it("different members are counted within 1 % standard error, once in a union of windows", async () => {
    const [home, shop] = ["home", "shop"].map((page) =>
      uniques(redis, page, { window: "daily", keep: 6, group: `${name} pages` }),
    ) as [ReturnType<typeof uniques>, ReturnType<typeof uniques>];
    const members = (from: number, to: number): readonly string[] =>
      Array.from({ length: to - from }, (_, i) => `user ${from + i}`);
    expect(await home.add(...members(0, 6_000))).toBe(true);
    expect([await home.add(...members(0, 10)), await home.add()]).toEqual([false, false]);
    expect(await uniques(redis, `${name}many`).add(...members(0, 10_000))).toBe(true);
    expect(await uniques(redis, `${name}many`).count()).toBeGreaterThan(9_800);
    await shop.add(...members(4_000, 10_000));
    await redis.commands.pfAdd(`uniques:{${name} pages}:of:home:${today(6)}:hll`, [...members(9_000, 11_000)]);
    const within = (count: number, exact: number): number => Math.abs(count / exact - 1);
    expect(within(await home.count(), 6_000)).toBeLessThan(0.02);
    expect(within(await home.count({ with: [shop] }), 10_000)).toBeLessThan(0.02);
    expect(within(await home.count({ windows: 7 }), 8_000)).toBeLessThan(0.02);
    expect(within(await home.count({ windows: 7, with: [shop] }), 11_000)).toBeLessThan(0.02);
    const forever = uniques(redis, name);
    await forever.add("a", "b");
    expect([await forever.count(), await redis.commands.ttlMs(`uniques:{${name}}:hll`)]).toEqual([2, "none"]);
    if (where === "a cluster") {
      await uniques(redis, `${name}2`).add("c");
      await expect(forever.count({ with: [uniques(redis, `${name}2`)] })).rejects.toMatchObject({ code: "CROSS_SLOT" });
    }
  });
});

describe("presence and counters", () => {
  it("A85: a member that was reported lately is not reported again, and stays so much longer", async () => {
    await using own = await startOwnRedis();
    const clock = new TestClock();
    await using redis = createRedis({ ...ALONE, url: own.url, clock });
    const users = (): Presence => presence(redis, "online", { ttl: "1m", throttle: "10s" });
    const calls = async (): Promise<number> =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(String(await own.command("INFO", "commandstats")))?.[1]);
    expect(await users().seen("ada")).toBe(1);
    expect(await redis.commands.ttlMs("presence:{online}:until")).toBeGreaterThan(60_000);
    const before = await calls();
    clock.advance(9_999);
    expect(await users().seen("ada", "ada")).toBe(0);
    expect(await calls()).toBe(before);
    clock.advance(1);
    await users().seen("ada");
    expect(await calls()).toBe(before + 1);
    // A member that is gone is back at once.
    expect([await users().gone("ada"), await users().isActive("ada"), await users().seen("ada")]).toEqual([
      1,
      false,
      1,
    ]);
    // Another tenant is another presence.
    expect(await presence(redis.tenant("t"), "online", { throttle: "10s" }).seen("ada")).toBe(1);
    // Memory is bounded: the oldest is reported once more than needed.
    for (let i = 0; i < 10; i += 1) await users().seen(...Array.from({ length: 1_000 }, (_, n) => `${i}:${n}`));
    const filled = await calls();
    await users().seen("9:999");
    expect(await calls()).toBe(filled);
    await users().seen("ada");
    expect(await calls()).toBe(filled + 1);
    await own.command("DEL", "presence:{online}:until");
    const failing = presence(redis, "online", { throttle: "10s" });
    await own.command("CONFIG", "SET", "maxmemory", "1");
    await expect(failing.seen("new")).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    await own.command("CONFIG", "SET", "maxmemory", "0");
    expect(await failing.seen("new")).toBe(1);
  });

  it("A85: a user is active as long as one of its connections is", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url });
    const users = userPresence(redis, "online", { ttl: "1m" });
    expect([await users.seen("ada", "tab 1"), await users.seen("ada", "tab 2")]).toEqual([true, false]);
    expect([await users.seen("bob", 1), await users.count(), await users.list()]).toEqual([true, 2, ["bob", "ada"]]);
    // One of two tabs is closed.
    expect([await users.gone("ada", "tab 1"), await users.isActive("ada")]).toEqual([false, true]);
    expect(await users.connections("ada")).toEqual(["tab 2"]);
    expect([await users.gone("ada", "tab 2"), await users.isActive("ada")]).toEqual([true, false]);
    expect([await users.gone("ada", "tab 2"), await users.connections("ada")]).toEqual([false, []]);
    // Those of the same name are the users of presence.
    expect(await presence(redis, "online").list()).toEqual(["bob"]);
    expect([await users.goneUser("bob"), await users.count()]).toEqual([1, 0]);
    expect(await own.command("KEYS", "*")).toEqual([]);
  });

  it("A85: a connection that is seen no more ends, and its user with the last one", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url });
    const short = userPresence(redis, "online", { ttl: "300ms" });
    const long = userPresence(redis, "online", { ttl: "1h" });
    await long.seen("ada", "phone");
    await short.seen("ada", "tab");
    await short.seen("bob", "tab");
    await expect.poll(() => short.connections("ada")).toEqual(["phone"]);
    await expect.poll(() => short.list()).toEqual(["ada"]);
    // A time is never shortened, but by what is gone: the phone leaves a tab that has ended.
    expect([await long.gone("ada", "phone"), await long.count()]).toEqual([true, 0]);
    // The connection that stays gives its user its own end.
    await long.seen("cem", "phone");
    await short.seen("cem", "tab");
    expect([await long.gone("cem", "phone"), await long.isActive("cem")]).toEqual([false, true]);
    await expect.poll(() => long.isActive("cem")).toBe(false);
    expect(await short.seen("cem", "tab")).toBe(true);
  });

  it("A85: a connection that was reported lately is not reported again, unless it or its user is gone", async () => {
    await using own = await startOwnRedis();
    const clock = new TestClock();
    await using redis = createRedis({ ...ALONE, url: own.url, clock });
    const users = userPresence(redis, "online", { throttle: "10s" });
    const calls = async (): Promise<number> =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(String(await own.command("INFO", "commandstats")))?.[1]);
    await users.seen("ada", "tab");
    await users.seen("ad", "a tab");
    const before = await calls();
    expect([await users.seen("ada", "tab"), await calls()]).toEqual([false, before]);
    await users.gone("ada", "tab");
    expect(await users.seen("ada", "tab")).toBe(true);
    await users.goneUser("ada");
    expect(await users.seen("ada", "tab")).toBe(true);
    const after = await calls();
    expect([await users.seen("ad", "a tab"), await calls()]).toEqual([false, after]);
    // Names hold spaces: neither is the other.
    expect(await users.seen("ada tab", "1")).toBe(true);
    expect([await users.seen("ada", "tab 1"), await users.connections("ada")]).toEqual([false, ["tab 1", "tab"]]);
    const [rooms, room] = ["room 1", "room"].map((key) => presence(redis, "any", { throttle: "10s", key: () => key }));
    expect([await rooms!.seen("ada"), await room!.seen("1 ada"), await room!.count()]).toEqual([1, 1, 1]);
    const later = await calls();
    clock.advance(10_000);
    await users.seen("ad", "a tab");
    expect(await calls()).toBe(later + 1);
  });

  it("A85: a user has a thousand connections at most: those that end soonest go", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url });
    await userPresence(redis, "online", { ttl: "1m" }).seen("ada", "first");
    const users = userPresence(redis, "online", { ttl: "1h" });
    for (let i = 0; i < 10; i += 1)
      await Promise.all(Array.from({ length: 100 }, (_, n) => users.seen("ada", `${i}:${n}`)));
    const all = await users.connections("ada");
    expect([all.length, all.includes("first")]).toEqual([1_000, false]);
  });

  it("A85: a member is reported again during its removal, and after one that was not answered", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url });
    const users = presence(redis, "online", { throttle: "1h" });
    await users.seen("ada");
    // Redis knows the script from now on, so it carries out both calls in their order.
    await users.gone("cem");
    expect(await Promise.all([users.gone("ada"), users.seen("ada")])).toEqual([1, 1]);
    expect(await users.isActive("ada")).toBe(true);
    expect(await Promise.all([users.seen("bob"), users.gone("bob"), users.seen("bob")])).toEqual([1, 1, 1]);
    expect(await Promise.all([users.seen("dan"), users.gone("dan")])).toEqual([1, 1]);
    expect(await users.seen("dan")).toBe(1);
    const hasty = presence(redis.within({ deadline: "100ms" }), "online", { throttle: "1h" });
    own.pause();
    const leaving = hasty.gone("ada");
    await expect(leaving).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: true });
    own.resume();
    await expect.poll(() => users.isActive("ada")).toBe(false);
    expect([await users.seen("ada"), await users.isActive("ada")]).toEqual([1, true]);
  });

  it("bad names, ids and options are refused before anything is sent", async () => {
    const redis = await servers.open("one server");
    expect(() => presence(redis, "p", { ttl: "0s" })).toThrow("ttl must be from 1 to 2^52 ms");
    expect(() => presence(redis, "p", { life: "5m" } as never)).toThrow('unknown option "life"');
    expect(() => activeUsers(redis, "a", { maxId: 2 ** 32 })).toThrow(
      "maxId must be a whole number from 0 to 4294967295",
    );
    expect(() => uniques(redis, "u", { keep: 3 })).toThrow("keep needs window");
    expect(() => uniques(redis, "")).toThrow("name must be text");
    const users = activeUsers(redis, "a");
    const own = uniques(redis, "u", { window: "daily" });
    for (const bad of [
      users.mark(-1),
      users.mark(1.5),
      users.mark(67_108_864),
      users.isActive(1, { back: 2 }),
      users.count({ windows: 3 }),
      users.count({ in: "some" as never }),
      own.add(""),
      own.count({ with: [uniques(redis, "u")] }),
      own.count({ with: [uniques(redis.tenant("t"), "u", { window: "daily" })] }),
      presence(redis, "p").seen("\udc00"),
      presence(redis, "p").seen(...Array.from({ length: 1_001 }, (_, i) => `m${i}`)),
      presence(redis, "p").list({ limit: 10_001 }),
    ])
      await expect(bad).rejects.toThrow(InvalidArgumentError);
  });

  it("where Redis is disabled or unreachable each call is an error, and no count is 0", async () => {
    const off = createRedis({ env: false, enabled: false });
    await expect(presence(off, "p").count()).rejects.toMatchObject({ code: "REDIS_DISABLED" });
    await expect(presence(off, "p").seen("a")).rejects.toMatchObject({ code: "REDIS_DISABLED" });
    await expect(activeUsers(off, "p").count()).rejects.toMatchObject({ code: "REDIS_DISABLED" });
    await expect(uniques(off, "p").count()).rejects.toMatchObject({ code: "REDIS_DISABLED" });
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url });
    await presence(redis, "p").seen("a");
    await own.kill();
    await using away = createRedis({ ...ALONE, url: own.url, commandTimeout: "1s" });
    await expect(presence(away, "p").isActive("a")).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    await expect(presence(away, "p").seen("a")).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    await expect(uniques(away, "p").count()).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    await own.start();
    // Without persistence a restart forgets: no member is active, and nothing fails.
    await expect
      .poll(() =>
        presence(redis, "p")
          .count()
          .catch(() => -1),
      )
      .toBe(0);
  });
});
