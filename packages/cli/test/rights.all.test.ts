import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { activeUsers, uniques } from "@hotset/redis-toolkit/counters";
import { MODULES, RIGHTS, RIGHTS_OF_STRINGS, type ModuleName } from "@hotset/redis-toolkit/inspect";
import { leaderboard } from "@hotset/redis-toolkit/leaderboard";
import { locks } from "@hotset/redis-toolkit/lock";
import { presence } from "@hotset/redis-toolkit/presence";
import { queue } from "@hotset/redis-toolkit/queue";
import { fixedWindow, rateLimit, slidingCounter, slidingLog, tokenBucket } from "@hotset/redis-toolkit/rate-limit";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { consumer, streams } from "@hotset/redis-toolkit/streams";
import { startAclRedis, type AclRedis } from "@hotset/test-servers";
import { createCache, redis as backend } from "hotset";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

async function useCache(url: string, layout: "full" | "string"): Promise<void> {
  const cache = createCache({ name: "shop" })
    .tier(backend(url).layout(layout).coherence("none").responseTimeout("15s").build())
    .build();
  await cache.set("kettle", "x".repeat(10_000), { ttl: "1h", tags: ["kitchen"] });
  expect(await cache.getOrSet("cup", () => 12, { ttl: "1h", tags: ["kitchen"] })).toBe(12);
  await cache.markStale("cup");
  expect(await cache.getOrSet("cup", () => 13, { ttl: "1h", tags: ["kitchen"] })).toBe(13);
  await cache.invalidateTags("kitchen");
  expect(await cache.get("kettle")).toBe(undefined);
  await cache.delete("cup");
  await cache.close();
}

/** The daily work of each module. */
const WORK: Readonly<Record<ModuleName, (redis: Redis, url: string) => Promise<unknown>>> = {
  cache: (_, url) => useCache(url, "full"),
  async queue(redis) {
    const jobs = queue<number>(redis, "emails", { keep: { completed: 1 } });
    const { id } = await jobs.add(1, { dedupId: "1" });
    await jobs.add(2, { delay: "1h" });
    const worker = jobs.worker(() => Promise.resolve("done"), { concurrency: 10 });
    expect(await jobs.finished(id)).toMatchObject({ status: "completed" });
    // Jobs that take turns, and so many calls that those of long ago are looked for.
    await jobs.addMany(Array.from({ length: 3 }, (_, n) => ({ data: n, options: { group: "a" } })));
    for (let n = 0; n < 64; n += 1) await jobs.add(n);
    await expect.poll(() => jobs.counts()).toMatchObject({ waiting: 0, active: 0 });
    await worker.stop();
    await jobs.pause();
    expect(await jobs.counts()).toMatchObject({ delayed: 1, completed: 1 });
    expect(await jobs.drain({ delayed: true })).toBe(1);
  },
  async streams(redis) {
    const stream = streams(redis).stream("events:payments");
    const handled = Promise.withResolvers<void>();
    const worker = consumer(stream, "group", {}, () => Promise.resolve(handled.resolve()));
    await stream.append({ field: "value" });
    await handled.promise;
    await worker.stop();
    expect(await stream.range()).toHaveLength(1);
  },
  async lock(redis) {
    const lease = await locks(redis).acquire("report");
    const waiting = locks(redis).acquire("report", { wait: "10s" });
    expect(await lease.release()).toBe("released");
    expect(await (await waiting).release()).toBe("released");
    await (await locks(redis).semaphore("report", 2).acquire()).release();
  },
  async "rate-limit"(redis) {
    const limit = 1;
    const window = "1m";
    for (const rule of [
      fixedWindow({ limit, window }),
      slidingLog({ limit, window }),
      slidingCounter({ limit, window }),
      tokenBucket({ limit, refill: "1m" }),
    ]) {
      const limiter = rateLimit(redis, { name: "api", rules: [rule], deadline: "1m" });
      expect([await limiter.consume("user"), await limiter.consume("user")]).toMatchObject([
        { allowed: true, degraded: false },
        { allowed: false, degraded: false },
      ]);
      await limiter.reset("user");
    }
  },
  async sessions(redis) {
    const auth = sessions(redis);
    const { id } = await auth.create({ userId: "1" });
    const regenerated = await auth.regenerate(id);
    expect(await auth.list("1")).toHaveLength(1);
    expect([await auth.destroyAll("1"), await auth.read(regenerated!.id)]).toEqual([1, undefined]);
    const asText = sessions<{ of: string }>(redis, { store: "json", userId: ({ of }) => of });
    const made = await asText.create({ data: { of: "1" } });
    expect(await asText.regenerate(made.id)).toMatchObject({ data: { of: "1" } });
    expect(await asText.destroyAll("1")).toBe(1);
  },
  async leaderboard(redis) {
    await leaderboard(redis, "scores").incr("ada", 2);
    expect(await leaderboard(redis, "scores").top()).toMatchObject([{ member: "ada", score: 2 }]);
  },
  async presence(redis) {
    await presence(redis, "users").seen("ada");
    expect(await presence(redis, "users").count()).toBe(1);
  },
  async counters(redis) {
    await activeUsers(redis, "users").mark(1);
    await uniques(redis, "visitors").add("ada");
    expect(await uniques(redis, "visitors").count()).toBe(1);
  },
};

/** Commands of every connection of hotset. */
const CONNECTING =
  "+ping +client|setname +client|id +info +subscribe +unsubscribe +ssubscribe +sunsubscribe +publish +spublish";

describe("the commands that hotset doctor asks about", () => {
  let server: AclRedis;
  beforeAll(async () => {
    server = await startAclRedis();
  });
  afterAll(() => server.stop());

  it.each<readonly [what: string, commands: readonly string[], work: (typeof WORK)[ModuleName]]>([
    ...MODULES.map((module) => [module, RIGHTS[module].commands, WORK[module]] as const),
    [
      "cache, where entries as strings are found",
      [...RIGHTS.cache.commands, ...RIGHTS_OF_STRINGS],
      (_, url) => useCache(url, "string"),
    ],
  ])("suffice for %s", async (_, needed, work) => {
    const commands = needed.map((name) => `+${name}`);
    const rules = [">secret", "on", "~*", "&*", "-@all", ...CONNECTING.split(" "), ...commands];
    await server.command("ACL", "SETUSER", "module", "reset", ...rules);
    await server.command("ACL", "LOG", "RESET");
    const url = server.urlOf("module", "secret");
    await using redis = createRedis({ url, env: false });
    await work(redis, url);
    const refused = (await server.command("ACL", "LOG")) as readonly (readonly unknown[])[];
    expect(refused.map((entry) => entry[7])).toEqual([]);
  });
});
