import { spawn } from "node:child_process";
import { createRedis } from "@hotset/redis-toolkit";
import { locks } from "@hotset/redis-toolkit/lock";
import { queue } from "@hotset/redis-toolkit/queue";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { startCluster, startOwnRedis, startProxy, startTlsRedis } from "@hotset/test-servers";
import { cluster as clusterOf, createCache, redis as backend, type Cache } from "hotset";
import { describe, expect, it } from "vitest";
import { BIN, inProcess, json, printed, table } from "./hotset.ts";

/** A cache without a local tier, as a service would make it. */
const cacheOver = (url: string, name = "shop", prefix = "hotset"): Cache =>
  createCache({ name }).tier(backend(url).keyPrefix(prefix).coherence("none").responseTimeout("15s").build()).build();

describe("hotset get", () => {
  it("shows an entry as its cache sees it, and its value on request", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    const cache = cacheOver(server.url);
    await cache.set("p:1", { name: "of-an-entry", total: 12n }, { ttl: "1h", staleIfError: "1h", tags: ["kitchen"] });
    const found = await json<Record<string, unknown>>(["get", "shop", "p:1"], variables);
    expect(found).toMatchObject({ exitCode: 0, version: 1, state: "fresh", tags: ["kitchen"], format: "msgpack" });
    expect(found).toMatchObject({ compressor: "none", bytes: expect.any(Number) as number });
    expect(found["freshForMs"]).toBeGreaterThan(3_500_000);
    expect(found["expiresInMs"]).toBeGreaterThan(7_100_000);
    expect(found).not.toHaveProperty("value");
    const text = await inProcess(["get", "shop", "p:1"], variables);
    expect(table(text.stdout).filter((line) => !/^(?:age|fresh|ends|size)/.test(line))).toEqual([
      "state | fresh",
      "tags | kitchen",
      "encoding | msgpack, none",
    ]);
    expect(printed.join("")).not.toContain("of-an-entry");
    const valued = await json<{ value: unknown }>(["get", "shop", "p:1", "--value"], variables);
    expect(valued.value).toEqual({ name: "of-an-entry", total: "12" });
    expect((await inProcess(["get", "shop", "p:1", "--value"], variables)).stdout).toMatch(
      /\{ name: 'of-an-entry', total: 12n \}\n$/,
    );
    printed.length = 0;

    await cache.invalidateTags("kitchen");
    expect(await json(["get", "shop", "p:1"], variables)).toMatchObject({
      exitCode: 1,
      state: "unserved",
      format: "msgpack",
    });
    expect(await json(["get", "shop", "p:2"], variables)).toMatchObject({ exitCode: 1, state: "absent" });
    await cache.close();
  });

  it("shows bytes as base64 in JSON, as a Buffer too", async () => {
    await using server = await startOwnRedis();
    const cache = cacheOver(server.url);
    const at = new Date(0);
    await cache.set("p:1", { bytes: Buffer.from("hotset"), list: [new Uint8Array([255])], at }, { ttl: "1h" });
    const found = await json<{ value: unknown }>(["get", "shop", "p:1", "--value"], { REDIS_URL: server.url });
    expect(found.value).toEqual({ bytes: "aG90c2V0", list: ["/w=="], at: "1970-01-01T00:00:00.000Z" });
    await cache.close();
  });

  it("shows text that would steer a terminal as text, in names of properties too", async () => {
    await using server = await startOwnRedis();
    const cache = cacheOver(server.url);
    await cache.set("p:1", { "a\u2066": "\u001B[2J\u202Egnp.exe", list: ["x".repeat(80), "\u2028"] }, { ttl: "1h" });
    const { stdout } = await inProcess(["get", "shop", "p:1", "--value"], { REDIS_URL: server.url });
    expect(stdout).toContain(String.raw`'a\u2066': '\x1B[2J\u202egnp.exe',`);
    expect(stdout).toMatch(/list: \[\n.*x{80}',\n *'\\u2028'\n *\]\n\}\n$/);
    await cache.close();
  });

  it("finds entries of namespaces, versions, prefixes and odd names", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    const odd = createCache({ name: "a:b{c}~", version: 2 })
      .tier(backend(server.url).keyPrefix("app").keyFormat("hashed").coherence("none").responseTimeout("15s").build())
      .build();
    await odd
      .namespace("x@y")
      .namespace("%")
      .set("{k}:1", 1, { ttl: "1h", tags: ["t:1"] });
    const place = ["--prefix", "app", "--hashed", "--cache-version", "2", "--namespace", "x@y", "--namespace", "%"];
    expect(await json(["get", "a:b{c}~", "{k}:1", ...place], variables)).toMatchObject({ state: "fresh", exitCode: 0 });
    const version = await json<{ tagVersion: string }>(["tag", "a:b{c}~", "t:1", ...place], variables);
    expect(version).toMatchObject({ exitCode: 0, tagVersion: expect.stringMatching(/^[\w-]{8}\.\d+$/) as string });
    await odd.namespace("x@y").namespace("%").invalidateTags("t:1");
    expect(await json(["get", "a:b{c}~", "{k}:1", ...place], variables)).toMatchObject({ state: "unserved" });
    await odd.close();
  });
});

