import { json, systemClock } from "@hotset/core";
import { redis as backend, single } from "@hotset/redis";
import { createRedis, type Redis, type RedisView } from "@hotset/redis-toolkit";
import { queue } from "@hotset/redis-toolkit/queue";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { createTestCache, TestClock } from "@hotset/testing";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ALONE, EVERYWHERE, startServers } from "./servers.ts";

const servers = startServers();

describe.each(EVERYWHERE)("connections of one's own over %s", (where) => {
  let redis: Redis;
  let p: string;
  beforeAll(async () => {
    redis = await servers.open(where, { pool: { wait: "20s" } });
  });
  beforeEach(() => {
    p = `{${randomPrefix()}}`;
  });

  it("A20: a command that waits in the server delays no other", async () => {
    const { commands } = redis;
    const popped = commands.blPop(`${p}list`, 0);
    const read = commands.xRead({ key: `${p}stream`, id: "$" }, { BLOCK: 10_000 });
    // They would wait for the pop, which nothing has ended yet.
    await Promise.all(Array.from({ length: 100 }, (_, i) => commands.set(`${p}${i}`, "v", { ttl: "1m" })));
    // The stream is read from its end: entries are added until one comes after the read.
    const adding = (async () => {
      for (let isDone = false; !isDone;) {
        await commands.xAdd(`${p}stream`, "*", { f: "v" });
        isDone = await Promise.race([
          read.then(() => true),
          new Promise<false>((resolve) => setTimeout(resolve, 20, false)),
        ]);
      }
    })();
    await commands.rPush(`${p}list`, ["x"]);
    expect(await popped).toEqual({ key: `${p}list`, element: "x" });
    expect(await read).toMatchObject([{ name: `${p}stream` }]);
    await adding;
    expect(await commands.blPop(`${p}list`, 0.05)).toBe(undefined);
    expect(await redis.tenant("acme").commands.blPop(`${p}list`, 0.05)).toBe(undefined);
  });

  it("C261: bounds of a view hold for each of its calls, also for one that waits in Redis", async () => {
    const ending = new AbortController();
    const bounded = redis.within({ signal: ending.signal }).tenant("acme");
    const reason = new Error("of the caller");
    const calls = [
      bounded.commands.blPop(`${p}list`, 0),
      bounded.pool.use((commands) => commands.blPop(`${p}list`, 0), { key: `${p}list` }),
      bounded.transaction({ watch: [`${p}n`] }, async ({ commands }) => [await commands.blPop(`${p}n`, 0)] as never),
    ].map((call) => call.catch((error: unknown) => error));
    await redis.commands.ping();
    ending.abort(reason);
    expect(await Promise.all(calls)).toEqual([reason, reason, reason]);
    await expect(bounded.commands.get(p)).rejects.toBe(reason);
    await expect(bounded.transaction({}, ({ queue }) => [queue.incr(p)])).rejects.toBe(reason);

    const hasty = redis.within({ deadline: "2s" });
    await expect(hasty.commands.blPop(`${p}list`, 10)).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    expect(await hasty.within({ deadline: "5s" }).commands.blPop(`${p}list`, 0.2)).toBe(undefined);
    expect(await hasty.commands.incr(p)).toBe(1);
    expect(() => redis.within({ deadline: 0 })).toThrow("within: deadline must be from 1 to 2^52 ms");
    expect(() => redis.within({ signal: {} as never })).toThrow("within: signal must be an AbortSignal");
    expect(() => redis.within({ timeout: 1 } as never)).toThrow('within: unknown option "timeout"; accepted: deadline');
  });

  it("a transaction is carried out as a whole, each command with its own result", async () => {
    await redis.commands.set(`${p}text`, "v");
    const done = await redis.transaction({}, ({ queue }) => [
      queue.incr(`${p}n`),
      queue.lPush(`${p}text`, "x"),
      queue.hset(`${p}h`, { a: 1 }, { ttl: "1m" }),
      queue.getBytes(`${p}text`),
      queue.get(`${p}text`),
    ]);
    expect(done).toEqual({
      status: "committed",
      results: [
        { ok: true, value: 1 },
        { ok: false, error: expect.objectContaining({ code: "WRONG_TYPE" }) as Error },
        { ok: true, value: 1 },
        { ok: true, value: Buffer.from("v") },
        { ok: true, value: "v" },
      ],
    });
    expect(await redis.transaction({}, ({ discard }) => discard())).toEqual({ status: "discarded" });
    expect(await redis.transaction({}, () => [])).toEqual({ status: "committed", results: [] });
    await expect(redis.transaction({}, () => undefined as never)).rejects.toThrow("must return a list of commands");
  });

  it("of transactions that watch one key, none overwrites another: twenty add one", async () => {
    const { commands } = redis;
    const add = async (): Promise<void> => {
      for (;;) {
        const { status } = await redis.transaction({ watch: [`${p}sum`] }, async ({ commands: watched, queue }) => {
          const sum = (await watched.getNumber(`${p}sum`)) ?? 0;
          return [queue.set(`${p}sum`, sum + 1)];
        });
        if (status === "committed") return;
        expect(status).toBe("conflict");
      }
    };
    await Promise.all(Array.from({ length: 20 }, add));
    expect(await commands.getNumber(`${p}sum`)).toBe(20);
    const tenant = redis.tenant("acme");
    await tenant.transaction({ watch: [`${p}t`] }, ({ queue }) => [queue.set(`${p}t`, 1)]);
    expect(await commands.get(`acme:${p}t`)).toBe("1");
    const failing = redis.transaction({ watch: [`${p}sum`] }, () => Promise.reject(new Error("the caller's own")));
    await expect(failing).rejects.toThrow("the caller's own");
    await expect.poll(() => redis.pool.status.inUse).toBe(0);
  });

  it("A22: a connection comes back to the pool as new, also from a task that throws", async () => {
    await expect(redis.pool.use(() => Promise.reject(new Error("broken")), { key: p })).rejects.toThrow("broken");
    const value = await redis.pool.use(
      async (commands) => {
        await commands.set(`${p}k`, "v");
        return commands.get(`${p}k`);
      },
      { key: `${p}k` },
    );
    expect(value).toBe("v");
    await expect.poll(() => redis.pool.status).toMatchObject({ inUse: 0, waiting: 0 });
  });
});

