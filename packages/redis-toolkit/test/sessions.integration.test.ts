import { createHash, createHmac } from "node:crypto";
import { inspect } from "node:util";
import { BackendUnavailableError } from "@hotset/core";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { SessionConflictError, sessions, type Sessions } from "@hotset/redis-toolkit/sessions";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { hostModules, moduleOf } from "../src/module/module.ts";
import { ALONE, ALSO_OVER_HTTP, startServers, untilUp } from "./servers.ts";

interface Shop {
  readonly cart: readonly string[];
  readonly theme: string;
  readonly left: number;
  readonly right: number;
}

const NAMES_PROTO = '{"__proto__":{"isAdmin":true}}';
const servers = startServers({ user: "sessions", keys: "any" });
const SECRET = "a secret of the shop";

const codesOf = async (calls: readonly Promise<unknown>[]): Promise<readonly unknown[]> =>
  (await Promise.allSettled(calls)).map((call) => call.status === "rejected" && call.reason.code);

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A view that runs `act` before it sends its command number `step`, which begin at 0. */
function beforeStep(redis: Redis, step: number, act: () => Promise<unknown>): Redis & { steps(): number } {
  let steps = 0;
  const counted = <Call extends (...args: never[]) => Promise<unknown>>(call: Call): Call =>
    (async (...args: never[]) => {
      steps += 1;
      if (steps === step + 1) await act();
      return call(...args);
    }) as Call;
  const module = moduleOf(redis);
  const { runScript, runInside } = module;
  const own = { ...module, runScript: counted(runScript), runInside: counted(runInside) };
  const view = hostModules({ commands: redis.commands, steps: () => steps }, () => own);
  return view as unknown as Redis & { steps(): number };
}

