import { BackendUnavailableError, ConfigurationError, InvalidArgumentError } from "@hotset/core";
import { sentinel } from "@hotset/redis";
import { CommandError, createRedis, type Redis, type RedisOptions } from "@hotset/redis-toolkit";
import { LockLostError, locks, LockUnavailableError } from "@hotset/redis-toolkit/lock";
import {
  forkScript,
  isNightly,
  randomPrefix,
  startOwnRedis,
  startProxy,
  startSentinel,
  until,
  type OwnRedis,
} from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import type { Handlers } from "./lock-contender.ts";
import { ALONE, untilUp } from "./servers.ts";

let name: string;
const open: Redis[] = [];

const server = await startOwnRedis();
afterAll(async () => {
  await Promise.all(open.map((redis) => redis.disconnect()));
  await server.stop();
});
beforeEach(() => {
  name = randomPrefix();
});

function connect(options: RedisOptions = {}): Redis {
  const redis = createRedis({ ...ALONE, url: server.url, ...options });
  open.push(redis);
  return redis;
}

const never = (): never => {
  throw new Error("this must not run");
};
const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

/** Scripts that a server has run. */
async function scriptsRun(redis: OwnRedis = server): Promise<number> {
  const stats = await redis.info("commandstats");
  return Number(/calls=(\d+)/.exec(stats["cmdstat_evalsha"] ?? "")?.[1] ?? 0);
}

/** Lets replies of the server arrive while time stands still: until 60 ms have brought it no other script. */
async function settle(redis: Redis): Promise<void> {
  let before: number;
  do {
    before = await scriptsRun();
    await new Promise((resolve) => setTimeout(resolve, 60));
    // Its reply comes behind those of all commands before it.
    await redis.commands.ping();
  } while ((await scriptsRun()) !== before);
}

const ROUNDS = isNightly ? 100 : 30;

it(`A61: of 100 contenders in 3 processes, ${ROUNDS} rounds each, no two hold a lock at once, and fences rise`, async () => {
  const contenders = [34, 33, 33].map((count) => Array.from({ length: count }, (_, i) => i % 10));
  const processes = contenders.map(() => forkScript<Handlers>(new URL("lock-contender.ts", import.meta.url)));
  const holdings = (
    await Promise.all(processes.map((each, i) => each.call("contend", server.url, contenders[i]!, ROUNDS)))
  ).flat();
  await Promise.all(processes.map((each) => each.end()));
  expect(holdings).toHaveLength(100 * ROUNDS);
  for (let lock = 0; lock < 10; lock += 1) {
    const order = holdings.filter((each) => each.lock === lock).toSorted((a, b) => (a.from < b.from ? -1 : 1));
    expect(order.filter(({ from }, i) => i > 0 && from < order[i - 1]!.to)).toEqual([]);
    expect(order.filter(({ fence }, i) => i > 0 && fence <= order[i - 1]!.fence)).toEqual([]);
  }
});

it("A63: fences rise across FLUSHALL and a restart without data, so a store refuses the former holder", async () => {
  await using own = await startOwnRedis();
  const redis = connect({ url: own.url });
  let newest = 0;
  /** The guarded store. */
  const write = (fence: number): "written" | "refused" => {
    if (fence < newest) return "refused";
    newest = fence;
    return "written";
  };
  const first = await locks(redis).acquire(name);
  expect(write(first.fence)).toBe("written");
  await own.command("FLUSHALL");
  const second = await locks(redis).acquire(name);
  expect([write(second.fence), write(first.fence)]).toEqual(["written", "refused"]);
  await own.kill();
  await own.start();
  const third = await locks(redis).acquire(name, { wait: "10s" });
  expect([write(third.fence), write(second.fence), write(third.fence)]).toEqual(["written", "refused", "written"]);
  expect([await first.extend(), await second.release(), await third.release()]).toEqual(["lost", "lost", "released"]);
});

