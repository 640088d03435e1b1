/** A cache over a Redis that really fails, as its callers see it. Rows that wait for long are of test:all. */
import diagnostics from "node:diagnostics_channel";
import { inspect } from "node:util";
import { BackendUnavailableError, type Cache } from "@hotset/core";
import { startAclRedis, startOwnRedis, startProxy } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import {
  deleteDuring,
  failingRedis,
  PATIENCE,
  replayed,
  setDuring,
  NOTHING_OLDER,
  NOTHING_REAPPEARED,
  WITH_MEMORY,
  type Fault,
} from "../support/failing-redis.ts";
import { impatient, over } from "../support/over-redis.ts";
import { rejectionsDuring, STACKS_WITH_BACKEND } from "../support/stacks.ts";
import { plant, READ_RIGHTS } from "../support/stored-entries.ts";
import { watch } from "../support/watch.ts";

const redis = await failingRedis();
const { server, open, goDown } = redis;

/** Waits until the backend has answered a call. */
const answersAgain = (cache: Cache) =>
  expect
    .poll(async () => {
      await cache.get("anything");
      return cache.stats().tiers.at(-1)!.state;
    }, PATIENCE)
    .toBe("up");

describe("C100 with Redis unreachable", () => {
  it("a cache is built and works; once Redis is reachable a hundred callers share one connection", async () => {
    await redis.proxy.refuse();
    // Each of a hundred loads at once has one deadline for all its trips, which is not the subject here.
    const patient = (url: string): Cache => over(impatient(url).responseTimeout("5s").build());
    const cache = patient(redis.proxy.url);
    const rejections = await rejectionsDuring(async () => {
      const values = await Promise.all(Array.from({ length: 100 }, (_, i) => cache.getOrSet(`k${i}`, () => i)));
      expect(values).toEqual(Array.from({ length: 100 }, (_, i) => i));
    });
    expect(rejections).toEqual([]);
    await redis.proxy.pass();
    expect(redis.proxy.counts.connections).toBe(0);
    await answersAgain(cache);
    expect(await Promise.all(Array.from({ length: 100 }, (_, i) => cache.getOrSet(`late${i}`, () => i)))).toHaveLength(
      100,
    );
    expect(redis.proxy.counts.connections).toBe(1);
    expect(await patient(server.url).get("late99")).toBe(99);
  });

  it("connect() rejects; the next one tries again", async () => {
    await redis.proxy.refuse();
    const cache = open();
    await expect(cache.connect()).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      retryable: true,
      maybeExecuted: false,
    });
    await redis.proxy.pass();
    await cache.connect();
    expect(redis.proxy.counts.connections).toBe(1);
  });
});

const refused: Fault = ["refused connections", redis.goDown, () => redis.proxy.pass()];

it.for(STACKS_WITH_BACKEND)(
  "C93 a delete that meets refused connections is pending, and replayed: the value never reappears, over %s",
  async (stack) => expect(await deleteDuring(redis, stack, refused)).toEqual(NOTHING_REAPPEARED),
);

it.for(STACKS_WITH_BACKEND)(
  "C94 after a set that meets refused connections the older value is never served here, and nowhere once the set is replayed, over %s",
  async (stack) => expect(await setDuring(redis, stack, refused)).toEqual(NOTHING_OLDER),
);