describe.each(ALSO_OVER_HTTP)("sessions over %s", (where) => {
  let redis: Redis;
  let prefix: string;
  let auth: Sessions<Shop>;
  beforeAll(async () => {
    redis = await servers.open(where);
  });
  beforeEach(() => {
    prefix = `${randomPrefix().replaceAll(/[^A-Za-z0-9]/g, "")}:`;
    auth = sessions(redis, { prefix, secret: SECRET });
  });

  const keys = async (): Promise<readonly string[]> => {
    const all: string[] = [];
    for await (const key of redis.commands.scan({ match: `${prefix}*` })) all.push(key);
    return all.toSorted();
  };
  /** Of sessions, without ids that have moved. */
  const sessionKeys = async (): Promise<readonly string[]> => {
    const own = (await keys()).filter((key) => !key.includes("~user"));
    const held = await Promise.all(own.map((key) => redis.commands.hExists(key, "x")));
    return own.filter((_, i) => held[i]);
  };
  const keyOf = async (): Promise<string> => (await sessionKeys())[0]!;

  it("A79: a session is created, read, changed and destroyed, with its user and its times", async () => {
    const began = Date.now();
    const created = await auth.create({ userId: "1", data: { cart: [], theme: "dark" } });
    expect(created).toEqual({
      handle: created.handle,
      userId: "1",
      createdAt: expect.any(String),
      lastActivity: created.createdAt,
      expiresAt: expect.any(String),
      data: { cart: [], theme: "dark" },
      version: 1,
      isRenewed: true,
    });
    expect(new Date(created.createdAt).toISOString()).toBe(created.createdAt);
    expect(Math.abs(Date.parse(created.createdAt) - began)).toBeLessThan(5_000);
    expect(Math.abs(Date.parse(created.expiresAt) - Date.parse(created.createdAt) - 86_400_000)).toBeLessThan(100);
    expect(await auth.read(created.id)).toEqual({ ...created, expiresAt: expect.any(String), isRenewed: false });
    expect(await auth.update(created.id, { cart: ["book"], theme: undefined })).toMatchObject({
      id: created.id,
      data: { cart: ["book"] },
      version: 2,
    });
    expect((await auth.read(created.id))!.data).toEqual({ cart: ["book"] });
    expect(await auth.destroy(created.id)).toBe(true);
    expect(await auth.destroy(created.id)).toBe(false);
    for (const gone of [auth.read(created.id), auth.touch(created.id), auth.update(created.id, { theme: "x" })])
      expect(await gone).toBeUndefined();
  });

  it("A78: an id has 128 random bits after its slot tag, and is in Redis only as its HMAC", async () => {
    const all = await Promise.all(Array.from({ length: 50 }, () => auth.create()));
    expect(new Set(all.map(({ id }) => id.slice(4))).size).toBe(50);
    for (const { id, handle } of all) {
      expect(id).toMatch(/^[A-Za-z0-9_-]{26}$/);
      const hash = createHmac("sha256", SECRET).update(id).digest("base64url");
      expect(handle).toBe(`${id.slice(0, 4)}.${hash}`);
    }
    const [{ id }] = [await auth.create({ userId: "1" })];
    const stored = await keys();
    expect(stored).toContain(
      `${prefix}{${id.slice(0, 4)}}:${createHmac("sha256", SECRET).update(id).digest("base64url")}`,
    );
    for (const key of stored) expect(key).not.toContain(id);
    expect(await sessions(redis, { prefix, secret: "another secret!!" }).read(id)).toBeUndefined();
    const plain = await sessions(redis, { prefix }).create();
    expect(plain.handle.slice(5)).toBe(createHash("sha256").update(plain.id).digest("base64url"));
  });

  it("A78: neither a log, nor JSON, nor a copy of a session shows its id", async () => {
    const session = await auth.create({ data: { theme: "dark" } });
    for (const shown of [inspect(session), JSON.stringify(session), inspect({ ...session })])
      expect(shown).not.toContain(session.id);
    expect(inspect({ ...session })).toContain("dark");
  });

  it("A80: touch writes at most once a minute, and moves the last activity then", async () => {
    const { id } = await auth.create({ userId: "1" });
    const key = await keyOf();
    expect(await auth.touch(id)).toMatchObject({ isRenewed: false, version: 1 });
    const before = await redis.commands.hgetAll(key);
    await redis.commands.hset(key, { a: Number(before.get("a")) - 50_000 });
    await redis.commands.pExpire(key, 80_000_000);
    expect(await auth.touch(id)).toMatchObject({ isRenewed: false });
    expect(await redis.commands.ttlMs(key)).toBeLessThanOrEqual(80_000_000);
    await redis.commands.hset(key, { a: Number(before.get("a")) - 60_000 });
    const [epoch] = (await keys()).filter((name) => name.endsWith(":epoch"));
    const touched = await auth.touch(id);
    expect(touched).toMatchObject({ isRenewed: true });
    expect(Math.abs(Date.parse(touched!.lastActivity) - Number(before.get("a")))).toBeLessThan(5_000);
    expect(await redis.commands.ttlMs(key)).toBeGreaterThan(86_390_000);
    expect(await redis.commands.ttlMs(epoch!)).toBeGreaterThan(30 * 86_400_000);
  });

  it("A81: nothing brings back a session that was destroyed, and changes of different fields all survive", async () => {
    const { id } = await auth.create({ data: { left: 0, right: 0 } });
    await Promise.all(
      Array.from({ length: 100 }, async (_, n) => {
        await Promise.all([auth.update(id, { left: n + 1 }), auth.update(id, { right: n + 1 }), auth.touch(id)]);
      }),
    );
    expect(await auth.read(id)).toMatchObject({ data: { left: 100, right: 100 }, version: 201 });
    await auth.destroy(id);
    const late = [auth.update(id, { left: 1 }), auth.touch(id), auth.regenerate(id), auth.read(id)];
    expect(await Promise.all(late)).toEqual([undefined, undefined, undefined, undefined]);
    expect(await keys()).toEqual([]);
  });

  it("A81: an update for another version changes nothing and is a conflict", async () => {
    const { id, version } = await auth.create({ data: { left: 1 } });
    expect(await auth.update(id, { left: 2 }, { ifVersion: version })).toMatchObject({ version: 2 });
    const refused = auth.update(id, { left: 3, right: 3 }, { ifVersion: version });
    await expect(refused).rejects.toThrow(SessionConflictError);
    await expect(refused).rejects.toMatchObject({ code: "SESSION_CONFLICT" });
    expect(await auth.read(id)).toMatchObject({ data: { left: 2 }, version: 2 });
  });

  it("A82: a new id takes all over in one step, in the same slot, and the old one ends at once", async () => {
    const old = await auth.create({ userId: "1", data: { theme: "dark" } });
    const fresh = await auth.regenerate(old.id);
    expect(fresh!.id.slice(0, 4)).toBe(old.id.slice(0, 4));
    expect(fresh!.id).not.toBe(old.id);
    expect(fresh).toMatchObject({ userId: "1", createdAt: old.createdAt, data: { theme: "dark" }, version: 2 });
    expect(await auth.read(old.id)).toBeUndefined();
    expect(await auth.regenerate(old.id)).toBeUndefined();
    expect((await auth.list("1")).map(({ handle }) => handle)).toEqual([fresh!.handle]);
    // The session, both of the user, and for a minute the old id, which says that it has moved.
    expect((await keys()).length).toBe(4);
    const oldKey = `${prefix}${old.handle.replace(/^(.{4})\./, "{$1}:")}`;
    expect((await redis.commands.hGetAll(oldKey)).get("to")).toBe(fresh!.handle);
    expect(await redis.commands.ttlMs(oldKey)).toBeLessThanOrEqual(60_000);
  });

  it("A82: a login gives the session to the user, and its absolute time begins anew", async () => {
    const anonymous = await auth.create({ data: { cart: ["book"] } });
    const key = await keyOf();
    const hour = 3_600_000;
    const [c, x] = ["c", "x"].map(async (name) => Number(await redis.commands.hget(key, name)) - hour);
    await redis.commands.hset(key, { c: await c!, x: await x! });
    const login = await auth.regenerate(anonymous.id, { userId: "{1}:epoch" });
    expect(login).toMatchObject({ userId: "{1}:epoch", data: { cart: ["book"] } });
    expect(Date.parse(login!.createdAt)).toBeGreaterThan((await c!) + hour - 5_000);
    const ends = Number(await redis.commands.hget(await keyOf(), "x"));
    expect(ends).toBe(Date.parse(login!.createdAt) + 30 * 86_400_000);
    expect((await auth.list("{1}:epoch")).map(({ handle }) => handle)).toEqual([login!.handle]);
  });

  it("A82: within its grace the old id reads, changes and destroys the session, but cannot regenerate it", async () => {
    const old = await auth.create({ data: { theme: "dark" } });
    const fresh = await auth.regenerate(old.id, { grace: "10s" });
    expect(await auth.read(old.id)).toMatchObject({ handle: fresh!.handle, data: { theme: "dark" } });
    expect(await auth.update(old.id, { left: 1 })).toMatchObject({ version: 3 });
    expect(await auth.read(fresh!.id)).toMatchObject({ data: { theme: "dark", left: 1 } });
    expect(await auth.regenerate(old.id)).toBeUndefined();
    const lives = await Promise.all((await keys()).map((key) => redis.commands.ttlMs(key)));
    expect(lives.filter((life) => Number(life) > 60_000 && Number(life) <= 70_000)).toHaveLength(1);
    expect(await auth.destroy(old.id)).toBe(true);
    expect(await keys()).toEqual([]);
    const short = await auth.create();
    await auth.regenerate(short.id, { grace: 100 });
    await expect.poll(() => auth.read(short.id)).toBeUndefined();
  });

  it("A82: an id that a client made up is never adopted", async () => {
    const { id } = await auth.create();
    const before = await keys();
    const madeUp = ["x".repeat(26), "", "{a}", "*", "a b", "x".repeat(10_000), "~user:{1}:epoch", `${id}x`, "\0", "é"];
    for (const one of madeUp) {
      expect(await auth.read(one)).toBeUndefined();
      expect(await auth.touch(one)).toBeUndefined();
      expect(await auth.update(one, { theme: "x" })).toBeUndefined();
      expect(await auth.regenerate(one, { userId: "admin" })).toBeUndefined();
      expect(await auth.destroy(one)).toBe(false);
    }
    expect((await keys()).filter((key) => !key.includes("~user"))).toEqual(before);
    expect(await auth.list("admin")).toEqual([]);
    await expect(auth.read(undefined as never)).rejects.toThrow("the id of a session must be text, got undefined");
  });

  it("A83: the sessions of a user are listed without ids, end by handle, and then leave the index", async () => {
    const all = await Promise.all(["a", "b", "c"].map((theme) => auth.create({ userId: "u:{7}", data: { theme } })));
    await auth.create({ userId: "u:{7" });
    const listed = await auth.list("u:{7}");
    expect(listed.map(({ data }) => data.theme).toSorted()).toEqual(["a", "b", "c"]);
    for (const session of listed) expect(session).not.toHaveProperty("id");
    expect(await auth.revoke(all[0]!.handle)).toBe(true);
    expect(await auth.read(all[0]!.id)).toBeUndefined();
    const index = `${prefix}~user:{u:%7B7%7D}:index`;
    expect(await redis.commands.zCard(index)).toBe(2);
    // As if it had ended by its life.
    await redis.commands.delete(`${prefix}${all[1]!.handle.replace(/^(.{4})\./, "{$1}:")}`);
    expect((await auth.list("u:{7}")).map(({ handle }) => handle)).toEqual([all[2]!.handle]);
    expect(await redis.commands.zCard(index)).toBe(1);
    expect(await auth.revoke("nothing.at.all")).toBe(false);
  });

  it("C242: destroyAll ends every session of a user, also those that its index does not name", async () => {
    const [known, lost, other] = [
      await auth.create({ userId: "1", data: { theme: "known" } }),
      await auth.create({ userId: "1" }),
      await auth.create({ userId: "2" }),
    ];
    await redis.commands.zRem(`${prefix}~user:{1}:index`, lost.handle);
    expect(await auth.destroyAll("1")).toBe(1);
    for (const { id } of [known, lost]) expect(await auth.read(id)).toBeUndefined();
    expect(await auth.read(other.id)).toMatchObject({ userId: "2" });
    const later = await auth.create({ userId: "1" });
    expect(await auth.read(later.id)).toMatchObject({ userId: "1" });
    expect(await auth.update(lost.id, { theme: "back" })).toBeUndefined();
  });

  it("a session that ended with all of its user was not there for destroy, though Redis still has it", async () => {
    const [lost, anonymous] = [await auth.create({ userId: "1" }), await auth.create()];
    await redis.commands.zRem(`${prefix}~user:{1}:index`, lost.handle);
    expect(await auth.destroyAll("1")).toBe(0);
    const later = await auth.create({ userId: "1" });
    expect(await auth.destroy(lost.id)).toBe(false);
    expect(await auth.revoke(later.handle)).toBe(true);
    expect(await auth.destroy(later.id)).toBe(false);
    expect(await auth.destroy(anonymous.id)).toBe(true);
    expect(await auth.list("1")).toEqual([]);
  });

  it("C242: a session that is moved, changed or touched while all of its user end, ends too, at any step", async () => {
    const work: readonly ((over: Sessions<Shop>, id: string) => ReturnType<typeof auth.read>)[] = [
      (over, id) => over.regenerate(id),
      (over, id) => over.regenerate(id, { userId: "1" }),
      (over, id) => over.update(id, { left: 1 }),
      (over, id) => over.touch(id),
    ];
    const survivors: string[] = [];
    for (const [which, run] of work.entries())
      for (let step = 0; step < 8; step += 1) {
        const { id, handle } = await auth.create({ userId: "1" });
        // So that only the epoch ends it.
        await redis.commands.zRem(`${prefix}~user:{1}:index`, handle);
        const stepped = beforeStep(redis, step, () => auth.destroyAll("1"));
        const outcome = await run(sessions(stepped, { prefix, secret: SECRET }), id);
        if (stepped.steps() <= step) await auth.destroyAll("1");
        for (const one of [id, outcome?.id ?? id])
          if ((await auth.read(one)) !== undefined) survivors.push(`${which} at ${step}`);
      }
    expect(survivors).toEqual([]);
  });

  it("a lost epoch of a user ends its sessions, and does not bring back those that were ended", async () => {
    const ended = await auth.create({ userId: "1" });
    await redis.commands.zRem(`${prefix}~user:{1}:index`, ended.handle);
    await auth.destroyAll("1");
    const [one, other] = [await auth.create({ userId: "1" }), await auth.create({ userId: "1" })];
    await redis.commands.delete(`${prefix}~user:{1}:epoch`);
    expect(await auth.read(one.id)).toBeUndefined();
    await auth.create({ userId: "1" });
    expect(await auth.read(other.id)).toBeUndefined();
    expect(await auth.read(ended.id)).toBeUndefined();
  });

  it("a session of connect-redis is read, keeps its life, and becomes one of these", async () => {
    const foreign = sessions<{ cookie: object; views: number }>(redis, { prefix: `${prefix}sess:`, hashIds: false });
    const text = JSON.stringify({ cookie: { originalMaxAge: null }, views: 3 });
    await redis.commands.set(`${prefix}sess:old-sid`, text, { ttl: "1h" });
    const read = await foreign.read("old-sid");
    expect(read).toMatchObject({ data: { cookie: { originalMaxAge: null }, views: 3 }, userId: undefined });
    expect(Math.abs(Date.parse(read!.expiresAt) - Date.now() - 3_600_000)).toBeLessThan(5_000);
    const life = await redis.commands.ttlMs(`${prefix}sess:old-sid`);
    expect(Math.abs(Number(life) - 3_600_000)).toBeLessThan(5_000);
    expect(await foreign.update("old-sid", { views: 4 })).toMatchObject({ data: { views: 4 }, version: 1 });
    const own = await foreign.create({ data: { views: 1 } });
    expect(await redis.commands.type(`${prefix}sess:${own.id}`)).toBe("hash");
    await redis.commands.set(`${prefix}sess:broken`, "[1]");
    await expect(foreign.read("broken")).rejects.toMatchObject({ code: "CORRUPT_VALUE" });
    await redis.commands.rPush(`${prefix}sess:list`, ["1"]);
    await expect(foreign.read("list")).rejects.toMatchObject({ code: "WRONG_TYPE" });
    await redis.commands.hset(`${prefix}sess:hash`, { x: "y" });
    await expect(foreign.update("hash", {})).rejects.toMatchObject({ code: expect.stringMatching(/CORRUPT|SCRIPT/) });
  });

  it("data that cannot be written is refused by an error that names the field; nothing was written", async () => {
    const { id } = await auth.create({ data: { left: 1 } });
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    const refused = { big: 1n, cart: cycle, run: () => undefined, mark: Symbol("x"), nested: JSON.parse(NAMES_PROTO) };
    for (const [field, value] of Object.entries(refused)) {
      const data = { left: 2, [field]: value as unknown };
      const reason = {
        code: "ENCODE_FAILED",
        message: expect.stringContaining(`the field "${field}" of the session cannot be written`),
      };
      const calls = await Promise.allSettled([auth.create({ data }), auth.update(id, data)]);
      expect(calls).toMatchObject([
        { status: "rejected", reason },
        { status: "rejected", reason },
      ]);
    }
    expect((await auth.read(id))?.data).toEqual({ left: 1 });
  });

  it("a field that is not JSON is CORRUPT_VALUE, by an error that does not quote it", async () => {
    const { id } = await auth.create({ userId: "ada" });
    await redis.commands.hSet(await keyOf(), ".cart", "4111111111111111");
    await redis.commands.hSet(await keyOf(), ".note", "card 4111");
    const calls = [
      () => auth.read(id),
      () => auth.touch(id),
      () => auth.update(id, { left: 1 }),
      () => auth.list("ada"),
    ];
    for (const call of calls) {
      const error = await call().then(String, (thrown: Error) => thrown);
      expect(error).toMatchObject({ code: "CORRUPT_VALUE" });
      expect(inspect(error)).not.toContain("4111");
    }
    expect(await auth.destroy(id)).toBe(true);
  });

  it("A35: sessions of a tenant are its own", async () => {
    const [acme, other] = ["acme", "other"].map((name) => sessions(redis.tenant(prefix + name), { secret: SECRET }));
    const { id } = await acme!.create({ userId: "1" });
    expect(await other!.read(id)).toBeUndefined();
    expect(await other!.destroyAll("1")).toBe(0);
    expect(await acme!.read(id)).toMatchObject({ userId: "1" });
    expect(await acme!.destroyAll("1")).toBe(1);
  });
});

