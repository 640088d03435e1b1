import { systemClock } from "@hotset/core";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import {
  queue,
  UnrecoverableError,
  type Job,
  type JobRepeat,
  type Queue,
  type QueueEvent,
  type QueueOptions,
  type RepeatInfo,
  type Worker,
  type WorkerOptions,
} from "@hotset/redis-toolkit/queue";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { gate } from "@hotset/testing";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { moduleOf } from "../src/module/module.ts";
import { resolveQueueOptions } from "../src/queue/options.ts";
import { Repeats } from "../src/queue/repeats.ts";
import { QueueStore, type ExchangeReply, type Outcome } from "../src/queue/store.ts";
import { SOON } from "./queue-patience.ts";
import { ALONE, EVERYWHERE, startServers, type Where } from "./servers.ts";

const servers = startServers({ user: "queue" });

const STATES = ["waiting", "delayed", "active", "completed", "dead"] as const;
const NOTHING = { waiting: 0, delayed: 0, active: 0, completed: 0, dead: 0, isPaused: false };

interface Fixture {
  readonly redis: Redis;
  readonly jobs: Queue<string>;
  readonly name: string;
  opened(options?: QueueOptions<string>): Queue<string>;
  working(
    handler: (job: Job<string>, context: { readonly signal: AbortSignal }) => unknown,
    options?: WorkerOptions,
  ): Worker;
}

/** A new queue for each test, whose workers are stopped after it. */
function fixture(where: Where): Fixture {
  let redis: Redis;
  let jobs: Queue<string>;
  let name: string;
  const workers: Worker[] = [];

  const opened = (options?: QueueOptions<string>): Queue<string> => (jobs = queue(redis, name, options));
  const working = (handler: (job: Job<string>, context: { signal: AbortSignal }) => unknown, options = {}): Worker => {
    const worker = jobs.worker(handler, options);
    workers.push(worker);
    return worker;
  };

  beforeAll(async () => {
    redis = await servers.open(where);
  });
  beforeEach(() => {
    name = `${randomPrefix()}:{a}{`;
    opened({ keep: { completed: 0 } });
  });
  afterEach(async () => {
    await Promise.all(workers.splice(0).map((worker) => worker.stop()));
  });
  return {
    get redis() {
      return redis;
    },
    get jobs() {
      return jobs;
    },
    get name() {
      return name;
    },
    opened,
    working,
  };
}

/** When each dedup id ends, in milliseconds since 1970. */
async function endsOf(
  { redis, name }: Fixture,
  ...dedupIds: readonly string[]
): Promise<readonly (number | undefined)[]> {
  const { all } = new QueueStore(moduleOf(redis), name).keys;
  const key = all.find((one) => one.endsWith(":dedup-ends"))!;
  return Promise.all(dedupIds.map((dedupId) => redis.commands.zScore(key, dedupId)));
}

