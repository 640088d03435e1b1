import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { activeUsers, uniques } from "@hotset/redis-toolkit/counters";
import { health } from "@hotset/redis-toolkit/health";
import { leaderboard } from "@hotset/redis-toolkit/leaderboard";
import { locks } from "@hotset/redis-toolkit/lock";
import { presence } from "@hotset/redis-toolkit/presence";
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import { queue } from "@hotset/redis-toolkit/queue";
import { rateLimit, slidingLog } from "@hotset/redis-toolkit/rate-limit";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { consumer, streams } from "@hotset/redis-toolkit/streams";
import { startAclRedis, startOwnRedis, type AclRedis } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ALONE } from "./servers.ts";

const top = join(import.meta.dirname, "../../..");
const linesOf = (file: string): readonly string[] =>
  readFileSync(join(top, "docs/operations", file), "utf8").split("\n");

describe("R4-06 A98: configurations", () => {
  it.each([
    ["redis-cache.conf", { "maxmemory-policy": "allkeys-lfu", appendonly: "no", save: "" }],
    ["redis-durable.conf", { "maxmemory-policy": "noeviction", appendonly: "yes", save: "3600 1 300 100" }],
  ])("%s starts a server that is set as it says", async (file, expected) => {
    const settings = linesOf(file).filter((line) => line !== "" && !line.startsWith("#"));
    // The tests have settings of their own before these, and the last one counts.
    await using own = await startOwnRedis({ config: settings });
    for (const [name, value] of Object.entries({ ...expected, maxmemory: "1073741824" }))
      expect(await own.command("CONFIG", "GET", name)).toEqual([name, value]);
    // A comment behind a value is an argument.
    expect(settings.filter((line) => line.includes("#"))).toEqual([]);
  });
});