describe("the layout of an entry is found, and not asked for", () => {
  const stringCacheOver = (url: string, layout: "full" | "string" = "string"): Cache =>
    createCache({ name: "shop" })
      .tier(backend(url).layout(layout).coherence("none").responseTimeout("15s").build())
      .build();

  it("an entry of layout(string) is shown, counted and invalidated as one in a hash", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    const cache = stringCacheOver(server.url);
    await cache.set("{p:1", { total: 12 }, { ttl: "1h", staleIfError: "1h", tags: ["kitchen"] });
    const found = await json<Record<string, unknown>>(["get", "shop", "{p:1", "--value"], variables);
    expect(found).toMatchObject({ exitCode: 0, state: "fresh", tags: ["kitchen"], value: { total: 12 } });
    expect(found).toMatchObject({ format: "msgpack", compressor: "none", bytes: 8 });
    expect(found["freshForMs"]).toBeGreaterThan(3_500_000);
    expect(found["freshForMs"]).toBeLessThanOrEqual(3_600_000);
    expect(found["expiresInMs"]).toBeGreaterThan(7_100_000);

    const { keys } = await json<{ keys: object[] }>(["keys", "hotset:shop::*"], variables);
    expect(keys).toMatchObject([{ key: "hotset:shop::%7Bp:1", type: "string", module: "cache" }]);
    const { groups } = await json<{ groups: object[] }>(["stats"], variables);
    const ofShop = { module: "cache", owner: "hotset:shop" };
    expect(groups).toContainEqual(expect.objectContaining({ ...ofShop, part: "entry", keys: 1 }));
    // Keys of the cache and of the tag.
    expect(groups).toContainEqual(expect.objectContaining({ ...ofShop, part: "version", keys: 2 }));
    expect(await json(["doctor"], variables)).toMatchObject({ modules: ["cache"] });

    const { tagVersion: before } = await json<{ tagVersion: string }>(["tag", "shop", "kitchen"], variables);
    expect(await json(["tag", "shop", "kitchen", "invalidate", "--write"], variables)).toMatchObject({
      exitCode: 0,
      tagVersionBefore: before,
      tagVersion: expect.not.stringMatching(before) as string,
    });
    expect(await json(["get", "shop", "{p:1"], variables)).toMatchObject({
      exitCode: 1,
      state: "unserved",
      format: "msgpack",
    });
    await cache.close();
  });

  it.each(["full", "string"] as const)("a placeholder is a load that is under way: %s", async (layout) => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    const cache = stringCacheOver(server.url, layout);
    const started = Promise.withResolvers<undefined>();
    const loaded = Promise.withResolvers<number>();
    const value = cache.getOrSet(
      "p:1",
      () => {
        started.resolve(undefined);
        return loaded.promise;
      },
      { ttl: "1h" },
    );
    await started.promise;
    expect(await json(["get", "shop", "p:1"], variables)).toMatchObject({ exitCode: 1, state: "loading" });
    expect((await inProcess(["get", "shop", "p:1"], variables)).stdout).toBe("no entry yet: a load is under way\n");
    loaded.resolve(7);
    expect(await value).toBe(7);
    expect(await json(["get", "shop", "p:1", "--value"], variables)).toMatchObject({ state: "fresh", value: 7 });
    await cache.close();
  });

  it("a user with the rights of a cache sees entries in hashes, and is told which right the rest needs", async () => {
    await using server = await startOwnRedis();
    const rights = ["~hotset:*", "+ping", "+hello", "+client", "+pttl", "+hmget", "+mget"];
    await server.command("ACL", "SETUSER", "cache", "on", ">hunter2", ...rights);
    const variables = { REDIS_URL: server.url, REDIS_USERNAME: "cache", REDIS_PASSWORD: "hunter2" };
    const cache = cacheOver(server.url);
    await cache.set("p:1", 1, { ttl: "1h" });
    expect(await json(["get", "shop", "p:1"], variables)).toMatchObject({ exitCode: 0, state: "fresh" });
    const refused = await inProcess(["get", "shop", "p:2"], variables);
    expect([refused.exitCode, refused.stdout, refused.stderr]).toEqual([4, "", expect.stringContaining("'type'")]);
    await cache.close();
  });

  it.each([
    ["list", ["RPUSH", "hotset:shop::p:1", "of-a-list"]],
    ["string", ["SET", "hotset:shop::p:1", "of-a-text"]],
    ["string", ["SET", "hotset:shop::p:1", ""]],
    ["hash", ["HSET", "hotset:shop::p:1", "name", "of-a-hash"]],
  ])("reports a %s of another program: %j", async (type, command) => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    await server.command(...(command as [string, ...string[]]));
    expect(await json(["get", "shop", "p:1"], variables)).toEqual({ exitCode: 1, version: 1, state: "foreign", type });
    expect((await inProcess(["get", "shop", "p:1"], variables)).stdout).toBe(
      `no entry: the key holds a ${type} of another program, or of another version of hotset\n`,
    );
  });
});

