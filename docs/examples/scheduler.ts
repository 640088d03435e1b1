/**
 * A scheduler: jobs that are due later, jobs by cron in a time zone, and jobs at an interval. Every process says the
 * same schedules when it starts, each instant makes one job, and the clock is that of Redis.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node scheduler.ts
 */
import { createRedis } from "@hotset/redis-toolkit";
import { queue } from "@hotset/redis-toolkit/queue";

interface Task {
  readonly task: "remind" | "digest" | "heartbeat";
  readonly user?: string;
}

await using redis = createRedis();
const app = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples");
await app.purge(); // what an earlier run may have left

/** Each process opens the same queue, and states its schedules: the second one changes nothing. */
async function start(): Promise<readonly string[]> {
  const tasks = queue<Task>(app, "tasks");
  return Promise.all([
    tasks.repeat("digest", { cron: "0 7 * * 1-5", timeZone: "Europe/Berlin" }, { task: "digest" }),
    tasks.repeat("heartbeat", { every: "100ms" }, { task: "heartbeat" }),
  ]);
}
console.log((await start()).join(", "), "|", (await start()).join(", "));

// The next digest: seven in the morning in Berlin, in summer and in winter, from Monday to Friday.
const tasks = queue<Task>(app, "tasks");
const digest = (await tasks.repeats()).find(({ key }) => key === "digest");
const format = new Intl.DateTimeFormat("en-GB", { timeZone: "Europe/Berlin", timeStyle: "short" });
console.log("digest at", format.format(digest?.nextAt));

// A reminder in a while, once; and one that is not wanted any more.
const startedAt = performance.now();
await tasks.add({ task: "remind", user: "ada" }, { delay: "500ms" });
const unwanted = await tasks.add({ task: "remind", user: "bob" }, { delay: "500ms" });
console.log(await tasks.remove(unwanted.id), (await tasks.counts()).delayed, "delayed");

const { promise: isDone, resolve: done } = Promise.withResolvers<void>();
const reminded: string[] = [];
let heartbeats = 0;
const handle = async ({ data }: { readonly data: Task }): Promise<void> => {
  if (data.task === "heartbeat") heartbeats += 1;
  if (data.user !== undefined) reminded.push(`${data.user}, in time: ${performance.now() - startedAt >= 495}`);
  if (heartbeats >= 3 && reminded.length > 0) done();
};
// Two workers, as in two processes: each job goes to one of them.
const workers = [tasks.worker(handle), tasks.worker(handle)];
await isDone;
console.log("reminded:", reminded.join("; "));

// A schedule ends, and its process may restart as often as it likes.
console.log(await tasks.removeRepeat("heartbeat"), (await tasks.repeats()).map(({ key }) => key).join(", "));
await Promise.all(workers.map((worker) => worker.stop()));
await app.purge();
