import diagnostics from "node:diagnostics_channel";
import { scheduler } from "node:timers/promises";
import type { Redis } from "@hotset/redis-toolkit";
import { queue, PutBackError, type Queue, type QueueEvent, type Worker } from "@hotset/redis-toolkit/queue";
import { randomPrefix } from "@hotset/test-servers";
import { gate } from "@hotset/testing";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { moduleOf } from "../src/module/module.ts";
import { QueueStore, type ExchangeReply, type ExchangeRequest } from "../src/queue/store.ts";
import { startServers } from "./servers.ts";

const servers = startServers({ user: "queue" });

let redis: Redis;
let jobs: Queue<string>;
let store: QueueStore;
const workers: Worker[] = [];

const working = (...args: Parameters<Queue<string>["worker"]>): Worker => {
  const worker = jobs.worker(...args);
  workers.push(worker);
  return worker;
};

beforeAll(async () => {
  redis = await servers.open("one server");
});
beforeEach(() => {
  jobs = queue<string>(redis, randomPrefix(), { keep: { completed: 100 } });
  store = new QueueStore(moduleOf(redis), jobs.name);
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});

/** As a worker sends it. */
const exchange = (request: Partial<ExchangeRequest> = {}): Promise<ExchangeReply> =>
  store.exchange({
    ...{ keepCompleted: undefined, keepFailed: undefined, attempts: undefined, rate: undefined, outcomes: [] },
    ...{ visibilityMs: 30_000, token: "t", count: 1, ...request },
  });

const idsOf = ({ delivered }: ExchangeReply): readonly string[] => delivered.map(({ id }) => id);
const add = async (...texts: readonly string[]): Promise<readonly string[]> =>
  (await jobs.addMany(texts.map((data) => ({ data })))).map(({ id }) => id);

/** The lease of a job ends now. */
const endLease = async (id: string): Promise<void> => {
  const key = store.keys.active;
  const score = Number(await redis.commands.zScore(key, id));
  await redis.commands.zAdd(key, [{ score: 1 + (score % 1), value: id }]);
};

describe("a delivery", () => {
  it("A100: whose reply was lost is given again to the exchange that is sent again, and counts once", async () => {
    const ids = await add("a", "b", "c");
    expect(idsOf(await exchange({ count: 2 }))).toEqual(ids.slice(0, 2));
    // Another worker has nothing of it.
    expect(idsOf(await exchange({ token: "other" }))).toEqual(ids.slice(2));
    expect(idsOf(await exchange({ count: 2, isAgain: true }))).toEqual(ids.slice(0, 2));
    expect(await jobs.get(ids[0]!)).toMatchObject({ state: "active", attempt: 1 });
    // A worker that stops asks for none, and gets what it has to put back.
    const again = await exchange({ count: 0, isAgain: true });
    expect(idsOf(again)).toEqual(ids.slice(0, 2));
    await store.begin([ids[0]!], again.now + 30_000);
    expect(idsOf(await exchange({ count: 0, isAgain: true }))).toEqual([ids[1]]);
  });

  it("A100: that no handler has begun goes back without a count, however often; one that has begun counts", async () => {
    const { id } = await jobs.add("a", { attempts: 1 });
    for (let i = 0; i < 5; i += 1) {
      expect(idsOf(await exchange())).toEqual([id]);
      await endLease(id);
    }
    const { delivered, now } = await exchange();
    expect(delivered).toHaveLength(1);
    await store.begin([id], now + 30_000);
    await endLease(id);
    expect(idsOf(await exchange())).toEqual([]);
    expect(await jobs.get(id)).toMatchObject({
      state: "dead",
      attempt: 1,
      reason: "the worker was lost in attempt 1 of 1",
    });
  });

  it("A100: that was taken back, and begun all the same, counts where its worker says so", async () => {
    const { id } = await jobs.add("a");
    await exchange();
    await endLease(id);
    await jobs.pause();
    await exchange();
    expect(await jobs.get(id)).toMatchObject({ state: "waiting", attempt: 0 });
    expect(await store.extend([{ id, token: "t", visibilityMs: 30_000, progress: "" }])).toEqual([true]);
    expect(await jobs.get(id)).toMatchObject({ state: "active", attempt: 1 });
    const outcome = { id, token: "t", detail: "no", delayMs: 0, error: "" } as const;
    await exchange({ count: 0, outcomes: [{ kind: "retry", ...outcome }] });
    expect(await jobs.get(id)).toMatchObject({ state: "waiting", attempt: 1, reason: "no" });
  });

  it("A101: a reply has at most so many bytes of data, or one job, and the others keep their places", async () => {
    const ids = await add("x".repeat(5_000), "a".repeat(1_500), "b".repeat(1_500), "c".repeat(1_500));
    const bounded = (token: string): Promise<ExchangeReply> => exchange({ token, count: 4, maxBytes: 4_096 });
    const [first, second, third] = [await bounded("1"), await bounded("2"), await bounded("3")];
    expect([first, second, third].map(idsOf)).toEqual([[ids[0]], [ids[1], ids[2]], [ids[3]]]);
    expect([first.isMore, second.isMore, third.isMore]).toEqual([true, true, false]);
  });

  it("A101: a worker takes on after a reply that was full", async () => {
    const ids = await add(...Array.from({ length: 12 }, (_, i) => `${i}`.padEnd(1_000)));
    const seen: string[] = [];
    const held = gate();
    working(async (job) => (seen.push(job.id), held.pass()), { concurrency: 12, maxReplyBytes: 2_048 });
    await expect.poll(() => seen).toEqual(ids);
    held.open();
  });

  it("A101: large results and progress are not in events; finished has the result all the same", async () => {
    const events: QueueEvent[] = [];
    await using _ = await jobs.listen((event) => void events.push(event));
    const large = "y".repeat(10_000);
    working(async (job) => (await job.progress(large), job.data === "small" ? "z" : large));
    const ids = await add("small", "large");
    expect(await jobs.finished(ids[1]!)).toEqual({ status: "completed", result: large });
    expect(await jobs.finished(ids[0]!)).toEqual({ status: "completed", result: "z" });
    await expect.poll(() => events.filter(({ kind }) => kind === "completed")).toHaveLength(2);
    expect(events.filter(({ kind }) => kind === "completed" || kind === "progress")).toEqual([
      { kind: "progress", id: ids[0], progressBytes: 10_002 },
      { kind: "completed", id: ids[0], result: "z" },
      { kind: "progress", id: ids[1], progressBytes: 10_002 },
      { kind: "completed", id: ids[1], resultBytes: 10_002 },
    ]);
  });
});

