import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate } from "node:timers/promises";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { health } from "@hotset/redis-toolkit/health";
import { freePort, randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { beforeAll, describe, expect, it } from "vitest";
import { ALONE, EVERYWHERE, startServers } from "./servers.ts";

const servers = startServers();

describe.each(EVERYWHERE)("health over %s", (where) => {
  let redis: Redis;
  beforeAll(async () => {
    redis = await servers.open(where);
  });

  it("A87 A88: it is ready, and its figures are those of all primaries", async () => {
    const known = where === "a cluster" ? 3 : 1;
    const patient = health(redis, { deadline: "10s" });
    expect(await patient.readiness()).toMatchObject({ status: "ready", primaries: { ready: known, known } });
    const before = await patient.stats();
    const p = randomPrefix();
    for (let i = 0; i < 30; i += 1) await redis.commands.set(`${p}${i}`, i, { ttl: "1h" });
    for (let i = 0; i < 60; i += 1) await redis.commands.get(`${p}${i}`);
    const after = await patient.stats();
    const grew = (name: "keyspaceHits" | "keyspaceMisses" | "keys"): number => after[name]! - before[name]!;
    expect([grew("keyspaceHits"), grew("keyspaceMisses"), grew("keys")]).toEqual([30, 30, 30]);
    expect(after.servers.size).toBe(known);
    expect(after.hitRatio).toBeCloseTo(after.keyspaceHits! / (after.keyspaceHits! + after.keyspaceMisses!));
    expect(after.usedMemory).toBeGreaterThan(500_000);
  });

  it("A91: the largest keys, the bytes of one, and what has no end; an end is never taken from another", async () => {
    const view = redis.tenant(randomPrefix());
    const watched = health(view);
    for (let i = 0; i < 40; i += 1) await view.commands.set(`small:${i}`, "v", i % 2 === 0 ? { ttl: "1h" } : {});
    await view.commands.set("large", "x".repeat(100_000));
    await view.commands.rPush(
      "list",
      Array.from({ length: 500 }, () => "y".repeat(50)),
    );
    const [largest, next] = await watched.bigKeys({ top: 2 });
    expect([largest, next]).toMatchObject([
      { key: "large", type: "string" },
      { key: "list", type: "list" },
    ]);
    expect(largest!.bytes).toBe(await watched.memoryUsage("large"));
    expect(largest!.bytes).toBeGreaterThan(100_000);
    expect(await watched.memoryUsage("none")).toBe(undefined);
    expect(await watched.bigKeys({ match: "small:*", sample: 5 })).toHaveLength(5);

    const audit = await watched.ttlAudit({ match: "small:*" });
    expect(audit).toMatchObject({ scanned: 40, immortal: 20, fixed: 0 });
    expect(audit.examples).toHaveLength(20);
    expect(await watched.ttlAudit({ type: "string", fix: "1m" })).toMatchObject({ immortal: 21, fixed: 21 });
    expect(await view.commands.ttlMs("small:1")).toSatisfy((ms: number) => ms <= 60_000);
    expect(await view.commands.ttlMs("small:0")).toSatisfy((ms: number) => ms > 60_000);
    expect(await watched.ttlAudit()).toMatchObject({ scanned: 42, immortal: 1, examples: ["list"] });
    // Another name as text: the key is looked at by its bytes.
    await view.commands.set(Buffer.of(0x6b, 0xff), "z".repeat(200_000));
    expect(await watched.bigKeys({ top: 1 })).toMatchObject([{ key: "k\ufffd", type: "string" }]);
    expect(await watched.ttlAudit({ fix: "1m" })).toMatchObject({ scanned: 43, immortal: 2, fixed: 2 });
    expect(await view.commands.ttlMs(Buffer.of(0x6b, 0xff))).toBeLessThanOrEqual(60_000);
    await view.purge();
  });

  it("A91: every command of one server, for as long as asked, to who knows what it costs", async () => {
    const watched = health(redis);
    await expect(watched.monitor(() => undefined, {} as never)).rejects.toThrow("iKnowItHalvesThroughput: true");
    const key = randomPrefix();
    const lines: string[] = [];
    const ending = new AbortController();
    const watching = watched.monitor((line) => lines.push(line), {
      iKnowItHalvesThroughput: true,
      signal: ending.signal,
      key,
    });
    await expect
      .poll(async () => {
        await redis.commands.set(key, "v", { ttl: "1h" });
        return lines.some((line) => new RegExp(`"set" "${key}" "v"`, "i").test(line));
      })
      .toBe(true);
    ending.abort();
    await watching;
    const { length } = lines;
    await redis.commands.set(key, "v", { ttl: "1h" });
    expect(lines).toHaveLength(length);
    await watched.monitor(() => undefined, { iKnowItHalvesThroughput: true, duration: 20 });
  });

  it("A91: slow commands of all primaries, newest first, and round trips", async () => {
    const all =
      where === "a cluster"
        ? await (await servers.cluster()).masters()
        : where === "sentinels"
          ? [await (await servers.sentinel()).primary()]
          : [servers.single];
    for (const server of all) {
      await server.command("CONFIG", "SET", "slowlog-log-slower-than", 0);
      await server.command("SLOWLOG", "RESET");
    }
    for (const server of all) await server.command("ECHO", `to ${server.port}`);
    const slow = await health(redis).slowlog(1_000);
    for (const server of all) {
      await server.command("CONFIG", "SET", "slowlog-log-slower-than", 10_000);
      expect(slow).toContainEqual(
        expect.objectContaining({ args: ["ECHO", `to ${server.port}`], tookUs: expect.any(Number) as number }),
      );
    }
    const { roundTripMs, events } = await health(redis).latency(20);
    expect(events).toEqual([]);
    expect(Object.values(roundTripMs)).toSatisfy((times: number[]) => times.every((ms) => ms > 0 && ms < 10_000));
    expect(roundTripMs.min <= roundTripMs.p50 && roundTripMs.p50 <= roundTripMs.max).toBe(true);
    await expect(health(redis).latency(0)).rejects.toThrow("latency: samples must be a whole number from 1 to");
    await expect(health(redis).slowlog(0)).rejects.toThrow("slowlog: count");
  });
});

describe("A87: a probe", () => {
  it("answers within its bound while Redis hangs, and is one for all who ask at once", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url });
    expect(await health(redis, { deadline: "10s" }).readiness()).toMatchObject({ status: "ready" });
    const { readiness, liveness, stats } = health(redis, { deadline: "200ms" });
    own.pause();
    const [one, other] = await Promise.all([readiness(), readiness()]);
    expect(one).toBe(other);
    expect(one).toMatchObject({ status: "unready", checks: { ping: { isPassed: false } } });
    expect(liveness()).toMatchObject({ status: "alive" });
    own.resume();
    await expect.poll(async () => (await readiness()).status).toBe("ready");
    await own.kill();
    expect(await readiness()).toMatchObject({ status: "unready" });
    await expect(stats()).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
  });

  it("says so where Redis was never there, and is ready where it is disabled", async () => {
    await using redis = createRedis({ ...ALONE, port: await freePort() });
    expect(await health(redis).readiness()).toMatchObject({ status: "unready", primaries: { ready: 0 } });
    await using disabled = createRedis({ ...ALONE, enabled: false });
    const readiness = await health(disabled).readiness();
    expect(readiness).toMatchObject({ status: "ready", checks: { ping: { found: "Redis is disabled" } } });
    await expect(health(disabled).stats()).rejects.toMatchObject({ code: "REDIS_DISABLED" });
    expect(() => health(redis, { deadline: 0 })).toThrow("health: deadline must be from 1 to 2^52 ms");
  });

  it("of a cluster with a dead primary is degraded: keys of the others are served", async () => {
    const redis = await servers.open("a cluster");
    const patient = health(redis, { deadline: "10s" });
    expect(await patient.readiness()).toMatchObject({ status: "ready" });
    const nodes = await servers.cluster();
    const [dead] = await nodes.masters();
    await dead!.kill();
    const readiness = await patient.readiness();
    expect(readiness).toMatchObject({ status: "degraded", primaries: { ready: 2, known: 3 } });
    expect((await patient.stats()).servers.size).toBe(3);
    await dead!.start();
    await nodes.waitUntilOk();
  });

  it("answers HTTP: 200 or 503, liveness without asking Redis, and no address", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url });
    const server = createServer(health(redis, { deadline: "10s" }).handler).listen(0);
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const ready = await fetch(`${base}/health/ready?verbose`);
    expect([ready.status, ready.headers.get("cache-control")]).toEqual([200, "no-store"]);
    expect(await ready.json()).toMatchObject({ status: "ready" });
    await own.kill();
    const away = await fetch(`${base}/ready`);
    const text = await away.text();
    expect([away.status, text.includes(String(own.port))]).toEqual([503, false]);
    const live = await fetch(`${base}/live`);
    expect([live.status, await live.json()]).toMatchObject([200, { status: "alive" }]);
    expect((await fetch(`${base}/ready`, { method: "HEAD" })).status).toBe(503);
    server.close();
  });

  it("leaves a request alone that a middleware has answered meanwhile, as one that bounds requests does", async () => {
    await using redis = createRedis({ ...ALONE, url: servers.single.url });
    const { handler } = health(redis);
    const server = createServer((request, response) => {
      handler(request, response);
      response.writeHead(408).end("too late");
    }).listen(0);
    const unhandled: unknown[] = [];
    const note = (reason: unknown): unknown => unhandled.push(reason);
    process.on("unhandledRejection", note);
    const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/ready`);
    expect([answer.status, await answer.text()]).toEqual([408, "too late"]);
    await health(redis).readiness();
    await setImmediate();
    process.off("unhandledRejection", note);
    server.close();
    expect(unhandled).toEqual([]);
  });
});