describe.each(EVERYWHERE)("a queue over %s", (where) => {
  const use = fixture(where);

  it("A57: higher priorities are delivered first, and those of one priority in the order of adding", async () => {
    await use.jobs.addMany([{ data: "1" }, { data: "2" }]);
    await use.jobs.add("urgent 1", { priority: 255 });
    await use.jobs.add("high", { priority: 2 });
    await use.jobs.add("3");
    await use.jobs.add("urgent 2", { priority: 255 });
    expect((await use.jobs.list("waiting")).map(({ data }) => data)).toEqual([
      "urgent 1",
      "urgent 2",
      "high",
      "1",
      "2",
      "3",
    ]);
    const seen: string[] = [];
    use.working(({ data }) => seen.push(data));
    await expect.poll(() => seen).toEqual(["urgent 1", "urgent 2", "high", "1", "2", "3"]);
    await expect.poll(() => use.jobs.counts()).toEqual(NOTHING);
  });

  it("A57: a delayed job is delivered when it is due, by the clock of the server, and not before", async () => {
    // Counted from one instant.
    const [{ id }] = (await use.jobs.addMany([
      { data: "later", options: { delay: 300 } },
      { data: "sooner", options: { delay: 100 } },
    ])) as [{ id: string }, unknown];
    const job = await use.jobs.get(id);
    expect(job).toMatchObject({ id, state: "delayed", data: "later", attempt: 0, attempts: 3, priority: 0 });
    expect(job!.dueAt! - job!.addedAt).toBe(300);
    const seen: [string, number][] = [];
    use.working(({ data, addedAt }) => seen.push([data, Date.now() - addedAt]));
    await expect.poll(() => seen.map(([data]) => data), SOON).toEqual(["sooner", "later"]);
    // One machine, so one clock.
    expect(seen[0]![1]).toBeGreaterThanOrEqual(99);
    expect(seen[1]![1]).toBeGreaterThanOrEqual(299);
  });

  it("A57: a job that fails is tried again with its back-off, then is a dead letter, and can be replayed", async () => {
    const attempts: number[] = [];
    let isBroken = true;
    const { id } = await use.jobs.add("x", { attempts: 3, backoff: { type: "exponential", base: 20 } });
    const worker = use.working(({ attempt }) => {
      attempts.push(attempt);
      if (isBroken) throw new Error(`broken ${attempt}`);
    });
    await expect.poll(() => use.jobs.counts()).toMatchObject({ dead: 1, active: 0 });
    expect(attempts).toEqual([1, 2, 3]);
    expect(worker.stats).toEqual({ delivered: 3, completed: 0, retried: 2, dead: 1, lost: 0 });
    expect(await use.jobs.deadLetters().list()).toEqual([
      {
        id,
        state: "dead",
        data: "x",
        attempt: 3,
        attempts: 3,
        priority: 0,
        addedAt: Number.parseInt(id, 10),
        finishedAt: expect.any(Number),
        reason: "broken 3",
        error: { name: "Error", stack: expect.stringContaining("Error: broken 3\n    at ") },
      },
    ]);
    isBroken = false;
    expect(await use.jobs.deadLetters().replay(id)).toBe(1);
    expect(await use.jobs.deadLetters().replay(id)).toBe(0);
    await expect.poll(() => attempts).toEqual([1, 2, 3, 1]);
    await expect.poll(() => use.jobs.counts()).toEqual(NOTHING);
  });

  it("A57: an unrecoverable error, and a timeout of the last attempt, end a job at once", async () => {
    const reasons: unknown[] = [];
    await use.jobs.add("bad address");
    await use.jobs.add("slow", { attempts: 1, timeout: 50 });
    use.working(
      async ({ data }, { signal }) => {
        if (data === "bad address") throw new UnrecoverableError("no such address");
        await new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            reasons.push(signal.reason);
            reject(new Error("of the handler"));
          });
        });
      },
      { concurrency: 2 },
    );
    await expect.poll(() => use.jobs.counts()).toMatchObject({ dead: 2 });
    expect(
      (await use.jobs.list("dead")).map(({ data, attempt, reason }) => [data, attempt, reason]).toSorted(),
    ).toEqual([
      ["bad address", 1, "no such address"],
      ["slow", 1, "the handler took longer than 50 ms"],
    ]);
    expect(reasons).toMatchObject([{ code: "JOB_TIMEOUT" }]);
  });

  it("A60: counts, and a job in each of its states", async () => {
    use.opened({ keep: { completed: 10 } });
    const held = gate();
    const ids: Record<string, string> = {};
    for (const [data, options] of [
      ["completed", {}],
      ["dead", { attempts: 1 }],
      ["active", {}],
      ["waiting", {}],
      ["delayed", { delay: "1h" }],
    ] as const)
      ids[data] = (await use.jobs.add(data, options)).id;
    use.working(({ data }) => {
      if (data === "dead") throw new Error("no");
      return data === "active" ? held.pass() : { done: data };
    });
    await expect
      .poll(() => use.jobs.counts())
      .toEqual({
        ...{ waiting: 1, delayed: 1, active: 1, completed: 1, dead: 1, isPaused: false },
        oldestAgeMs: expect.any(Number) as number,
      });
    for (const state of STATES) {
      expect(await use.jobs.get(ids[state]!)).toMatchObject({ id: ids[state], state, data: state });
      expect((await use.jobs.list(state)).map(({ id }) => id)).toEqual([ids[state]]);
    }
    expect(await use.jobs.get(ids["completed"]!)).toMatchObject({ result: { done: "completed" }, attempt: 1 });
    expect(await use.jobs.get("0-0")).toBeUndefined();
    expect(await use.jobs.remove(ids["active"]!)).toBe("active");
    expect(await use.jobs.remove(ids["delayed"]!)).toBe("removed");
    expect(await use.jobs.remove(ids["delayed"]!)).toBe("missing");
    held.open();
  });

  it("A60: no more handlers run at once than the concurrency", async () => {
    let running = 0;
    let most = 0;
    let ended = 0;
    await use.jobs.addMany(Array.from({ length: 40 }, () => ({ data: "x" })));
    use.working(
      async () => {
        most = Math.max(most, (running += 1));
        await new Promise((resolve) => setTimeout(resolve, 5));
        running -= 1;
        ended += 1;
      },
      { concurrency: 7 },
    );
    await expect.poll(() => ended).toBe(40);
    expect(most).toBe(7);
  });

  it("A60: while it is paused nothing is delivered, also to workers that wait; jobs are added", async () => {
    const seen: string[] = [];
    use.working(({ data }) => seen.push(data));
    await use.jobs.add("1");
    await expect.poll(() => seen).toEqual(["1"]);
    await use.jobs.pause();
    await use.jobs.add("2");
    await use.jobs.add("3", { delay: 10 });
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(seen).toEqual(["1"]);
    expect(await use.jobs.counts()).toMatchObject({ isPaused: true });
    await use.jobs.resume();
    await expect.poll(() => seen.toSorted()).toEqual(["1", "2", "3"]);
    expect(await use.jobs.counts()).toEqual(NOTHING);
  });

  it("A60: a job with the dedup id of an unfinished one is not added; with a ttl, none until its end", async () => {
    const first = await use.jobs.add("1", { dedupId: "a" });
    expect(first.status).toBe("added");
    expect(await use.jobs.add("2", { dedupId: "a" })).toEqual({ id: first.id, status: "duplicate" });
    const other = await use.jobs.add("3", { dedupId: "b", dedupFor: "1h" });
    expect(
      await use.jobs.addMany([
        { data: "4", options: { dedupId: "c" } },
        { data: "5", options: { dedupId: "c" } },
      ]),
    ).toMatchObject([{ status: "added" }, { status: "duplicate" }]);
    const seen: string[] = [];
    use.working(({ data }) => seen.push(data));
    await expect.poll(() => seen).toEqual(["1", "3", "4"]);
    await expect.poll(() => use.jobs.counts()).toEqual(NOTHING);
    expect(await use.jobs.add("6", { dedupId: "b", dedupFor: "1h" })).toEqual({ id: other.id, status: "duplicate" });
    expect((await use.jobs.add("7", { dedupId: "a" })).status).toBe("added");
    const brief = { dedupId: "d", dedupFor: 250 };
    expect((await use.jobs.add("8", brief)).status).toBe("added");
    await expect.poll(() => seen).toEqual(["1", "3", "4", "7", "8"]);
    await expect.poll(async () => (await use.jobs.add("9", brief)).status).toBe("added");
    await expect.poll(() => seen).toEqual(["1", "3", "4", "7", "8", "9"]);
  });

  it("a dead letter that is replayed holds its dedup id again, unless another job has it", async () => {
    const fails = { attempts: 1 };
    const [one, other] = await use.jobs.addMany([
      { data: "1", options: { ...fails, dedupId: "a" } },
      { data: "2", options: { ...fails, dedupId: "b" } },
    ]);
    use.working(() => {
      throw new Error("no");
    });
    await expect.poll(() => use.jobs.counts()).toMatchObject({ dead: 2 });
    await use.jobs.pause();
    const next = await use.jobs.add("3", { dedupId: "b" });
    expect(next.status).toBe("added");
    expect(await use.jobs.deadLetters().replay()).toBe(2);
    expect(await use.jobs.add("4", { dedupId: "a" })).toEqual({ id: one!.id, status: "duplicate" });
    expect(await use.jobs.add("5", { dedupId: "b" })).toEqual({ id: next.id, status: "duplicate" });
    // Each gives back what it holds.
    expect([await use.jobs.remove(one!.id), await use.jobs.remove(other!.id)]).toEqual(["removed", "removed"]);
    expect((await use.jobs.add("6", { dedupId: "a" })).status).toBe("added");
    expect(await use.jobs.add("7", { dedupId: "b" })).toEqual({ id: next.id, status: "duplicate" });
  });

  it("a job that is removed or drained gives its dedup id back, with a time too; a call frees one", async () => {
    const week = { dedupFor: "7d" } as const;
    const removed = await use.jobs.add("1", { dedupId: "a", ...week });
    await use.jobs.add("2", { dedupId: "b", ...week });
    await use.jobs.add("3", { dedupId: "c", ...week, delay: "1h" });
    expect(await use.jobs.remove(removed.id)).toBe("removed");
    expect((await use.jobs.add("4", { dedupId: "a", ...week })).status).toBe("added");
    expect(await use.jobs.drain({ delayed: true })).toBe(3);
    const again = await Promise.all(["a", "b", "c"].map((dedupId) => use.jobs.add("5", { dedupId, ...week })));
    expect(again.map(({ status }) => status)).toEqual(["added", "added", "added"]);

    expect(await use.jobs.freeDedupId("a")).toBe(true);
    const newer = await use.jobs.add("6", { dedupId: "a", ...week });
    expect(newer.status).toBe("added");
    // It no longer has it.
    expect(await use.jobs.remove(again[0]!.id)).toBe("removed");
    expect(await use.jobs.add("7", { dedupId: "a" })).toEqual({ id: newer.id, status: "duplicate" });

    const seen: string[] = [];
    use.working(({ data }) => seen.push(data));
    await expect.poll(() => use.jobs.counts()).toEqual(NOTHING);
    expect(await use.jobs.add("8", { dedupId: "a" })).toEqual({ id: newer.id, status: "duplicate" });
    expect([await use.jobs.freeDedupId("a"), await use.jobs.freeDedupId("a")]).toEqual([true, false]);
    expect((await use.jobs.add("9", { dedupId: "a" })).status).toBe("added");
    await expect.poll(() => seen).toEqual(["5", "5", "6", "9"]);
  });

  it("A103: a newer job replaces one that waits with its dedup id; where that has begun it is the last to run", async () => {
    const { jobs } = use;
    const options = { dedupId: "a", delay: "1h", onDuplicate: "replace" } as const;
    const [first, other] = await jobs.addMany([{ data: "1", options }, { data: "other" }]);
    const before = (await jobs.get(first!.id))!;
    expect(await jobs.add("2", { ...options, priority: 7, attempts: 5, delay: "2h" })).toEqual({
      id: first!.id,
      status: "replaced",
    });
    const delayed = (await jobs.get(first!.id))!;
    expect(delayed).toMatchObject({ state: "delayed", data: "2", priority: 7, attempts: 5, addedAt: before.addedAt });
    expect(delayed.dueAt! - before.dueAt!).toBeGreaterThanOrEqual(3_600_000);
    // Behind those that wait, as a new one.
    await jobs.add("3", { ...options, delay: 0 });
    expect((await jobs.list("waiting")).map(({ data }) => data)).toEqual(["other", "3"]);
    expect(await jobs.add("4", { ...options, delay: 0 })).toMatchObject({ status: "replaced" });
    expect(await jobs.add("5", { dedupId: "a" })).toEqual({ id: first!.id, status: "duplicate" });

    const held = gate();
    const seen: string[] = [];
    const failing = use.working(
      async ({ data, progress }) => {
        seen.push(data);
        if (data === "other") return;
        await progress(50);
        await held.pass();
        throw new Error("no");
      },
      { concurrency: 2 },
    );
    await expect.poll(() => failing.stats.completed).toBe(1);
    await held.arrived();
    const second = await jobs.add("6", options);
    expect([second.status, second.id === first!.id]).toEqual(["added", false]);
    expect(await jobs.add("7", options)).toEqual({ id: second.id, status: "replaced" });
    held.open();
    // It has failed: what it would do again, the newer one does.
    await expect.poll(() => jobs.get(first!.id)).toBeUndefined();
    expect(await jobs.add("8", options)).toEqual({ id: second.id, status: "replaced" });
    expect(await jobs.add("9", { ...options, delay: 0, attempts: 1 })).toEqual({ id: second.id, status: "replaced" });
    await expect.poll(() => jobs.get(second.id)).toMatchObject({ state: "dead", data: "9" });
    expect((await jobs.add("10", options)).status).toBe("added");
    expect(seen).toEqual(["other", "4", "9"]);
    expect(await jobs.get(other!.id)).toBeUndefined();
  });

  it("a job between two attempts is replaced whole, and a report of its lost worker is refused", async () => {
    const { jobs } = use;
    const options = { dedupId: "a", onDuplicate: "replace" } as const;
    const { id } = await jobs.add("old", { ...options, attempts: 2, backoff: { type: "fixed", base: "1h" } });
    const store = new QueueStore(moduleOf(use.redis), use.name);
    const keep = { count: 0, ageMs: -1 };
    const exchange = async (count: number, outcomes: readonly Outcome[]): Promise<ExchangeReply> =>
      store.exchange({
        ...{ keepCompleted: keep, keepFailed: keep, attempts: undefined, visibilityMs: 100, token: "t" },
        ...{ count, rate: undefined, outcomes },
      });
    expect((await exchange(1, [])).delivered.map((job) => job.id)).toEqual([id]);
    await store.extend([{ id, token: "t", visibilityMs: 0, progress: "50" }]);
    await jobs.pause();
    // Takes the job from the worker, and gives it to no other.
    await exchange(1, []);
    expect(await jobs.get(id)).toMatchObject({ state: "waiting", attempt: 1, data: "old", progress: 50 });
    expect(await jobs.add("new", options)).toEqual({ id, status: "replaced" });
    const report = { kind: "complete", id, token: "t", detail: "", delayMs: 0, error: "" } as const;
    expect((await exchange(0, [report])).isOwn).toEqual([false]);
    const { progress, ...job } = (await jobs.get(id))!;
    expect([job, progress]).toMatchObject([{ state: "waiting", attempt: 0, attempts: 3, data: "new" }, undefined]);
  });

  it("a duplicate extends the time of its dedup id, if it says so", async () => {
    const { jobs } = use;
    const brief = { dedupId: "a", dedupFor: "1m" } as const;
    const extending = { dedupId: "a", dedupFor: "1h", onDuplicate: "extend" } as const;
    const { id } = await jobs.add("1", brief);
    expect(await jobs.add("2", { ...brief, dedupFor: "1h" })).toEqual({ id, status: "duplicate" });
    const [ends] = await endsOf(use, "a");
    expect(await jobs.add("3", extending)).toEqual({ id, status: "duplicate" });
    const [extended] = await endsOf(use, "a");
    expect(extended! - ends!).toBeGreaterThan(3_500_000);
    expect((await jobs.get(id))!.data).toBe("1");
    use.working(() => undefined);
    await expect.poll(() => jobs.counts()).toEqual(NOTHING);
    expect(await jobs.add("4", extending)).toEqual({ id, status: "duplicate" });
    // Without a time there is nothing to extend: it counts until the job has ended.
    await jobs.pause();
    await jobs.add("5", { dedupId: "b" });
    expect((await jobs.add("6", { ...extending, dedupId: "b" })).status).toBe("duplicate");
    expect(await endsOf(use, "b")).toEqual([undefined]);
    await jobs.resume();
    await expect.poll(() => jobs.counts()).toEqual(NOTHING);
    expect((await jobs.add("7", { ...extending, dedupId: "b" })).status).toBe("added");
  });

  it("data, priority and delay of a job that waits can be changed; not of one that has begun", async () => {
    const { jobs } = use;
    await jobs.pause();
    const added = await jobs.addMany([
      ...["a", "b", "c"].map((data) => ({ data })),
      { data: "d", options: { delay: "1h" } },
    ]);
    const [a, b, c, d] = added.map(({ id }) => id) as [string, string, string, string];
    expect(await jobs.change(b, { priority: 7 })).toBe("changed");
    expect(await jobs.change(c, { data: "changed" })).toBe("changed");
    expect(await jobs.change(d, { priority: 3, delay: 0 })).toBe("changed");
    expect(await jobs.change(a, { delay: "1h" })).toBe("changed");
    const waiting = (await jobs.list("waiting")).map(({ data, priority }) => [data, priority]);
    expect(waiting).toEqual([
      ["b", 7],
      ["d", 3],
      ["changed", 0],
    ]);
    expect((await jobs.list("delayed")).map(({ data }) => data)).toEqual(["a"]);
    expect(await jobs.change(a, { priority: 255 })).toBe("changed");
    expect(await jobs.counts()).toMatchObject({ waiting: 3, delayed: 1 });
    await jobs.resume();
    const running = gate();
    const seen: string[] = [];
    use.working(async ({ data }) => {
      seen.push(data);
      await running.pass();
    });
    await running.arrived();
    expect(await jobs.change(b, { priority: 0 })).toBe("begun");
    running.open();
    await expect.poll(() => jobs.counts()).toMatchObject({ waiting: 0, active: 0, delayed: 1 });
    expect(seen).toEqual(["b", "d", "changed"]);
    // It wakes the worker that waits.
    expect(await jobs.change(a, { delay: 0 })).toBe("changed");
    await expect.poll(() => seen).toEqual(["b", "d", "changed", "a"]);
    await expect.poll(() => jobs.counts()).toEqual(NOTHING);
    expect(await jobs.change(a, { delay: 0 })).toBe("missing");
    await expect(jobs.change(a, { priority: 256 })).rejects.toThrow("priority must be a whole number from 0 to 255");
  });

  it("A60: drain removes what waits, and obliterate everything, unless jobs are active", async () => {
    await use.jobs.addMany([{ data: "1" }, { data: "2", options: { dedupId: "d" } }]);
    await use.jobs.add("3", { delay: "1h" });
    expect(await use.jobs.drain()).toBe(2);
    expect((await use.jobs.add("4", { dedupId: "d" })).status).toBe("added");
    expect(await use.jobs.drain({ delayed: true })).toBe(2);
    expect(await use.jobs.counts()).toEqual(NOTHING);
    const held = gate();
    await use.jobs.add("5");
    const worker = use.working(() => held.pass());
    await expect.poll(() => worker.active).toBe(1);
    expect(await use.jobs.obliterate()).toBe(false);
    expect(await use.jobs.obliterate({ force: true })).toBe(true);
    held.open();
    await expect.poll(() => worker.stats).toMatchObject({ lost: 1, completed: 0 });
    expect(await use.jobs.counts()).toEqual(NOTHING);
  });

  it("jobs that are due, or have ended, in one millisecond are in the order in which they were added", async () => {
    const numbers = Array.from({ length: 120 }, (_, i) => String(i));
    use.opened({ keep: { completed: 100, failed: 10 }, backoff: { type: "fixed", base: 50 }, attempts: 2 });
    await use.jobs.addMany(numbers.map((data) => ({ data, options: { delay: 50 } })));
    await expect
      .poll(async () => (await use.jobs.list("delayed", { count: 1_000 })).map(({ data }) => data))
      .toEqual(numbers);
    const first: string[] = [];
    const again: string[] = [];
    const worker = use.working(
      ({ data, attempt }) => {
        (attempt === 1 ? first : again).push(data);
        if (attempt === 1) throw new Error("once");
      },
      { concurrency: 120 },
    );
    await expect.poll(() => again.length).toBe(120);
    expect([first, again]).toEqual([numbers, numbers]);
    await expect.poll(() => worker.stats).toMatchObject({ completed: 120 });
    const newest = numbers.toReversed().slice(0, 100);
    expect((await use.jobs.list("completed")).map(({ data }) => data)).toEqual(newest);

    await use.jobs.addMany(numbers.slice(0, 12).map((data) => ({ data, options: { attempts: 1 } })));
    await expect
      .poll(async () => (await use.jobs.list("dead")).map(({ data }) => data))
      .toEqual(numbers.slice(2, 12).toReversed());
  });

  it("what the queue of a producer leaves out counts as that of the worker gives it, and the other way round", async () => {
    const producer = use.jobs;
    const waits: number[] = [];
    const backoff = (attempt: number): number => {
      waits.push(attempt);
      return 1;
    };
    use.opened({ attempts: 2, backoff, keep: { failed: 1 } });
    const seen: string[] = [];
    const worker = use.working(({ data, attempts }) => {
      seen.push(`${data} of ${attempts}`);
      throw new Error("no");
    });
    await producer.add("a");
    await expect.poll(() => worker.stats).toMatchObject({ retried: 1, dead: 1 });
    await producer.add("b", { attempts: 3, backoff: { type: "fixed", base: 1 } });
    await expect.poll(() => worker.stats).toMatchObject({ retried: 3, dead: 2 });
    expect([waits, seen]).toEqual([[1], ["a of 2", "a of 2", "b of 3", "b of 3", "b of 3"]]);
    expect((await producer.list("dead")).map(({ data }) => data)).toEqual(["b"]);
    await worker.stop();

    use.opened({ timeout: 20 });
    const bounded = use.working(
      (_job, { signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error));
        }),
    );
    await producer.add("c", { attempts: 1 });
    await expect.poll(() => bounded.stats).toMatchObject({ dead: 1 });
    await bounded.stop();

    const said = use.opened({ attempts: 4, keep: { completed: 2, failed: { age: "1h" } } });
    use.opened();
    const plain = use.working(({ data, attempts }) => {
      if (data === "failed") throw new Error(`of ${attempts}`);
      return attempts;
    });
    await said.addMany(
      ["d", "e", "f", "failed"].map((data) => ({ data, options: { backoff: { type: "fixed", base: 0 } } })),
    );
    await expect.poll(() => plain.stats).toMatchObject({ completed: 3, retried: 3, dead: 1 });
    expect((await producer.list("completed")).map(({ data, result }) => [data, result])).toEqual([
      ["f", 4],
      ["e", 4],
    ]);
    expect((await producer.list("dead")).map(({ data }) => data)).toEqual(["failed", "c", "b"]);
  });

  it("the newest finished jobs are kept, by number and age", async () => {
    use.opened({ keep: { completed: 2, failed: { count: 5, age: 200 } }, attempts: 1 });
    use.working(({ data }) => {
      if (data.startsWith("dead")) throw new Error("no");
    });
    for (const data of ["1", "2", "3", "dead 1"]) await use.jobs.add(data);
    await expect.poll(() => use.jobs.counts()).toMatchObject({ completed: 2, dead: 1, active: 0, waiting: 0 });
    expect((await use.jobs.list("completed")).map(({ data }) => data)).toEqual(["3", "2"]);
    await new Promise((resolve) => setTimeout(resolve, 250));
    await use.jobs.add("dead 2");
    await expect.poll(async () => (await use.jobs.list("dead")).map(({ data }) => data)).toEqual(["dead 2"]);
    // Of three jobs, and the error of the dead letter.
    expect(
      await use.redis.commands.hLen(`queue:{${use.name.replace(/[{}]/g, (c) => (c === "{" ? "%7B" : "%7D"))}}:data`),
    ).toBe(4);
  });

  it("events of all processes, with progress and results; finished has the end of a job", async () => {
    const events: QueueEvent[] = [];
    await using listening = await use.jobs.listen((event) => events.push(event));
    const [one, two] = await use.jobs.addMany([{ data: "good" }, { data: "bad", options: { attempts: 1 } }]);
    const ends = [use.jobs.finished(one!.id), use.jobs.finished(two!.id)];
    const worker = use.working(async (job) => {
      await job.progress({ done: 0.5 });
      if (job.data === "bad") throw new Error("bad");
      return { sum: 3 };
    });
    expect(await Promise.all(ends)).toEqual([
      { status: "completed", result: { sum: 3 } },
      { status: "dead", reason: "bad" },
    ]);
    await expect
      .poll(() => events)
      .toEqual([
        { kind: "added", id: one!.id },
        { kind: "added", id: two!.id },
        { kind: "active", id: one!.id, attempt: 1 },
        { kind: "progress", id: one!.id, progress: { done: 0.5 } },
        { kind: "completed", id: one!.id, result: { sum: 3 } },
        { kind: "active", id: two!.id, attempt: 1 },
        { kind: "drained" },
        { kind: "progress", id: two!.id, progress: { done: 0.5 } },
        { kind: "dead", id: two!.id, reason: "bad" },
      ]);
    expect(await use.jobs.finished(two!.id)).toEqual({ status: "dead", reason: "bad" });
    expect(await use.jobs.finished(one!.id)).toEqual({ status: "gone" });
    await worker.stop();
    const own = use.opened();
    const { id: brief } = await own.add("brief");
    use.working(() => "done");
    await expect.poll(() => own.counts()).toMatchObject({ completed: 1 });
    expect(await own.finished(brief)).toEqual({ status: "completed", result: "done" });
    const { id } = await use.jobs.add("waits", { delay: "1h" });
    await expect(use.jobs.finished(id, { timeout: 50 })).rejects.toMatchObject({ code: "JOB_TIMEOUT" });
    expect(listening.failures).toBe(0);
  });

  it("A35: the keys of a tenant's queue lie below its prefix, with one tag", async () => {
    const tenant = use.redis.tenant(`${use.name}`);
    const own = queue<string>(tenant, "emails");
    await own.add("x", { dedupId: "d", dedupFor: "1h" });
    await own.add("y", { delay: "1h" });
    const keys: string[] = [];
    for await (const key of tenant.commands.scan()) keys.push(key);
    expect(keys.toSorted()).toEqual(
      ["added", "data", "dedup", "dedup-ends", "delayed", "jobs", "state", "waiting", "wake"].map(
        (part) => `queue:${moduleOf(tenant).space.hashTagged("emails")}:${part}`,
      ),
    );
    expect(await queue(use.redis, "emails").get((await own.list("waiting"))[0]!.id)).toBeUndefined();
  });
});