describe("A64: waiting", () => {
  it("A64: a waiter tries fewer than 20 times a second, however often it is woken", async () => {
    const redis = connect();
    await using _held = await locks(redis).acquire(name, { ttl: "2m" });
    let tries = 0;
    // A busy machine wakes it less often, so it is given more time there.
    for (let seconds = 3; tries <= 24 && seconds <= 24; seconds *= 2) {
      const before = await scriptsRun();
      const waiting = errorOf(locks(redis).acquire(name, { wait: `${seconds}s` }));
      const endAt = performance.now() + seconds * 1_000;
      while (performance.now() < endAt) {
        await redis.commands.publish(`lock:{${name}}`, "");
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      expect(await waiting).toBeInstanceOf(LockUnavailableError);
      tries = (await scriptsRun()) - before - 1;
      expect(tries).toBeLessThan(20 * seconds);
    }
    expect(tries).toBeGreaterThan(24);
  });

  it("A64: a release wakes one waiter of a process, before its own time", async () => {
    const clock = new TestClock();
    const redis = connect({ clock });
    const held = await locks(redis).acquire(name);
    const waiting = [1, 2, 3].map(() => locks(redis).acquire(name, { wait: "1h" }));
    const subscribers = async (): Promise<unknown> =>
      (await redis.commands.pubSubNumSub(`lock:{${name}}`))[`lock:{${name}}`];
    await until("a subscription", async () => (await subscribers()) === 1);
    await settle(redis);
    clock.advance(60);
    await settle(redis);
    const before = await scriptsRun();
    await held.release();
    const first = await Promise.race(waiting);
    await settle(redis);
    expect((await scriptsRun()) - before).toBe(2);
    const leases = Promise.all(waiting.map(async (each) => (await each).release()));
    await until("all", async () => {
      clock.advance(60);
      await settle(redis);
      return (await subscribers()) === 0;
    });
    expect([await leases, first.remainingMs]).toEqual([["released", "released", "released"], 0]);
  });

  it("A64: without the right to publish or to subscribe, waiters find it by themselves", async () => {
    await using own = await startOwnRedis();
    await own.command("ACL", "SETUSER", "worker", "on", ">secret", "~*", "+@all", "resetchannels");
    const lines: string[] = [];
    const logger = { error: () => undefined, info: () => undefined, warn: (line: string) => lines.push(line) };
    const redis = connect({ url: own.url, username: "worker", password: "secret", logger });
    const held = await locks(redis).acquire(name);
    const waiting = locks(redis).acquire(name, { wait: "10s" });
    await until("a report", async () => lines.length > 0);
    expect(await held.release()).toBe("released");
    expect(await (await waiting).release()).toBe("released");
    expect(lines[0]).toContain("lock wake");
  });

  it("A64: an abort ends it at once, and leaves no lock behind", async () => {
    await using proxy = await startProxy(server.port);
    const redis = connect({ url: proxy.url });
    await (await locks(redis).acquire("warm")).release();
    const hold = proxy.hold("EVALSHA", "reply");
    const aborting = new AbortController();
    const acquiring = errorOf(locks(redis).acquire(name, { ttl: "2m", signal: aborting.signal }));
    await hold.reached;
    const reason = new Error("STOP it");
    aborting.abort(reason);
    expect(await acquiring).toBe(reason);
    hold.release();
    await until("its release", async () => (await server.command("EXISTS", `lock:{${name}}`)) === 0);
    await expect(locks(redis).acquire(name, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it("A64: away is not contended: an outage is one error, and within `wait` it may end", async () => {
    await using own = await startOwnRedis();
    const redis = connect({ url: own.url, commandTimeout: "1s" });
    await untilUp(redis);
    await (await locks(redis).acquire(name)).release();
    await own.kill();
    for (const error of [
      await errorOf(locks(redis).acquire(name)),
      await errorOf(locks(redis).tryAcquire(name)),
      await errorOf(locks(redis).acquire(name, { wait: 400 })),
      await errorOf(locks(redis).using(name, () => expect.unreachable())),
    ])
      expect(error).toBeInstanceOf(BackendUnavailableError);
    const waiting = locks(redis).acquire(name, { wait: "20s" });
    await own.start();
    expect(await (await waiting).release()).toBe("released");
    own.pause();
    expect(await errorOf(locks(redis).acquire(name))).toBeInstanceOf(BackendUnavailableError);
    own.resume();
  });

  it("A64: disconnecting ends waiting", async () => {
    const redis = createRedis({ ...ALONE, url: server.url });
    await locks(redis).acquire(name);
    const waiting = errorOf(locks(redis).acquire(name, { wait: "1m" }));
    await settle(redis);
    await redis.disconnect();
    expect(await waiting).toBeInstanceOf(BackendUnavailableError);
  });
});

describe("A65: holding", () => {
  it("A65: it ends before its ttl by the monotonic clock, even if no timer fires", async () => {
    const clock = new TestClock();
    const redis = connect({ clock });
    const lease = await locks(redis).acquire(name, { ttl: "10s" });
    await settle(redis);
    clock.advance(9_897);
    expect([lease.signal.aborted, lease.remainingMs]).toEqual([false, 1]);
    clock.advance(1);
    expect([lease.signal.aborted, lease.remainingMs, await lease.extend(), await lease.release()]).toEqual([
      true,
      0,
      "lost",
      "lost",
    ]);
    expect(lease.signal.reason).toBeInstanceOf(LockLostError);
    // Redis would have had it for a moment longer: nothing is left of it.
    await settle(redis);
    expect(await redis.commands.get(`lock:{${name}}`)).toBeUndefined();
    const other = await locks(redis).acquire(`${name} other`, { ttl: "1s" });
    const later = clock.now() + 1_000;
    Object.defineProperty(clock, "now", { configurable: true, value: () => later });
    expect([other.signal.aborted, other.remainingMs, other.signal.aborted]).toEqual([false, 0, true]);
  });

  it("A65: its time counts from before it was asked for, and a reply that comes after it gives none", async () => {
    await using proxy = await startProxy(server.port);
    const clock = new TestClock();
    const redis = connect({ url: proxy.url, clock, commandTimeout: "1m" });
    await (await locks(redis).acquire("warm")).release();
    await settle(redis);
    const slow = async (ttlMs: number) => {
      const hold = proxy.hold("EVALSHA", "reply");
      const acquiring = locks(redis).acquire(name, { ttl: `${ttlMs}ms` });
      await hold.reached;
      clock.advance(300);
      hold.release();
      return acquiring;
    };
    const lease = await slow(1_000);
    expect(lease.remainingMs).toBe(1_000 - 12 - 300);
    await lease.release();
    expect(await errorOf(slow(300))).toBeInstanceOf(BackendUnavailableError);
    await until("its release", async () => (await server.command("EXISTS", `lock:{${name}}`)) === 0);
  });

  it("A65: using() extends it at each third of its ttl, until maxHold; then the signal is aborted", async () => {
    const clock = new TestClock();
    const redis = connect({ clock });
    const before = await scriptsRun();
    let extensions = 0;
    let signal: AbortSignal | undefined;
    const used = locks(redis).using(name, { ttl: "90s", maxHold: "200s" }, async (hold) => {
      signal = hold.signal;
      for (let s = 0; s < 19; s += 1) {
        expect([s, signal.aborted]).toEqual([s, false]);
        clock.advance("10s");
        await settle(redis);
      }
      extensions = (await scriptsRun()) - before - 1;
      clock.advance("10s");
      expect(signal.reason.message).toContain("it was held for maxHold");
      return "too late";
    });
    expect(await errorOf(used)).toBe(signal?.reason);
    expect(signal?.reason).toBeInstanceOf(LockLostError);
    expect(extensions).toBe(6);
  });

  it("A65: while Redis is away it is held until its time ends; the task's error and result count", async () => {
    await using own = await startOwnRedis();
    const lines: string[] = [];
    const logger = { error: () => undefined, info: () => undefined, warn: (line: string) => lines.push(line) };
    const redis = connect({ url: own.url, commandTimeout: "100ms", logger });
    await untilUp(redis);
    const failure = new Error("of the task");
    const withoutRedis = <T>(task: (signal: AbortSignal) => Promise<T>): Promise<unknown> =>
      errorOf(
        locks(redis).using(name, { ttl: "2s", wait: "15s" }, async ({ signal }) => {
          own.pause();
          return task(signal);
        }),
      ).finally(() => own.resume());
    expect(
      await withoutRedis(async () => {
        throw failure;
      }),
    ).toBe(failure);
    expect(await withoutRedis(async () => "in time")).toBeUndefined();
    const lost = await withoutRedis((signal) => new Promise((resolve) => signal.addEventListener("abort", resolve)));
    expect(lost).toBeInstanceOf(LockLostError);
    expect(lines.some((line) => line.includes("lock release"))).toBe(true);
    expect(lines.some((line) => line.includes("lock extension"))).toBe(true);
  });

  it("A65: a task's own error stands beside a lost lock, and its signal is also the caller's", async () => {
    const redis = connect();
    const aborting = new AbortController();
    const used = locks(redis).using(name, { signal: aborting.signal }, async ({ signal }) => {
      aborting.abort(new Error("of the caller"));
      signal.throwIfAborted();
    });
    await expect(used).rejects.toThrow("of the caller");
    expect(await redis.commands.exists(`lock:{${name}}`)).toBe(false);
  });

  it("A65: no timer is left: a process that has released its locks ends by itself", async () => {
    const clock = new TestClock();
    const scheduled = new Set<number>();
    let next = 0;
    const counting = {
      now: () => clock.now(),
      schedule(callback: () => void, delayMs: number) {
        const id = (next += 1);
        // Its caller.
        if (new Error("").stack?.split("\n")[2]?.includes("src/locks/")) scheduled.add(id);
        const cancel = clock.schedule(() => {
          scheduled.delete(id);
          callback();
        }, delayMs);
        return () => {
          scheduled.delete(id);
          cancel();
        };
      },
    };
    const redis = connect({ clock: counting });
    const lease = await locks(redis).acquire(name);
    expect(scheduled.size).toBe(1);
    await lease.extend();
    await lease.release();
    await locks(redis).using(name, () => expect(scheduled.size).toBe(2));
    await errorOf(locks(redis).using(name, () => redis.commands.delete(`lock:{${name}}`)));
    await using _held = await locks(redis).acquire(`${name} held`);
    const aborting = new AbortController();
    const waiting = errorOf(locks(redis).acquire(`${name} held`, { wait: "1m", signal: aborting.signal }));
    await settle(redis);
    aborting.abort();
    await waiting;
    expect(scheduled.size).toBe(1);
  });
});

it("A66: a release that failed after it was carried out is released when it is called again", async () => {
  await using proxy = await startProxy(server.port);
  const redis = connect({ url: proxy.url, commandTimeout: "1s" });
  await (await locks(redis).acquire("warm")).release();
  const lease = await locks(redis).acquire(name, { ttl: "5m" });
  const hold = proxy.hold("EVALSHA", "reply");
  const releasing = errorOf(lease.release());
  await hold.reached;
  await proxy.refuse();
  proxy.cut();
  hold.release();
  expect(await releasing).toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: true });
  expect(await server.command("EXISTS", `lock:{${name}}`)).toBe(0);
  await proxy.pass();
  await settle(redis);
  expect([await lease.release(), lease.signal.aborted]).toEqual(["released", false]);
});

it.each(["0ms", "300ms"] as const)(
  "A66: an acquisition that failed after it was carried out says that it may have been, with a wait of %s",
  async (wait) => {
    await using proxy = await startProxy(server.port);
    const redis = connect({ url: proxy.url, commandTimeout: "1s" });
    await (await locks(redis).acquire("warm")).release();
    const hold = proxy.hold("EVALSHA", "reply");
    const acquiring = errorOf(locks(redis).acquire(name, { ttl: "5m", wait }));
    await hold.reached;
    await proxy.refuse();
    proxy.cut();
    hold.release();
    expect(await acquiring).toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: true });
    expect(await server.command("EXISTS", `lock:{${name}}`)).toBe(1);
  },
);

it("A66: an attempt whose reply was lost is recognised by its token, and so is a release", async () => {
  await using proxy = await startProxy(server.port);
  const redis = connect({ url: proxy.url, commandTimeout: "10s" });
  await (await locks(redis).acquire("warm")).release();
  const lose = async <T>(call: () => Promise<T>): Promise<T> => {
    const hold = proxy.hold("EVALSHA", "reply");
    const called = call();
    await hold.reached;
    proxy.cut();
    hold.release();
    return called;
  };
  const lease = await lose(() => locks(redis).acquire(name));
  expect(await server.command("GET", `lock:{${name}}`)).toBe(lease.token);
  expect(await server.command("GET", `lock:fence:{${name}}`)).toBe(String(lease.fence));
  expect(await lose(() => lease.extend("30s"))).toBe("extended");
  expect(await lose(() => lease.release())).toBe("released");
  const permits = locks(redis).semaphore(name, 1);
  const permit = await lose(() => permits.acquire());
  expect(await lose(() => permit.release())).toBe("released");
  const { read, write } = locks(redis).readWrite(name);
  for (const side of [read, write]) {
    const one = await lose(() => side.acquire());
    expect(await lose(() => one.release())).toBe("released");
  }
  // Another took it between the release and its repetition: then it does not claim to have held it so long.
  const again = await locks(redis).acquire(name);
  const hold = proxy.hold("EVALSHA", "reply");
  const releasing = again.release();
  await hold.reached;
  const other = connect();
  await (await locks(other).acquire(name)).release();
  proxy.cut();
  hold.release();
  expect(await releasing).toBe("lost");
});

it("A66: a reader whose reply was lost has its lock also where a writer waits since", async () => {
  await using proxy = await startProxy(server.port);
  const redis = connect({ url: proxy.url, commandTimeout: "10s" });
  await (await locks(redis).acquire("warm")).release();
  const hold = proxy.hold("EVALSHA", "reply");
  const reading = locks(redis).readWrite(name).read.tryAcquire({ ttl: "1m" });
  await hold.reached;
  const { read, write } = locks(connect()).readWrite(name);
  const leaving = new AbortController();
  const writing = errorOf(write.acquire({ wait: "1m", signal: leaving.signal }));
  await until("the writer waits", async () => (await server.command("EXISTS", `lock:writer:{${name}}`)) === 1);
  proxy.cut();
  hold.release();
  const lease = await reading;
  expect(await server.command("ZRANGE", `lock:readers:{${name}}`, 0, -1)).toEqual([lease?.token]);
  await until("the writer keeps readers out", async () => {
    const another = await read.tryAcquire();
    await another?.release();
    return another === undefined;
  });
  expect(await lease?.release()).toBe("released");
  leaving.abort(new Error("left"));
  await writing;
});

it("A66: a script of a lost connection that is carried out late shortens nothing", async () => {
  await using proxy = await startProxy(server.port);
  const redis = connect({ url: proxy.url, commandTimeout: "10s" });
  const { read, write } = locks(redis).readWrite(name);
  const sides = [
    [`lock:{${name}}`, () => locks(redis).acquire(name)],
    [`lock:permits:{${name}}`, () => locks(redis).semaphore(name, 1).acquire()],
    [`lock:writer:{${name}}`, () => write.acquire()],
    [`lock:readers:{${name}}`, () => read.acquire()],
  ] as const;
  for (const [key, side] of sides) {
    proxy.resetCounts();
    await using lease = await side();
    await lease.extend("15s");
    const late = proxy.commands().filter(([command]) => String(command) === "EVALSHA");
    await lease.extend("1h");
    for (const command of late) await server.command(...command);
    expect(late).toHaveLength(2);
    expect(await redis.commands.pTTL(key)).toBeGreaterThan(3_500_000);
    expect([await lease.extend("5s"), lease.remainingMs > 3_500_000]).toEqual(["extended", true]);
    expect(await lease.release()).toBe("released");
  }
});

it("A65: a release that failed may still be carried out: the lock counts as not held; release again", async () => {
  await using own = await startOwnRedis();
  const redis = connect({ url: own.url, commandTimeout: "1s" });
  await untilUp(redis);
  const lease = await locks(redis).acquire(name, { ttl: "1m" });
  own.pause();
  expect(await errorOf(lease.release())).toBeInstanceOf(BackendUnavailableError);
  expect([lease.remainingMs, await lease.extend(), lease.signal.aborted]).toEqual([0, "lost", false]);
  own.resume();
  expect(await until("its release", () => lease.release().catch(() => undefined))).toBe("released");
  expect(await own.command("EXISTS", `lock:{${name}}`)).toBe(0);
});

describe("A67: lost servers", () => {
  it("A67: a restart without persistence is noticed by the next extension, and aborts the task", async () => {
    await using own = await startOwnRedis();
    const redis = connect({ url: own.url });
    const lease = await locks(redis).acquire(name, { ttl: "1m" });
    await own.kill();
    await own.start();
    await until("the link", async () => (await errorOf(redis.commands.get("x"))) === undefined);
    expect(await lease.extend()).toBe("lost");
    expect(lease.signal.reason.message).toContain("Redis has lost it");
  });

  it("A67: after a failover a lock is lost at its next extension, unless the replica had it", async () => {
    await using group = await startSentinel({ downAfterMs: 5_000 });
    const urls = group.sentinels.map(({ url }) => url);
    const redis = createRedis({ ...ALONE, connection: sentinel(urls, { primaryName: group.name }) });
    open.push(redis);
    const kept = await locks(redis, { replicas: 1, replicaTimeout: "5s" }).acquire(name, { ttl: "5m" });
    const [replica] = await group.replicas();
    expect(await replica!.command("GET", `lock:{${name}}`)).toBe(kept.token);
    const lost = await locks(redis).acquire(`${name} lost`, { ttl: "1m" });
    const former = await group.primary();
    await former.kill();
    const promoted = await group.waitForPrimary(former);
    // As if it had not been replicated in time.
    await promoted.command("DEL", `lock:{${name} lost}`);
    expect(await promoted.command("GET", `lock:{${name}}`)).toBe(kept.token);
    await until("the link", async () => (await errorOf(redis.commands.get("x"))) === undefined);
    // There is no replica for now, so a longer time is not promised; the lock itself is held.
    expect(await errorOf(kept.extend())).toMatchObject({ code: "TOO_FEW_REPLICAS" });
    expect([kept.remainingMs > 0, await kept.release()]).toEqual([true, "released"]);
    expect(await lost.extend()).toBe("lost");
  });

  it("with `replicas` a lock counts once so many have it, else it is released and refused", async () => {
    await using primary = await startOwnRedis();
    await using replica = await startOwnRedis();
    await replica.command("REPLICAOF", "127.0.0.1", primary.port);
    await until("the replica", async () => (await primary.info("replication"))["slave0"]?.includes("state=online"));
    const redis = connect({ url: primary.url });
    const safe = locks(redis, { replicas: 1, replicaTimeout: "3s" });
    const lease = await safe.acquire(name);
    expect(await replica.command("GET", `lock:{${name}}`)).toBe(lease.token);
    expect([await lease.extend("20s"), await lease.release()]).toEqual(["extended", "released"]);
    const both = await errorOf(locks(redis, { replicas: 2, replicaTimeout: 50 }).acquire(name, { ttl: "2m" }));
    expect(both).toBeInstanceOf(CommandError);
    expect(both).toMatchObject({ code: "TOO_FEW_REPLICAS", retryable: true });
    await until("its release", async () => (await primary.command("EXISTS", `lock:{${name}}`)) === 0);
    const tenant = locks(redis.tenant("acme"), { replicas: 1, replicaTimeout: "3s" });
    const own = await tenant.acquire([name]);
    expect(await primary.command("GET", `acme:lock:{acme:${name}}`)).toBe(own.token);
    expect(await own.release()).toBe("released");
  });
});

describe("A68: limits", () => {
  it("A68: without memory to spare an attempt is refused with its code, and releasing works", async () => {
    await using own = await startOwnRedis();
    const redis = connect({ url: own.url });
    const lease = await locks(redis).acquire(name, { ttl: "1m" });
    const permit = await locks(redis).semaphore(name, 1).acquire();
    await own.command("CONFIG", "SET", "maxmemory", "1");
    const other = `${name} other`;
    const { read, write } = locks(redis).readWrite(other);
    const semaphore = locks(redis).semaphore(other, 1);
    for (const attempt of [
      () => locks(redis).acquire(other),
      () => semaphore.acquire(),
      () => read.acquire(),
      () => write.acquire(),
    ]) {
      const error = await errorOf(attempt());
      expect(error).toBeInstanceOf(CommandError);
      expect(error).toMatchObject({ code: "OUT_OF_MEMORY", retryable: true });
    }
    for (const held of [lease, permit])
      expect([await held.extend(), await held.release()]).toEqual(["extended", "released"]);
    expect(await own.command("KEYS", `*${other}*`)).toEqual([]);
  });

  it("A68: `await using` releases at the end of a block, and hides none of its errors", async () => {
    const redis = connect();
    {
      await using lease = await locks(redis).acquire(name);
      expect(lease.remainingMs).toBeGreaterThan(0);
    }
    expect(await redis.commands.exists(`lock:{${name}}`)).toBe(false);
    const failing = async (): Promise<never> => {
      await using _lease = await locks(redis).acquire(name);
      await redis.commands.delete(`lock:{${name}}`);
      throw new Error("of the block");
    };
    await expect(failing()).rejects.toThrow("of the block");
  });

  it("A68: a lock that is held is not given to its own holder again", async () => {
    const redis = connect();
    await locks(redis).using(name, async () => {
      expect(await locks(redis).tryAcquire(name)).toBeUndefined();
    });
  });
});

it("where Redis is disabled, or may evict locks, none is taken", async () => {
  const disabled = createRedis({ ...ALONE, enabled: false });
  for (const call of [
    () => locks(disabled).acquire(name, { wait: "1s" }),
    () => locks(disabled).tryAcquire(name),
    () => locks(disabled).semaphore(name, 1).acquire(),
    () => locks(disabled, { replicas: 1 }).acquire(name),
    () => locks(disabled).using(name, () => expect.unreachable()),
  ])
    expect(await errorOf(call())).toMatchObject({ code: "REDIS_DISABLED" });
  await using own = await startOwnRedis({ config: ["maxmemory 50mb", "maxmemory-policy volatile-lru"] });
  const lines: string[] = [];
  const logger = { error: () => undefined, info: () => undefined, warn: (line: string) => lines.push(line) };
  const redis = connect({ url: own.url, logger });
  expect(await errorOf(locks(redis, { requireNoEviction: true }).acquire(name))).toBeInstanceOf(ConfigurationError);
  await (await locks(redis).acquire(name)).release();
  await until("a report", async () => lines.length > 0);
  expect(lines[0]).toContain("maxmemory-policy is volatile-lru");
});

describe("`wait` bounds a call while Redis does not answer", () => {
  const CALLS: readonly (readonly [name: string, call: (redis: Redis) => Promise<unknown>])[] = [
    ["tryAcquire", (redis) => locks(redis).tryAcquire(name)],
    ["acquire", (redis) => locks(redis, { wait: 300 }).acquire(name)],
    ["using", (redis) => locks(redis).using(name, { wait: 300 }, never)],
    ["semaphore", (redis) => locks(redis).semaphore(name, 2).acquire({ wait: 300 })],
    ["a reader", (redis) => locks(redis).readWrite(name).read.acquire({ wait: 300 })],
    ["one with replicas", (redis) => locks(redis, { replicas: 1, wait: 300 }).acquire(name)],
  ];
  /** The deadline of a command: a call that waited for it would never end here. */
  const NEVER = "1h";

  it.each(CALLS)("%s, and Redis refuses the connection or went away", async (_, call) => {
    await using own = await startOwnRedis();
    const redis = connect({ url: own.url, commandTimeout: NEVER });
    await redis.commands.ping();
    await own.kill();
    const unused = connect({ url: own.url, commandTimeout: NEVER });
    for (const each of [redis, unused]) expect(await errorOf(call(each))).toBeInstanceOf(BackendUnavailableError);
  });

  it.each(CALLS.filter(([what]) => what !== "tryAcquire"))("%s, and Redis is frozen", async (_, call) => {
    await using own = await startOwnRedis();
    const redis = connect({ url: own.url, commandTimeout: NEVER, connectTimeout: NEVER });
    await redis.commands.ping();
    own.pause();
    expect(await errorOf(call(redis))).toBeInstanceOf(BackendUnavailableError);
    own.resume();
  });
});

it("what can never work is refused, and names the option", async () => {
  const redis = connect();
  const refused: readonly (readonly [() => unknown, string])[] = [
    [() => locks(undefined as never), "locks(redis): give createRedis(...)"],
    [() => locks(redis, { tll: 1 } as never), 'locks(): unknown option "tll"; did you mean ttl?; accepted: ttl'],
    [() => locks(redis, { ttl: "0ms" }), "locks(): ttl must be from 20 to 2^52 ms"],
    [() => locks(redis, { wait: -1 }), "locks(): wait must be from 0 to 2^52 ms"],
    [() => locks(redis, { maxHold: "soon" as never }), "locks(): maxHold must be from 20 to 2^52 ms"],
    [() => locks(redis, { prefix: "{x}" }), "prefix must be text without braces"],
    [() => locks(redis, { quorum: [connect()] }), "an even number of further servers"],
    [() => locks(redis, { quorum: [redis, connect()] }), "quorum names a server twice"],
    [
      () => locks(redis, { quorum: ["x"] as never }),
      'each of quorum: give createRedis(...), or a tenant of it, got "x"',
    ],
    [() => locks(redis, { replicas: 0.5 }), "replicas must be a whole number"],
    [() => locks(redis).acquire(""), "lock: the name must be text of 1 to 512 characters"],
    [() => locks(redis).acquire([]), "a list of 1 to 32 names, got 0 names"],
    [() => locks(redis).acquire(["a", "b", "a"]), 'lock: "a" is named twice'],
    [() => locks(redis).acquire([7] as never), "got a number"],
    [() => locks(redis).acquire("a", { signal: {} as never }), "signal must be an AbortSignal"],
    [() => locks(redis).tryAcquire("a", { wait: 1 } as never), 'unknown option "wait"'],
    [() => locks(redis).using("a", {}, undefined as never), "using: the task must be a function"],
    [() => locks(redis).semaphore("a", 0), "permits must be a whole number of at least 1, got 0"],
    [() => locks(redis, { quorum: [connect(), connect()] }).semaphore("a", 1), "only exclusive locks have a quorum"],
    [() => locks(redis, { quorum: [connect(), connect()] }).readWrite("a"), "only exclusive locks have a quorum"],
  ];
  for (const [call, message] of refused) {
    const error = await errorOf((async () => call())());
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect((error as Error).message).toContain(message);
  }
  await redis.commands.rPush(`lock:{${name}}`, ["x"]);
  expect(await errorOf(locks(redis).acquire(name))).toMatchObject({ code: "WRONG_TYPE" });
  // Names with braces, colons and line ends are names like any other.
  for (const odd of ["{", "}", "{}", "{a}", "a{b}", "x:{y}:z", "\n\0", "%7B"]) {
    await using lease = await locks(redis).acquire(odd);
    expect(lease.resources).toEqual([odd]);
  }
  await using _all = await locks(redis).acquire(["a", "{a}", "{a}b", "%7Ba%7D"]);
});
