/** Exclusive sockets: order, bounds, and the state in which they are given back. */
import { single } from "@hotset/redis";
import {
  openConnection,
  type ExclusiveConnection,
  type PoolOptions,
  type RedisConnection,
} from "@hotset/redis-toolkit/connection";
import { startOwnRedis } from "@hotset/test-servers";
import { gate } from "@hotset/testing";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";

let redis: RedisConnection;
const openWith = (pool: PoolOptions): RedisConnection =>
  openConnection(single(server.url), { responseTimeoutMs: 1_000, pool });

const server = await startOwnRedis();
afterAll(() => server.stop());
beforeEach(() => {
  redis = openWith({ max: 2, waitMs: 5_000 });
});
afterEach(() => redis.close());

describe("a pool", () => {
  it("lends its sockets in the order in which callers came, and never more than its maximum", async () => {
    const doors = Array.from({ length: 6 }, () => gate());
    const order: number[] = [];
    let most = 0;
    const uses = doors.map((door, i) =>
      redis.pool.use(async (connection) => {
        order.push(i);
        await connection.call(["PING"]);
        most = Math.max(most, redis.pool.status.inUse);
        await door.pass();
      }),
    );
    await Promise.all(doors.slice(0, 2).map((door) => door.arrived()));
    expect(redis.pool.status).toEqual({ size: 2, idle: 0, inUse: 2, waiting: 4 });
    for (const door of doors) {
      await door.arrived();
      door.open();
    }
    await Promise.all(uses);
    expect(order.slice(2)).toEqual([2, 3, 4, 5]);
    expect(most).toBe(2);
    expect(redis.pool.status).toEqual({ size: 2, idle: 2, inUse: 0, waiting: 0 });
  });

  it("refuses a caller whose wait is over, or whose signal is aborted, and forgets it", async () => {
    const door = gate();
    const holders = [1, 2].map(() => redis.pool.use(() => door.pass()));
    const late = redis.pool.use(async () => 1, { waitMs: 50 });
    await expect(late).rejects.toMatchObject({
      code: "OVERLOADED",
      message: expect.stringContaining("all 2 are in use, and none became free within 50 ms; see pool.max"),
    });
    const stop = new AbortController();
    const aborted = redis.pool.use(async () => 1, { signal: stop.signal });
    const reason = new Error("shut down");
    stop.abort(reason);
    await expect(aborted).rejects.toBe(reason);
    expect(redis.pool.status.waiting).toBe(0);
    door.open();
    await Promise.all(holders);
    expect(await redis.pool.use(async () => "free")).toBe("free");
  });

  it("refuses at once what 10,000 callers in line would be too many for", async () => {
    const door = gate();
    const holders = [1, 2].map(() => redis.pool.use(() => door.pass()));
    const waiting = Array.from({ length: 10_000 }, () => redis.pool.use(async () => 1));
    await expect(redis.pool.use(async () => 1)).rejects.toMatchObject({ code: "OVERLOADED" });
    expect(redis.pool.status.waiting).toBe(10_000);
    door.open();
    await Promise.all(holders);
    expect(new Set(await Promise.all(waiting))).toEqual(new Set([1]));
  });

  it("passes on what its function returns or throws, and takes the socket back in both cases", async () => {
    const error = new Error("mine");
    await expect(redis.pool.use(() => Promise.reject(error))).rejects.toBe(error);
    expect(await redis.pool.use(async () => 1)).toBe(1);
    expect(redis.pool.status).toEqual({ size: 1, idle: 1, inUse: 0, waiting: 0 });
  });

  it.for<[string, readonly string[][], readonly string[]]>([
    ["a watched key is unwatched", [["WATCH", "k"]], ["UNWATCH"]],
    ["an open transaction is discarded", [["WATCH", "k"], ["MULTI"], ["SET", "k", "half"]], ["DISCARD"]],
    ["after EXEC nothing is left", [["WATCH", "k"], ["MULTI"], ["EXEC"]], []],
    ["an EXEC that nothing began ends no watch", [["WATCH", "k"], ["EXEC"]], ["UNWATCH"]],
    ["a DISCARD that nothing began ends no watch", [["WATCH", "k"], ["DISCARD"]], ["UNWATCH"]],
  ])("gives the next caller a socket as a new one: %s", async ([, commands, expected]) => {
    const one = openWith({ max: 1 });
    const first = await one.pool.use(async (connection) => {
      await connection.burst(commands);
      return (await server.command("CLIENT", "LIST")) as string;
    });
    await server.command("SET", "k", "other");
    const results = await one.pool.use((connection) => connection.burst([["MULTI"], ["GET", "k"], ["EXEC"]]));
    expect(results).toEqual(["OK", "QUEUED", [Buffer.from("other")]]);
    expect(first).toContain("name=hotset");
    expect(one.pool.status).toEqual({ size: 1, idle: 1, inUse: 0, waiting: 0 });
    const stats = await server.info("commandstats");
    for (const name of expected) expect(stats[`cmdstat_${name.toLowerCase()}`]).toBeDefined();
    await one.close();
  });

  it.for([
    ["SELECT", "1"],
    ["CLIENT", "NO-EVICT", "on"],
    ["SUBSCRIBE", "news"],
  ])("closes a socket that is in another state than a new one: %s", async (command) => {
    await redis.pool.use((connection) => connection.call(command, { deadlineMs: 200 })).catch(() => undefined);
    expect(redis.pool.status.size).toBe(0);
    expect(await redis.pool.use((connection) => connection.call(["SET", "k", "db0"]))).toBe("OK");
    expect(await server.command("GET", "k")).toBe("db0");
  });

  it("closes a socket with a command that was not awaited", async () => {
    await redis.pool.use(async (connection) => {
      connection.call(["BLPOP", "none", "0"], { blockMs: 10_000 }).catch(() => undefined);
      await new Promise((resolve) => setImmediate(resolve));
    });
    expect(redis.pool.status).toEqual({ size: 0, idle: 0, inUse: 0, waiting: 0 });
  });

  it("refuses commands over a socket that was given back", async () => {
    let kept: ExclusiveConnection | undefined;
    await redis.pool.use(async (connection) => {
      kept = connection;
      await connection.call(["PING"]);
    });
    await expect(kept!.call(["PING"])).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: false });
  });

  it("closes sockets that nothing uses", async () => {
    const one = openWith({ idleMs: 50 });
    await one.pool.use((connection) => connection.call(["PING"]));
    expect(one.pool.status.idle).toBe(1);
    await expect.poll(() => one.pool.status.size).toBe(0);
    await one.close();
  });

  it("closes all when the connection closes, and refuses those who wait", async () => {
    const door = gate();
    const using = [1, 2].map(() => redis.pool.use(() => door.pass()));
    await door.arrived(2);
    const waiting = redis.pool.use(async () => 1).catch((error: unknown) => error);
    await redis.close();
    expect(await waiting).toMatchObject({ retryable: false, maybeExecuted: false });
    door.open();
    await Promise.all(using);
    expect(redis.pool.status.size).toBe(0);
  });
});