it("disconnect rejects what waits for a job, and a worker that begins later stops", async () => {
  let held = 0;
  const hold = () => {
    held += 1;
    return () => void (held -= 1);
  };
  const redis = await servers.open("one server", { clock: { ...systemClock, hold } });
  const jobs = queue<string>(redis, randomPrefix());
  const { id } = await jobs.add("x", { delay: "1h" });
  const end = jobs.finished(id, { timeout: "1h" }).catch((error: unknown) => error);
  await expect(jobs.listen(undefined as never)).rejects.toThrow("the listener must be a function");
  await jobs.listen(() => undefined);
  await redis.disconnect();
  expect(await end).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: false, operation: "finished" });
  // A command that was on its way ends with the connection, a turn later.
  await expect.poll(() => held).toBe(0);
  const worker = jobs.worker(() => undefined);
  expect(held).toBe(1);
  // It does not wait for an exchange that cannot succeed.
  await expect.poll(() => held, { timeout: 2_000 }).toBe(0);
  await worker.stop();
});

it("a handler may begin to wait for a job, or for messages, while disconnect waits for it", async () => {
  const redis = await servers.open("one server");
  const elsewhere = await servers.open("one server");
  const [name, otherName] = [randomPrefix(), randomPrefix()];
  const topic = `queue:${name}`;
  const jobs = queue<string>(redis, name, { attempts: 1, keep: { completed: 10 } });
  const other = queue<string>(redis, otherName, { keep: { completed: 1 } });
  const [began, added] = [gate(), gate()];
  jobs.worker(async () => {
    await began.pass();
    const messages = await pubsub(redis).channel<string>(topic).subscribe();
    const { id } = await other.add("x");
    const end = other.finished(id);
    await added.pass();
    const { value: message } = await messages.next();
    return { end: await end, message };
  });
  const { id } = await jobs.add("x");
  await began.arrived();
  const disconnected = redis.disconnect();
  began.open();
  await added.arrived();
  await pubsub(elsewhere).channel(topic).publish("hello");
  const worker = queue<string>(elsewhere, otherName, { keep: { completed: 1 } }).worker(() => "done");
  added.open();
  await disconnected;
  expect(await queue<string>(elsewhere, name).get(id)).toMatchObject({
    state: "completed",
    result: {
      end: { status: "completed", result: "done" },
      message: { kind: "message", message: "hello", channel: topic },
    },
  });
  await worker.stop();
});