it.each(["one server", "a cluster"] as const)(
  "A80: activity moves the end, and no activity moves it beyond the absolute time, over %s",
  async (where) => {
    const brief = sessions<Shop>(await servers.open(where), { idle: "4s", absolute: "8s" });
    const idle = await brief.create();
    const { id, createdAt } = await brief.create({ data: { theme: "dark" } });
    const ends = Date.parse(createdAt) + 8_000;
    let touched = 0;
    // Its last touch comes well before the end, and after that of the other one.
    while (Date.now() < ends - 3_000) {
      await pause(50);
      const session = await brief.touch(id);
      expect(session).toBeDefined();
      expect(Date.parse(session!.expiresAt)).toBeLessThanOrEqual(Date.parse(createdAt) + 8_001);
      if (Date.parse(session!.lastActivity) > Date.parse(createdAt)) touched += 1;
    }
    expect(touched).toBeGreaterThan(5);
    expect(await brief.read(idle.id)).toBeUndefined();
    await expect.poll(() => brief.touch(id)).toBeUndefined();
    expect(Date.now()).toBeGreaterThan(ends - 100);
  },
);

it("where Redis is away, or is stopped, every call is an error, and never 'no session'", async () => {
  await using own = await startOwnRedis();
  await using redis = createRedis({ ...ALONE, url: own.url, commandTimeout: "1s" });
  await untilUp(redis);
  const auth = sessions<Shop>(redis);
  const { id, handle } = await auth.create({ userId: "1" });
  const calls = (): readonly Promise<unknown>[] => [
    auth.create(),
    auth.read(id),
    auth.touch(id),
    auth.update(id, { theme: "dark" }),
    auth.regenerate(id),
    auth.regenerate(id, { userId: "1" }),
    auth.destroy(id),
    auth.revoke(handle),
    auth.destroyAll("1"),
    auth.list("1"),
  ];
  const outcomes = async (): Promise<readonly unknown[]> =>
    (await Promise.allSettled(calls())).map((one) => one.status === "rejected" && one.reason.constructor);
  own.pause();
  expect(await outcomes()).toEqual(Array(10).fill(BackendUnavailableError));
  own.resume();
  await expect.poll(() => auth.read(id).catch(() => "away")).not.toBe("away");
  await own.kill();
  expect(await outcomes()).toEqual(Array(10).fill(BackendUnavailableError));
});

