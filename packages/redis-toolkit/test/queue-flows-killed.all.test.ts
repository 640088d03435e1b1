import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { queue, type Queue } from "@hotset/redis-toolkit/queue";
import { forkScript, startOwnRedis, startProxy, type FaultProxy, type OwnRedis } from "@hotset/test-servers";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { FlowWorkerHandlers } from "./processes/flow-worker.ts";
import { ALONE } from "./servers.ts";

const PROCESS = new URL("./processes/flow-worker.ts", import.meta.url);
const VISIBILITY_MS = 400;
const CHILDREN = [["one"], ["two"]];

describe("A106: a flow whose process is killed", () => {
  let server: OwnRedis;
  let redis: Redis;
  let proxy: FaultProxy;
  let jobs: Queue<string, unknown>;
  const complete = async (): Promise<readonly unknown[]> => {
    const { id } = await jobs.addFlow({ data: "parent" }, [{ data: "one" }, { data: "two" }]);
    return finish(id);
  };
  /** A worker of this process does what is left. @returns the result of the parent, and the outcomes of its children */
  const finish = async (id: string): Promise<readonly unknown[]> => {
    const worker = jobs.worker(
      async ({ data, children }) => [data, ...(await children()).map(({ result }) => result)],
      {
        visibility: VISIBILITY_MS,
      },
    );
    const { result } = (await jobs.finished(id, { timeout: "60s" })) as { readonly result?: unknown };
    const outcomes = await jobs.children(id);
    await worker.stop();
    return [result, outcomes?.map((outcome) => [outcome.state, outcome.result])];
  };
  const DONE = [["parent", ...CHILDREN], CHILDREN.map((result) => ["completed", result])];

  beforeAll(async () => {
    server = await startOwnRedis();
    redis = createRedis({ ...ALONE, url: server.url });
    jobs = queue<string, unknown>(redis, "flow", { keep: { completed: 100 } });
    // From now on the server knows the scripts, so that each step is one command.
    await complete();
  });
  beforeEach(async () => {
    await jobs.obliterate({ force: true });
    proxy = await startProxy(server.port);
  });
  afterAll(async () => {
    await redis.disconnect();
    await server.stop();
  });

  it.each(["request", "reply"] as const)("while it adds one: all jobs of it, or none (%s)", async (point) => {
    await using process = forkScript<FlowWorkerHandlers>(PROCESS, { args: [proxy.url] });
    const hold = proxy.hold((command) => command.includes('"parent"'), point);
    await process.call("add");
    await hold.reached;
    await process.kill();
    await proxy.close();
    expect(await jobs.counts()).toMatchObject(
      point === "request" ? { waiting: 0, delayed: 0 } : { waiting: 2, delayed: 1 },
    );
    const [parent] = await jobs.list("delayed");
    if (point === "reply") expect([parent!.awaits, await finish(parent!.id)]).toEqual([2, DONE]);
  });

  // One exchange, the begin of the handler, and the read of the children of the three deliveries; then a last exchange.
  const STEPS = Array.from({ length: 10 }, (_, i) => i + 1);
  it.each(STEPS.flatMap((step) => [[step, "request"] as const, [step, "reply"] as const]))(
    "at its command %i, %s, completes once: each child with one result",
    { timeout: 120_000 },
    async (step, point) => {
      const { id } = await jobs.addFlow({ data: "parent" }, [{ data: "one" }, { data: "two" }]);
      let sent = 0;
      const isStep = (name: string): boolean => name === "EVALSHA" || name === "ZADD";
      const hold = proxy.hold(([name]) => isStep(name!.toUpperCase()) && (sent += 1) === step, point);
      const process = forkScript<FlowWorkerHandlers>(PROCESS, { args: [proxy.url] });
      await process.call("work", VISIBILITY_MS);
      await hold.reached;
      await process.kill();
      await proxy.close();
      await process[Symbol.asyncDispose]();
      expect(await finish(id)).toEqual(DONE);
      expect(await jobs.counts()).toMatchObject({ waiting: 0, delayed: 0, active: 0, completed: 3, dead: 0 });
    },
  );
});