it("A12 a half-open link: is noticed and replaced while it is used, and the cache reports both", async () => {
  const cache = over(impatient(redis.proxy.url).connectTimeout("1s").build());
  await cache.connect();
  await cache.set("k", "value");
  const seen = watch(cache, "backend:error", "backend:state");
  redis.proxy.swallow();
  for (let i = 0; i < 5; i += 1) expect(await cache.get("k")).toBe(undefined);
  const told = seen.map(([name, event]) => [name, event.tier, "state" in event ? event.state : event.operation]);
  expect(told.filter(([name]) => name === "backend:error")).toEqual(
    Array.from({ length: 5 }, () => ["backend:error", "redis", "read"]),
  );
  // The connection is given up before the fifth deadline: then no changes are received. The fifth failure opens the
  // breaker.
  expect(told.filter(([name]) => name === "backend:state")).toEqual([
    ["backend:state", "redis", "detached"],
    ["backend:state", "redis", "down"],
  ]);
  expect(told.at(-1)).toEqual(["backend:state", "redis", "down"]);
  // The old connection stays silent for good; a new one works.
  await redis.proxy.pass();
  redis.proxy.resetCounts();
  await expect.poll(() => redis.proxy.counts.connections, PATIENCE).toBe(1);
  await expect.poll(() => cache.get("k"), PATIENCE).toBe("value");
  await expect.poll(() => cache.stats().tiers[0]!.state, PATIENCE).toBe("up");
  expect(seen.at(-1)).toEqual(["backend:state", { cache: "shop", namespace: [], tier: "redis", state: "up" }]);
});

describe("A93 the breaker", () => {
  it.for<readonly [who: string, rights: string, mode: "tracking" | "pubsub", states: readonly string[]]>([
    ["without a right to receive changes", READ_RIGHTS, "tracking", ["detached"]],
    ["with the right to subscribe", `${READ_RIGHTS} +subscribe &hotset~changes`, "pubsub", ["up"]],
    ["with the right to track", `${READ_RIGHTS} +client|tracking`, "tracking", ["up"]],
  ])(
    "stays closed when single commands are refused for missing rights, for a user %s",
    async ([, rights, mode, states]) => {
      await using users = await startAclRedis({ users: [`user reader on >readerpass ~hotset:* ${rights}`] });
      await over(impatient(users.urlOf("admin", "adminpass")).responseTimeout("5s").build()).set("k", "value");
      const backend = impatient(users.urlOf("reader", "readerpass")).responseTimeout("5s").coherence(mode).build();
      const cache = over(backend);
      const seen = watch(cache, "backend:state");
      const errors = watch(cache, "backend:error");
      for (let i = 0; i < 10; i += 1) expect(await cache.set(`k${i}`, i)).toEqual({ status: "pending" });
      expect(await cache.get("k")).toBe("value");
      expect(seen.map(([, { state }]) => state)).toEqual(states);
      expect([backend.coherenceMode, cache.stats().tiers[0]!.state]).toEqual([mode, states[0]]);
      const refusals = errors.filter(([, { operation }]) => operation !== "attach");
      // Ten a second are reported, and all are counted.
      expect(refusals.length).toBeGreaterThanOrEqual(9);
      expect(cache.stats().tiers[0]!.errors).toBeGreaterThanOrEqual(10);
      for (const [, { error }] of refusals)
        expect(error).toMatchObject({
          code: "BACKEND_UNAVAILABLE",
          cause: { message: expect.stringMatching(/^NOPERM /) },
        });
      // The error about missing notifications is reported once, and names the right to grant.
      expect(
        errors
          .filter(([, { operation }]) => operation === "attach")
          .map(([, { error }]) => [error.code, /\+client\|tracking/.test(error.message)]),
      ).toEqual(states[0] === "detached" ? [["INVALID_CONFIGURATION", true]] : []);
    },
  );

  it('opens for replies that mean "not now", and closes when they end', async () => {
    await using lonely = await startOwnRedis({ config: ["replica-serve-stale-data no"] });
    // Heartbeats, which would be refused too, are 5 s apart.
    const cache = over(impatient(lonely.url).maxStaleness("20s").build());
    await cache.connect();
    await cache.set("k", "value");
    const seen = watch(cache, "backend:state");
    await lonely.command("REPLICAOF", "127.0.0.1", 1);
    for (let i = 0; i < 5; i += 1) expect(await cache.get("k")).toBe(undefined);
    expect(seen.map(([, { state }]) => state)).toEqual(["down"]);
    await lonely.command("REPLICAOF", "NO", "ONE");
    await answersAgain(cache);
    expect(await cache.get("k")).toBe("value");
  });
});

