import diagnostics from "node:diagnostics_channel";
import { createRedis, defaultRedis, resetDefaultRedis, type CommandEvent } from "@hotset/redis-toolkit";
import { expectNoEviction, moduleOf } from "@hotset/redis-toolkit/module";
import { rateLimit } from "@hotset/redis-toolkit/rate-limit";
import { freePort, startOwnRedis, startTlsRedis } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import { describe, expect, it, vi } from "vitest";
import { ALONE, startServers, untilUp } from "./servers.ts";

const servers = startServers();

it("calls with patience wait for a Redis that restarts: none fails, and none is carried out twice", async () => {
  await using own = await startOwnRedis();
  await using redis = createRedis({ ...ALONE, url: own.url, patience: "60s" });
  await using other = createRedis({ ...ALONE, url: own.url });
  await Promise.all([redis, other].map(untilUp));
  await own.kill();
  // What is sent before the loss is noticed may have been executed, and fails.
  const isAway = (): Promise<boolean> => {
    const { commands } = redis.within({ patience: 0 });
    return commands.dbSize().then(
      () => false,
      () => true,
    );
  };
  await expect.poll(isAway).toBe(true);
  const calls = Array.from({ length: 200 }, () => redis.commands.incr("n"));
  const impatient = await redis
    .within({ patience: 0 })
    .commands.get("n")
    .catch((error: unknown) => error);
  expect(impatient).toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: false });
  await expect(other.commands.incr("n")).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
  await own.start();
  expect((await Promise.all(calls)).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
});

describe("a Redis that is set up by variables alone", () => {
  it("A5: with TLS, a certificate of its own, and a password", async () => {
    await using tls = await startTlsRedis({ clientCertificates: "required", password: "s3cret" });
    const env = {
      REDIS_HOST: "localhost",
      REDIS_PORT: String(new URL(tls.url).port),
      REDIS_PASSWORD: "s3cret",
      REDIS_TLS_ENABLED: "true",
      REDIS_TLS_CA_PATH: tls.files.ca,
      REDIS_TLS_CERT_PATH: tls.files.clientCert,
      REDIS_TLS_KEY_PATH: tls.files.clientKey,
    };
    await using redis = createRedis({ env, envFile: false });
    await expect.poll(() => redis.initialize()).toBe(true);
    expect(await redis.commands.ping()).toBe("PONG");
  });

  it("a cluster, and sentinels", async () => {
    const [{ urls }, { sentinels, name }] = await Promise.all([servers.cluster(), servers.sentinel()]);
    const ofCluster = { REDIS_CLUSTER_URLS: urls.join(",") };
    const ofSentinels = {
      REDIS_SENTINELS: sentinels.map(({ host, port }) => `${host}:${port}`).join(", "),
      REDIS_SENTINEL_NAME: name,
    };
    for (const env of [ofCluster, ofSentinels]) {
      await using redis = createRedis({ env, envFile: false });
      await redis.commands.set("k", "v", { ttl: "1m" });
      expect(await redis.commands.get("k")).toBe("v");
    }
  });

  it("a database, by a URL, by its parts and by both", async () => {
    const { hostname, port } = new URL(servers.single.url);
    await using other = createRedis({ env: { REDIS_URL: `${servers.single.url}/3` }, envFile: false });
    await other.commands.set("in database 3", "v");
    for (const env of [
      { REDIS_HOST: hostname, REDIS_PORT: port, REDIS_DB: "3" },
      { REDIS_URL: servers.single.url, REDIS_DATABASE: "3" },
    ]) {
      await using redis = createRedis({ env, envFile: false });
      expect(await redis.commands.get("in database 3")).toBe("v");
    }
  });

  it("R1-06: a user with nopass, by an empty password, and by a URL", async () => {
    await using own = await startOwnRedis();
    await own.command("ACL", "SETUSER", "open", "on", "nopass", "~*", "+@all");
    const { hostname, port } = new URL(own.url);
    for (const options of [
      { url: own.url, username: "open", password: "" },
      { host: hostname, port: Number(port), username: "open", password: "" },
      { url: own.url.replace("://", "://open:@") },
      { env: { REDIS_URL: own.url.replace("://", "://open:@") }, envFile: false },
    ]) {
      await using redis = createRedis({ ...ALONE, ...options });
      expect(await redis.commands.aclWhoAmI()).toBe("open");
    }
  });

  it("is one for the process by defaultRedis, which reads nothing before it is called", async () => {
    expect(defaultRedis()).toBe(defaultRedis());
    await defaultRedis().disconnect();
    expect(defaultRedis().state).toBe("idle");
    await resetDefaultRedis();
    await resetDefaultRedis();
  });
});