describe("what is not there", () => {
  it("an entry is named by the key that Redis was asked for", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    const words = ["get", "sh{op}", "p{1:", "--prefix", "app", "--cache-version", "2", "--namespace", "a b"];
    const { exitCode, stdout } = await inProcess(words, variables);
    const [, key = ""] = /^no such entry: Redis has no key (.+)\n$/.exec(stdout) ?? [stdout];
    expect([exitCode, key]).toEqual([1, "app:sh%7Bop%7D@2:a b::p%7B1:"]);
    expect(await json(words, variables)).toMatchObject({ exitCode: 1, state: "absent", key });
    await server.command("SADD", key, "member");
    expect(await json(words, variables)).toMatchObject({ exitCode: 1, state: "foreign" });
    expect((await json<{ key: string }>(["get", "shop", "user:1", "--hashed"], variables)).key).toBe(
      "hotset:shop::#q8Oke4rRi4VcaH2cosYJHucxLbVWMCGUKletqInIezQ",
    );
  });

  it("a queue that no job was ever added to is not an empty one", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    await using redis = createRedis({ url: server.url, env: false });
    const absent = await inProcess(["queue", "emials"], variables);
    expect([absent.exitCode, absent.stdout]).toEqual([1, "no such queue: Redis has no key queue:{emials}:state\n"]);
    expect(await json(["queue", "emials", "--tenant", "acme"], variables)).toEqual({
      exitCode: 1,
      version: 1,
      name: "emials",
      isKnown: false,
    });
    const emails = queue(redis, "emails");
    await emails.add(1);
    await emails.drain();
    expect(await json(["queue", "emails"], variables)).toMatchObject({ exitCode: 0, isKnown: true, isPaused: false });
    await queue(redis, "later").add(1, { delay: "1h" });
    expect(await json(["queue", "later"], variables)).toMatchObject({ exitCode: 0, isKnown: true });
    await queue(redis, "paused").pause();
    expect(await json(["queue", "paused"], variables)).toMatchObject({ exitCode: 0, isPaused: true });
  });
});