describe("A98: env.example", () => {
  const lines = linesOf("env.example");
  const example = new Map(
    lines.flatMap((line) =>
      Array.from(line.matchAll(/^# ([A-Z_]+)=(.*)$/g), ([, name, value]) => [name!, value!] as const),
    ),
  );

  it("lists the variables that are read, and no other", () => {
    const sources = globSync("packages/redis-toolkit/src/{settings,redis}/*.ts", {
      cwd: top,
      exclude: (path) => path.endsWith(".test.ts"),
    });
    const read = new Set(
      sources.flatMap(
        (path) => readFileSync(join(top, path), "utf8").match(/\b(?:REDIS_[A-Z_]+|ENABLE_REDIS)\b/g) ?? [],
      ),
    );
    // The code of an error.
    read.delete("REDIS_DISABLED");
    expect([...example.keys()].toSorted()).toEqual([...read].toSorted());
  });

  it("has values that are accepted, and its defaults are the defaults", () => {
    const ways = [
      /^REDIS_(?:URL|CLUSTER|SENTINEL|TLS)/,
      /^REDIS_(?:HOST|PORT|CLUSTER|SENTINEL|TLS|USERNAME|PASSWORD)/,
      /^REDIS_(?:URL|HOST|PORT|SENTINEL|TLS|DB|DATABASE)/,
    ];
    for (const without of ways) {
      const env = Object.fromEntries([...example].filter(([name]) => !without.test(name)));
      const redis = createRedis({ env, envFile: false });
      expect(redis.isEnabled).toBe(true);
      void redis.disconnect();
    }
  });
});

/** One user of users.acl at work: it does all that its module does, and reaches no key of another. */
const USERS: Readonly<Record<string, (redis: Redis) => Promise<unknown>>> = {
  async queue(redis) {
    const jobs = queue<number>(redis, "emails", { keep: { completed: 1 } });
    const { id } = await jobs.add(1);
    const worker = jobs.worker(() => Promise.resolve("done"));
    expect(await jobs.finished(id)).toMatchObject({ status: "completed" });
    await worker.stop();
    await jobs.obliterate();
  },
  async streams(redis) {
    const stream = streams(redis).stream("events:payments");
    const worker = consumer(stream, "group", { maxDeliveries: 1, onError: () => undefined }, () =>
      Promise.reject(new Error("of the handler")),
    );
    await stream.append({ field: "value" });
    await expect.poll(() => worker.counts.buried).toBe(1);
    await worker.stop();
    expect(await stream.dead.range()).toHaveLength(1);
  },
  async locks(redis) {
    const lease = await locks(redis).acquire("report");
    const waiting = locks(redis).acquire("report", { wait: "10s" });
    expect(await lease.release()).toBe("released");
    expect(await (await waiting).release()).toBe("released");
    await locks(redis).semaphore("report", 2).acquire();
  },
  async limits(redis) {
    const limit = rateLimit(redis, { name: "api", rules: [slidingLog({ limit: 1, window: "1m" })], deadline: "1m" });
    expect([await limit.consume("user"), await limit.consume("user")]).toMatchObject([
      { allowed: true, degraded: false },
      { allowed: false },
    ]);
    await limit.reset("user");
  },
  async sessions(redis) {
    const auth = sessions(redis);
    const { id } = await auth.create({ userId: "1" });
    const regenerated = await auth.regenerate(id);
    expect(await auth.list("1")).toHaveLength(1);
    expect([await auth.destroyAll("1"), await auth.read(regenerated!.id)]).toEqual([1, undefined]);
    const asText = sessions(redis, { store: "json" });
    const made = await asText.create();
    expect(await asText.regenerate(made.id, { grace: "1m" })).toMatchObject({ data: {} });
    expect(await asText.destroy(made.id)).toBe(true);
  },
  async boards(redis) {
    await leaderboard(redis, "scores").incr("ada", 2);
    expect(await leaderboard(redis, "scores").top()).toMatchObject([{ member: "ada", score: 2 }]);
    await presence(redis, "users").seen("ada");
    await activeUsers(redis, "users").mark(1);
    await uniques(redis, "visitors").add("ada");
  },
  async pubsub(redis) {
    const channel = pubsub(redis).channel("events:news");
    const subscription = await channel.subscribe();
    expect(await channel.publish("hello")).toBe(1);
    await subscription.close();
  },
  async health(redis) {
    expect(await health(redis, { deadline: "10s" }).readiness()).toMatchObject({ status: "ready" });
    await health(redis).slowlog();
    await health(redis).latency(3);
    await health(redis).bigKeys();
    await health(redis).ttlAudit();
  },
};

describe("A98: users.acl", () => {
  let server: AclRedis;
  const users = linesOf("users.acl").filter((line) => line !== "" && !/^user (?:default|admin) /.test(line));
  beforeAll(async () => {
    server = await startAclRedis({ users: users.map((line) => line.replace("CHANGE-ME", "secret")) });
  });
  afterAll(() => server.stop());

  it.each(Object.keys(USERS))("%s may do what its module does, and nothing beside it", async (name) => {
    await server.command("ACL", "LOG", "RESET");
    await using redis = createRedis({ ...ALONE, url: server.urlOf(name, "secret"), clientName: name });
    await USERS[name]!(redis);
    const refusals = (await server.command("ACL", "LOG")) as readonly unknown[];
    expect(refusals).toEqual([]);
    const refused = { code: "NO_PERMISSION" };
    if (name !== "health") await expect(redis.commands.get("of another module")).rejects.toMatchObject(refused);
    await expect(redis.commands.set("of another module", "v")).rejects.toMatchObject(refused);
    await expect(redis.commands.send(["FLUSHALL"])).rejects.toMatchObject(refused);
  });

  it("each module's own tests run as its user", () => {
    const tests = globSync("*.test.ts", { cwd: import.meta.dirname }).map((path) =>
      readFileSync(join(import.meta.dirname, path), "utf8"),
    );
    const tried = tests.flatMap((text) => text.match(/(?<=startServers\(\{ user: ")\w+/g) ?? []);
    // Those of health write keys of other modules, to find them.
    const all = Object.keys(USERS).filter((name) => name !== "health");
    expect([...new Set(tried)].toSorted()).toEqual(all.toSorted());
  });

  it("has each user here, or in the tests of docs/examples/service", () => {
    const all = [...Object.keys(USERS), "backup", "cache", "service"];
    expect(users.map((line) => line.split(" ")[1]).toSorted()).toEqual(all.toSorted());
  });
});
