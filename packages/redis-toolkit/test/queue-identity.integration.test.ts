import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { queue, simpleQueue } from "@hotset/redis-toolkit/queue";
import { randomPrefix, startOwnRedis, startProxy, type FaultProxy, type OwnRedis } from "@hotset/test-servers";
import { afterAll, beforeAll, expect, it } from "vitest";
import { moduleOf } from "../src/module/module.ts";
import { resolveAddOptions, resolveQueueOptions } from "../src/queue/options.ts";
import { QueueStore } from "../src/queue/store.ts";
import { ALONE } from "./servers.ts";

let server: OwnRedis;
let proxy: FaultProxy;
let near: Redis;

beforeAll(async () => {
  server = await startOwnRedis();
  proxy = await startProxy(server.port);
  near = createRedis({ ...ALONE, url: server.url });
});
afterAll(async () => {
  await near.disconnect();
  await proxy.close();
  await server.stop();
});

const job = { job: resolveAddOptions({}, resolveQueueOptions<never>({})), payload: Buffer.from("1") };

it.each([
  ["without", {}, {}],
  ["with", { dedupId: "c" }, { dedupId: "d" }],
])(
  "A105: jobs whose reply was lost are added once, and the call that is sent again gets their ids: %s dedup ids",
  async (_, first, third) => {
    await using far = createRedis({ ...ALONE, url: proxy.url });
    await far.initialize();
    const name = randomPrefix();
    const jobs = queue<number>(far, name);
    await jobs.add(0, first);
    const held = proxy.hold("EVALSHA", "reply");
    const adding = jobs.addMany([{ data: 1 }, { data: 2 }, { data: 3, options: third }]);
    await held.reached;
    expect((await queue(near, name).counts()).waiting).toBe(4);
    proxy.cut();
    await proxy.pass();
    const added = await adding;
    expect(added.map(({ status }) => status)).toEqual(["added", "added", "added"]);
    expect((await queue<number>(near, name).list("waiting")).map(({ id, data }) => [id, data]).slice(1)).toEqual([
      [added[0]!.id, 1],
      [added[1]!.id, 2],
      [added[2]!.id, 3],
    ]);
  },
);

it("A105: a call that comes twice adds once, even after its jobs have ended and are forgotten", async () => {
  const store = new QueueStore(moduleOf(near), randomPrefix());
  const sent: { readonly args: readonly unknown[] }[] = [];
  const module = moduleOf(near);
  const runScript = module.runScript.bind(module);
  const recording = new QueueStore(
    Object.create(module, {
      runScript: {
        value: async (text: string, keys: readonly string[], args: readonly string[], how: never) => {
          sent.push({ args });
          const first = await runScript(text, keys, args, how);
          // As a copy that was on its way for long.
          await store.remove((first as readonly Buffer[])[0]!.toString());
          expect(await runScript(text, keys, args, how)).toEqual(first);
          return first;
        },
      },
    }) as typeof module,
    store.keys.wake.replace(/^queue:\{(.*)\}:wake$/, "$1"),
  );
  const [one] = await recording.add([job]);
  expect(one!.status).toBe("added");
  expect((await store.counts()).slice(0, 5)).toEqual([0, 0, 0, 0, 0]);
  // The next call says that the first was answered, so it is forgotten.
  await recording.add([job]);
  const added = store.keys.all.at(-1)!;
  expect(await near.commands.hLen(added)).toBe(1);
  expect(sent).toHaveLength(2);
});

it("A105: with patience add waits for a Redis that is back in time, and each job is there once", async () => {
  await using own = await startOwnRedis();
  await using far = createRedis({ ...ALONE, url: own.url, patience: "30s", commandTimeout: "500ms" });
  await far.initialize();
  const jobs = queue<number>(far, "patient");
  await jobs.add(0);
  own.pause();
  const adding = Promise.all([1, 2, 3].map((data) => jobs.add(data)));
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  own.resume();
  expect((await adding).map(({ status }) => status)).toEqual(["added", "added", "added"]);
  expect((await jobs.counts()).waiting).toBe(4);
});

it("A100 A105: a connection that is cut at any byte of a reply costs no attempt, and adds no job twice", async () => {
  await using far = createRedis({ ...ALONE, url: proxy.url, backoff: { base: 1, max: 5 }, patience: "60s" });
  await far.initialize();
  const name = randomPrefix();
  const jobs = queue<number>(far, name, { attempts: 1, keep: { completed: 1_000 } });
  const runs = new Map<number, number>();
  const worker = jobs.worker(({ data }) => void runs.set(data, (runs.get(data) ?? 0) + 1), { visibility: "60s" });
  const cuts = Array.from({ length: 40 }, (_, i) => i * 13 + 1);
  for (const bytes of cuts) {
    proxy.limit(bytes, "toClient");
    await jobs.add(bytes);
    await expect.poll(() => runs.get(bytes), { timeout: 20_000 }).toBe(1);
  }
  await proxy.pass();
  expect(await queue(near, name).counts()).toMatchObject({ waiting: 0, delayed: 0, dead: 0 });
  expect([...runs]).toEqual(cuts.map((bytes) => [bytes, 1]));
  await worker.stop();
});

it("A59: a message that crosses the signal of its pop is put back at its place", async () => {
  await using far = createRedis({ ...ALONE, url: proxy.url });
  await far.initialize();
  const key = randomPrefix();
  const list = simpleQueue<string>(far, key);
  const theirs = simpleQueue<string>(near, key);
  for (const command of ["RPOP", "BRPOP"]) {
    if (command === "RPOP") await theirs.push("first");
    const stop = new AbortController();
    const held = proxy.hold(command, "reply");
    const popping = list.pop({ signal: stop.signal });
    if (command === "BRPOP") {
      await expect.poll(async () => (await server.info("clients"))["blocked_clients"]).toBe("1");
      await theirs.push("first");
    }
    await held.reached;
    expect(await theirs.length()).toBe(0);
    await theirs.push("second");
    const reason = new Error("no longer wanted");
    stop.abort(reason);
    await expect(popping).rejects.toBe(reason);
    held.release();
    await expect.poll(() => theirs.length()).toBe(2);
    expect([await theirs.pop(), await theirs.pop()]).toEqual(["first", "second"]);
  }
});
