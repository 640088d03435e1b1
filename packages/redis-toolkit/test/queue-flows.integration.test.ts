import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { queue, UnrecoverableError, type Job, type Queue, type Worker } from "@hotset/redis-toolkit/queue";
import { startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { moduleOf } from "../src/module/module.ts";
import { QueueStore } from "../src/queue/store.ts";
import { ALONE } from "./servers.ts";

const ONE_AND_TWO = [{ data: "one" }, { data: "two" }] as const;

describe("A106: a flow", () => {
  let server: OwnRedis;
  let redis: Redis;
  let jobs: Queue<string, unknown>;
  const workers: Worker[] = [];
  const ran: string[] = [];
  beforeAll(async () => {
    server = await startOwnRedis();
    redis = createRedis({ ...ALONE, url: server.url });
  });
  beforeEach(() => {
    jobs = queue<string, unknown>(redis, crypto.randomUUID());
    ran.length = 0;
  });
  afterEach(() => Promise.all(workers.splice(0).map((worker) => worker.stop())));
  afterAll(async () => {
    await redis.disconnect();
    await server.stop();
  });
  const work = (handler: (job: Job<string>) => unknown = ({ data }) => data.toUpperCase()): void => {
    const run = async (job: Job<string>): Promise<unknown> => {
      ran.push(job.data);
      const outcomes = await job.children();
      return outcomes.length > 0 ? outcomes.map(({ result, reason }) => result ?? reason) : handler(job);
    };
    workers.push(jobs.worker(run, { concurrency: 4 }));
  };
  const failing = ({ data }: Job<string>): string => {
    if (data === "one") throw new UnrecoverableError("no");
    return data;
  };
  const endOf = (id: string): Promise<unknown> => jobs.finished(id, { timeout: "30s" });

  it("runs the parent after its children, with their results in their order", async () => {
    const { id, status, children } = await jobs.addFlow({ data: "parent" }, ONE_AND_TWO);
    expect([status, children.length]).toEqual(["added", 2]);
    expect(await jobs.counts()).toMatchObject({ waiting: 2, delayed: 1 });
    const parent = (await jobs.get(id))!;
    expect([parent.state, parent.awaits, parent.dueAt]).toEqual(["delayed", 2, undefined]);
    work();
    expect(await endOf(id)).toEqual({ status: "completed", result: ["ONE", "TWO"] });
    expect(ran.at(-1)).toBe("parent");
    expect(await jobs.children(id)).toEqual([
      { id: children[0], state: "completed", result: "ONE" },
      { id: children[1], state: "completed", result: "TWO" },
    ]);
  });

  it("keeps results even if completed children are not kept, and leaves out those that are undefined", async () => {
    jobs = queue<string, unknown>(redis, jobs.name, { keep: { completed: 0 } });
    const flow = await jobs.addFlow({ data: "parent" }, [{ data: "one", options: { name: "first" } }, { data: "two" }]);
    const outcomes = Promise.withResolvers<unknown>();
    const worker = jobs.worker(async ({ data, children }) => {
      if (data === "parent") outcomes.resolve(await children());
      return data === "two" ? { data } : undefined;
    });
    workers.push(worker);
    expect(await outcomes.promise).toEqual([
      { id: flow.children[0], name: "first", state: "completed" },
      { id: flow.children[1], state: "completed", result: { data: "two" } },
    ]);
    expect(await jobs.children("none")).toBeUndefined();
  });

  it("fails with its first child that is dead, while the others run on", async () => {
    const { id, children } = await jobs.addFlow({ data: "parent" }, ONE_AND_TWO);
    work(failing);
    expect(await endOf(id)).toEqual({ status: "dead", reason: `its child ${children[0]} is dead` });
    await endOf(children[1]!);
    expect(ran.toSorted()).toEqual(["one", "two"]);
    expect(await jobs.children(id)).toEqual([
      { id: children[0], state: "dead", reason: "no" },
      { id: children[1], state: "completed", result: "two" },
    ]);
    // Given its attempts back, it runs with what its children gave.
    expect(await jobs.deadLetters().replay(id)).toBe(1);
    expect(await endOf(id)).toEqual({ status: "completed", result: ["no", "two"] });
  });

  it('runs with onChildFailed: "run" once all have ended, and sees which have failed', async () => {
    const { id } = await jobs.addFlow({ data: "parent", options: { onChildFailed: "run" } }, ONE_AND_TWO);
    work(failing);
    expect(await endOf(id)).toEqual({ status: "completed", result: ["no", "two"] });
  });

  it("counts a child once: not again when it is added again from the dead letters", async () => {
    let fails = true;
    const { id, children } = await jobs.addFlow({ data: "parent", options: { onChildFailed: "run" } }, [
      { data: "one" },
      { data: "two", options: { delay: "1h" } },
    ]);
    work((job) => (fails ? failing(job) : job.data));
    await endOf(children[0]!);
    fails = false;
    await jobs.deadLetters().replay(children[0]);
    await endOf(children[0]!);
    expect((await jobs.get(id))!.awaits).toBe(1);
    await jobs.change(children[1]!, { delay: 0 });
    expect(await endOf(id)).toEqual({ status: "completed", result: ["no", "two"] });
  });

  it("takes a child that is removed, or drained, for one that failed", async () => {
    const one = await jobs.addFlow({ data: "parent" }, ONE_AND_TWO);
    await jobs.remove(one.children[1]!);
    expect(await endOf(one.id)).toEqual({ status: "dead", reason: `its child ${one.children[1]} is removed` });
    const other = await jobs.addFlow({ data: "parent" }, ONE_AND_TWO);
    expect(await jobs.drain()).toBe(3);
    expect(await endOf(other.id)).toMatchObject({ status: "dead" });
    expect((await jobs.children(other.id))!.map(({ state }) => state)).toEqual(["removed", "removed"]);
  });

  it("lets children run on if the parent is removed, and runs it at once when its delay is changed", async () => {
    const gone = await jobs.addFlow({ data: "parent" }, ONE_AND_TWO);
    expect(await jobs.remove(gone.id)).toBe("removed");
    const early = await jobs.addFlow({ data: "early" }, [{ data: "three", options: { delay: "1h" } }]);
    expect(await jobs.change(early.id, { delay: 0 })).toBe("changed");
    work();
    expect(await endOf(early.id)).toEqual({ status: "completed", result: "EARLY" });
    await Promise.all(gone.children.map(endOf));
    expect(ran.toSorted()).toEqual(["early", "one", "two"]);
    await jobs.change(early.children[0]!, { delay: 0 });
    await endOf(early.children[0]!);
    expect(await jobs.counts()).toMatchObject({ waiting: 0, delayed: 0, active: 0, completed: 4 });
  });

  it("is added once under an own id of its parent", async () => {
    const parent = { data: "parent", options: { id: "report" } };
    const added = await jobs.addFlow(parent, ONE_AND_TWO);
    expect(await jobs.addFlow(parent, ONE_AND_TWO)).toEqual({ id: "report", status: "duplicate", children: [] });
    expect([added.id, (await jobs.counts()).waiting]).toEqual(["report", 2]);
    work();
    await endOf(added.children[1]!);
    await endOf("report");
    expect(await jobs.list("completed", { data: false })).toHaveLength(3);
  });

  it("children of a flow that was removed do not count for a later one with the same id", async () => {
    const parent = { data: "parent", options: { id: "report" } };
    const first = await jobs.addFlow(parent, [{ data: "one" }]);
    await jobs.remove("report");
    const second = await jobs.addFlow(parent, [{ data: "two", options: { delay: "1h" } }]);
    work();
    await endOf(first.children[0]!);
    expect(await jobs.get("report")).toMatchObject({ state: "delayed", awaits: 1 });
    expect(await jobs.children("report")).toEqual([]);
    await jobs.change(second.children[0]!, { delay: 0 });
    expect(await endOf("report")).toEqual({ status: "completed", result: ["TWO"] });
    expect(ran).toEqual(["one", "two", "parent"]);
  });

  it("a child is tried again, and counts once it has ended", async () => {
    const { id } = await jobs.addFlow({ data: "parent" }, [
      { data: "one", options: { attempts: 2, backoff: { type: "fixed", base: 1 } } },
    ]);
    work(({ data, attempt }) => {
      if (attempt === 1) throw new Error("once");
      return data;
    });
    expect(await endOf(id)).toEqual({ status: "completed", result: ["one"] });
    expect(ran).toEqual(["one", "one", "parent"]);
  });

  it("refuses what a flow cannot have, with its name", async () => {
    const add = (parent: object, child: object): Promise<unknown> =>
      jobs.addFlow({ data: "p", options: parent }, [{ data: "c", options: child }]);
    const refused = (option: string): RegExp => new RegExp(`addFlow.*cannot have ${option}`);
    await expect(add({ delay: "1s" }, {})).rejects.toThrow(refused("delay"));
    await expect(add({ dedupId: "a" }, {})).rejects.toThrow(refused("dedupId"));
    await expect(add({}, { id: "a" })).rejects.toThrow(refused("id"));
    await expect(add({}, { dedupId: "a" })).rejects.toThrow(refused("dedupId"));
    await expect(add({ onChildFailed: "retry" }, {})).rejects.toThrow("onChildFailed");
    await expect(jobs.addFlow({ data: "p" }, [])).rejects.toThrow("children must be a list of 1 to 100, got 0");
    expect((await jobs.counts()).waiting).toBe(0);
  });

  it("a worker does not look at a time for a parent that waits", async () => {
    await jobs.addFlow({ data: "parent" }, [{ data: "one" }]);
    await jobs.pause();
    const store = new QueueStore(moduleOf(redis), jobs.name);
    const { nextInMs } = await store.exchange({
      keepCompleted: undefined,
      keepFailed: undefined,
      attempts: undefined,
      visibilityMs: 1_000,
      token: "token",
      count: 1,
      rate: undefined,
      outcomes: [],
    });
    expect(nextInMs).toBeUndefined();
  });
});
