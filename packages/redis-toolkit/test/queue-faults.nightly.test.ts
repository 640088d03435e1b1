import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import {
  queue,
  simpleQueue,
  type FailedJob,
  type Job,
  type QueueEvent,
  type Worker,
} from "@hotset/redis-toolkit/queue";
import { randomPrefix, startOwnRedis, startSentinel, until, forkScript, type OwnRedis } from "@hotset/test-servers";
import { gate } from "@hotset/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { moduleOf } from "../src/module/module.ts";
import { QueueStore, type ExchangeReply } from "../src/queue/store.ts";
import type { QueueWorkerHandlers } from "./processes/queue-worker.ts";
import { SOON } from "./queue-patience.ts";
import { ALONE } from "./servers.ts";

const WORKER = new URL("./processes/queue-worker.ts", import.meta.url);

describe("a queue on a server of its own", () => {
  let server: OwnRedis;
  let redis: Redis;
  const workers: Worker[] = [];
  const started = (worker: Worker): Worker => {
    workers.push(worker);
    return worker;
  };
  beforeEach(async () => {
    server = await startOwnRedis({ config: ["appendonly yes", "appendfsync always"] });
    redis = createRedis({ ...ALONE, url: server.url });
  });
  afterEach(async () => {
    await Promise.all(workers.splice(0).map((worker) => worker.stop()));
    await redis.disconnect();
    await server.stop();
  });

  it("A56: a job of a killed process runs again once its visibility has passed", async () => {
    const jobs = queue<string>(redis, "jobs");
    await jobs.add("x");
    await using process = forkScript<QueueWorkerHandlers>(WORKER, { args: [server.url] });
    await process.call("work", 2_500);
    await until("the job", async () => (await process.call("started")).length === 1);
    const killedAt = performance.now();
    await process.kill();
    const seen: [string, number][] = [];
    started(jobs.worker(({ data, attempt }) => seen.push([data, attempt])));
    await expect.poll(() => seen).toEqual([["x", 2]]);
    expect(performance.now() - killedAt).toBeGreaterThan(500);
    await expect.poll(() => jobs.counts()).toMatchObject({ waiting: 0, active: 0 });
  });

  it("A58: a process whose loop is blocked for longer than its lease is refused when it reports", async () => {
    const jobs = queue<string>(redis, "jobs");
    await jobs.add("x");
    await using process = forkScript<QueueWorkerHandlers>(WORKER, { args: [server.url] });
    await process.call("work", 200, 5_000);
    await expect.poll(() => jobs.counts()).toMatchObject({ active: 1 });
    const seen: number[] = [];
    started(jobs.worker(({ attempt }) => seen.push(attempt)));
    await expect.poll(() => seen, SOON).toEqual([2]);
    await expect.poll(() => process.call("stats")).toMatchObject({ completed: 0, lost: 1 });
  });

  it("A59: a full server refuses new jobs, typed, and lets workers drain the queue", async () => {
    const jobs = queue<string>(redis, "jobs", { keep: { completed: 3 } });
    const list = simpleQueue<string>(redis, "list");
    await list.push("message");
    await jobs.addMany(Array.from({ length: 20 }, (_, i) => ({ data: `${i}` })));
    await jobs.add("fails", { attempts: 2, backoff: { type: "fixed", base: 20 } });
    await jobs.add("delayed", { delay: 300, dedupId: "d", dedupFor: 10 });
    await jobs.repeat("tick", { every: 200 }, "tick");
    await server.command("CONFIG", "SET", "maxmemory", 1);
    const refusal = { code: "OUT_OF_MEMORY", retryable: true };
    await expect(jobs.add("x")).rejects.toMatchObject(refusal);
    await expect(jobs.add("x", { dedupId: "e" })).rejects.toMatchObject(refusal);
    await expect(jobs.repeat("tock", { every: 200 }, "x")).rejects.toMatchObject(refusal);
    await expect(list.push("x")).rejects.toMatchObject(refusal);
    await jobs.pause();
    await jobs.resume();
    const seen: string[] = [];
    started(
      jobs.worker(
        async (job) => {
          await job.heartbeat();
          await job.progress(1);
          if (job.data === "fails") throw new Error("no");
          seen.push(job.data);
        },
        { concurrency: 4 },
      ),
    );
    await expect.poll(() => seen.length).toBe(21);
    expect(seen).not.toContain("tick");
    await expect
      .poll(() => jobs.counts())
      .toEqual({ waiting: 0, delayed: 0, active: 0, completed: 3, dead: 1, isPaused: false });
    expect(await list.pop()).toBe("message");
    expect(await jobs.deadLetters().replay()).toBe(1);
    await server.command("CONFIG", "SET", "maxmemory", 0);
    await expect.poll(() => seen).toContain("tick");
  });

  it("A59: a full server gives again what an exchange took whose reply was lost", async () => {
    const jobs = queue<string>(redis, "jobs");
    const store = new QueueStore(moduleOf(redis), "jobs");
    const exchange = (isAgain: boolean): Promise<ExchangeReply> =>
      store.exchange({
        ...{ keepCompleted: undefined, keepFailed: undefined, attempts: undefined, rate: undefined, outcomes: [] },
        ...{ visibilityMs: 30_000, token: "t", count: 1, isAgain },
      });
    const { id } = await jobs.add("a");
    expect((await exchange(false)).delivered).toMatchObject([{ id }]);
    await server.command("CONFIG", "SET", "maxmemory", 1);
    expect((await exchange(true)).delivered).toMatchObject([{ id }]);
  });

  it("A56: a killed Redis loses no job, and workers go on once it is back", async () => {
    const jobs = queue<number>(redis, "jobs");
    await jobs.addMany(Array.from({ length: 200 }, (_, data) => ({ data })));
    const seen = new Set<number>();
    const worker = started(
      jobs.worker(
        async ({ data }) => {
          await new Promise((resolve) => setTimeout(resolve, 20));
          seen.add(data);
        },
        { concurrency: 10, visibility: "2s" },
      ),
    );
    await expect.poll(() => seen.size).toBeGreaterThan(20);
    await server.kill();
    await expect(jobs.add(201)).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    await server.start();
    await expect.poll(() => seen.size).toBe(200);
    await expect.poll(() => jobs.counts()).toMatchObject({ waiting: 0, active: 0, dead: 0 });
    expect(worker.stats.delivered).toBeLessThanOrEqual(220);
  });

  it("A56: a job that ends while Redis is away is reported once it is back, and does not run again", async () => {
    const jobs = queue<string>(redis, "jobs");
    const held = gate();
    await jobs.add("x");
    const worker = started(jobs.worker(() => held.pass()));
    await expect.poll(() => worker.active).toBe(1);
    await server.kill();
    held.open();
    await expect.poll(() => worker.active).toBe(0);
    await expect(jobs.counts()).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    await server.start();
    await expect.poll(() => worker.stats).toEqual({ delivered: 1, completed: 1, retried: 0, dead: 0, lost: 0 });
    expect(await jobs.counts()).toMatchObject({ waiting: 0, active: 0 });
  });

  it("listeners and finished outlive a restart of Redis, and a gap is reported", async () => {
    const jobs = queue<string>(redis, "jobs");
    const { id } = await jobs.add("x");
    const events: QueueEvent[] = [];
    await using _listening = await jobs.listen((event) => events.push(event));
    const finished = jobs.finished(id);
    // Its first look has been answered.
    await new Promise(setImmediate);
    await jobs.get(id);
    await server.restart();
    await expect.poll(() => events).toEqual([{ kind: "gap" }]);
    started(jobs.worker(() => "done"));
    expect(await finished).toEqual({ status: "completed", result: "done" });
    await expect
      .poll(() => events)
      .toEqual([
        { kind: "gap" },
        { kind: "active", id, attempt: 1 },
        { kind: "drained" },
        { kind: "completed", id, result: "done" },
      ]);
  });

  it("finished ends by its signal, and by the removal of its job", async () => {
    const jobs = queue<string>(redis, "jobs");
    const { id } = await jobs.add("x", { delay: "1h" });
    const controller = new AbortController();
    const aborted = jobs.finished(id, { signal: controller.signal });
    const removed = jobs.finished(id);
    await expect.poll(async () => Number((await server.info("clients"))["connected_clients"])).toBeGreaterThan(1);
    controller.abort(new Error("of the caller"));
    await expect(aborted).rejects.toThrow("of the caller");
    await expect(jobs.finished(id, { signal: controller.signal })).rejects.toThrow("of the caller");
    await jobs.remove(id);
    expect(await removed).toEqual({ status: "gone" });
  });

  it("C232: a repeat that cannot be read is reported, and keeps no other from its instants", async () => {
    const lines: string[] = [];
    const logger = { error: (line: string) => lines.push(line), warn: (line: string) => lines.push(line), info() {} };
    await using own = createRedis({ ...ALONE, url: server.url, logger });
    const jobs = queue<string>(own, "jobs");
    await jobs.repeat("a", { every: 100 }, "a");
    await jobs.repeat("b", { every: 100 }, "b");
    await redis.commands.hset("queue:{jobs}:repeats", { a: "not JSON" });
    const seen: string[] = [];
    started(jobs.worker(({ data }) => seen.push(data)));
    await expect.poll(() => seen.slice(0, 2), SOON).toEqual(["b", "b"]);
    expect(lines.join("\n")).toContain("queue: repeats");
  });

  it("workers without jobs send few commands, and an added job wakes one at once", async () => {
    const jobs = queue<string>(redis, "jobs");
    const seen: number[] = [];
    for (let i = 0; i < 5; i += 1) started(jobs.worker(({ addedAt }) => seen.push(Date.now() - addedAt)));
    await expect.poll(async () => Number((await server.info("clients"))["blocked_clients"])).toBe(5);
    await server.command("CONFIG", "RESETSTAT");
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(await counted(server)).toEqual({});
    for (let i = 0; i < 10; i += 1) {
      await jobs.add("x");
      await expect.poll(() => seen.length).toBe(i + 1);
    }
    expect(Math.max(...seen)).toBeLessThan(2_000);
    // An add, a wake, an exchange that takes, one that reports; and that a busy worker passes a wake on.
    expect((await counted(server))["evalsha"]).toBeLessThanOrEqual(60);
  });

  it("a worker that is woken without room passes the wake on", async () => {
    const jobs = queue<string>(redis, "jobs");
    const held = gate();
    const seen: string[] = [];
    const blocked = async (): Promise<number> => Number((await server.info("clients"))["blocked_clients"]);
    const first = started(
      jobs.worker(async ({ data }) => {
        seen.push(`first ${data}`);
        await held.pass();
      }),
    );
    await expect.poll(blocked).toBe(1);
    // Taken when it is due, not by the wake of its add: the worker is busy, and still waits in Redis.
    await jobs.add("1", { delay: 1_000 });
    await expect.poll(() => first.active).toBe(1);
    started(jobs.worker(({ data }) => seen.push(`second ${data}`)));
    await expect.poll(blocked).toBe(2);
    // Wakes the one that has waited for longer.
    await jobs.add("2");
    await expect.poll(() => seen, SOON).toEqual(["first 1", "second 2"]);
    held.open();
  });

  it("A60: the rate holds for all workers of the queue together, without polling", async () => {
    const jobs = queue<number>(redis, "jobs");
    await jobs.addMany(Array.from({ length: 12 }, (_, data) => ({ data })));
    const seen: number[] = [];
    const begun = performance.now();
    for (let i = 0; i < 3; i += 1)
      started(
        jobs.worker(() => seen.push(performance.now() - begun), { concurrency: 5, rate: { limit: 5, per: 400 } }),
      );
    await expect.poll(() => seen.length, SOON).toBe(12);
    const windows = [0, 0, 0];
    for (const at of seen) windows[Math.min(2, Math.floor((at + 5) / 400))]! += 1;
    expect(windows[0]).toBeLessThanOrEqual(5);
    expect(seen[5]).toBeGreaterThan(350);
    expect(seen[10]).toBeGreaterThan(750);
    expect((await counted(server))["bzpopmin"] ?? 0).toBeLessThan(40);
  });

  it("disconnect lets handlers end, reports them, and gives back what does not end", async () => {
    const jobs = queue<string>(redis, "jobs");
    await jobs.addMany([{ data: "quick" }, { data: "slow" }, { data: "waits" }]);
    const worker = jobs.worker(
      async ({ data }, { signal }) => {
        if (data === "quick") await new Promise((resolve) => setTimeout(resolve, 100));
        else await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
      },
      { concurrency: 2, grace: "2s" },
    );
    await expect.poll(() => worker.active).toBe(2);
    await redis.disconnect();
    expect(worker.stats).toMatchObject({ delivered: 2, completed: 1, retried: 0, dead: 0 });
    await using other = createRedis({ ...ALONE, url: server.url });
    const again = queue<string>(other, "jobs");
    expect((await again.list("waiting")).map(({ data, attempt }) => [data, attempt])).toEqual([
      ["slow", 0],
      ["waits", 0],
    ]);
    expect(await again.counts()).toMatchObject({ active: 0, delayed: 0 });
  });

  it("A57: data that no schema accepts is a dead letter; a job without a record is reported", async () => {
    const lines: string[] = [];
    const logger = { error: (line: string) => lines.push(line), warn: (line: string) => lines.push(line), info() {} };
    await using own = createRedis({ ...ALONE, url: server.url, logger });
    const schema = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value: unknown) =>
          typeof value === "number" ? { value: value + 1 } : { issues: [{ message: "no" }] },
      },
    } as const;
    const jobs = queue<number>(own, "jobs", { schema, keep: { completed: 0 } });
    const added = await jobs.addMany([1, "two" as never, 3, 4, 5, 6, 7].map((data) => ({ data })));
    const ids = added.map(({ id }) => id);
    await redis.commands.hset("queue:{jobs}:data", { [ids[2]!]: '{"__proto__":1' });
    await redis.commands.hDel("queue:{jobs}:data", ids[3]!);
    await redis.commands.hset("queue:{jobs}:jobs", { [ids[4]!]: "not JSON", [ids[5]!]: "{}" });
    const seen: number[] = [];
    started(jobs.worker(({ data }) => seen.push(data), { concurrency: 10 }));
    await expect.poll(() => jobs.counts()).toMatchObject({ waiting: 0, active: 0, dead: 3 });
    expect(seen).toEqual([2, 8]);
    expect(lines.join("\n")).toContain("2 jobs without a record that can be read were removed");
    const reasons = (await jobs.list("dead")).map(({ id, reason, data }) => [ids.indexOf(id), reason, data]);
    expect(reasons.toSorted()).toEqual([
      [1, "the data of the job does not fit the schema", "two"],
      [2, expect.stringContaining("the data of the job cannot be read"), undefined],
      [3, "the data of the job is missing", undefined],
    ]);
    expect(await redis.commands.hLen("queue:{jobs}:jobs")).toBe(3);
  });

  it("onError gets each error with its job; one that throws is reported, and changes nothing", async () => {
    const lines: string[] = [];
    const logger = { error: (line: string) => lines.push(line), warn: (line: string) => lines.push(line), info() {} };
    await using own = createRedis({ ...ALONE, url: server.url, logger });
    const jobs = queue<string>(own, "jobs", { attempts: 2, backoff: { type: "fixed", base: 0 } });
    const { id } = await jobs.add("x");
    const seen: unknown[] = [];
    const onError = (error: unknown, { addedAt, ...job }: FailedJob<string>): void => {
      seen.push([(error as Error).message, job, addedAt]);
      if (job.outcome === "dead") throw new Error("mine");
    };
    const fails = ({ attempt }: Job<string>): never => {
      throw new RangeError(`no ${attempt}`);
    };
    started(jobs.worker(fails, { onError }));
    await expect.poll(() => jobs.counts()).toMatchObject({ dead: 1, active: 0 });
    const job = { id, data: "x", attempts: 2 };
    expect(seen).toEqual([
      ["no 1", { ...job, attempt: 1, outcome: "retry" }, Number.parseInt(id, 10)],
      ["no 2", { ...job, attempt: 2, outcome: "dead" }, Number.parseInt(id, 10)],
    ]);
    expect(lines).toEqual(["hotset: redis: queue: onError: Error"]);
    const [letter] = await jobs.deadLetters().list();
    expect(letter).toMatchObject({ reason: "no 2", error: { name: "RangeError" } });
    expect(letter!.error!.stack).toContain("RangeError: no 2\n    at ");
    await jobs.deadLetters().replay();
    await expect.poll(() => jobs.counts()).toMatchObject({ dead: 1, active: 0 });
    expect(seen).toHaveLength(4);
  });

  it("results, progress and errors are apart from the record, and end with their job", async () => {
    const jobs = queue<string>(redis, "jobs", { keep: { completed: 3 }, attempts: 1 });
    const large = "x".repeat(100_000);
    started(
      jobs.worker(async (job) => {
        await job.progress(large);
        if (job.data === "bad") throw new Error(large);
        return large;
      }),
    );
    const added = await jobs.addMany(["good", "bad"].map((data) => ({ data })));
    await expect.poll(() => jobs.counts()).toMatchObject({ completed: 1, dead: 1, active: 0 });
    expect(await jobs.list("completed")).toMatchObject([{ data: "good", progress: large, result: large }]);
    expect(await jobs.get(added[1]!.id)).toMatchObject({ data: "bad", progress: large, error: { name: "Error" } });
    const [records, fields] = ["jobs", "data"].map((part) => `queue:{jobs}:${part}`) as [string, string];
    const lengths = [...(await redis.commands.hgetAll(records)).values()].map((record) => record.length);
    expect(Math.max(...lengths)).toBeLessThan(2_500);
    for (const { id } of added) expect(await jobs.remove(id)).toBe("removed");
    expect([await redis.commands.hLen(records), await redis.commands.hLen(fields)]).toEqual([0, 0]);
  });

  const forged = { attempt: 0, attempts: 3, priority: 0 };
  it.each([
    "null",
    "5",
    "[]",
    '"text"',
    "{}",
    JSON.stringify({ ...forged, attempt: "0" }),
    JSON.stringify({ ...forged, timeout: "soon" }),
    JSON.stringify({ ...forged, backoff: 5 }),
    JSON.stringify({ ...forged, backoff: { type: "fixed" } }),
    JSON.stringify({ ...forged, backoff: { type: "never", baseMs: 1, maxMs: 1 } }),
    JSON.stringify({ ...forged, dedup: {} }),
    JSON.stringify({ ...forged, order: "first" }),
    JSON.stringify({ ...forged, ofQueue: 5 }),
    JSON.stringify({ ...forged, reason: null }),
    '{"attempt":0,"attempts":1e999,"priority":0}',
    '{"attempt":0,"attempts":3,"priority":0,"unknown":1e999}',
    '{"attempt":0,"attempts":3,"priority":0,"trace":{"a":1e999}}',
  ])("a job whose record is %s is removed and reported, and keeps no other from being handled", async (text) => {
    const lines: string[] = [];
    const logger = { error: (line: string) => lines.push(line), warn: (line: string) => lines.push(line), info() {} };
    await using own = createRedis({ ...ALONE, url: server.url, logger });
    const jobs = queue<string>(own, "jobs", { attempts: 1 });
    const [corrupt] = await jobs.addMany([{ data: "corrupt" }, { data: "good" }]);
    await redis.commands.hset("queue:{jobs}:jobs", { [corrupt!.id]: text });
    expect(await jobs.get(corrupt!.id)).toBe(undefined);
    expect((await jobs.list("waiting")).map(({ data }) => data)).toEqual(["good"]);
    expect(await jobs.finished(corrupt!.id)).toEqual({ status: "gone" });
    const seen: string[] = [];
    const handler = ({ data }: { readonly data: string }): void => {
      seen.push(data);
      throw new Error("broken");
    };
    const worker = started(jobs.worker(handler, { concurrency: 2 }));
    await expect.poll(() => jobs.counts()).toMatchObject({ waiting: 0, active: 0, delayed: 0, dead: 1 });
    expect(seen).toEqual(["good"]);
    expect(worker.stats).toEqual({ delivered: 1, completed: 0, retried: 0, dead: 1, lost: 0 });
    expect(lines.toSorted()).toEqual([
      expect.stringContaining("1 jobs without a record that can be read were removed"),
      "hotset: redis: queue: handler: Error",
    ]);
  });

  it.each([
    ["without an instant", "0", "x"],
    ["beyond all others", "+inf", "1-1"],
    ["so far away that no double is next to it", "1e300", "1-1"],
    ["before all others", "-inf", "x"],
  ])("a queue to which another program wrote a member %s is counted", async (_, score, member) => {
    const jobs = queue<string>(redis, "jobs");
    await jobs.addMany([{ data: "1" }, { data: "2", options: { priority: 7 } }]);
    await server.command("ZADD", "queue:{jobs}:waiting", score, member);
    const { waiting, oldestAgeMs } = await jobs.counts();
    expect(waiting).toBe(3);
    expect(oldestAgeMs).toBeGreaterThanOrEqual(0);
    if (member === "x") expect(oldestAgeMs).toBeLessThan(60_000);
  });

  it("a key of another type is reported, and the worker goes on once it is gone", async () => {
    const lines: string[] = [];
    const logger = { error: (line: string) => lines.push(line), warn: (line: string) => lines.push(line), info() {} };
    await using own = createRedis({ ...ALONE, url: server.url, logger });
    const jobs = queue<string>(own, "jobs");
    await redis.commands.set("queue:{jobs}:active", "text");
    await jobs.add("x");
    const seen: string[] = [];
    started(jobs.worker(({ data }) => seen.push(data)));
    await expect.poll(() => lines.join("\n")).toContain("queue: exchange");
    await redis.commands.delete("queue:{jobs}:active");
    await expect.poll(() => seen, SOON).toEqual(["x"]);
  });

  it("A59: the list mode speaks with programs in Python, both ways", async () => {
    const key = randomPrefix();
    const list = simpleQueue<{ to: string }>(redis, key);
    await python(server.port, "LPUSH", key, `json.dumps({"to": "ada"})`, `json.dumps({"to": "bob"})`);
    expect(await list.length()).toBe(2);
    expect([await list.pop(), await list.pop()]).toEqual([{ to: "ada" }, { to: "bob" }]);
    const waits = list.pop({ timeout: "15s" });
    await python(server.port, "LPUSH", key, `json.dumps({"to": "é"})`);
    expect(await waits).toEqual({ to: "é" });
    expect(await list.pop({ timeout: 50 })).toBeUndefined();
    expect(await list.push({ to: "eve" })).toBe(1);
    expect(await list.push({ to: "fay" })).toBe(2);
    expect(await python(server.port, "BRPOP", key, `"30"`)).toContain('{"to":"eve"}');
    expect(await list.pop()).toEqual({ to: "fay" });
    await redis.commands.lPush(key, "{");
    await expect(list.pop()).rejects.toMatchObject({ code: "CORRUPT_VALUE" });
    expect(await list.length()).toBe(0);
  });
});