describe("changes need --write", () => {
  it("of a tag", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    const cache = cacheOver(server.url);
    await cache.set("p:1", 1, { ttl: "1h", tags: ["kitchen"] });
    const { tagVersion: before } = await json<{ tagVersion: string }>(["tag", "shop", "kitchen"], variables);
    const refused = await inProcess(["tag", "shop", "kitchen", "invalidate"], variables);
    expect([refused.exitCode, refused.stderr]).toEqual([
      2,
      "hotset: invalidate changes Redis; add --write; see hotset tag --help\n",
    ]);
    expect(await cache.get("p:1")).toBe(1);
    expect(await json(["tag", "shop", "kitchen", "invalidate", "--write"], variables)).toMatchObject({
      exitCode: 0,
      done: "invalidate",
      tagVersionBefore: before,
      tagVersion: expect.not.stringMatching(before) as string,
    });
    expect(await cache.get("p:1")).toBe(undefined);
    expect((await inProcess(["tag", "shop", "other"], variables)).exitCode).toBe(1);
    await cache.close();
  });

  it("of a queue", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    await using redis = createRedis({ url: server.url, env: false });
    const jobs = queue<object>(redis, "e{mails}");
    const { id } = await jobs.add({ secret: "of-a-job" }, { attempts: 1 });
    const worker = jobs.worker(() => Promise.reject(new Error("no route")));
    await jobs.finished(id);
    await worker.stop();
    await jobs.add({ secret: "of-a-job" });
    await queue(redis.tenant("acme & co"), "emails").add(1);

    const all = await json<{ queues: object[] }>(["queue"], variables);
    expect(all.queues).toHaveLength(2);
    expect(all.queues).toContainEqual(
      expect.objectContaining({ name: "e{mails}", waiting: 1, dead: 1, isPaused: false }),
    );
    expect(all.queues).toContainEqual(expect.objectContaining({ tenant: "acme & co", name: "emails", waiting: 1 }));
    const one = await json<{ dead: object[]; states: object[] }>(["queue", "e{mails}"], variables);
    expect(one.dead).toEqual([expect.objectContaining({ id, attempt: 1, attempts: 1, reason: "no route" })]);
    expect(one.dead[0]).not.toHaveProperty("data");
    expect(one.states).toContainEqual({ state: "waiting", jobs: 1, firstAgeMs: expect.any(Number) as number });
    expect((await inProcess(["queue", "e{mails}"], variables)).stdout).toMatch(/^\S+ +1 of 1 +.* +no route$/m);

    for (const action of ["retry", "pause", "resume", "drain"])
      await expect(json(["queue", "e{mails}", action], variables)).rejects.toThrow(
        `${action} changes Redis; add --write`,
      );
    expect(await jobs.counts()).toMatchObject({ waiting: 1, dead: 1, isPaused: false });
    const write = (action: string): ReturnType<typeof json> =>
      json(["queue", "e{mails}", action, "--write"], variables);
    expect(await write("retry")).toMatchObject({ exitCode: 0, done: "retry", jobs: 1 });
    expect(await write("retry")).toMatchObject({ exitCode: 1, done: "retry", jobs: 0 });
    expect(await write("pause")).toMatchObject({ exitCode: 0 });
    expect(await jobs.counts()).toMatchObject({ waiting: 2, dead: 0, isPaused: true });
    expect(await write("resume")).toMatchObject({ exitCode: 0 });
    expect(await write("drain")).toMatchObject({ exitCode: 0, jobs: 2 });
    expect(await jobs.counts()).toMatchObject({ waiting: 0, isPaused: false });
  });

  it("of a lock", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    await using redis = createRedis({ url: server.url, env: false });
    const lease = await locks(redis).acquire("re{port}", { ttl: "1m" });
    await locks(redis.tenant("acme")).acquire("{a}:b", { ttl: "1m" });
    await locks(redis).semaphore("slots", 3).acquire({ ttl: "1m" });
    const { locks: all } = await json<{ locks: Record<string, unknown>[] }>(["locks"], variables);
    expect(all.map(({ kind, name, key }) => [kind, name, key])).toEqual([
      ["lock", "{a}:b", "acme:lock:{a}:b"],
      ["permits", "slots", "lock:permits:{slots}"],
      ["lock", "re{port}", "lock:{re%7Bport%7D}"],
    ]);
    expect(all[2]).toMatchObject({ holder: `${lease.token.slice(0, 6)}…`, fence: String(lease.fence) });
    expect(all[1]).toMatchObject({ holder: 1 });
    expect((await json<{ locks: object[] }>(["locks", "--tenant", "acme"], variables)).locks).toHaveLength(1);
    expect((await inProcess(["locks"], variables)).stdout).not.toContain(lease.token);

    const refused = await inProcess(["locks", "re{port}", "release"], variables);
    expect([refused.exitCode, refused.stderr]).toEqual([2, expect.stringContaining("add --write")]);
    const waiting = locks(redis).acquire("re{port}", { wait: "20s" });
    expect(await json(["locks", "re{port}", "release", "--write"], variables)).toMatchObject({
      exitCode: 0,
      wasHeld: true,
    });
    const next = await waiting;
    expect(next.fence).toBeGreaterThan(lease.fence);
    expect(await lease.extend()).toBe("lost");
    await next.release();
    expect(await json(["locks", "re{port}", "release", "--write"], variables)).toMatchObject({
      exitCode: 1,
      wasHeld: false,
    });
  });

  it.each([
    [["get", "shop"], "the key is missing"],
    [["tag", "shop", "t", "remove", "--write"], "the change must be one of invalidate, mark-stale, got"],
    [["tag", "shop", "t", "--write"], "--write allows a change, and none was named"],
    [["queue", "q", "pause", "now", "--write"], "a word too many"],
    [["queue", "q", "drain", "--id", "1", "--write"], "--id is for retry alone"],
    [["keys", "*", "--write"], "unknown option"],
    [["watch", "key"], "watch one of keys, changes, queue, got"],
    [["watch", "queue"], "the name of the queue is missing"],
    [["watch", "keys", "--for", "2y"], "--for must be from 1 ms to 1 day"],
  ])("and wrong words are refused before anything is sent: %j", async (words, sentence) => {
    const { exitCode, stdout, stderr } = await inProcess(words, { REDIS_URL: "redis://127.0.0.1:1" });
    expect([exitCode, stdout, stderr]).toEqual([2, "", expect.stringContaining(sentence)]);
  });
});

