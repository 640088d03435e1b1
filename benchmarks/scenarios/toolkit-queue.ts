import { createRedis } from "@hotset/redis-toolkit";
import { queue, type Worker } from "@hotset/redis-toolkit/queue";
import { Queue as BullQueue, Worker as BullWorker } from "bullmq";
import { inFlight, type Contender, type Scenario } from "../measure.ts";
import { commandFigures, processorMs, Tally } from "../server-figures.ts";
import type { Conditions, Figure, Trial } from "../trial.ts";

const DATA = { to: "ada@example.org", text: "x".repeat(200) };
const AT_ONCE = 500;

/** A queue with a worker that does nothing, and how to add to it. */
interface Side {
  readonly name: string;
  add(): Promise<unknown>;
  addMany(count: number): Promise<unknown>;
  /** Resolves when so many more jobs were done. */
  done(count: number): Promise<void>;
  startWorker(concurrency: number): Promise<unknown>;
  clear(): Promise<unknown>;
  close(): Promise<unknown>;
}

/** Jobs by hotset and by BullMQ: the same server, the same data, nothing kept of jobs that are done. */
export async function toolkitQueueScenarios(
  url: string,
): Promise<{ readonly scenarios: readonly Scenario[]; close(): Promise<void> }> {
  const sides: Side[] = [];
  const made = (side: Side): Side => {
    sides.push(side);
    return side;
  };
  const toDone = async (concurrency: number): Promise<Scenario> => {
    const [raw, hotset] = [bullMq, ours].map((make) => made(make(url, `bench-${concurrency}`))) as [Side, Side];
    await Promise.all([raw, hotset].map((side) => side.startWorker(concurrency)));
    return {
      name: `toolkit queue, add to done, concurrency ${concurrency}`,
      operations: 3_000,
      shows: "speed",
      target: 1,
      counts: "jobs",
      raw: addToDone(raw),
      hotset: addToDone(hotset),
    };
  };
  const [rawAdds, hotsetAdds] = [bullMq, ours].map((make) => made(make(url, "bench-add"))) as [Side, Side];
  const adds: Scenario = {
    name: "toolkit queue, add, 50 in flight",
    operations: 5_000,
    shows: "speed",
    target: 1,
    counts: "jobs",
    raw: { name: rawAdds.name, run: (operations) => inFlight(50, operations, () => rawAdds.add()) },
    hotset: { name: hotsetAdds.name, run: (operations) => inFlight(50, operations, () => hotsetAdds.add()) },
    rest: async () => void (await Promise.all([rawAdds.clear(), hotsetAdds.clear()])),
  };
  return {
    scenarios: [adds, await toDone(1), await toDone(50)],
    close: async () => void (await Promise.all(sides.map((side) => side.close()))),
  };
}

const addToDone = (side: Side): Contender => ({
  name: side.name,
  run: async (operations) => {
    const done = side.done(operations);
    for (let added = 0; added < operations; added += AT_ONCE) await side.addMany(Math.min(AT_ONCE, operations - added));
    await done;
  },
});

/**
 * Commands, and processor time of Redis, for each job: jobs that are added one by one, and workers that find all of
 * them there. Both together are the whole.
 */
export const queueOnTheWire = ({ server, url }: Conditions): Trial => ({
  name: "toolkit queue, commands and processor time of Redis for each job",
  run: async () => {
    const figures: Figure[] = [];
    const measured = async (label: string, task: () => Promise<unknown>): Promise<void> => {
      await server.command("CONFIG", "RESETSTAT");
      const before = await processorMs(server);
      await task();
      const spent = (await processorMs(server)) - before;
      const sent = (await commandFigures(server, SENT)).calls;
      figures.push({ what: `${label}: commands`, value: sent / JOBS, unit: "" });
      figures.push({ what: `${label}: Redis`, value: (spent / JOBS) * 1_000, unit: " µs" });
    };
    for (const concurrency of [1, 50])
      for (const make of [ours, bullMq]) {
        const side = make(url, `bench-wire-${concurrency}`);
        const label = `${side.name}, concurrency ${concurrency}`;
        await measured(`${label}, one add each`, () => inFlight(50, JOBS, () => side.add()));
        const done = side.done(JOBS);
        await measured(`${label}, workers alone`, async () => {
          await side.startWorker(concurrency);
          await done;
        });
        await side.close();
      }
    return figures;
  },
});

const JOBS = 5_000;

/** Commands that clients send; others in the statistics are run by scripts. */
const SENT = ["eval", "evalsha", "bzpopmin"];

function ours(url: string, name: string): Side {
  const redis = createRedis({ url, env: false });
  const jobs = queue(redis, name, { keep: { completed: 0 } });
  const done = new Tally();
  let worker: Worker | undefined;
  return {
    name: "hotset",
    add: () => jobs.add(DATA),
    addMany: (count) => jobs.addMany(Array.from({ length: count }, () => ({ data: DATA }))),
    done: (count) => done.more(count),
    startWorker: async (concurrency) => {
      worker = jobs.worker(() => done.add(), { concurrency });
    },
    clear: () => jobs.obliterate({ force: true }),
    close: async () => {
      await worker?.stop();
      await jobs.obliterate({ force: true });
      await redis.disconnect();
    },
  };
}

function bullMq(url: string, name: string): Side {
  const connection = { url };
  const jobs = new BullQueue(name, { connection, defaultJobOptions: { removeOnComplete: true } });
  const done = new Tally();
  let worker: BullWorker | undefined;
  return {
    name: "BullMQ",
    add: () => jobs.add("job", DATA),
    addMany: (count) => jobs.addBulk(Array.from({ length: count }, () => ({ name: "job", data: DATA }))),
    done: (count) => done.more(count),
    startWorker: async (concurrency) => {
      worker = new BullWorker(name, () => Promise.resolve(done.add()), { connection, concurrency });
      await worker.waitUntilReady();
    },
    clear: () => jobs.obliterate({ force: true }),
    close: async () => {
      await worker?.close();
      await jobs.obliterate({ force: true });
      await jobs.close();
    },
  };
}