it("A56: a failover is survived by workers and events", async () => {
  // The failover begins by a command. No sentinel may think a primary down that is only slow.
  await using group = await startSentinel({ downAfterMs: 30_000 });
  const { sentinels, name: sentinelName } = group;
  await using redis = createRedis({ ...ALONE, sentinels: sentinels.map(({ url }) => url), sentinelName });
  const jobs = queue<string>(redis, "jobs");
  const seen: string[] = [];
  await using _worker = jobs.worker(({ data }) => seen.push(data), { visibility: 500 });
  await jobs.add("before");
  await expect.poll(() => seen).toEqual(["before"]);
  await group.failover();
  await until("an add", () =>
    jobs.add("after").then(
      () => true,
      () => false,
    ),
  );
  await expect.poll(() => seen).toContain("after");
});

it("A59: where Redis is disabled or away, adding rejects, and a worker is refused or waits", async () => {
  await using disabled = createRedis({ ...ALONE, enabled: false });
  const jobs = queue(disabled, "jobs");
  await expect(jobs.add(1)).rejects.toMatchObject({ code: "REDIS_DISABLED" });
  await expect(jobs.counts()).rejects.toMatchObject({ code: "REDIS_DISABLED" });
  await expect(jobs.listen(() => undefined)).rejects.toMatchObject({ code: "REDIS_DISABLED" });
  expect(() => jobs.worker(() => 1)).toThrow("disabled");
  await using away = createRedis({ ...ALONE, url: "redis://127.0.0.1:1", commandTimeout: 200 });
  const unreachable = queue(away, "jobs");
  await expect(unreachable.add(1)).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: false });
  const worker = unreachable.worker(() => 1);
  await worker.stop();
  expect(worker.stats.delivered).toBe(0);
});

