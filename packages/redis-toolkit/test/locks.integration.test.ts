import { BackendUnavailableError } from "@hotset/core";
import { CommandError, createRedis, type Redis } from "@hotset/redis-toolkit";
import { LockLostError, locks, LockUnavailableError, type Lease } from "@hotset/redis-toolkit/lock";
import { randomPrefix, startOwnRedis, until } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { PAUSE_MS } from "../src/locks/wakes.ts";
import { ALONE, ALSO_OVER_HTTP, startServers } from "./servers.ts";

const servers = startServers({ user: "locks" });

const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe.each(ALSO_OVER_HTTP)("locks over %s", (where) => {
  let redis: Redis;
  let name: string;
  beforeAll(async () => {
    redis = await servers.open(where);
  });
  beforeEach(() => {
    name = randomPrefix();
  });

  it("A61: one of many callers holds it, the others get it one after the other", async () => {
    let inside = 0;
    const fences: number[] = [];
    const most: number[] = [];
    await Promise.all(
      Array.from({ length: 12 }, () =>
        locks(redis).using(name, { wait: "10s" }, async ({ fence }) => {
          fences.push(fence);
          most.push((inside += 1));
          await new Promise((resolve) => setTimeout(resolve, 2));
          inside -= 1;
        }),
      ),
    );
    expect(most).toEqual(Array.from({ length: 12 }, () => 1));
    expect(fences).toEqual(fences.toSorted((a, b) => a - b));
    expect(new Set(fences).size).toBe(12);
  });

  it("A62: only its holder releases it: a lost one says so, and the successor keeps it", async () => {
    const first = await locks(redis).acquire(name);
    await redis.commands.delete(`lock:{${name}}`);
    const second = await locks(redis).acquire(name);
    expect([await first.release(), await first.release()]).toEqual(["lost", "lost"]);
    expect(first.signal.reason).toBeInstanceOf(LockLostError);
    const stale = await locks(redis).acquire(`${name} stale`);
    await redis.commands.set(`lock:{${name} stale}`, second.token, { keepTtl: true });
    expect(await stale.extend()).toBe("lost");
    expect(await redis.commands.get(`lock:{${name}}`)).toBe(second.token);
    expect([await second.extend(), await second.release(), await second.extend()]).toEqual([
      "extended",
      "released",
      "lost",
    ]);
    expect(await redis.commands.exists(`lock:{${name}}`)).toBe(false);
  });

  it("A67: where Redis has lost it, its next extension says so, and its signal is aborted", async () => {
    const lease = await locks(redis).acquire(name);
    await redis.commands.delete(`lock:{${name}}`, `lock:fence:{${name}}`);
    expect([lease.signal.aborted, await lease.extend(), lease.signal.aborted]).toEqual([false, "lost", true]);
    expect(lease.signal.reason).toBeInstanceOf(LockLostError);
  });

  it("A63: fences rise when it was released, has expired, was deleted, and when the fence itself is lost", async () => {
    const fences: number[] = [];
    const take = async (): Promise<Lease> => {
      const lease = await locks(redis).acquire(name);
      fences.push(lease.fence);
      return lease;
    };
    await (await take()).release();
    await take();
    await redis.commands.pExpire(`lock:{${name}}`, 1);
    await until("its end", async () => !(await redis.commands.exists(`lock:{${name}}`)));
    await take();
    await redis.commands.delete(`lock:{${name}}`, `lock:fence:{${name}}`);
    await (await take()).release();
    // As if the server's clock had been set back.
    await redis.commands.set(`lock:fence:{${name}}`, "4000000000000000");
    await (await take()).release();
    await take();
    expect(fences).toEqual(fences.toSorted((a, b) => a - b));
    expect(fences.slice(-2)).toEqual([4_000_000_000_000_001, 4_000_000_000_000_002]);
    expect(fences[0]! / 1_000).toBeGreaterThan(Date.now() - 60_000);
  });

  it("A64: contended is not away: the holder's time is named, and waiting ends with `wait` or its signal", async () => {
    await using held = await locks(redis).acquire(name, { ttl: "30s" });
    const error = await errorOf(locks(redis).acquire(name));
    expect(error).toBeInstanceOf(LockUnavailableError);
    expect(error).toMatchObject({ code: "LOCK_UNAVAILABLE", resources: [name] });
    const { retryAfterMs } = error as LockUnavailableError;
    expect(retryAfterMs).toBeGreaterThan(20_000);
    expect(retryAfterMs).toBeLessThanOrEqual(30_000);
    expect(await locks(redis).tryAcquire(name)).toBeUndefined();
    expect(await errorOf(locks(redis).acquire(name, { wait: 90 }))).toBeInstanceOf(LockUnavailableError);
    const signal = AbortSignal.timeout(50);
    expect(await errorOf(locks(redis).acquire(name, { wait: "1m", signal }))).toBe(signal.reason);
    expect(await held.release()).toBe("released");
    expect((await locks(redis).tryAcquire(name))?.resources).toEqual([name]);
  });

  it.skipIf(where === "HTTP")("A64: a release wakes a caller that waits, long before it would look again", async () => {
    const slow = await locks(redis).acquire(`${name} unheard`);
    const others = locks(redis).acquire(`${name} unheard`, { wait: "10s" });
    const held = await locks(redis).acquire(name);
    // Its time stands still: only a message lets it look again.
    const clock = new TestClock();
    const waiter = await servers.open(where, { clock });
    await waiter.initialize();
    const waiting = locks(waiter).acquire(name, { wait: "10s" });
    await until("a subscription", async () => {
      const channel = `lock:{${name}}`;
      if (where !== "a cluster") return Object.values(await redis.commands.pubSubNumSub(channel))[0] === 1;
      const replies = await Promise.all(
        (await servers.cluster()).nodes.map((node) => node.command("PUBSUB", "NUMSUB", channel)),
      );
      return replies.some((reply) => (reply as unknown[])[1] === 1);
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    clock.advance(PAUSE_MS);
    await held.release();
    clock.advance(PAUSE_MS);
    await (await waiting).release();
    // Nothing is published: it is found all the same.
    await redis.commands.delete(`lock:{${name} unheard}`);
    expect(await slow.release()).toBe("lost");
    expect(await (await others).release()).toBe("released");
  });

  it("A65: a task runs while it is held, its error is passed on, and a lost lock is an error", async () => {
    const failure = new Error("of the task");
    const startedAt = performance.now();
    const result = await locks(redis).using([name], async ({ resources, signal, remainingMs, fence }) => {
      expect(resources).toEqual([name]);
      const passedMs = Math.ceil(performance.now() - startedAt) + 1;
      expect([
        signal.aborted,
        remainingMs >= 9_898 - passedMs,
        remainingMs <= 9_898,
        Number.isSafeInteger(fence),
      ]).toEqual([false, true, true, true]);
      return "done";
    });
    expect(result).toBe("done");
    expect(await redis.commands.exists(`lock:{${name}}`)).toBe(false);
    expect(
      await errorOf(
        locks(redis).using(name, async () => {
          await redis.commands.delete(`lock:{${name}}`);
          throw failure;
        }),
      ),
    ).toBe(failure);
    const lost = await errorOf(locks(redis).using(name, () => redis.commands.delete(`lock:{${name}}`)));
    expect(lost).toBeInstanceOf(LockLostError);
    expect(lost).toMatchObject({ code: "LOCK_LOST", resources: [name] });
    await expect(locks(redis).using(name, () => locks(redis).acquire(name))).rejects.toThrow("is held by another");
  });

  it("A68: several at once are all held or none, in any order", async () => {
    const [a, b, c] = [`{${name}}a`, `{${name}}b`, `{${name}}c`];
    await using one = await locks(redis).acquire(b);
    expect(await locks(redis).tryAcquire([c, b, a])).toBeUndefined();
    expect(await redis.commands.get(`lock:${a}`)).toBeUndefined();
    await one.release();
    const all = await locks(redis).acquire([c, a, b]);
    expect(all.resources).toEqual([a, b, c]);
    expect(all.fence).toBeGreaterThan(one.fence);
    expect(await locks(redis).tryAcquire(a)).toBeUndefined();
    expect([await all.extend("20s"), all.remainingMs > 15_000]).toEqual(["extended", true]);
    expect(await all.release()).toBe("released");
    const next = await locks(redis).acquire(c);
    expect(next.fence).toBeGreaterThan(all.fence);
    await next.release();
  });

  it("C234: a semaphore has as many holders as permits, and each of them an end", async () => {
    const pool = locks(redis).semaphore(name, 2);
    const [one, two] = [await pool.acquire({ ttl: "4s" }), await pool.acquire()];
    expect(await pool.tryAcquire()).toBeUndefined();
    const contended = await errorOf(pool.acquire());
    expect(contended).toBeInstanceOf(LockUnavailableError);
    expect((contended as LockUnavailableError).retryAfterMs).toBeLessThanOrEqual(4_000);
    expect([two.fence > one.fence, await two.extend("20s"), await two.release(), await two.release()]).toEqual([
      true,
      "extended",
      "released",
      "released",
    ]);
    const three = await pool.acquire();
    // The first ends with its time.
    const four = await pool.acquire({ wait: "15s" });
    expect([await one.release(), await three.release(), await four.release()]).toEqual([
      "lost",
      "released",
      "released",
    ]);
    expect(await redis.commands.exists(`lock:permits:{${name}}`)).toBe(false);
  });

  it("C235: many readers or one writer, and a writer that waits comes before new readers", async () => {
    const { read, write } = locks(redis).readWrite(name);
    const readers = [await read.acquire(), await read.acquire()];
    expect(await write.tryAcquire()).toBeUndefined();
    await using third = await read.acquire();
    const writing = write.acquire({ ttl: "2m", wait: "10s" });
    await until("its intent", async () => {
      const reader = await read.tryAcquire();
      await reader?.release();
      return reader === undefined;
    });
    for (const reader of [...readers, third]) expect(await reader.release()).toBe("released");
    const writer = await writing;
    expect([await read.tryAcquire(), await write.tryAcquire()]).toEqual([undefined, undefined]);
    expect(writer.fence).toBeGreaterThan(third.fence);
    expect([await writer.extend(), await writer.release()]).toEqual(["extended", "released"]);
    const after = await Promise.all([read.acquire(), read.acquire({ wait: "10s" })]);
    expect(await errorOf(write.acquire({ wait: 100 }))).toBeInstanceOf(LockUnavailableError);
    // The writer has given up: readers come in again.
    await using last = await read.acquire({ wait: "10s" });
    expect(last.fence).toBeGreaterThan(writer.fence);
    for (const reader of after)
      expect([await reader.extend(), await reader.release()]).toEqual(["extended", "released"]);
  });

  it("tenants have their own locks", async () => {
    const [one, other] = [redis.tenant(name), redis.tenant(`${name}x`)];
    await using held = await locks(one).acquire("a:{b}", { ttl: "2m" });
    await using same = await locks(other).acquire("a:{b}");
    expect([held.remainingMs > 0, same.remainingMs > 0]).toEqual([true, true]);
    expect(await redis.commands.get(`${name}:lock:{${name}:a:%7Bb%7D}`)).toBe(held.token);
    const waiting = locks(one).using("a:{b}", { wait: "15s" }, ({ token }) => token);
    await held.release();
    expect(await waiting).not.toBe(held.token);
  });
});

it("A68: in a cluster several names need one hash tag; else nothing is sent", async () => {
  const redis = await servers.open("a cluster");
  const names = [randomPrefix(), randomPrefix()];
  for (const lock of [locks(redis), locks(redis, { replicas: 1 })]) {
    const error = await errorOf(lock.acquire(names));
    expect(error).toBeInstanceOf(CommandError);
    expect(error).toMatchObject({ code: "CROSS_SLOT" });
  }
  expect(await redis.commands.exists(`lock:{${names[0]}}`)).toBe(false);
  const [stock, price] = names.map((name) => `{order:7}:${name}`) as [string, string];
  await using lease = await locks(redis).acquire([stock, price]);
  expect(lease.resources).toEqual([stock, price].toSorted());
});

it("C237: over independent servers a lock is held where most agree; its fence rises at each of them", async () => {
  const name = randomPrefix();
  const three = await Promise.all([startOwnRedis(), startOwnRedis(), startOwnRedis()]);
  const [a, b, c] = three.map(({ url }) => createRedis({ ...ALONE, url, commandTimeout: "5s" })) as [
    Redis,
    Redis,
    Redis,
  ];
  const lock = locks(a, { quorum: [b, c] });
  const first = await lock.acquire(name);
  await until("all fences", async () => {
    const fences = await Promise.all(three.map((each) => each.command("GET", `lock:fence:{${name}}`)));
    return fences.filter((fence) => fence === String(first.fence)).length >= 2;
  });
  const contended = await errorOf(locks(b, { quorum: [a, c] }).acquire(name));
  expect(contended).toBeInstanceOf(LockUnavailableError);
  const waiting = lock.acquire(name, { wait: "15s" });
  expect([await first.extend(), await first.release()]).toEqual(["extended", "released"]);
  const second = await waiting;
  expect(second.fence).toBeGreaterThan(first.fence);
  await second.release();
  // The clock of a server is ahead. It takes part in one lock, and is lost.
  await three[0].command("SET", `lock:fence:{${name}}`, "5000000000000000");
  three[2].pause();
  const ahead = await lock.acquire(name, { wait: "15s" });
  expect(ahead.fence).toBe(5_000_000_000_000_001);
  expect(await ahead.release()).toBe("released");
  three[2].resume();
  await three[0].kill();
  const third = await lock.acquire(name, { wait: "15s" });
  expect(third.fence).toBeGreaterThan(ahead.fence);
  expect(await third.extend()).toBe("extended");
  await three[1].kill();
  expect(await errorOf(third.extend())).toBeInstanceOf(BackendUnavailableError);
  expect(await errorOf(lock.acquire(name))).toBeInstanceOf(BackendUnavailableError);
  await Promise.all([a, b, c].map((redis) => redis.disconnect()));
  await Promise.all(three.map((each) => each.stop()));
});