it("where Redis is disabled every call is refused", async () => {
  await using redis = createRedis({ ...ALONE, enabled: false });
  const auth = sessions(redis);
  const calls = [auth.create(), auth.read("x"), auth.destroy("x"), auth.destroyAll("1"), auth.list("1")];
  expect(await codesOf(calls)).toEqual(calls.map(() => "REDIS_DISABLED"));
});

it("full memory refuses what writes, and sessions are still read and destroyed", async () => {
  await using own = await startOwnRedis();
  await using redis = createRedis({ ...ALONE, url: own.url });
  const auth = sessions<Shop>(redis);
  const { id } = await auth.create({ userId: "1", data: { theme: "dark" } });
  for await (const key of redis.commands.scan({ type: "hash" })) await redis.commands.hset(key, { a: 0 });
  await own.command("CONFIG", "SET", "maxmemory", "1");
  const calls = [auth.create(), auth.create({ userId: "2" }), auth.update(id, { theme: "x" })];
  expect(await codesOf(calls)).toEqual(calls.map(() => "OUT_OF_MEMORY"));
  expect(await auth.touch(id)).toMatchObject({ isRenewed: true, data: { theme: "dark" } });
  expect(await auth.destroy(id)).toBe(true);
  expect(await auth.read(id)).toBeUndefined();
});

