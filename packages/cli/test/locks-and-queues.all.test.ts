import { createRedis } from "@hotset/redis-toolkit";
import { locks } from "@hotset/redis-toolkit/lock";
import { queue } from "@hotset/redis-toolkit/queue";
import { startOwnRedis } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import { inProcess, json, table } from "./hotset.ts";

/** More keys of locks than are looked at. */
const FENCES = "for i = 1, 3000 do redis.call('SET', 'lock:fence:{' .. i .. '}', i, 'EX', 600) end";

describe("one lock, and samples of many", () => {
  it("a lock is found by its name among any number of keys, in all its forms", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    await server.command("EVAL", FENCES, 0);
    await using redis = createRedis({ url: server.url, env: false });
    const all = locks(redis);
    const { token, fence } = await all.acquire("de{ploy}", { ttl: "1m" });
    await all.semaphore("de{ploy}", 3).acquire({ ttl: "1m" });
    await all.readWrite("de{ploy}").read.acquire({ ttl: "1m" });
    await all.readWrite("{a}:b").write.acquire({ ttl: "1m" });
    await locks(redis.tenant("acme")).acquire("de{ploy}", { ttl: "1m" });

    const found = await json<{ locks: Record<string, unknown>[] }>(["locks", "de{ploy}"], variables);
    expect(found).toMatchObject({ exitCode: 0, isComplete: true });
    expect(found.locks.map(({ kind, key, holder }) => [kind, key, holder])).toEqual([
      ["permits", "lock:permits:{de%7Bploy%7D}", 1],
      ["readers", "lock:readers:{de%7Bploy%7D}", 1],
      ["lock", "lock:{de%7Bploy%7D}", `${token.slice(0, 6)}…`],
    ]);
    expect(found.locks[2]).toMatchObject({ name: "de{ploy}", fence: String(fence), isReadable: true });
    expect(found.locks[2]!["lifeMs"]).toBeGreaterThan(30_000);
    expect(found.locks[2]!["lifeMs"]).toBeLessThanOrEqual(60_000);
    const writer = await json<{ locks: object[] }>(["locks", "{a}:b"], variables);
    expect(writer.locks).toMatchObject([{ kind: "writer", name: "{a}:b", key: "lock:writer:{a}:b" }]);
    const tenant = await json<{ locks: object[] }>(["locks", "de{ploy}", "--tenant", "acme"], variables);
    expect(tenant.locks).toMatchObject([{ kind: "lock", name: "de{ploy}", key: "acme:lock:{acme:de%7Bploy%7D}" }]);
    const free = await inProcess(["locks", "deploy"], variables);
    expect([free.exitCode, free.stdout]).toEqual([1, "no lock is held\n"]);
  });

  it("holders whose time is over hold no more, as their semaphore sees it", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    await using redis = createRedis({ url: server.url, env: false });
    await locks(redis).semaphore("imports", 2).acquire({ ttl: "1m" });
    await locks(redis).readWrite("imports").read.acquire({ ttl: "1m" });
    // A process crashed: its member is there until the next acquisition.
    for (const kind of ["permits", "readers"]) await server.command("ZADD", `lock:${kind}:{imports}`, 1, "crashed");
    expect(await json(["locks", "imports"], variables)).toMatchObject({
      locks: [
        { kind: "permits", holder: 1 },
        { kind: "readers", holder: 1 },
      ],
    });
    await server.command("ZADD", "lock:permits:{exports}", 1, "crashed");
    expect((await inProcess(["locks", "exports"], variables)).stdout).toBe("no lock is held\n");
  });

  it("lists say whether they are of a sample", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    const lines = async (words: readonly string[]): Promise<readonly string[]> =>
      table((await inProcess(words, variables)).stdout);
    expect(await lines(["locks"])).toEqual(["no lock is held", "(of all keys)"]);
    expect(await lines(["queue"])).toEqual(["no queues", "(of all keys)"]);
    // An empty list is an answer; one that was asked for by its name is not there.
    for (const [words, exitCode] of [
      [["locks"], 0],
      [["queue"], 0],
      [["locks", "deploy"], 1],
      [["queue", "emails"], 1],
    ] as const)
      expect((await inProcess(words, variables)).exitCode).toBe(exitCode);
    await using redis = createRedis({ url: server.url, env: false });
    for (const name of ["a", "b", "c"]) await queue(redis, name).add(1);
    await queue(redis.tenant("acme"), "a").add(1);
    await server.command("EVAL", FENCES, 0);
    expect(await lines(["locks"])).toEqual(["no lock is held", "(of a sample)"]);
    expect((await lines(["queue"])).slice(-1)).toEqual(["(of all keys)"]);
    expect((await lines(["queue", "--limit", "1"])).slice(-2)).toEqual([
      "... and 3 more; see --limit",
      "(of all keys)",
    ]);
    expect(await json(["queue", "--limit", "1"], variables)).toMatchObject({ isComplete: false });
    expect(await json(["queue", "--tenant", "acme"], variables)).toMatchObject({ isComplete: true });
  });
});