it("disconnect waits for the handler of a listener, which may send, and wait for a job meanwhile", async () => {
  const redis = await servers.open("one server");
  const elsewhere = await servers.open("one server");
  const channel = pubsub(redis).channel<string>(`queue:${randomPrefix()}`);
  const name = randomPrefix();
  const jobs = queue<string>(redis, name);
  const [first, second] = [gate(), gate()];
  const seen: unknown[] = [];
  const listening = await channel.listen(async () => {
    await first.pass();
    const { id } = await jobs.add("x");
    await second.pass();
    seen.push(await jobs.finished(id), await redis.commands.ping());
  });
  await channel.publish("go");
  await first.arrived();
  const disconnected = redis.disconnect().then(() => seen.push("disconnected"));
  first.open();
  await second.arrived();
  const worker = queue<string>(elsewhere, name, { keep: { completed: 1 } }).worker(() => "done");
  second.open();
  await disconnected;
  expect(seen).toEqual([{ status: "completed", result: "done" }, "PONG", "disconnected"]);
  expect(listening.failures).toBe(0);
  await worker.stop();
});

/** Scripts are the same everywhere, and these wait for real time. */
describe.each(["one server", "a cluster"] as const)("a slow queue over %s", (where) => {
  const use = fixture(where);

  it("A57: replay takes all dead letters, and those once that fail again meanwhile", async () => {
    use.opened({ attempts: 1 });
    await use.jobs.addMany(Array.from({ length: 150 }, (_, i) => ({ data: `${i}` })));
    const worker = use.working(
      () => {
        throw new Error("no");
      },
      { concurrency: 100 },
    );
    await expect.poll(() => use.jobs.counts()).toMatchObject({ dead: 150 });
    expect(await use.jobs.deadLetters().replay()).toBe(150);
    await expect.poll(() => worker.stats).toMatchObject({ delivered: 300, dead: 300 });
  });

  it("A58: a heartbeat extends the lease; without one another worker gets the job, and reports alone", async () => {
    const held = [gate(), gate()] as const;
    const seen: string[] = [];
    const { id } = await use.jobs.add("x");
    const first = use.working(
      async (job, { signal }) => {
        for (let i = 0; i < 12; i += 1) {
          await new Promise((resolve) => setTimeout(resolve, 250));
          await job.heartbeat();
        }
        seen.push(`first ${job.attempt}`);
        await held[0].pass();
        seen.push(`aborted ${String(signal.aborted)}`);
        await expect(job.heartbeat()).rejects.toMatchObject({ code: "JOB_LOST" });
        await expect(job.progress(1)).rejects.toMatchObject({ code: "JOB_LOST" });
      },
      // Shorter than all heartbeats together, and longer than this process may stand still between two of them.
      { visibility: "2s", heartbeat: "manual" },
    );
    await expect.poll(() => first.active).toBe(1);
    const second = use.working(async ({ attempt }) => {
      seen.push(`second ${attempt}`);
      await held[1].pass();
    });
    await expect.poll(() => seen[0]).toBe("first 1");
    await expect.poll(() => seen, SOON).toEqual(["first 1", "second 2"]);
    held[0].open();
    await expect.poll(() => first.stats).toMatchObject({ delivered: 1, completed: 0, lost: 1 });
    expect(seen).toEqual(["first 1", "second 2", "aborted true"]);
    expect(await use.jobs.get(id)).toMatchObject({ state: "active", attempt: 2 });
    held[1].open();
    await expect.poll(() => second.stats).toMatchObject({ delivered: 1, completed: 1, lost: 0 });
    expect(await use.jobs.counts()).toEqual(NOTHING);
  });

  it("a job that ends after its lease, before another worker has it, is not run again", async () => {
    const done = gate();
    const seen: number[] = [];
    let lost: AbortSignal | undefined;
    const { id } = await use.jobs.add("x");
    const worker = use.working(
      async ({ attempt }, { signal }) => {
        lost = signal;
        await done.pass();
        seen.push(attempt);
      },
      { visibility: 150, heartbeat: "manual" },
    );
    await expect.poll(() => worker.active).toBe(1);
    const { dueAt } = (await use.jobs.get(id))!;
    // Its own timer may be late on a busy machine. Both clocks are this machine's.
    await expect.poll(() => lost?.aborted === true && Date.now() > dueAt! + 10, { interval: 20 }).toBe(true);
    expect(await use.jobs.get(id)).toMatchObject({ state: "active", attempt: 1, dueAt });
    done.open();
    await expect.poll(() => worker.stats).toMatchObject({ delivered: 1, completed: 1, lost: 0 });
    expect(await use.jobs.counts()).toEqual(NOTHING);
    expect(seen).toEqual([1]);
  });

  it("a job that ends after its lease is not run again where it only waits for another worker", async () => {
    const gates = [gate(), gate()] as const;
    const { id } = await use.jobs.add("x");
    const seen: number[] = [];
    // Room for another job: it looks at the end of the lease, and finds that. The pause comes before that end.
    const worker = use.working(
      async (job) => {
        seen.push(job.attempt);
        await gates[0].pass();
        await job.heartbeat("1m");
        await gates[1].pass();
      },
      { visibility: "2s", heartbeat: "manual", concurrency: 2 },
    );
    await expect.poll(() => seen).toEqual([1]);
    await use.jobs.pause();
    await expect.poll(() => use.jobs.get(id)).toMatchObject({ state: "waiting", attempt: 1 });
    gates[0].open();
    await expect.poll(() => use.jobs.get(id)).toMatchObject({ state: "active", attempt: 1 });
    expect(await use.jobs.counts()).toEqual({ ...NOTHING, active: 1, isPaused: true });
    await use.jobs.resume();
    gates[1].open();
    await expect.poll(() => worker.stats).toMatchObject({ delivered: 1, completed: 1, lost: 0 });
    expect(await use.jobs.counts()).toEqual(NOTHING);
    expect(seen).toEqual([1]);
  });

  it("the report on a job that waits for another worker ends it", async () => {
    const done = gate();
    const { id } = await use.jobs.add("x");
    const worker = use.working(() => done.pass(), { visibility: "2s", heartbeat: "manual", concurrency: 2 });
    await expect.poll(() => worker.active).toBe(1);
    await use.jobs.pause();
    await expect.poll(() => use.jobs.get(id)).toMatchObject({ state: "waiting", attempt: 1 });
    done.open();
    await expect.poll(() => worker.stats).toMatchObject({ delivered: 1, completed: 1, lost: 0 });
    expect(await use.jobs.counts()).toEqual({ ...NOTHING, isPaused: true });
  });

  it("A58: leases are extended as long as the handler runs", async () => {
    const seen: number[] = [];
    await use.jobs.add("x");
    const work = async ({ attempt }: Job<string>): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 4_500));
      seen.push(attempt);
    };
    use.working(work, { visibility: 3_000 });
    use.working(work, { visibility: 3_000 });
    await expect.poll(() => seen).toEqual([1]);
    await expect.poll(() => use.jobs.counts()).toEqual(NOTHING);
    expect(seen).toEqual([1]);
  });

  it("jobs that are added, delivered or lost by their workers are published, and when none waits", async () => {
    const events: QueueEvent[] = [];
    await using listening = await use.jobs.listen((event) => events.push(event));
    const next = async (...expected: readonly QueueEvent[]): Promise<void> => {
      await expect.poll(() => events.length, SOON).toBeGreaterThanOrEqual(expected.length);
      expect(events.splice(0)).toEqual(expected);
    };
    const { id } = await use.jobs.add("x", { attempts: 2, dedupId: "a", onDuplicate: "replace", delay: 20 });
    await use.jobs.add("y", { dedupId: "a" });
    await use.jobs.add("z", { attempts: 2, dedupId: "a", onDuplicate: "replace" });
    await next({ kind: "added", id });
    // Hangs, and extends nothing. An attempt counts if its handler has begun before its lease ends.
    const lost = (): Worker =>
      use.working(() => new Promise(() => undefined), { visibility: "1s", heartbeat: "manual", grace: 0 });
    const workers = [lost(), lost(), lost()];
    await next(
      ...([1, 2] as const).flatMap((attempt) => [
        { kind: "active" as const, id, attempt },
        { kind: "drained" as const },
        { kind: "stalled" as const, id, attempt },
      ]),
      { kind: "dead", id, reason: "the worker was lost in attempt 2 of 2" },
    );
    await Promise.all(workers.map((worker) => worker.stop()));
    await use.jobs.pause();
    expect(await use.jobs.deadLetters().replay(id)).toBe(1);
    const other = await use.jobs.add("other", { priority: 1 });
    await next({ kind: "added", id }, { kind: "added", id: other.id });
    use.working(() => undefined);
    await use.jobs.resume();
    await next(
      { kind: "active", id: other.id, attempt: 1 },
      { kind: "completed", id: other.id },
      { kind: "active", id, attempt: 1 },
      { kind: "drained" },
      { kind: "completed", id },
    );
    expect(listening.failures).toBe(0);
  });

  it("A56: the job of a lost worker runs again after its visibility, and is dead after its last attempt", async () => {
    const { id } = await use.jobs.add("x", { attempts: 2 });
    const seen: number[] = [];
    // Hangs, and extends nothing.
    const lost = (): Worker =>
      use.working(
        ({ attempt }) => {
          seen.push(attempt);
          return new Promise(() => undefined);
        },
        { visibility: "1s", heartbeat: "manual", grace: 0 },
      );
    lost();
    lost();
    await expect.poll(() => seen, SOON).toEqual([1, 2]);
    use.working(({ attempt }) => seen.push(attempt));
    await expect
      .poll(() => use.jobs.get(id), SOON)
      .toMatchObject({
        state: "dead",
        attempt: 2,
        reason: "the worker was lost in attempt 2 of 2",
      });
    expect(seen).toEqual([1, 2]);
  });

  it("C232: a repeat adds one job for each instant with any number of workers; once defined, it stays", async () => {
    expect(await use.jobs.repeat("tick", { every: 2_000 }, "tick")).toBe("set");
    const [before] = await use.jobs.repeats();
    expect(await use.jobs.repeat("tick", { every: 2_000 }, "tick")).toBe("unchanged");
    // Undefined sets nothing.
    expect(await use.jobs.repeat("tick", { every: 2_000, timeZone: undefined }, "tick")).toBe("unchanged");
    expect(await use.jobs.repeats()).toEqual([before]);
    const seen: number[] = [];
    // A job that is added late is still added before the next instant.
    for (let i = 0; i < 3; i += 1) use.working(({ addedAt }) => seen.push(addedAt));
    await expect.poll(() => seen.length).toBeGreaterThanOrEqual(2);
    expect(await use.jobs.removeRepeat("tick")).toBe(true);
    expect(await use.jobs.removeRepeat("tick")).toBe(false);
    const instants = seen.map((addedAt) => Math.floor((addedAt - before!.nextAt!) / 2_000));
    expect(new Set(instants).size).toBe(instants.length);
    expect(await use.jobs.repeat("nightly", { cron: "0 3 * * *", timeZone: "Europe/Berlin" }, "x")).toBe("set");
    expect(await use.jobs.repeats()).toMatchObject([
      { key: "nightly", schedule: { cron: "0 3 * * *", timeZone: "Europe/Berlin" } },
    ]);
  });

  it("other data or options keep the beat of a repeat; another schedule starts its own", async () => {
    await use.jobs.repeat("tick", { every: "1h" }, "old");
    const before = await use.jobs.repeats();
    const store = new QueueStore(moduleOf(use.redis), use.name);
    await expect.poll(async () => (await store.counts())[6]! > before[0]!.nextAt! - 3_600_000 + 5).toBe(true);
    expect(await use.jobs.repeat("tick", { every: 3_600_000 }, "new")).toBe("set");
    expect(await use.jobs.repeat("tick", { every: "1h" }, "new", { priority: 3 })).toBe("set");
    expect(await use.jobs.repeats()).toEqual(before);
    expect((await store.repeats())[0]!.definition.toString()).toContain('"new"');
    expect(await use.jobs.repeat("tick", { every: "2h" }, "new", { priority: 3 })).toBe("set");
    const [after] = await use.jobs.repeats();
    expect(after!.nextAt).toBeGreaterThan(before[0]!.nextAt! + 3_600_000);
  });

  it("at most one job of a repeat waits, unless all are wanted", async () => {
    const store = new QueueStore(moduleOf(use.redis), use.name);
    const repeats = new Repeats(store);
    const fire = async (): Promise<void> => {
      const due = await store.repeats();
      expect(await repeats.fire(due, due[0]!.dueAt)).toEqual({ fired: due.length, errors: [] });
    };
    const waiting = async (): Promise<readonly (string | undefined)[]> =>
      (await use.jobs.list("waiting")).map(({ data }) => data);
    await use.jobs.repeat("one", { every: "1h" }, "one");
    for (let i = 0; i < 3; i += 1) await fire();
    expect(await waiting()).toEqual(["one"]);
    const seen: string[] = [];
    const held = gate();
    const worker = use.working(async ({ data }) => {
      seen.push(data);
      await held.pass();
    });
    await expect.poll(() => seen).toEqual(["one"]);
    // One that runs does not wait.
    for (let i = 0; i < 3; i += 1) await fire();
    expect(await waiting()).toEqual(["one"]);
    held.open();
    await expect.poll(() => worker.stats).toMatchObject({ completed: 2 });
    await worker.stop();
    expect(await use.jobs.repeat("one", { every: "1h" }, "all", { backlog: "all" })).toBe("set");
    for (let i = 0; i < 3; i += 1) await fire();
    expect(await waiting()).toEqual(["all", "all", "all"]);
    expect([await use.jobs.removeRepeat("one"), await use.redis.commands.hLen(store.keys.all[0]!)]).toEqual([true, 1]);
  });

  it("a repeat ends at its end, or with its last job, and stays set", async () => {
    const { jobs } = use;
    const seen: (JobRepeat | undefined)[] = [];
    const thrice = { every: 100, limit: 3, immediately: true } as const;
    const setAt = Date.now();
    expect(await jobs.repeat("thrice", thrice, "tick", { backlog: "all" })).toBe("set");
    const [{ nextAt: first }] = (await jobs.repeats()) as [RepeatInfo];
    expect(Math.abs(first! - setAt)).toBeLessThan(1_000);
    const end = new Date(first! - 86_400_000);
    expect(await jobs.repeat("over", { cron: "0 3 * * *", end }, "never", { backlog: "all" })).toBe("set");
    const worker = use.working((job) => seen.push(job.repeat));
    await expect.poll(() => worker.stats).toMatchObject({ completed: 3 });
    expect(seen.map((repeat) => repeat?.key)).toEqual(["thrice", "thrice", "thrice"]);
    expect(seen[0]).toEqual({ key: "thrice", at: first });
    // Each keeps the beat of the first.
    expect(seen.map((repeat) => (repeat!.at - first!) % 100)).toEqual([0, 0, 0]);
    const ended = [
      { key: "over", nextAt: undefined, schedule: { cron: "0 3 * * *", timeZone: "UTC", endAt: end.getTime() } },
      { key: "thrice", nextAt: undefined, schedule: { everyMs: 100, limit: 3 } },
    ];
    const byKey = async (): Promise<readonly RepeatInfo[]> =>
      (await jobs.repeats()).toSorted((one, other) => (one.key < other.key ? -1 : 1));
    expect(await byKey()).toEqual(ended);
    // A program that sets it at each start does not start it again; with other data neither.
    expect(await jobs.repeat("thrice", thrice, "tick", { backlog: "all" })).toBe("unchanged");
    expect(await jobs.repeat("thrice", thrice, "tock", { backlog: "all" })).toBe("set");
    expect(await jobs.repeat("over", { cron: "0 3 * * *", end }, "never", { backlog: "all" })).toBe("unchanged");
    expect(await byKey()).toEqual(ended);
    // Another limit is another schedule, which counts from 0.
    expect(await jobs.repeat("thrice", { ...thrice, limit: 2 }, "tock", { backlog: "all" })).toBe("set");
    await expect.poll(() => worker.stats).toMatchObject({ completed: 5 });
    await expect.poll(async () => (await byKey())[1]!.nextAt).toBeUndefined();
    expect(worker.stats).toMatchObject({ completed: 5 });
    expect([await jobs.removeRepeat("thrice"), await jobs.removeRepeat("over")]).toEqual([true, true]);
    expect(await jobs.repeats()).toEqual([]);
    const { all } = new QueueStore(moduleOf(use.redis), use.name).keys;
    expect(await use.redis.commands.hLen(all[0]!)).toBe(1);
  });

  it("jobs are counted from 0 for another limit, and none is counted that was not added", async () => {
    const store = new QueueStore(moduleOf(use.redis), use.name);
    const repeats = new Repeats(store);
    const fire = async (): Promise<number | undefined> => {
      const due = await store.repeats();
      expect(await repeats.fire(due, due[0]!.dueAt)).toEqual({ fired: 1, errors: [] });
      return (await repeats.list())[0]!.nextAt;
    };
    const add = async (limit: number, backlog: "all" | "one"): Promise<string> =>
      use.jobs.repeat("hourly", { every: "1h", limit }, "x", { backlog });
    expect(await add(3, "all")).toBe("set");
    expect([await fire(), await fire()]).not.toContain(undefined);
    expect(await add(2, "all")).toBe("set");
    expect(await fire()).toBeDefined();
    expect(await add(2, "one")).toBe("set");
    // The last one waits, so this adds none.
    expect(await fire()).toBeDefined();
    expect(await use.jobs.drain()).toBe(3);
    expect(await fire()).toBeUndefined();
    expect((await use.jobs.list("waiting")).length).toBe(1);
  });

  it("an instant at which another job has the dedup id adds no job, and is not counted", async () => {
    const store = new QueueStore(moduleOf(use.redis), use.name);
    const repeats = new Repeats(store);
    const fire = async (): Promise<number | undefined> => {
      const due = await store.repeats();
      await repeats.fire(due, due[0]!.dueAt);
      return (await repeats.list())[0]!.nextAt;
    };
    const other = await use.jobs.add("other", { dedupId: "a" });
    await use.jobs.repeat("hourly", { every: "1h", limit: 1 }, "x", { dedupId: "a", backlog: "all" });
    expect(await fire()).toBeDefined();
    expect(await use.jobs.remove(other.id)).toBe("removed");
    expect(await fire()).toBeUndefined();
    expect((await use.jobs.list("waiting")).map(({ data }) => data)).toEqual(["x"]);
  });

  it("a job of a repeat has the instant that it is for, also once another one is due", async () => {
    const store = new QueueStore(moduleOf(use.redis), use.name);
    const repeats = new Repeats(store);
    await use.jobs.repeat("hourly", { every: "1h" }, "x", { attempts: 1 });
    const due = await store.repeats();
    const at = due[0]!.dueAt;
    expect(await repeats.fire(due, at + 5 * 3_600_000)).toEqual({ fired: 1, errors: [] });
    const [waiting] = await use.jobs.list("waiting");
    expect(waiting).toMatchObject({ repeat: { key: "hourly", at }, attempt: 0 });
    const failed: unknown[] = [];
    use.working(
      () => {
        throw new Error("no");
      },
      { onError: (_, { repeat }) => failed.push(repeat) },
    );
    await expect.poll(() => failed).toEqual([{ key: "hourly", at }]);
    await expect.poll(() => use.jobs.get(waiting!.id)).toMatchObject({ state: "dead", repeat: { key: "hourly", at } });
    expect(await use.jobs.get((await use.jobs.add("plain", { delay: "1h" })).id)).not.toHaveProperty("repeat");
  });

  it("repeats that are due together add their jobs at once, also where no new job wakes a worker", async () => {
    const held = await use.jobs.add("x", { dedupId: "d" });
    const keys = Array.from({ length: 25 }, (_, i) => `key ${i}`);
    await Promise.all(keys.map((key) => use.jobs.repeat(key, { every: "1h" }, key, { dedupId: "d" })));
    const before = await use.jobs.repeats();
    expect(before).toHaveLength(25);
    const store = new QueueStore(moduleOf(use.redis), use.name);
    const due = Math.min(...before.map(({ nextAt }) => nextAt!)) - 3_600_000;
    for (const { key, definition } of await store.repeats()) {
      await use.jobs.removeRepeat(key);
      await store.repeat(key, definition.toString(), due, "of no other");
    }
    const done = gate();
    const worker = use.working(() => done.pass(), { concurrency: 2 });
    await expect.poll(() => worker.active).toBe(1);
    const left = async (): Promise<number> =>
      (await use.jobs.repeats()).filter(({ nextAt }) => nextAt! < due + 3_600_000).length;
    await expect.poll(left, SOON).toBe(0);
    expect(await use.jobs.counts()).toEqual({ ...NOTHING, active: 1 });
    expect(await use.jobs.get(held.id)).toMatchObject({ state: "active" });
    done.open();
  });

  it("a repeat that is replaced while a worker has it in hand adds the new job alone", async () => {
    const store = new QueueStore(moduleOf(use.redis), use.name);
    const repeats = new Repeats(store);
    const settings = resolveQueueOptions<never>({});
    const take = async (count: number): Promise<ExchangeReply> =>
      store.exchange({
        ...{
          keepCompleted: settings.keepCompleted,
          keepFailed: settings.keepFailed,
          attempts: undefined,
          visibilityMs: 1_000,
        },
        ...{ token: "t", count, rate: undefined, outcomes: [] },
      });
    expect(await repeats.set("tick", { every: 100 }, "old", { options: {}, settings })).toBe("set");
    await expect.poll(async () => (await take(1)).dueRepeats.length, { interval: 10 }).toBe(1);
    const { dueRepeats, now } = await take(1);
    const { dueAt, definition } = dueRepeats[0]!;
    // Another process has replaced it: its first instant is the one that is due.
    const hourly = definition.toString().replace('"old"', '"new"').replace('"everyMs":100', '"everyMs":3600000');
    expect(await store.repeat("tick", hourly, dueAt, "of no other")).toBe(true);
    expect(await repeats.fire(dueRepeats, now)).toEqual({ fired: 0, errors: [] });
    expect(await use.jobs.counts()).toEqual(NOTHING);
    const later = await take(1);
    expect(await repeats.fire(later.dueRepeats, later.now)).toEqual({ fired: 1, errors: [] });
    expect((await use.jobs.list("waiting")).map(({ data }) => data)).toEqual(["new"]);
    expect((await repeats.list()).map(({ nextAt }) => nextAt)).toEqual([dueAt + 3_600_000]);
  });
});