describe("away, disabled and closed", () => {
  it("disconnect while it is initialized reports no loss", async () => {
    await using own = await startOwnRedis();
    const lines: string[] = [];
    const log = (line: string): void => void lines.push(line);
    const redis = createRedis({ ...ALONE, url: own.url, logger: { error: log, warn: log, info: log } });
    redis.on("down", () => lines.push("down"));
    const starting = redis.initialize();
    await redis.disconnect();
    expect([await starting, lines, redis.state, redis.stats().losses]).toEqual([false, [], "closed", 0]);
  });

  it("A8: initialize says false while Redis is away, and it heals by itself", async () => {
    const port = await freePort();
    const clock = new TestClock();
    await using redis = createRedis({ ...ALONE, port, clock });
    expect(redis.state).toBe("idle");
    const seen: string[] = [];
    redis.on("down", () => seen.push("down"));
    redis.on("up", () => seen.push("up"));
    expect(await redis.initialize()).toBe(false);
    expect([redis.isEnabled, redis.isReady, redis.state]).toEqual([true, false, "down"]);
    expect(redis.lastError).toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      message: expect.stringMatching(/ECONNREFUSED/),
    });
    await expect(redis.commands.get("k")).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    await using _own = await startOwnRedis({ port });
    await expect.poll(() => (clock.advance("100ms"), redis.state)).toBe("up");
    expect(await redis.commands.get("k")).toBe(undefined);
    await expect.poll(() => (clock.advance("200ms"), seen)).toEqual(["down", "up"]);
    expect(redis.lastError).toBe(undefined);
  });

  it("unavailable is reported once, after the time that it was set to", async () => {
    await using own = await startOwnRedis();
    const clock = new TestClock();
    const lines: string[] = [];
    const logger = { error: (line: string) => lines.push(line), warn: () => undefined, info: () => undefined };
    await using redis = createRedis({
      ...ALONE,
      url: own.url,
      clock,
      logger,
      unavailableAfter: "5s",
      checkInterval: "2s",
    });
    expect(await redis.initialize()).toBe(true);
    const away: number[] = [];
    redis.on("unavailable", ({ awayMs }) => away.push(awayMs));
    await own.kill();
    await expect.poll(() => redis.isReady).toBe(false);
    for (let i = 0; i < 8; i += 1) {
      clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(away).toEqual([6_000]);
    expect(lines).toEqual(["hotset: redis has been away for 6000 ms"]);
    expect(() => redis.on("gone" as never, () => undefined)).toThrow("the events are up, down, unavailable");
    expect(() => redis.on("up", undefined as never)).toThrow("the listener must be a function");
  });

  it("a logger that throws, or whose promise rejects, changes nothing", async () => {
    const fails: readonly ((line: string) => unknown)[] = [
      () => Promise.reject(new Error("of the logger")),
      () => {
        throw new Error("of the logger");
      },
    ];
    for (const fail of fails) {
      const lines: string[] = [];
      const log = (line: string): unknown => (lines.push(line), fail(line));
      const logger = { error: log, warn: log, info: log };
      await using redis = createRedis({ ...ALONE, url: "redis://127.0.0.1:1", logger });
      expect(await redis.initialize()).toBe(false);
      expect(await redis.lenient.get("a")).toBe(undefined);
      await expect(rateLimit(redis, { name: "x" }).consume("a")).resolves.toMatchObject({ degraded: true });
      expect(lines).toEqual([
        expect.stringContaining("redis is down"),
        expect.stringContaining("get failed and was answered with its default"),
        expect.stringContaining("rate limit"),
      ]);
    }
  });

  it("a listener that throws, or whose promise rejects, changes nothing", async () => {
    await using redis = createRedis({ ...ALONE, url: servers.single.url });
    const seen: unknown[] = [];
    const unhandled = (error: unknown): unknown => seen.push(error);
    process.on("unhandledRejection", unhandled);
    redis.on("up", () => {
      throw new Error("of a listener");
    });
    redis.on("up", () => Promise.reject(new Error("of a listener")));
    redis.on("up", () => seen.push("up"));
    expect(await redis.initialize()).toBe(true);
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", unhandled);
    expect([seen, redis.state]).toEqual([["up"], "up"]);
  });

  it("every command is on a diagnostics channel, with its error code, without keys and values", async () => {
    await using redis = createRedis({ ...ALONE, url: servers.single.url, clientName: "traced" });
    const seen: CommandEvent[] = [];
    const note = (event: unknown): void => {
      if ((event as CommandEvent).client === "traced") seen.push(event as CommandEvent);
    };
    diagnostics.subscribe("hotset:redis", note);
    const view = redis.tenant("secret tenant");
    await view.commands.set("secret key", "secret value", { ttl: "1m" });
    await view.commands.lPush("secret key", "x").catch(() => undefined);
    await view.commands.incr("secret count", { ttl: "1m" });
    await view.pipeline((commands) => [commands.get("secret key")]);
    await view.transaction({}, ({ queue }) => [queue.get("secret key"), queue.ttlMs("secret key")]);
    diagnostics.unsubscribe("hotset:redis", note);
    await view.commands.ping().catch(() => undefined);
    const all = ["SET", "LPUSH", "EVALSHA", "GET", "EXEC"].map((operation) => ({
      operation,
      client: "traced",
      durationMs: expect.any(Number) as number,
      code: operation === "LPUSH" ? "WRONG_TYPE" : undefined,
    }));
    expect(seen).toEqual(all);
    for (const { durationMs } of seen) expect(durationMs).toSatisfy((ms: number) => ms > 0 && ms < 5_000);
  });

  it("commands begun together have one beginning, and those whose replies are read together one end", async () => {
    await using redis = createRedis({ ...ALONE, url: servers.single.url, clientName: "timed" });
    await redis.initialize();
    const seen: (readonly [operation: string, durationMs: number])[] = [];
    const note = (event: unknown): void => {
      const { client, operation, durationMs } = event as CommandEvent;
      if (client === "timed") seen.push([operation, durationMs]);
    };
    let now = Math.ceil(performance.now());
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
    diagnostics.subscribe("hotset:redis", note);
    const first = redis.commands.get("k");
    now += 5;
    const second = redis.commands.ttlMs("k");
    now += 15;
    await Promise.all([first, second]);
    await new Promise((resolve) => setImmediate(resolve));
    now += 100;
    await redis.commands.exists("k");
    diagnostics.unsubscribe("hotset:redis", note);
    clock.mockRestore();
    expect(seen).toEqual([
      ["GET", 20],
      ["PTTL", 20],
      ["EXISTS", 0],
    ]);
  });

  it("its own numbers are there at once: what is in flight, the pool, and how often Redis was lost", async () => {
    await using own = await startOwnRedis();
    const clock = new TestClock();
    await using redis = createRedis({ ...ALONE, url: own.url, clock, readRetries: 0 });
    expect(await redis.initialize()).toBe(true);
    const calls = Promise.all(Array.from({ length: 5 }, () => redis.commands.get("k")));
    expect(redis.stats()).toMatchObject({ state: "up", inFlight: 5, pool: { size: 0, waiting: 0 }, losses: 0 });
    await calls;
    await redis.pool.use(async () => {
      expect(redis.stats().pool).toMatchObject({ size: 1, inUse: 1 });
    });
    await own.kill();
    await expect.poll(() => redis.isReady).toBe(false);
    clock.advance("2s");
    await expect.poll(() => redis.stats().losses).toBe(1);
    await own.start();
    // A look at the server may be in flight.
    await expect
      .poll(() => (clock.advance("100ms"), redis.stats()))
      .toMatchObject({ state: "up", inFlight: 0, losses: 1 });
  });

  it("disconnect stops what works in the background before the connection closes", async () => {
    const redis = await servers.open("one server");
    const { onDisconnect } = moduleOf(redis.tenant("t"));
    const seen: unknown[] = [];
    onDisconnect(async () => void seen.push(await redis.commands.ping()));
    await redis.disconnect();
    expect(seen).toEqual(["PONG"]);
  });

  it("a server that may evict the keys of a module is reported, or refused", async () => {
    await using own = await startOwnRedis({ config: ["maxmemory 100mb", "maxmemory-policy allkeys-lru"] });
    const lines: string[] = [];
    const logger = { error: () => 0, warn: (line: string) => lines.push(line), info: () => 0 };
    await using redis = createRedis({ ...ALONE, url: own.url, logger });
    await Promise.all([expectNoEviction(redis, "queue"), expectNoEviction(redis, "queue")]);
    const sentence = "queue: maxmemory-policy is allkeys-lru, so Redis may remove its keys when memory is short";
    expect(lines).toEqual([expect.stringContaining(`hotset: redis: eviction: ${sentence}`)]);
    const infos = async (): Promise<number> =>
      Number(/cmdstat_info:calls=(\d+)/.exec(String(await own.command("INFO", "commandstats")))![1]);
    const before = await infos();
    await expect(expectNoEviction(redis, "queue", { required: true })).rejects.toThrow(sentence);
    expect(await infos()).toBe(before + 1);
    await own.command("CONFIG", "SET", "maxmemory", "0");
    await using other = createRedis({ ...ALONE, url: own.url });
    await expectNoEviction(other, "queue", { required: true });
    await own.kill();
    await using away = createRedis({ ...ALONE, url: own.url, readRetries: 0 });
    await expectNoEviction(away, "queue");
    await expect(expectNoEviction(away, "queue", { required: true })).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
    });
  });

  it("disabled, nothing is connected and each call says so", async () => {
    await using redis = createRedis({ env: { ENABLE_REDIS: "no", REDIS_URL: servers.single.url }, envFile: false });
    expect([await redis.initialize(), redis.isEnabled, redis.isReady, redis.state]).toEqual([
      false,
      false,
      false,
      "disabled",
    ]);
    const disabled = { name: "CommandError", code: "REDIS_DISABLED" };
    await expect(redis.commands.get("k")).rejects.toMatchObject(disabled);
    await expect(redis.commands.zCard("k")).rejects.toMatchObject(disabled);
    await expect(redis.commands.scan().next()).rejects.toMatchObject(disabled);
    expect(await redis.lenient.get("k")).toBe(undefined);
    expect(redis.lenient.failures.get("get REDIS_DISABLED")).toBe(1);
  });

  it("A18: after disconnect calls are refused, and it may be called again", async () => {
    const redis = await servers.open("one server");
    await redis.commands.ping();
    const last = redis.commands.set("last", "v");
    await Promise.all([redis.disconnect(), redis.disconnect()]);
    expect(await last).toBe("set");
    expect([redis.state, redis.isReady, await redis.initialize()]).toEqual(["closed", false, false]);
    await expect(redis.commands.get("k")).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: false });
  });

  it("A13: a write that was in flight may have been carried out, one that was never sent was not", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url, commandTimeout: "1s" });
    await untilUp(redis);
    own.pause();
    await expect(redis.commands.incr("n")).rejects.toMatchObject({ maybeExecuted: true });
    own.resume();
    await own.kill();
    await expect.poll(() => redis.isReady).toBe(false);
    await expect(redis.commands.incr("n")).rejects.toMatchObject({ maybeExecuted: false });
  });

  it("refusals of the server are errors with a code, and reads go on", async () => {
    await using own = await startOwnRedis({ config: ["maxmemory-policy noeviction"] });
    await using redis = createRedis({ ...ALONE, url: own.url });
    const { commands } = redis;
    await commands.set("k", "v");
    await own.command("CONFIG", "SET", "maxmemory", "1");
    await expect(commands.set("k", "w")).rejects.toMatchObject({ code: "OUT_OF_MEMORY", retryable: true });
    expect(await commands.get("k")).toBe("v");
    expect(await commands.delete("k")).toBe(1);
    await own.command("CONFIG", "SET", "maxmemory", "0");
    await own.command("CONFIG", "SET", "min-replicas-to-write", "1");
    await expect(commands.set("k", "w")).rejects.toMatchObject({ code: "TOO_FEW_REPLICAS", retryable: true });
    await own.command("CONFIG", "SET", "min-replicas-to-write", "0");
    await own.command("REPLICAOF", "127.0.0.1", "1");
    await expect(commands.set("k", "w")).rejects.toMatchObject({ code: "READ_ONLY", retryable: true });
    await own.command("REPLICAOF", "NO", "ONE");
    await own.command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@read");
    await using reader = createRedis({ ...ALONE, url: own.url, username: "reader", password: "pw", clientName: "r" });
    expect(await reader.commands.get("k")).toBe(undefined);
    await expect(reader.commands.set("k", "w")).rejects.toMatchObject({ code: "NO_PERMISSION", retryable: false });
  });
});