describe("a key that is not what its name says", () => {
  it("is a row among those of the locks that are held", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    await server.command("SET", "lock:{%}", "token-of-another", "PX", 60_000);
    await server.command("HSET", "lock:{a}", "f", "v");
    const { locks: all } = await json<{ locks: object[] }>(["locks"], variables);
    expect(all).toEqual([
      expect.objectContaining({ name: "%", key: "lock:{%}", holder: "token-…", isReadable: true }),
      { kind: "lock", name: "a", key: "lock:{a}", isReadable: false },
    ]);
    const text = await inProcess(["locks"], variables);
    expect([text.exitCode, table(text.stdout)[2]]).toEqual([0, "lock | a | not readable | - | - | lock:{a}"]);
    // It may be held: that is not the answer of a lock that is free.
    expect((await inProcess(["locks", "a"], variables)).exitCode).toBe(4);
  });

  it("is a row where its user may not read it", async () => {
    await using server = await startOwnRedis();
    await server.command("ACL", "SETUSER", "looker", "on", ">hunter2", "~lock:{mine}", "~lock:fence:*", "+@all");
    await server.command("SET", "lock:{mine}", "token-1", "PX", 60_000);
    await server.command("SET", "lock:{other}", "token-2", "PX", 60_000);
    const variables = { REDIS_URL: server.url, REDIS_USERNAME: "looker", REDIS_PASSWORD: "hunter2" };
    expect(await json(["locks"], variables)).toMatchObject({
      exitCode: 0,
      locks: [
        { name: "mine", holder: "token-…" },
        { name: "other", isReadable: false },
      ],
    });
  });

  it("is a row among those of the queues", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    await using redis = createRedis({ url: server.url, env: false });
    await queue(redis, "emails").add(1);
    await queue(redis, "%").add(1);
    await server.command("HSET", "queue:{%}:state", "f", "v");
    await server.command("HSET", "%:queue:{%:a}:state", "f", "v");
    await server.command("HSET", "queue:{}:state", "f", "v");
    await server.command("SET", "queue:{b}:waiting", "v");
    const { queues } = await json<{ queues: Record<string, unknown>[] }>(["queue"], variables);
    expect(
      queues
        .map(({ tenant, name, waiting, isReadable }) => [tenant, name, waiting, isReadable])
        .toSorted((one, other) => (String(one) < String(other) ? -1 : 1)),
    ).toEqual([
      ["%", "a", undefined, false],
      [undefined, "%", undefined, false],
      [undefined, "%", 1, true],
      [undefined, "", undefined, false],
      [undefined, "b", undefined, false],
      [undefined, "emails", 1, true],
    ]);
    const text = await inProcess(["queue"], variables);
    expect([text.exitCode, table(text.stdout)]).toEqual([
      0,
      expect.arrayContaining(["emails | 1 | 0 | 0 | 0 | 0", "b | - | - | - | - | - | not readable"]),
    ]);
  });

  it("is not the answer of a Redis without queues", async () => {
    await using server = await startOwnRedis();
    await server.command("SET", "queue:{a}:waiting", "v");
    expect(await json(["queue"], { REDIS_URL: server.url })).toMatchObject({ exitCode: 4, isComplete: true });
  });
});

describe("a change without an answer in time", () => {
  it.each([
    ["queue", "emails", "drain"],
    ["queue", "emails", "pause"],
    ["locks", "deploy", "release"],
    ["tag", "shop", "users", "invalidate"],
    ["delete", "shop", "user:1"],
    ["clear", "shop"],
  ])("ends with 3, and says that it may have been made: %s %s %s", async (...words) => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    await server.command("CLIENT", "PAUSE", 60_000, "WRITE");
    const change = await inProcess([...words, "--write", "--timeout", "3s"], variables);
    expect([change.exitCode, change.stdout]).toEqual([3, ""]);
    expect(change.stderr).toMatch(
      /^hotset: .*; the change may have been made: look before you repeat it\nhttps:.*\/errors\.md#backend_unavailable\n$/,
    );
    await server.command("CLIENT", "UNPAUSE");
    server.pause();
    const unsent = await inProcess([...words, "--write", "--timeout", "1500ms"], variables);
    server.resume();
    expect([unsent.exitCode, unsent.stdout]).toEqual([3, ""]);
    expect(unsent.stderr).not.toContain("may have been made");
  });
});