it("an option that both queues give differently is reported by the worker, once; one that a job gives is not", async () => {
  const lines: string[] = [];
  const logger = { error: (line: string) => lines.push(line), warn: (line: string) => lines.push(line), info() {} };
  await using own = await startOwnRedis();
  await using redis = createRedis({ ...ALONE, url: own.url, logger });
  const options = { attempts: 2, backoff: { type: "fixed", base: 1 }, timeout: "1m", keep: { completed: 5 } } as const;
  const same = queue<string>(redis, "jobs", options);
  const plain = queue<string>(redis, "jobs");
  const other = queue<string>(redis, "jobs", {
    ...{ attempts: 3, backoff: () => 1, timeout: "2m", keep: { completed: 6, failed: 7 } },
  });
  const worker = same.worker(() => "done");
  await same.add("a");
  await same.add("b", { attempts: 9, backoff: { type: "fixed", base: 9 }, timeout: "9m" });
  await plain.add("c");
  await plain.add("d", { attempts: 9 });
  await expect.poll(() => worker.stats).toMatchObject({ completed: 4 });
  expect(lines.filter((line) => line.includes("differs"))).toEqual([]);
  await other.addMany([{ data: "e" }, { data: "f" }]);
  await expect.poll(() => worker.stats).toMatchObject({ completed: 6 });
  const reported = lines.flatMap(
    (line) => /queue: (\S+) differs between .*: the (\w+)'s counts/.exec(line)?.slice(1) ?? [],
  );
  // A function where jobs are added says nothing about them.
  expect(reported).toEqual(["attempts", "producer", "timeout", "producer", "keep.completed", "worker"]);
  await worker.stop();
});

