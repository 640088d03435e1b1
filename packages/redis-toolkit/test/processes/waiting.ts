/** Run by waits-hold.integration.test.ts in a separate process, which nothing but what it awaits could keep alive. */
import { createCache, json } from "@hotset/core";
import { redis as backendOf, single } from "@hotset/redis";
import { createRedis } from "@hotset/redis-toolkit";
import { openConnection } from "@hotset/redis-toolkit/connection";
import { health } from "@hotset/redis-toolkit/health";
import { locks } from "@hotset/redis-toolkit/lock";
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import { queue } from "@hotset/redis-toolkit/queue";
import { rateLimit } from "@hotset/redis-toolkit/rate-limit";
import { streams } from "@hotset/redis-toolkit/streams";
import { subjectsOver } from "../faults/subjects.ts";

const [fault = "", url = "", pid = "", rounds = "1"] = process.argv.slice(2);
const SHORT_MS = 30;
const logger = { error() {}, warn() {}, info() {} };

const redis = createRedis({
  ...{ url, env: false, logger, pool: { wait: SHORT_MS } },
  ...{ connectTimeout: SHORT_MS, commandTimeout: SHORT_MS, backoff: { base: 5, max: 20 } },
});
const connection = openConnection(single(url), {
  ...{ connectTimeoutMs: SHORT_MS, responseTimeoutMs: SHORT_MS },
  ...{ backoff: { baseMs: 5, maxMs: 20 }, pool: { max: 1, waitMs: SHORT_MS } },
});
const backend = () =>
  backendOf(url).valueFormat(json()).connectTimeout(SHORT_MS).responseTimeout(SHORT_MS).keyPrefix("waiting").build();
const [store, remote] = [backend(), backend()];
const cache = createCache({ name: "waiting", logger }).tier(remote).build();
const [jobs, events] = [queue(redis, "jobs"), streams(redis).stream("events")];
const channel = pubsub(redis).channel("news");
const stored = { data: Buffer.from("1"), staleInMs: 1_000, expiresInMs: 1_000, meta: "" };

const calls: Readonly<Record<string, () => Promise<unknown>>> = {
  ...Object.fromEntries(
    subjectsOver(redis).flatMap(({ subject, write, read }) => [
      [`${subject.name}: write`, write],
      [`${subject.name}: read`, read],
    ]),
  ),
  initialize: () => redis.initialize(),
  getMany: () => redis.commands.getMany(["a", "b"]),
  lenient: () => redis.lenient.get("a"),
  scan: async () => {
    for await (const _key of redis.commands.scan()) break;
  },
  pipeline: () => redis.pipeline((commands) => [commands.get("a")]),
  watch: () => redis.transaction({ watch: ["a"] }, async ({ queue: queued }) => [queued.get("a")]),
  "within a deadline": () =>
    redis.within({ deadline: SHORT_MS }).transaction({ watch: ["a"] }, ({ queue: q }) => [q.get("a")]),
  "a command that waits": () => redis.commands.blPop("list", 0.01),
  "pool.use": () => redis.pool.use((commands) => commands.get("a")),
  "locks.using": () => locks(redis).using("name", { wait: SHORT_MS }, () => undefined),
  "a permit": () => locks(redis).semaphore("pool", 1).acquire({ wait: SHORT_MS }),
  "a limit": () => rateLimit(redis, { name: "limit", deadline: SHORT_MS }).consume("a"),
  "a message": async () => {
    const subscription = await channel.subscribe({ signal: AbortSignal.timeout(SHORT_MS) });
    return subscription.next();
  },
  "events of a queue": () => jobs.listen(() => undefined),
  "the end of a job": () => jobs.finished("1", { timeout: SHORT_MS }),
  "a read of a stream": () => events.reader({ block: SHORT_MS }).next(),
  readiness: () => health(redis).readiness(),
  stats: () => health(redis).stats(),
  monitor: () => health(redis).monitor(() => undefined, { iKnowItHalvesThroughput: true, duration: SHORT_MS }),

  "connection.connect": () => connection.connect(),
  "connection.call": () => connection.call(["GET", "a"]),
  "connection.call of a read": () => connection.call(["GET", "a"], { isReadOnly: true }),
  "connection.burst": () => connection.burst("a", [["GET", "a"]]),
  "connection.each": () => connection.each(({ call }) => call(["PING"])),
  "connection.open": () => connection.open({ role: "exclusive" }),
  "connection.open of a subscriber": () => connection.open({ role: "subscriber" }),
  "connection.pool.use": () => Promise.allSettled([1, 2].map(() => connection.pool.use(({ call }) => call(["PING"])))),

  "store.connect": () => store.connect!(),
  "store.ping": () => store.ping(),
  "store.read": () => store.read("a"),
  "store.write": () => store.write("a", stored),
  "store.remove": () => store.remove("a"),
  "cache.connect": () => cache.connect(),
  "cache.get": () => cache.get("a"),
  "cache.getOrSet": () => cache.getOrSet("b", () => 1, { ttl: 1 }),
  "cache.getOrSetMany": () => cache.getMany(["a", "b"]),
  "cache.set": () => cache.set("a", 1, { ttl: 1 }),
  "cache.delete": () => cache.delete("a"),
  "cache.invalidateTags": () => cache.invalidateTags(["t"]),
  "cache.drain": () => cache.drain(),
};

const turn = (): Promise<"a turn"> => new Promise((resolve) => setImmediate(resolve, "a turn"));

const settled = async (call: () => Promise<unknown>): Promise<void> => {
  await call().catch((error: unknown) => {
    // A mistake of this program, which would leave its call unseen.
    if (error instanceof TypeError || (error as { code?: unknown }).code === "INVALID_ARGUMENT") throw error;
  });
};

const close = {
  "redis.disconnect": () => redis.disconnect(),
  "connection.close": () => connection.close(),
  "store.close": () => store.close(),
  "cache.close": () => cache.close(),
};

let last = "connecting";
let left: readonly string[] | undefined;

async function main(): Promise<void> {
  try {
    if (fault !== "refused") {
      // One attempt may be late on a busy machine. The next one fails at once, and must not keep that one from ending.
      const attempts = [() => connection.connect(), () => store.connect!(), () => cache.connect()];
      for (const connect of attempts) while ((await connect().catch(turn)) === "a turn");
      while (!(await redis.initialize())) await turn();
      process.kill(Number(pid), fault === "frozen" ? "SIGSTOP" : "SIGKILL");
      // Until their connections are given up: an open socket keeps the process alive, whatever is awaited.
      while (connection.isUp || redis.isReady)
        await Promise.all(
          ["connection.call", "lenient", "store.ping", "cache.get"].map((name) => settled(calls[name]!)),
        );
    }
    for (const [name, call] of Object.entries({ ...calls, ...close })) {
      last = name;
      for (let round = 0; round < Number(rounds); round += 1) await settled(call);
    }
  } finally {
    // A socket that was destroyed is closed a few turns later.
    for (let turns = 0; turns < 100 && left?.length !== 0; turns += 1) {
      await turn();
      left = process.getActiveResourcesInfo().filter((kind) => /Timeout|TCP/.test(kind));
    }
  }
}

process.on("exit", () => process.stdout.write(JSON.stringify({ last, left })));
void main();