it("a server that may evict a queue is refused where that is required", async () => {
  await using server = await startOwnRedis({ config: ["maxmemory 100mb", "maxmemory-policy allkeys-lru"] });
  await using redis = createRedis({ ...ALONE, url: server.url, logger: { error() {}, warn() {}, info() {} } });
  const strict = queue(redis, "jobs", { requireNoEviction: true });
  await expect(strict.add(1)).rejects.toMatchObject({ code: "INVALID_CONFIGURATION" });
  expect((await queue(redis, "jobs").add(1)).status).toBe("added");
});

/** Calls of each command since RESETSTAT, without those of the tests and of connections. */
async function counted(server: OwnRedis): Promise<Readonly<Record<string, number>>> {
  const stats = await server.info("commandstats");
  const own = ["info", "config|resetstat", "ping"];
  return Object.fromEntries(
    Object.entries(stats)
      .map(([name, text]) => [name.replace("cmdstat_", ""), Number(/calls=(\d+)/.exec(text)?.[1])] as const)
      .filter(([name]) => !own.includes(name)),
  );
}

/** Sends one command by Python's standard library. Arguments after the key are expressions. */
async function python(port: number, command: string, key: string, ...expressions: readonly string[]): Promise<string> {
  const program = `
import json, socket
def send(*args):
    s = socket.create_connection(("127.0.0.1", ${port}), 10)
    parts = [a.encode() for a in args]
    s.sendall(b"*%d\\r\\n" % len(parts) + b"".join(b"$%d\\r\\n%s\\r\\n" % (len(p), p) for p in parts))
    return s.recv(65536).decode()
print(send("${command}", "${key}", ${expressions.join(", ")}))
`;
  const { stdout } = await promisify(execFile)("python3", ["-c", program]);
  return stdout;
}