it("A94 memory full: leaves writes pending, reads and invalidations go on, and the breaker stays closed", async () => {
  await using full = await startOwnRedis();
  const cache = over(impatient(full.url).build());
  const other = over(impatient(full.url).build());
  await Promise.all([cache.connect(), other.connect()]);
  await cache.set("kept", "value");
  await cache.set("deleted", "value");
  await cache.set("tagged", "value", { tags: ["t"] });
  await cache.set("replaced", "older");
  // Every write that needs memory is refused, also if the server frees some meanwhile.
  await full.command("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", 1);

  const seen = watch(cache, "backend:state", "backend:error");
  for (let i = 0; i < 6; i += 1)
    expect(await cache.set("replaced", `newer ${i} ${"x".repeat(10_000)}`)).toEqual({ status: "pending" });
  const errors = seen.flatMap(([name, event]) => (name === "backend:error" ? [event] : []));
  expect(errors.length).toBeGreaterThanOrEqual(6);
  expect(errors[0]).toMatchObject({
    tier: "redis",
    operation: "write",
    error: { code: "BACKEND_UNAVAILABLE", cause: { message: expect.stringMatching(/^OOM /) } },
  });
  expect(cache.stats().tiers[0]).toMatchObject({ label: "redis", state: "up", errors: errors.length });
  expect(cache.stats().pending).toBe(1);

  expect([await cache.get("kept"), await other.get("kept")]).toEqual(["value", "value"]);
  expect(await other.get("replaced")).toBe(undefined);
  expect(await cache.delete("deleted")).toMatchObject({ status: "deleted" });
  expect(await cache.invalidateTags("t")).toMatchObject({ status: "done" });
  expect([await other.get("deleted"), await other.get("tagged")]).toEqual([undefined, undefined]);
  expect(await cache.getOrSet("loaded", () => "x".repeat(10_000))).toHaveLength(10_000);
  expect(seen.filter(([name]) => name === "backend:state")).toEqual([]);

  await full.command("CONFIG", "SET", "maxmemory", 0);
  expect(await cache.set("replaced", "newest")).toMatchObject({ status: "stored" });
  expect(await other.get("replaced")).toBe("newest");
});

describe("A95 the primary becomes a replica", () => {
  it("while the cache is in use: its removal is sent again, no write is, and all works after the promotion", async () => {
    await using primary = await startOwnRedis();
    await using own = await startOwnRedis();
    await using path = await startProxy(own.port);
    // The entry that the failover brings back.
    await plant(primary, "hotset:shop::k", { data: '"old"', meta: '["json"]' });
    // Heartbeats, which would notice the replica first, are 15 s apart.
    await primary.command("CONFIG", "SET", "repl-diskless-sync-delay", 0);
    const cache = over(impatient(path.url).maxStaleness("1m").build(), WITH_MEMORY);
    const other = over(impatient(own.url).build());
    await cache.connect();
    await cache.set("k", "old");
    await own.command("REPLICAOF", "NO", "ONE");
    await own.command("CONFIG", "SET", "replica-serve-stale-data", "yes");
    await own.command("REPLICAOF", "127.0.0.1", primary.port);
    await expect.poll(async () => (await own.info("replication"))["master_link_status"], PATIENCE).toBe("up");
    // The replica dropped what it had, and says so: later, that would end the copy of the next value.
    await expect.poll(() => cache.peek("k"), PATIENCE).toBe(undefined);
    path.resetCounts();
    expect(await cache.set("k", "sent once")).toEqual({ status: "pending" });
    await expect.poll(() => path.counts.connections, PATIENCE).toBeGreaterThan(0);
    // Its own value, or nothing once the connection was lost: the replica answers, but may lack changes of others.
    expect(["sent once", undefined]).toContain(await cache.get("k"));
    expect(await own.command("EXISTS", "hotset:shop::k")).toBe(1);
    await own.command("REPLICAOF", "NO", "ONE");
    await replayed(cache);
    expect(await own.command("EXISTS", "hotset:shop::k")).toBe(0);
    expect(path.commands().filter((command) => command.some((text) => text.includes("sent once")))).toHaveLength(1);
    // The connection may be made anew once more: a changed replication history counts as another server.
    await expect.poll(() => cache.set("k", "new"), PATIENCE).toMatchObject({ status: "stored" });
    expect(await other.get("k")).toBe("new");
  });
});