describe("turns", () => {
  it("A103: jobs of one dedup id run one after another, to the last attempt of each", async () => {
    const options = { dedupId: "d", dedupFor: 1, attempts: 2, backoff: { type: "fixed", base: 50 } } as const;
    const runs: string[] = [];
    let running = 0;
    let most = 0;
    working(
      async ({ data, attempt }) => {
        most = Math.max(most, (running += 1));
        await new Promise((resolve) => setTimeout(resolve, 20));
        running -= 1;
        runs.push(`${data}${attempt}`);
        if (data === "a" && attempt === 1) throw new Error("no");
      },
      { concurrency: 4, onError: () => undefined },
    );
    for (const data of ["a", "b", "c"]) {
      expect((await jobs.add(data, options)).status).toBe("added");
      await expect.poll(async () => (await jobs.freeDedupId("d")) || true).toBe(true);
    }
    await expect.poll(() => runs.length).toBe(4);
    expect([runs, most]).toEqual([["a1", "a2", "b1", "c1"], 1]);
  });

  it("A103: the turn of a job that is removed goes to the next one", async () => {
    const first = await jobs.add("a", { dedupId: "d", attempts: 2 });
    await exchange();
    await jobs.freeDedupId("d");
    const second = await jobs.add("b", { dedupId: "d" });
    const outcome = { id: first.id, token: "t", detail: "no", delayMs: 60_000, error: "" } as const;
    expect(idsOf(await exchange({ token: "t2", outcomes: [{ kind: "retry", ...outcome }] }))).toEqual([]);
    expect(await jobs.get(first.id)).toMatchObject({ state: "delayed" });
    expect(await jobs.get(second.id)).toMatchObject({ state: "waiting" });
    expect(await jobs.remove(first.id)).toBe("removed");
    expect(idsOf(await exchange({ token: "t3" }))).toEqual([second.id]);
  });

  it("A103: the job of a lost worker is not tried again after a newer one that took its place", async () => {
    const options = { dedupId: "d", onDuplicate: "replace" } as const;
    const first = await jobs.add("old", options);
    const { now } = await exchange();
    await store.begin([first.id], now + 30_000);
    const second = await jobs.add("new", options);
    expect(second.status).toBe("added");
    expect(idsOf(await exchange({ token: "t2" }))).toEqual([]);
    await endLease(first.id);
    expect(idsOf(await exchange({ token: "t3" }))).toEqual([second.id]);
    expect(await jobs.get(first.id)).toBeUndefined();
  });

  it("workers have so many jobs of one group, in their order, and others pass them", async () => {
    const ids = await Promise.all(
      ["a1", "a2", "a3", "b1"].map(async (data) => (await jobs.add(data, { group: data[0]! })).id),
    );
    expect(idsOf(await exchange({ token: "1", count: 4 }))).toEqual([ids[0], ids[3]]);
    const end = (id: string, token: string) =>
      ({ kind: "complete", id, token, detail: "", delayMs: 0, error: "" }) as const;
    expect(idsOf(await exchange({ token: "2", count: 4, outcomes: [end(ids[3]!, "1")] }))).toEqual([]);
    expect(idsOf(await exchange({ token: "3", count: 4, outcomes: [end(ids[0]!, "1")] }))).toEqual([ids[1]]);
    expect(idsOf(await exchange({ token: "4", count: 4, maxOfGroup: 2 }))).toEqual([ids[2]]);
    expect(await jobs.get(ids[2]!)).toMatchObject({ group: "a" });
  });

  it("a group whose worker was lost, and whose record is gone, is not held up without end", async () => {
    const first = await jobs.add("1", { group: "g" });
    const second = await jobs.add("2", { group: "g" });
    expect(idsOf(await exchange({ token: "1", count: 4 }))).toEqual([first.id]);
    await redis.commands.hDel(store.keys.active.replace(/active$/, "jobs"), [first.id]);
    await endLease(first.id);
    expect(idsOf(await exchange({ token: "2" }))).toEqual([second.id]);
  });

  it("a parked job can be changed, removed and drained as one that waits", async () => {
    const held = await Promise.all(["1", "2", "3", "4"].map((data) => jobs.add(data, { group: "g" })));
    expect(idsOf(await exchange({ count: 4 }))).toEqual([held[0]!.id]);
    expect(await jobs.counts()).toMatchObject({ waiting: 3, active: 1 });
    expect(await jobs.change(held[2]!.id, { priority: 9 })).toBe("changed");
    expect(await jobs.remove(held[1]!.id)).toBe("removed");
    const done = { kind: "complete", id: held[0]!.id, token: "t", detail: "", delayMs: 0, error: "" } as const;
    expect(idsOf(await exchange({ token: "2", count: 4, outcomes: [done] }))).toEqual([held[2]!.id]);
    expect(await jobs.drain()).toBe(1);
    expect(await jobs.counts()).toMatchObject({ waiting: 0, active: 1 });
  });

  it.each([
    ["removed", (id: string) => jobs.remove(id)],
    ["put off", (id: string) => jobs.change(id, { delay: "1h" })],
    ["replaced", () => jobs.add("later", { dedupId: "next", onDuplicate: "replace", delay: "1h" })],
    ["drained", () => store.drain(1, false)],
  ])("a job whose turn has come and that is %s lets the next one of its group run", async (_, end) => {
    const first = await jobs.add("1", { group: "g" });
    await jobs.add("1", { group: "busy" });
    const next = await jobs.add("2", { group: "g", dedupId: "next" });
    const last = await jobs.add("3", { group: "g" });
    await jobs.addMany(Array.from({ length: 100 }, (_, i) => ({ data: `${i}`, options: { group: "busy" } })));
    await exchange({ token: "t", count: 10 });
    const done = { kind: "complete", id: first.id, token: "t", detail: "", delayMs: 0, error: "" } as const;
    await exchange({ token: "2", count: 0, outcomes: [done] });
    await end(next.id);
    expect(idsOf(await exchange({ token: "3", count: 1 }))).toEqual([last.id]);
  });

  it("a job that is removed as its turn has come lets the next one of its dedup id run", async () => {
    const first = await jobs.add("1", { dedupId: "d" });
    await jobs.freeDedupId("d");
    const next = await jobs.add("2", { dedupId: "d" });
    await jobs.freeDedupId("d");
    const last = await jobs.add("3", { dedupId: "d" });
    await jobs.addMany(Array.from({ length: 100 }, (_, i) => ({ data: `${i}`, options: { group: "busy" } })));
    await exchange({ token: "t", count: 10 });
    const done = { kind: "complete", id: first.id, token: "t", detail: "", delayMs: 0, error: "" } as const;
    await exchange({ token: "2", count: 0, outcomes: [done] });
    await jobs.remove(next.id);
    expect(idsOf(await exchange({ token: "3", count: 1 }))).toEqual([last.id]);
  });

  it("a job whose lease had ended, and is extended late, counts for its group again", async () => {
    const first = await jobs.add("1", { group: "g" });
    await jobs.add("2", { group: "g" });
    expect(idsOf(await exchange({ token: "t" }))).toEqual([first.id]);
    await store.extend([{ id: first.id, token: "t", visibilityMs: 60_000, progress: "" }]);
    await endLease(first.id);
    await jobs.pause();
    await exchange({ token: "2" });
    expect(await jobs.counts()).toMatchObject({ waiting: 2, active: 0 });
    expect(await store.extend([{ id: first.id, token: "t", visibilityMs: 60_000, progress: "" }])).toEqual([true]);
    await jobs.resume();
    expect(idsOf(await exchange({ token: "3" }))).toEqual([]);
  });

  it("all workers together have so many jobs of the queue", async () => {
    await add("1", "2", "3", "4", "5");
    let running = 0;
    let most = 0;
    let ended = 0;
    const handler = async (): Promise<void> => {
      most = Math.max(most, (running += 1));
      await new Promise((resolve) => setTimeout(resolve, 10));
      running -= 1;
      ended += 1;
    };
    for (let i = 0; i < 3; i += 1) working(handler, { concurrency: 3, queueConcurrency: 2 });
    await expect.poll(() => ended).toBe(5);
    expect(most).toBe(2);
  });
});