it("a replica refuses what writes", async () => {
  await using own = await startOwnRedis();
  await using redis = createRedis({ ...ALONE, url: own.url });
  const auth = sessions<Shop>(redis);
  const { id } = await auth.create();
  await own.command("REPLICAOF", "127.0.0.1", "1");
  const calls = [auth.create(), auth.update(id, { theme: "x" }), auth.destroy(id)];
  expect(await codesOf(calls)).toEqual(calls.map(() => "READ_ONLY"));
});

it("a Redis that may evict sessions is refused where that is required", async () => {
  await using own = await startOwnRedis();
  await own.command("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru");
  await using redis = createRedis({ ...ALONE, url: own.url });
  await expect(sessions(redis, { requireNoEviction: true }).create()).rejects.toMatchObject({
    code: "INVALID_CONFIGURATION",
  });
  expect(await sessions(redis).create()).toMatchObject({ version: 1 });
});

it("options and arguments that can never work are refused, and named", async () => {
  const redis = await servers.open("one server");
  const refused: readonly [Record<string, unknown>, string][] = [
    [
      { idl: "1h" },
      'unknown option "idl"; did you mean idle?; accepted: idle, absolute, secret, hashIds, prefix, requireNoEviction',
    ],
    [{ idle: 0 }, "idle must be from 1000 to 2^52 ms"],
    [{ absolute: "4000d" }, "absolute must be from 1000 to 315360000000 ms"],
    [{ idle: "31d" }, "idle must not be longer than absolute"],
    [{ secret: "short" }, "secret must be text or a Buffer of at least 16 characters or bytes"],
    [{ secret: SECRET, hashIds: false }, "secret has no use with hashIds: false"],
    [{ hashIds: "no" }, 'hashIds must be true or false, got "no"'],
    [{ prefix: "a{b}" }, "prefix must be 1 to 128 of letters, digits"],
    [{ prefix: "" }, "prefix must be 1 to 128 of letters, digits"],
  ];
  for (const [options, message] of refused) expect(() => sessions(redis, options)).toThrow(message);
  const auth = sessions<Record<string, unknown>>(redis);
  await expect(auth.create({ userId: "" })).rejects.toThrow("userId must be text of 1 to 512 characters");
  await expect(auth.create({ data: { big: 1n } })).rejects.toMatchObject({ code: "ENCODE_FAILED" });
  await expect(auth.create({ data: JSON.parse('{"__proto__": 1}') as object })).rejects.toThrow("__proto__");
  await expect(auth.create({ data: [] as never })).rejects.toThrow(
    "the data of a session must be an object, got an array",
  );
  await expect(auth.regenerate("x", { grace: "2h" })).rejects.toThrow("grace must be from 0 to 3600000 ms");
  await expect(auth.update("x", {}, { ifversion: 1 } as never)).rejects.toThrow('unknown option "ifversion"');
});