describe("errors", () => {
  const failures: readonly (readonly [
    what: string,
    begin: (cache: Cache) => Promise<unknown>,
    cause: RegExp,
    maybeExecuted: boolean,
  ])[] = [
    ["a cut connection", async () => redis.proxy.limit(0, "toClient"), /ECONNRESET|Socket closed unexpectedly/, true],
    [
      "no connection",
      (cache) => goDown().then(() => cache.get("noticed by this")),
      /ECONNREFUSED|ECONNRESET|Socket closed unexpectedly/,
      false,
    ],
    ["silence", async () => redis.proxy.swallow(), /^$/, true],
  ];

  it.for(failures)(
    "R1-12: %s is a typed error, with the client's own as the cause",
    async ([, begin, cause, maybeExecuted]) => {
      const cache = open();
      await cache.connect();
      await cache.set("k", "value");
      await begin(cache);
      const errors = watch(cache, "backend:error");
      expect(await cache.get("k")).toBe(undefined);
      const { error } = errors[0]![1];
      expect(error).toBeInstanceOf(BackendUnavailableError);
      expect(error).toMatchObject({
        name: "BackendUnavailableError",
        code: "BACKEND_UNAVAILABLE",
        tier: "redis",
        operation: "read",
        retryable: true,
        maybeExecuted,
      });
      expect(deepest(error)).toMatch(cause);
    },
  );

  it("A4 R1-12: no error, event, span or number, nor the cache itself, shows a password", async () => {
    await using users = await startAclRedis();
    await using path = await startProxy(users.port);
    const spans: unknown[] = [];
    const span = (context: unknown): void => void spans.push(context);
    const channels = ["start", "end", "asyncStart", "asyncEnd", "error"].map(
      (stage) => `tracing:hotset:backend:${stage}`,
    );
    for (const channel of channels) diagnostics.subscribe(channel, span);
    const shown: unknown[] = [];
    for (const password of ["apppass", "hunter2"]) {
      const backend = impatient(`redis://app:${password}@127.0.0.1:${path.port}`).build();
      const cache = over(backend);
      for (const name of ["backend:error", "backend:state", "load", "miss", "store"] as const)
        cache.on(name, (event) => shown.push(event));
      await cache.getOrSet("k", () => "value");
      path.cut();
      await cache.getOrSet("j", () => "value");
      shown.push(cache, backend, cache.stats(), await cache.connect().catch((error: unknown) => error));
    }
    for (const channel of channels) diagnostics.unsubscribe(channel, span);
    expect(shown.length).toBeGreaterThan(10);
    expect(spans.length).toBeGreaterThan(10);
    const text = [...shown, ...spans]
      .map((thing) => `${inspect(thing, { depth: 20, showHidden: true })} ${String(thing)} ${JSON.stringify(thing)}`)
      .join("\n");
    expect(text).toContain("WRONGPASS");
    expect(text).not.toMatch(/apppass|hunter2/);
  });
});

/** The message of the last cause; empty where there is none. */
function deepest(error: unknown): string {
  let last = "";
  for (let cause = (error as Error).cause; cause instanceof Error; cause = cause.cause) last = cause.message;
  return last;
}