it("A60: bad options and ids are refused, by their names", async () => {
  await using redis = createRedis({ ...ALONE, url: "redis://127.0.0.1:1" });
  expect(() => queue(redis, "")).toThrow("the name must be text of 1 to 512 characters");
  expect(() => queue(redis, "q", { attempts: 0 })).toThrow("attempts must be a whole number from 1 to 1000000, got 0");
  expect(() => queue(redis, "q", { keep: { failed: -1 } })).toThrow("keep.failed must be a whole number from 0");
  expect(() => queue(redis, "q", { backof: 1 } as never)).toThrow("did you mean backoff?");
  const jobs = queue(redis, "q");
  await expect(jobs.add(1, { delay: -1 })).rejects.toThrow("delay must be from 0 to");
  await expect(jobs.add(1, { priority: 256 })).rejects.toThrow("priority must be a whole number from 0 to 255");
  await expect(jobs.add(1, { dedupFor: "1m" })).rejects.toThrow("dedupFor needs a dedupId");
  const bad = { onDuplicate: "drop" as never };
  await expect(jobs.add(1, { dedupId: "a", ...bad })).rejects.toThrow(
    'onDuplicate must be "ignore" or "extend" or "replace"',
  );
  await expect(jobs.add(1, { onDuplicate: "replace" })).rejects.toThrow("onDuplicate needs a dedupId");
  await expect(jobs.add(1, { dedupId: "a", onDuplicate: "extend" })).rejects.toThrow('"extend" needs a dedupFor');
  const both = { dedupId: "a", dedupFor: "1m", onDuplicate: "replace" } as const;
  await expect(jobs.add(1, both)).rejects.toThrow('leave dedupFor out with onDuplicate: "replace"');
  await expect(jobs.add(1, { backoff: (() => 1) as never })).rejects.toThrow("can only be an option of the queue");
  await expect(jobs.add(undefined)).rejects.toThrow("the data must not be undefined");
  await expect(jobs.add({ n: 1n })).rejects.toMatchObject({ code: "ENCODE_FAILED" });
  await expect(jobs.addMany(Array.from({ length: 1_001 }, () => ({ data: 1 })))).rejects.toThrow("at most 1000");
  await expect(jobs.get("")).rejects.toThrow("get(id): the id must be text");
  await expect(jobs.list("done" as never)).rejects.toThrow('the state must be "waiting" or "delayed"');
  await expect(jobs.repeat("k", { cron: "every day" }, 1)).rejects.toThrow("cron must be five fields");
  await expect(jobs.repeat("k", { every: 1 }, 1)).rejects.toThrow("every must be from 100 to");
  expect(() => jobs.worker(() => 1, { visibility: 1 })).toThrow("visibility must be from 100 to");
  expect(() => jobs.worker(() => 1, { concurrency: 0 })).toThrow("concurrency must be a whole number from 1 to 10000");
});