describe("stats and keys", () => {
  it("count the keys of each cache and module", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    const shop = cacheOver(server.url);
    const blog = cacheOver(server.url, "blog", "app");
    for (const key of ["a", "b", "c"]) await shop.set(key, 1, { ttl: "1h" });
    await blog.set("a", 1, { ttl: "1h" });
    await Promise.all([shop.close(), blog.close()]);
    await using redis = createRedis({ url: server.url, env: false });
    await sessions(redis).create({ userId: "1", data: { secret: "of-a-session" } });
    await server.command("SET", "report:1", "of-a-report");
    type Groups = { module: string; part?: string; owner: string; keys: number; withoutEnd: number }[];
    const found = await json<{ groups: Groups }>(["stats"], variables);
    expect(found).toMatchObject({ version: 1, exitCode: 0, isSampleComplete: true, maxMemory: 0 });
    const counted = found.groups.map(({ module, part, owner, ...counts }) => [
      part ?? module,
      owner,
      counts.keys,
      counts.withoutEnd,
    ]);
    expect(counted).toContainEqual(["entry", "hotset:shop", 3, 0]);
    expect(counted).toContainEqual(["version", "hotset:shop", 1, 0]);
    expect(counted).toContainEqual(["issuer", "hotset:shop", 1, 0]);
    expect(counted).toContainEqual(["entry", "app:blog", 1, 0]);
    expect(counted).toContainEqual(["other", "report", 1, 1]);
    expect(counted.find(([module]) => module === "sessions")?.[3]).toBe(0);
    const text = await inProcess(["stats"], variables);
    expect(table(text.stdout)).toContainEqual(
      expect.stringMatching(/^cache \| hotset:shop \| entries \| 3 \| 0 \| \d/),
    );

    const listed = await json<{ keys: object[] }>(["keys", "*report*"], variables);
    expect(listed).toMatchObject({ exitCode: 0, isComplete: true });
    expect(listed.keys).toEqual([
      { key: "report:1", type: "string", lifeMs: null, bytes: expect.any(Number) as number, module: "other" },
    ]);
    expect((await inProcess(["keys", "--limit", "2", "--all"], variables)).stdout.trimEnd().split("\n")).toHaveLength(
      4,
    );
    const shown = table((await inProcess(["keys", "hotset*"], variables)).stdout);
    expect(shown.slice(1)).toEqual([
      ...["a", "b", "c"].map((key) => expect.stringMatching(`^hotset:shop::${key} \\| hash \\| `) as string),
      "2 more beside entries: versions, leases; --all lists them",
    ]);
    await server.command("SET", "hotset:shop::large", "v".repeat(10_000), "PX", 1_000_000);
    for (const [by, first] of [
      ["size", "hotset:shop::large"],
      ["life", "hotset:shop::large"],
      ["key", "hotset:shop::a"],
    ] as const)
      expect(
        (await json<{ keys: { key: string }[] }>(["keys", "hotset:shop*", "--sort", by], variables)).keys[0]!.key,
      ).toBe(first);
    const refused = await inProcess(["keys", "--sort", "age"], variables);
    expect([refused.exitCode, refused.stderr]).toEqual([2, expect.stringContaining('key, size or life, got "age"')]);
    expect((await inProcess(["keys", "absent:*"], variables)).exitCode).toBe(1);
  });

  it("begin with the largest of all that were looked at, and say how many those are", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    await server.command(
      "EVAL",
      "for i = 1, 2000 do redis.call('SET', 'small:' .. i, i) end redis.call('SET', 'huge', string.rep('v', 500000))",
      0,
    );
    const sorted = ["keys", "--sort", "size", "--limit", "10"];
    const listed = await json<{ keys: { key: string }[] }>(sorted, variables);
    expect(listed).toMatchObject({ isComplete: false, looked: 2_001, hidden: 0 });
    expect([listed.keys.length, listed.keys[0]!.key]).toEqual([10, "huge"]);
    const { stdout } = await inProcess(sorted, variables);
    expect(stdout.trimEnd().split("\n").at(-1)).toBe("10 of 2001 that were looked at");
    const some = await inProcess(["keys", "--limit", "10"], variables);
    expect(some.stdout.trimEnd().split("\n").at(-1)).toMatch(/^10 of 1\d{3} that were looked at, and there are more$/);
  });

  it("count an entry as one without an end that has a stale window of a hundred years", async () => {
    await using server = await startOwnRedis();
    await using cache = cacheOver(server.url);
    await cache.namespace("misc").set("search", 1, { ttl: Infinity, staleIfError: "1h" });
    const variables = { REDIS_URL: server.url };
    expect((await json<{ keys: object[] }>(["keys"], variables)).keys).toMatchObject([{ lifeMs: null }]);
    expect(await json(["namespaces", "shop"], variables)).toMatchObject({
      namespaces: [{ path: ["misc"], entries: 1, withoutEnd: 1 }],
    });
    const { findings } = await json<{ findings: { check: string; found: string }[] }>(["doctor"], variables);
    expect(findings.find(({ check }) => check === "ttl")?.found).toBe(
      "1 key of caches without an end, and maxmemory-policy never evicts such keys",
    );
  });

  it("show names that would steer a terminal as text", async () => {
    await using server = await startOwnRedis();
    await server.command("SET", "evil\u001B[2J\n", "v");
    const { stdout } = await inProcess(["keys"], { REDIS_URL: server.url });
    expect(stdout).toContain(String.raw`evil\u001b[2J\u000a`);
    expect(stdout).not.toContain("\u001B");
  });

  it("show such names in JSON as text, too, and the same after it is read", async () => {
    await using server = await startOwnRedis({ config: ["notify-keyspace-events KEA"] });
    const variables = { REDIS_URL: server.url };
    const key = "foo:\u007F\u009B31m\u202E\u2066\u001B\n\u2028";
    await server.command("SET", key, "v");
    const { stdout } = await inProcess(["keys", "--json"], variables);
    expect(stdout).toContain(String.raw`"foo:\u007f\u009b31m\u202e\u2066\u001b\n\u2028"`);
    expect(JSON.parse(stdout)).toMatchObject({ keys: [{ key }] });
    const run = await watching(["keys", "--limit", "1"], variables);
    await server.command("DEL", key);
    expect(await run.ended()).toBe(0);
    expect(printed.at(-2)).toContain(String.raw`"foo:\u007f\u009b31m\u202e\u2066\u001b\n\u2028"`);
    expect(run.events()).toMatchObject([{ event: "del", name: key }]);
  });

  it("count keys apart whose bytes are no text", async () => {
    await using server = await startOwnRedis();
    await server.command("EVAL", "for i = 128, 255 do redis.call('SET', 'k' .. string.char(i), 'v') end", 0);
    const variables = { REDIS_URL: server.url };
    const listed = await json<{ isComplete: boolean; keys: unknown[] }>(["keys", "--limit", "200"], variables);
    expect([listed.isComplete, listed.keys.length]).toEqual([true, 128]);
    const sampled = await json<{ groups: unknown[] }>(["stats"], variables);
    expect(sampled).toMatchObject({ sampledKeys: 128, isSampleComplete: true, groups: [{ keys: 128 }] });
    const bounded = await json<{ isComplete: boolean; keys: unknown[] }>(["keys", "--limit", "20"], variables);
    expect([bounded.isComplete, bounded.keys.length]).toEqual([false, 20]);
  });

  it("never call a key absent that they had no time to look for", async () => {
    await using server = await startOwnRedis();
    await server.command("EVAL", "for i = 1, 20000 do redis.call('SET', 'k:' .. i, i) end", 0);
    await using proxy = await startProxy({ host: "127.0.0.1", port: server.port });
    proxy.delay({ toClient: 300 });
    const slow = { REDIS_URL: `redis://127.0.0.1:${proxy.port}` };
    const missed = await inProcess(["keys", "rare:*", "--timeout", "4s"], slow);
    expect(missed).toEqual({
      exitCode: 3,
      stdout: "no such key among those that there was time for; --timeout gives more\n",
      stderr: "",
    });
    const asJson = await json(["keys", "rare:*", "--timeout", "4s"], slow);
    expect(asJson).toEqual({ exitCode: 3, version: 1, isComplete: false, keys: [] });
    expect(await inProcess(["keys", "rare:*"], { REDIS_URL: server.url })).toEqual({
      exitCode: 1,
      stdout: "no such key\n",
      stderr: "",
    });
    expect((await inProcess(["keys", "rare"], { REDIS_URL: server.url })).stdout).toBe(
      "no such key; those of a cache of this name: 'hotset:rare:*'\n",
    );
  });

  it("end quietly where the reader has gone in the middle", async () => {
    await using server = await startOwnRedis();
    await server.command("EVAL", "for i = 1, 20000 do redis.call('SET', 'k:' .. i, i, 'EX', 600) end", 0);
    const keys = `"${process.execPath}" --conditions=@hotset/source "${BIN}" keys --json --limit 100000`;
    const script = `${keys}; echo "exit $?" >&2`;
    const child = spawn("sh", ["-c", `{ ${script}; } | head -n 1`], {
      env: { PATH: process.env["PATH"], REDIS_URL: server.url },
    });
    const output = { stdout: "", stderr: "" };
    child.stdout.on("data", (chunk: Buffer) => (output.stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (output.stderr += chunk.toString()));
    await new Promise((resolve) => child.once("close", resolve));
    expect(output).toEqual({ stdout: "{\n", stderr: "exit 0\n" });
  });
});