it("a logout succeeds where only the index of the user cannot be changed", async () => {
  await using own = await startOwnRedis();
  const warnings: string[] = [];
  const warn = (line: string): void => void warnings.push(line);
  await using redis = createRedis({ ...ALONE, url: own.url, logger: { error: warn, warn, info: () => undefined } });
  const auth = sessions<Shop>(redis);
  const { id } = await auth.create({ userId: "1" });
  await redis.commands.delete("session:~user:{1}:index");
  await redis.commands.set("session:~user:{1}:index", "of another type");
  expect(await auth.destroy(id)).toBe(true);
  expect(await auth.read(id)).toBeUndefined();
  expect(warnings).toEqual([expect.stringContaining("sessions")]);
});

it("a session has as many fields as you like", async () => {
  const auth = sessions<Record<string, number>>(await servers.open("one server"));
  const data = Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`field ${i}`, i]));
  const { id } = await auth.create({ data });
  expect((await auth.read(id))!.data).toEqual(data);
  const changes = Object.fromEntries(Object.keys(data).map((name, i) => [name, i % 2 === 0 ? undefined : -i]));
  const changed = (await auth.update(id, changes))!;
  expect(Object.values(changed.data).toSorted((a, b) => b! - a!)).toEqual(
    Array.from({ length: 5_000 }, (_, i) => -(2 * i + 1)),
  );
});

it("fields of any name are data: they meet neither those of the session nor a prototype", async () => {
  const auth = sessions<Record<string, unknown>>(await servers.open("one server"));
  const data = { u: "root", x: 0, to: "elsewhere", v: 9, "": 1, constructor: "c", toString: 2, "a.b": [null, {}] };
  const { id } = await auth.create({ data });
  expect(await auth.read(id)).toMatchObject({ userId: undefined, version: 1, data });
});