it("a command that Redis refuses aborts its transaction, and the reason is named", async () => {
  await using own = await startOwnRedis({ config: ["maxmemory-policy noeviction"] });
  await using redis = createRedis({ ...ALONE, url: own.url });
  await redis.commands.set("k", "v");
  await own.command("CONFIG", "SET", "maxmemory", "1");
  const aborted = redis.transaction({}, ({ queue }) => [queue.set("k", "w"), queue.set("l", "v")]);
  await expect(aborted).rejects.toMatchObject({
    code: "ABORTED",
    operation: "SET",
    retryable: true,
    maybeExecuted: false,
    cause: expect.objectContaining({ code: "OUT_OF_MEMORY" }) as Error,
  });
  expect(await redis.commands.get("k")).toBe("v");
  const waiting = redis.transaction({}, ({ queue }) => [queue.blPop("k", 1)]);
  await expect(waiting).rejects.toThrow("nothing waits in a transaction");
});

it("in a cluster the keys of a transaction are of one slot", async () => {
  const redis = await servers.open("a cluster");
  const call = redis.transaction({}, ({ queue }) => [queue.set("a", 1), queue.set("b", 1)]);
  await expect(call).rejects.toMatchObject({ code: "CROSS_SLOT" });
  const watching = redis.transaction({ watch: ["a"] }, ({ queue }) => [queue.set("b", 1)]);
  await expect(watching).rejects.toMatchObject({ code: "CROSS_SLOT" });
});

it("A21: the pool has a bound, hands out in order, and refuses who waits too long", async () => {
  await using own = await startOwnRedis();
  const clock = new TestClock();
  await using redis = createRedis({ ...ALONE, url: own.url, clock, pool: { max: 2, wait: "200ms" } });
  const gate = Promise.withResolvers<void>();
  const order: number[] = [];
  const first = [1, 2].map((i) => redis.pool.use(() => (order.push(i), gate.promise)));
  await expect.poll(() => order).toHaveLength(2);
  expect(redis.pool.status).toMatchObject({ size: 2, inUse: 2, waiting: 0 });
  const refused = redis.pool.use(() => Promise.resolve()).catch((error: unknown) => error);
  expect(redis.pool.status.waiting).toBe(1);
  clock.advance("200ms");
  expect(await refused).toMatchObject({ code: "OVERLOADED" });
  const later = [3, 4, 5].map((i) => redis.pool.use(() => Promise.resolve(void order.push(i))));
  expect(redis.pool.status.waiting).toBe(3);
  gate.resolve();
  await Promise.all([...first, ...later]);
  expect(order.slice(2)).toEqual([3, 4, 5]);
});