/** A run of `watch`, once it watches. */
async function watching(words: readonly string[], variables: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, ["--conditions=@hotset/source", BIN, "watch", ...words, "--json"], {
    cwd: import.meta.dirname,
    env: { PATH: process.env["PATH"], ...variables },
  });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output.stderr += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)));
  await expect.poll(() => output.stderr).toContain("watching");
  return {
    events: () =>
      output.stdout
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as { event: string; name: string }),
    interrupt: () => child.kill("SIGINT"),
    ended: async () => {
      const exitCode = await ended;
      printed.push(output.stdout, output.stderr);
      return exitCode;
    },
  };
}

describe("hotset watch", () => {
  it("prints what happens to keys, until Ctrl-C", async () => {
    await using server = await startOwnRedis({ config: ["notify-keyspace-events KEA"] });
    const run = await watching(["keys", "report:*"], { REDIS_URL: server.url });
    await server.command("SET", "report:1", "of-a-report");
    await server.command("SET", "other", "v");
    await server.command("DEL", "report:1");
    await expect
      .poll(() => run.events().map(({ event, name }) => [event, name]))
      .toEqual([
        ["set", "report:1"],
        ["del", "report:1"],
      ]);
    run.interrupt();
    expect(await run.ended()).toBe(0);
  });

  it("shows an event of any name as text: everyone who may publish names events", async () => {
    await using server = await startOwnRedis({ config: ["notify-keyspace-events KEA"] });
    const run = inProcess(["watch", "keys", "--limit", "1"], { REDIS_URL: server.url });
    await expect
      .poll(() => server.command("PUBLISH", "__keyspace@0__:report:1", `\u001B[2J\u202E\n${"x".repeat(1_000)}`))
      .toBe(1);
    const { stdout } = await run;
    expect(stdout).toMatch(/^\S+ {2}\\u001b\[2J\\u202e\\u000ax{18}… {2}report:1\n$/);
  });

  it("says that a server sends no notices of keys, and which setting makes it", async () => {
    await using server = await startOwnRedis();
    const words = ["watch", "keys", "--for", "10ms"];
    const warned =
      /^hotset: .*127\.0\.0\.1:\d+ sends no notices of keys: .* not be shown; CONFIG SET notify-keyspace-events KEA/m;
    expect(await inProcess(words, { REDIS_URL: server.url })).toMatchObject({
      exitCode: 0,
      stderr: expect.stringMatching(warned) as string,
    });
    await server.command("CONFIG", "SET", "notify-keyspace-events", "Ex");
    expect((await inProcess(words, { REDIS_URL: server.url })).stderr).toMatch(warned);
    for (const enough of ["KEA", "Kg", "K$"]) {
      await server.command("CONFIG", "SET", "notify-keyspace-events", enough);
      expect((await inProcess(words, { REDIS_URL: server.url })).stderr).toBe("hotset: watching keys\n");
    }
    await server.command("CONFIG", "SET", "notify-keyspace-events", "");
    await server.command("ACL", "SETUSER", "reader", "on", ">hunter2", "~*", "&*", "+@all", "-config");
    const unknown = await inProcess(words, { REDIS_URL: server.url.replace("//", "//reader:hunter2@") });
    expect([unknown.exitCode, unknown.stderr]).toEqual([0, "hotset: watching keys\n"]);
  });

  it("prints what happens to jobs, as many lines as wanted, and results on request", async () => {
    await using server = await startOwnRedis();
    await using redis = createRedis({ url: server.url, env: false });
    const jobs = queue<number>(redis, "emails");
    const variables = { REDIS_URL: server.url };
    const run = await watching(["queue", "emails", "--limit", "4"], variables);
    const valued = await watching(["queue", "emails", "--value", "--for", "30s"], variables);
    const worker = jobs.worker(() => Promise.resolve("of-a-result"));
    for (let i = 0; i < 3; i += 1) await jobs.finished((await jobs.add(i)).id);
    await worker.stop();
    expect(await run.ended()).toBe(0);
    const of = (name: string): unknown => run.events().find(({ event }) => event === name);
    expect(of("active")).toMatchObject({ detail: "attempt 1" });
    expect(of("completed")).not.toHaveProperty("detail");
    expect(run.events().map(({ event }) => event)).toEqual(["added", "active", "drained", "completed"]);
    const completed = (): readonly unknown[] => valued.events().filter(({ event }) => event === "completed");
    await expect.poll(completed).toHaveLength(3);
    expect(completed()[0]).toMatchObject({ event: "completed", detail: "of-a-result" });
    valued.interrupt();
    await valued.ended();
    printed.splice(-2);
  });

  it("prints changes that caches announce, on every primary of a cluster", async () => {
    await using cluster = await startCluster({ replicas: 0 });
    const run = await watching(["changes"], { REDIS_CLUSTER_URLS: cluster.urls.join(",") });
    const shop = createCache({ name: "shop" })
      .tier(backend(clusterOf(cluster.urls)).coherence("pubsub").build())
      .build();
    const keys = ["a", "b", "c", "d", "e", "f"];
    for (const key of keys) await shop.set(key, 1, { ttl: "1h" });
    await expect
      .poll(() => [...new Set(run.events().map(({ name }) => name))].filter((name) => !name.includes("{")).toSorted())
      .toEqual(keys.map((key) => `hotset:shop::${key}`));
    run.interrupt();
    expect(await run.ended()).toBe(0);
    await shop.close();
  });
});

describe("in a cluster", () => {
  it("entries of either layout are found on any primary", async () => {
    await using cluster = await startCluster({ replicas: 0 });
    const variables = { REDIS_CLUSTER_URLS: cluster.urls.join(",") };
    const strings = createCache({ name: "shop" })
      .tier(backend(clusterOf(cluster.urls)).layout("string").coherence("none").responseTimeout("15s").build())
      .build();
    for (const key of ["a", "b", "c", "d"]) {
      await strings.set(key, key, { ttl: "1h" });
      expect(await json(["get", "shop", key, "--value"], variables)).toMatchObject({ state: "fresh", value: key });
      await strings.delete(key);
      expect(await json(["get", "shop", key], variables)).toMatchObject({ state: "absent" });
    }
    await strings.close();
  });
});

describe("in a cluster, and over TLS", () => {
  it("the commands find what lies on any primary", async () => {
    await using cluster = await startCluster({ replicas: 0 });
    const variables = { REDIS_CLUSTER_URLS: cluster.urls.join(",") };
    const shop = createCache({ name: "shop" })
      .tier(backend(clusterOf(cluster.urls)).coherence("none").responseTimeout("15s").build())
      .build();
    for (let i = 0; i < 9; i += 1) await shop.set(`p:${i}`, i, { ttl: "1h", tags: ["kitchen"] });
    await using redis = createRedis({ cluster: cluster.urls, env: false });
    for (const name of ["a", "b", "c"]) await queue(redis, name).add(1);
    const lease = await locks(redis).acquire("report", { ttl: "1m" });
    expect(await json(["get", "shop", "p:7", "--value"], variables)).toMatchObject({ state: "fresh", value: 7 });
    const { groups } = await json<{ groups: object[] }>(["stats"], variables);
    expect(groups).toContainEqual(expect.objectContaining({ owner: "hotset:shop", module: "cache" }));
    expect((await json<{ queues: object[] }>(["queue"], variables)).queues).toHaveLength(3);
    expect((await json<{ keys: object[] }>(["keys", "hotset:shop::*"], variables)).keys).toHaveLength(9);
    expect((await json<{ locks: object[] }>(["locks"], variables)).locks).toMatchObject([
      { fence: String(lease.fence) },
    ]);
    expect(await json(["locks", "report", "release", "--write"], variables)).toMatchObject({ wasHeld: true });
    expect(await json(["tag", "shop", "kitchen", "invalidate", "--write"], variables)).toMatchObject({ exitCode: 0 });
    expect(await shop.get("p:7")).toBe(undefined);
    await shop.close();
  });

  it("entries are read with the certificates and the password of the environment", async () => {
    await using tls = await startTlsRedis({ clientCertificates: "required", password: "hunter2" });
    const variables = {
      REDIS_HOST: "localhost",
      REDIS_PORT: String(tls.port),
      REDIS_PASSWORD: "hunter2",
      REDIS_TLS_ENABLED: "true",
      REDIS_TLS_CA_PATH: tls.files.ca,
      REDIS_TLS_CERT_PATH: tls.files.clientCert,
      REDIS_TLS_KEY_PATH: tls.files.clientKey,
    };
    expect(await json(["get", "shop", "p:1"], variables)).toMatchObject({ exitCode: 1, state: "absent" });
    expect(await json(["tag", "shop", "t", "invalidate", "--write"], variables)).toMatchObject({ exitCode: 0 });
    expect(await json(["queue"], variables)).toMatchObject({ exitCode: 0, queues: [] });
  });
});

describe("secrets", () => {
  it("are in no output of the commands", () => {
    expect(printed.length).toBeGreaterThan(20);
    expect(printed.join("\n")).not.toMatch(/hunter2|of-a-job|of-a-session|of-a-report|of-a-result/);
  });
});