describe("what a producer and a handler can say", () => {
  it("a handler puts its job back, immediately or later, and that is no attempt", async () => {
    const attempts: number[] = [];
    working(({ attempt }) => {
      attempts.push(attempt);
      if (attempts.length < 3) throw new PutBackError("busy", { delay: attempts.length === 1 ? 0 : 20 });
    });
    const { id } = await jobs.add("a", { attempts: 1 });
    expect(await jobs.finished(id)).toEqual({ status: "completed" });
    expect(attempts).toEqual([1, 1, 1]);
  });

  it("what a subscriber gives a job to carry loses no job, and is text", async () => {
    const carried = Promise.withResolvers<unknown>();
    const produce = (message: unknown): void =>
      void Object.assign((message as { carrier: object }).carrier, {
        ...{ traceparent: "00-1", half: "\ud800", number: 1, nothing: undefined, deep: { a: 1n } },
        ...{ long: "x".repeat(10_000), other: "y" },
      });
    const consume = { start: (message: unknown) => carried.resolve((message as { carrier: unknown }).carrier) };
    const channel = diagnostics.tracingChannel("hotset:consume");
    diagnostics.subscribe("hotset:produce", produce);
    channel.subscribe(consume as never);
    try {
      const { id } = await jobs.add("a");
      working(() => "done");
      expect(await jobs.finished(id)).toEqual({ status: "completed", result: "done" });
      expect(await carried.promise).toEqual({ traceparent: "00-1", other: "y" });
    } finally {
      diagnostics.unsubscribe("hotset:produce", produce);
      channel.unsubscribe(consume as never);
    }
  });

  it("a job with the id of another one is that one, as long as it is there", async () => {
    expect(await jobs.add("a", { id: "invoice-17" })).toEqual({ id: "invoice-17", status: "added" });
    expect(await jobs.add("b", { id: "invoice-17" })).toEqual({ id: "invoice-17", status: "duplicate" });
    const found = await jobs.get("invoice-17");
    expect(found).toMatchObject({ data: "a", state: "waiting" });
    expect(Math.abs(found!.addedAt - Date.now())).toBeLessThan(60_000);
    expect((await jobs.counts()).oldestAgeMs).toBeLessThan(60_000);
    const seen: unknown[] = [];
    working((job) => void seen.push([job.id, job.data, job.addedAt]));
    expect(await jobs.finished("invoice-17")).toEqual({ status: "completed" });
    expect(seen).toEqual([["invoice-17", "a", found!.addedAt]]);
    // It is kept.
    expect((await jobs.add("c", { id: "invoice-17" })).status).toBe("duplicate");
    expect(await jobs.remove("invoice-17")).toBe("removed");
    expect((await jobs.add("d", { id: "invoice-17" })).status).toBe("added");
    for (const id of ["", "1-2", "a/b", "a:b", "x".repeat(65), 'a"'])
      await expect(jobs.add("e", { id })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it("a handler sees the name and the options of its job, and passes them on", async () => {
    const next = queue<string>(redis, randomPrefix());
    working(async (job) => void (await next.add(job.data, job.options)));
    const options = { name: "resize", priority: 7, attempts: 9, timeout: "2s", group: "g", lifo: true } as const;
    const { id } = await jobs.add("a", { ...options, backoff: { type: "fixed", base: "3s" }, delay: 1 });
    await jobs.finished(id);
    const store = new QueueStore(moduleOf(redis), next.name);
    const [delivered] = (
      await store.exchange({
        ...{ keepCompleted: undefined, keepFailed: undefined, attempts: undefined, rate: undefined, outcomes: [] },
        ...{ visibilityMs: 30_000, token: "t", count: 1 },
      })
    ).delivered;
    expect(JSON.parse(delivered!.record.toString())).toMatchObject({
      ...{ name: "resize", priority: 7, attempts: 9, timeout: 2_000, group: "g", lifo: true },
      backoff: { type: "fixed", baseMs: 3_000, maxMs: 3_000 },
    });
    expect(await jobs.get(id)).toMatchObject({ name: "resize", group: "g" });
  });

  it("the log of a job, its last part, as long as the job", async () => {
    const { id } = await jobs.add("a");
    const held = gate();
    working(async (job) => {
      await job.log("began");
      for (let i = 0; i < 20; i += 1) await job.log(`${i}`.padEnd(1_500, "."));
      await held.pass();
    });
    await held.arrived();
    const lines = (await jobs.logs(id))!;
    expect(lines.map(({ text }) => Number.parseInt(text, 10))).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    expect(lines.every(({ at }) => Math.abs(at - Date.now()) < 60_000)).toBe(true);
    expect(await jobs.logs("none")).toBeUndefined();
    held.open();
    await jobs.finished(id);
    await jobs.remove(id);
    expect(await jobs.logs(id)).toBeUndefined();
  });

  it("last in, first out, within a priority", async () => {
    const added: (readonly [string, object])[] = [
      ["1", {}],
      ["2", { lifo: true }],
      ["3", { lifo: true }],
      ["4", { priority: 1 }],
      ["5", { priority: 1, lifo: true }],
      ["6", {}],
    ];
    for (const [data, options] of added) await jobs.add(data, options);
    const { delivered } = await exchange({ count: 6 });
    expect(delivered.map(({ payload }) => JSON.parse(payload!.toString()) as string).join("")).toBe("543216");
  });

  it("the oldest job that is next in its priority may be the last in, below a higher priority", async () => {
    const first = await jobs.add("1", { lifo: true });
    await scheduler.wait(200);
    const second = await jobs.add("2", { priority: 1 });
    const [older, younger] = await Promise.all([jobs.get(first.id), jobs.get(second.id)]);
    const { oldestAgeMs } = await jobs.counts();
    expect(oldestAgeMs).toBeGreaterThanOrEqual(younger!.addedAt - older!.addedAt);
  });

  it("list without data; clean by age; the name of the queue", async () => {
    const ids = await add("a", "b");
    working(() => "result");
    await Promise.all(ids.map((id) => jobs.finished(id)));
    const [job] = await jobs.list("completed", { data: false, count: 1 });
    expect(job).toMatchObject({ id: ids[1], data: undefined, state: "completed" });
    expect(job).not.toHaveProperty("result");
    expect(await jobs.clean("completed", { olderThan: "1h" })).toBe(0);
    expect(await jobs.clean("completed", { olderThan: 0, count: 1 })).toBe(1);
    expect(await jobs.clean("completed", { olderThan: 0 })).toBe(1);
    expect(await jobs.get(ids[1]!)).toBeUndefined();
    expect(queue(redis, "emails").name).toBe("emails");
  });

  it("one worker takes no jobs while it is paused; others do", async () => {
    const seen: string[] = [];
    const paused = working(() => void seen.push("paused"));
    const other = working(() => void seen.push("other"));
    paused.pause();
    expect([paused.isPaused, other.isPaused]).toEqual([true, false]);
    for (let i = 0; i < 5; i += 1) await jobs.finished((await jobs.add("a")).id);
    expect(seen).toEqual(Array.from({ length: 5 }, () => "other"));
    await other.stop();
    const { id } = await jobs.add("b");
    paused.resume();
    await jobs.finished(id);
    expect(seen.at(-1)).toBe("paused");
  });
});