it("disabled, nothing of this opens a connection", async () => {
  await using redis = createRedis({ env: { ENABLE_REDIS: "false" }, envFile: false });
  const disabled = { code: "REDIS_DISABLED" };
  await expect(redis.transaction({}, ({ queue }) => [queue.get("k")])).rejects.toMatchObject(disabled);
  await expect(redis.commands.blPop("k", 1)).rejects.toMatchObject(disabled);
  expect(() => redis.pool.use(() => Promise.resolve())).toThrow(expect.objectContaining(disabled));
});

/** How each call fails, unsent or unanswered. */
const failures = (calls: readonly (() => Promise<unknown>)[]): Promise<readonly unknown[]> =>
  Promise.all(calls.map((call) => call().catch((error: unknown) => error)));

it("C261: bounds of a view hold while its calls wait for a connection: of a full pool, of a silent server", async () => {
  await using server = await startOwnRedis();
  // No bound but those of the view ends a wait in the time that a test has.
  const own = { connection: single(server.url), commandTimeout: "200ms", pool: { max: 1, wait: "10m" } } as const;
  await using redis = createRedis({ ...ALONE, ...own });
  await redis.initialize();
  const hasty = redis.within({ deadline: "100ms" });
  const ending = new AbortController();
  const bounded = redis.within({ signal: ending.signal });
  const borrowing = (view: RedisView): (() => Promise<unknown>)[] => [
    () => view.transaction({ watch: ["n"] }, ({ queue }) => [queue.incr("n")]),
    () => view.pool.use((commands) => commands.incr("n")),
  ];
  let giveBack: (() => void) | undefined;
  const lent = redis.pool.use(() => new Promise<void>((resolve) => (giveBack = resolve)));
  await expect.poll(() => giveBack).toBeDefined();
  const late = { code: "BACKEND_UNAVAILABLE", maybeExecuted: false };
  expect(await failures(borrowing(hasty))).toMatchObject([late, late]);
  const ended = failures(borrowing(bounded));
  ending.abort("by the caller");
  expect(await ended).toEqual(["by the caller", "by the caller"]);
  giveBack!();
  await lent;
  await expect.poll(() => redis.pool.status).toMatchObject({ inUse: 0, waiting: 0 });
  expect(await redis.within({ deadline: "10s" }).commands.get("n")).toBe(undefined);

  server.pause();
  const scan = async (): Promise<void> => {
    for await (const _key of hasty.commands.scan());
  };
  const waiting = [...borrowing(hasty), scan, () => hasty.tenant("acme").purge(), () => hasty.commands.dbSize()];
  const silent = waiting.map(() => ({ code: "BACKEND_UNAVAILABLE" }));
  expect(await failures(waiting)).toMatchObject(silent);
  // Then the shared connection is given up: each call waits for another one.
  const stateOfUse = async (): Promise<string> => {
    await redis.commands.get("n").catch(() => undefined);
    return redis.state;
  };
  await expect.poll(stateOfUse).not.toBe("up");
  expect(await failures(waiting)).toMatchObject(silent);
  server.resume();
  await expect.poll(() => redis.commands.get("n").catch(() => "away")).not.toBe("away");
});

it("a cache, the toolkit and a worker of a queue are three connections of a process", async () => {
  await using own = await startOwnRedis();
  const connections = async (): Promise<number> => {
    const clients = String(await own.command("CLIENT", "LIST"))
      .trim()
      .split("\n");
    return clients.filter((client) => / name=[^ ]/.test(client)).length;
  };
  const stored = backend(single(own.url)).valueFormat(json()).build();
  await using cache = createTestCache({ clock: systemClock, backend: stored });
  expect(await cache.getOrSet("k", () => 1)).toBe(1);
  expect(await connections()).toBe(1);
  await using redis = createRedis({ ...ALONE, url: own.url });
  const jobs = queue<string>(redis, "jobs");
  await jobs.add("x");
  expect(await connections()).toBe(2);
  const worker = jobs.worker(() => undefined);
  await expect.poll(connections).toBe(3);
  await worker.stop();
});
