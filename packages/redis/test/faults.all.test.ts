import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";
import { setTimeout } from "node:timers/promises";
import { BackendUnavailableError, json } from "@hotset/core";
import { redis, type RedisBackend } from "@hotset/redis";
import { RespClient, startOwnRedis, startProxy, type FaultProxy } from "@hotset/test-servers";
import { outcome } from "@hotset/testing";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { stored } from "./stored.ts";

const DEADLINE_MS = 1_000;
const open = (url: string): RedisBackend =>
  redis(url).valueFormat(json()).responseTimeout(DEADLINE_MS).backoff({ base: 10, max: 100 }).build();

let proxy: FaultProxy;
let backend: RedisBackend;

const server = await startOwnRedis({ config: ["lua-time-limit 50"] });
afterAll(() => server.stop());

beforeEach(async () => {
  proxy = await startProxy(server.port);
  backend = open(proxy.url);
  await backend.connect!();
  proxy.resetCounts();
});
afterEach(async () => {
  await backend.close();
  await proxy.close();
  await server.command("FLUSHALL");
});

interface Settled {
  readonly value?: unknown;
  readonly error?: { readonly code: string; readonly retryable: boolean; readonly maybeExecuted: boolean };
  readonly ms: number;
}

/** The outcome of a call, and when it came. */
async function settled(call: Promise<unknown>): Promise<Settled> {
  const startedAt = performance.now();
  const result: Pick<Settled, "value" | "error"> = await call.then(
    (value) => ({ value }),
    (error) => ({ error }),
  );
  return { ...result, ms: performance.now() - startedAt };
}

const unavailable = { code: "BACKEND_UNAVAILABLE", retryable: true };

/** It answers again. */
const recovered = (tried = backend) =>
  expect.poll(() => tried.read("shop::none").then(() => "answered"), { interval: 10 }).toBe("answered");

describe("a server that dies", () => {
  it("A9: lets a thousand reads in flight settle within the deadline, and reads succeed after the restart", async () => {
    await using own = await startOwnRedis();
    const killed = open(own.url);
    await killed.connect!();
    const unhandled: unknown[] = [];
    const listener = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", listener);
    const calls = Array.from({ length: 1_000 }, (_, i) => settled(killed.read(`shop::${i}`)));
    own.pause();
    const later = Array.from({ length: 1_000 }, (_, i) => settled(killed.read(`shop::${i}`)));
    const dead = own.kill();
    await Promise.all([...calls, ...later]);
    await dead;

    expect(await settled(killed.read("shop::1"))).toMatchObject({ error: { ...unavailable, maybeExecuted: false } });
    await own.start();
    await recovered(killed);
    // A restarted server has forgotten the scripts; they are loaded before anything else is sent.
    await killed.write("shop::1", stored());
    expect((await killed.read("shop::1"))?.data).toEqual(Buffer.from("value"));
    await killed.close();
    process.off("unhandledRejection", listener);
    expect(unhandled).toEqual([]);
  });

  it("A8: makes connect() reject while it is down; once it is up, calls succeed by themselves", async () => {
    await proxy.refuse();
    proxy.cut();
    const other = open(proxy.url);
    await expect(other.connect!()).rejects.toMatchObject(unavailable);
    expect(await settled(other.read("shop::1"))).toMatchObject({ error: { maybeExecuted: false } });
    await proxy.pass();
    await expect.poll(() => other.read("shop::1").then(() => "answered")).toBe("answered");
    await other.close();
  });

  it("A15: makes calls fail at once while it is unreachable, and they are not executed later", async () => {
    await proxy.refuse();
    proxy.cut();
    await expect
      .poll(() => backend.read("shop::1").catch((error: unknown) => error))
      .toMatchObject({ maybeExecuted: false });
    expect(await outcome(backend.write("shop::late", stored()))).toMatchObject({
      status: "rejected",
      reason: { ...unavailable, maybeExecuted: false },
    });
    await proxy.pass();
    await recovered();
    expect(await server.command("EXISTS", "hotset:shop::late")).toBe(0);
    expect(proxy.counts.commandsByName["EVALSHA"]).toBe(undefined);
  });

  it("A13 A14: leaves a write that was cut off after sending as maybe executed, and it is not sent again", async () => {
    const hold = proxy.hold("EVALSHA", "reply");
    const write = settled(backend.write("shop::1", stored()));
    await hold.reached;
    hold.cut();
    const { error } = await write;
    expect(error).toMatchObject({ ...unavailable, maybeExecuted: true, tier: "redis", operation: "write" });
    expect(await server.command("EXISTS", "hotset:shop::1")).toBe(1);
    await recovered();
    expect(proxy.counts.commandsByName["EVALSHA"]).toBe(1);
  });

  it("A14: causes no read to be sent again: the cache has the loader as an alternative", async () => {
    const hold = proxy.hold("HMGET", "reply");
    const read = settled(backend.read("shop::1"));
    await hold.reached;
    hold.cut();
    expect((await read).error).toMatchObject(unavailable);
    await backend.close();
    expect(proxy.counts.commandsByName["HMGET"]).toBe(1);
  });
});

describe("a server that is silent", () => {
  it("A10: makes every call end at its deadline, and later replies still belong to their commands", async () => {
    await using own = await startOwnRedis();
    const frozen = open(own.url);
    await frozen.connect!();
    const keys = Array.from({ length: 100 }, (_, i) => `shop::${i}`);
    await Promise.all(keys.map((key) => frozen.write(key, stored(key))));
    own.pause();
    const calls = await Promise.all(keys.map((key) => settled(frozen.read(key))));
    for (const { error, ms } of calls) {
      expect(error).toMatchObject({ ...unavailable, maybeExecuted: true });
      expect(ms).toBeGreaterThan(DEADLINE_MS * 0.9);
    }
    own.resume();
    for (let round = 0; round < 20; round++) {
      const entries = await Promise.all(keys.map((key) => frozen.read(key).catch(() => "refused" as const)));
      for (const [i, entry] of entries.entries()) if (entry !== "refused") expect(entry?.data.toString()).toBe(keys[i]);
    }
    await expect.poll(() => frozen.read("shop::7").then((entry) => entry?.data.toString())).toBe("shop::7");
    await frozen.close();
  });

  it("A11: is the same under CLIENT PAUSE, and nothing is executed twice", async () => {
    await server.command("CLIENT", "PAUSE", 5_000, "ALL");
    const calls = await Promise.all([settled(backend.read("shop::1")), settled(backend.write("shop::1", stored()))]);
    for (const { error } of calls) expect(error).toMatchObject({ ...unavailable, maybeExecuted: true });
    await recovered();
    expect(proxy.counts.commandsByName["EVALSHA"]).toBe(1);
  });

  it("A12: has its half-open connection noticed and replaced while it is used", async () => {
    proxy.swallow();
    expect((await settled(backend.read("shop::1"))).error).toMatchObject(unavailable);
    await proxy.pass();
    // The old connection stays silent: only a new one answers.
    await recovered();
    expect(proxy.counts.connections).toBe(1);
  });

  it("the error of a call that is cut off by our own reset says why the connection was given up", async () => {
    proxy.swallow();
    expect((await settled(backend.read("shop::1"))).error).toMatchObject(unavailable);
    // The connection is given up a deadline from now. A call of this instant would be overdue in the same turn.
    await setTimeout(DEADLINE_MS / 4);
    const second = await settled(backend.read("shop::2"));
    expect(second.error).toMatchObject({ ...unavailable, maybeExecuted: true });
    const reason =
      /^redis: read failed: the connection to Redis at 127\.0\.0\.1:\d+ was lost: no answer for [2-9]\d{3} ms; it may have been executed$/;
    expect((second.error as unknown as Error).message).toMatch(reason);
    await proxy.pass();
    // An attempt to connect that began meanwhile would stay silent for connectTimeout.
    proxy.cut();
    await recovered();
  });

  it("so does that of a call that is cut off since a write has shown that the server is a replica", async () => {
    const other = await startOwnRedis();
    await server.command("REPLICAOF", "127.0.0.1", String(other.port));
    const hold = proxy.hold("HMGET", "reply");
    const write = settled(backend.write("shop::1", stored()));
    const read = settled(backend.read("shop::1"));
    await write;
    const { error } = await read;
    await server.command("REPLICAOF", "NO", "ONE");
    hold.release();
    await other.stop();
    expect(error).toMatchObject({ ...unavailable, maybeExecuted: true });
    expect((error as unknown as Error).message).toMatch(
      /^redis: read failed: the connection to Redis at 127\.0\.0\.1:\d+ was lost: READONLY /,
    );
  });

  it("each new connection in place of a lost one is reported to the breaker", async () => {
    const parts: string[] = [];
    const end = backend.breaker!.onReconnect!((part) => parts.push(part));
    for (const count of [1, 2]) {
      proxy.cut();
      // A connection that is not in use waits for a call.
      await expect
        .poll(() =>
          backend
            .read("shop::none")
            .catch(() => undefined)
            .then(() => parts),
        )
        .toHaveLength(count);
    }
    end();
    proxy.cut();
    await recovered();
    expect(parts).toEqual(["", ""]);
  });

  it("has the connection that is given up reset: unsent bytes are not delivered later", async () => {
    // Passes everything on until `isSilent`, and records how its client ends the connection.
    const ends: string[] = [];
    let isSilent = false;
    const listener = createServer((client) => {
      const upstream = connect(server.port, "127.0.0.1");
      client.on("data", (chunk) => isSilent || upstream.write(chunk));
      upstream.on("data", (chunk) => isSilent || client.write(chunk));
      client.on("end", () => ends.push("FIN"));
      client.on("error", (error: NodeJS.ErrnoException) => ends.push(error.code!));
      client.on("close", () => upstream.destroy());
      upstream.on("error", () => client.destroy());
    });
    await once(listener.listen(0, "127.0.0.1"), "listening");
    const other = open(`redis://127.0.0.1:${(listener.address() as AddressInfo).port}`);
    await other.connect!();
    isSilent = true;
    expect((await settled(other.write("shop::1", stored()))).error).toMatchObject({ maybeExecuted: true });
    await expect.poll(() => ends).toContain("ECONNRESET");
    expect(ends).not.toContain("FIN");
    await other.close();
    listener.close();
  });
});

describe('a server that answers "not now"', () => {
  it("A93: with BUSY is retryable, did not execute, and keeps its connection", async () => {
    const other = RespClient.fromUrl(server.url);
    const busy = other.command("EVAL", "while true do end", 0).catch((error: unknown) => error);
    await expect
      .poll(() => settled(backend.read("shop::1")))
      .toMatchObject({
        error: { ...unavailable, maybeExecuted: false, cause: { message: expect.stringMatching(/^BUSY /) } },
      });
    await server.command("SCRIPT", "KILL");
    await busy;
    other.close();
    await recovered();
    expect(proxy.counts.connections).toBe(0);
  });

  it("A93: with LOADING is retryable, did not execute, and answers by itself later", async () => {
    await using own = await startOwnRedis({
      config: ["rdbcompression no", "key-load-delay 40000", "loading-process-events-interval-bytes 1024"],
    });
    await own.command("DEBUG", "POPULATE", 100, "k", 1_000);
    await own.command("SAVE");
    await own.kill();
    await own.start("listening");
    const loading = open(own.url);
    await expect
      .poll(() => settled(loading.read("shop::1")), { interval: 5 })
      .toMatchObject({ error: { ...unavailable, maybeExecuted: false } });
    await expect.poll(() => loading.read("shop::1").then(() => "answered")).toBe("answered");
    // The scripts could not be loaded while the server loaded its data.
    await loading.write("shop::1", stored());
    expect(await loading.remove("shop::1")).toBe("deleted");
    await loading.close();
  });

  it("A95: with READONLY, since it became a replica, is left, and found again once it accepts writes", async () => {
    await using primary = await startOwnRedis();
    await using own = await startOwnRedis();
    await using path = await startProxy(own.port);
    const demoted = open(path.url);
    await demoted.connect!();
    await demoted.write("shop::1", stored());
    await own.command("REPLICAOF", "127.0.0.1", primary.port);
    const { error } = await settled(demoted.write("shop::2", stored()));
    expect(error).toMatchObject({ message: expect.stringMatching(/^READONLY /) });
    expect(error).not.toBeInstanceOf(BackendUnavailableError);
    await expect.poll(() => path.counts.connections).toBeGreaterThan(1);
    await own.command("REPLICAOF", "NO", "ONE");
    await expect.poll(() => demoted.write("shop::2", stored()).then(() => "written")).toBe("written");
    await demoted.close();
  });

  it("A93: with MASTERDOWN, a replica that lost its primary, is retryable", async () => {
    await using own = await startOwnRedis({ config: ["replica-serve-stale-data no"] });
    const lonely = open(own.url);
    await lonely.connect!();
    await own.command("REPLICAOF", "127.0.0.1", 1);
    expect(await settled(lonely.read("shop::1"))).toMatchObject({
      error: { ...unavailable, maybeExecuted: false, cause: { message: expect.stringMatching(/^MASTERDOWN /) } },
    });
    await own.command("REPLICAOF", "NO", "ONE");
    await expect.poll(() => lonely.read("shop::1").then(() => "answered")).toBe("answered");
    await lonely.close();
  });
});

describe("scripts that the server has forgotten", () => {
  it("are sent as text, and calls of one tick keep their order", async () => {
    await backend.write("shop::1", stored());
    await server.command("SCRIPT", "FLUSH");
    const [, marked, , read] = await Promise.all([
      backend.write("shop::1", stored()),
      backend.markStale!("shop::1"),
      backend.write("shop::2", stored("two")),
      backend.read("shop::1"),
    ]);
    expect(marked).toBe("stale");
    expect(read?.data).toEqual(Buffer.from("value"));
    expect((await backend.read("shop::1"))?.staleInMs).toBeLessThanOrEqual(0);
    expect(proxy.counts.commandsByName).toMatchObject({ EVALSHA: 4, EVAL: 3 });

    // The server knows the script since its text was sent.
    await backend.markStale!("shop::2");
    expect(proxy.counts.commandsByName).toMatchObject({ EVALSHA: 5, EVAL: 3 });
  });
});

describe("close", () => {
  it("A18: waits for calls in flight, and refuses later ones", async () => {
    proxy.delay(50);
    const write = backend.write("shop::1", stored());
    const closing = backend.close();
    expect((await settled(backend.read("shop::1"))).error).toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      retryable: false,
      maybeExecuted: false,
    });
    await closing;
    await write;
    expect(await server.command("EXISTS", "hotset:shop::1")).toBe(1);
    await expect.poll(() => proxy.openConnections).toBe(0);
    await backend.close();
  });

  it("A18: gives up calls that are not answered within the deadline", async () => {
    proxy.swallow();
    const write = settled(backend.write("shop::1", stored()));
    await backend.close();
    expect((await write).error).toMatchObject({ maybeExecuted: true });
  });
});

describe("random faults", () => {
  it("C101: leave no unhandled rejection, no hanging call, and a working backend, a thousand of them", async () => {
    const unhandled: unknown[] = [];
    const listener = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", listener);
    let random = 42;
    const next = (below: number): number => (random = (random * 1_103_515_245 + 12_345) % 2 ** 31) % below;
    const calls: Promise<Settled>[] = [];
    const faults: (() => unknown)[] = [
      () => proxy.cut(),
      () => proxy.limit(1 + next(200), "toServer"),
      () => proxy.limit(1 + next(200), "toClient"),
      () => proxy.refuse(next(2) === 0 ? "closed" : "reset"),
      () => proxy.delay(next(5)),
      () => server.command("SCRIPT", "FLUSH"),
      () => server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
      () => proxy.pass(),
      () => proxy.pass(),
    ];
    for (let i = 0; i < 1_000; i++) {
      await Promise.resolve(faults[next(faults.length)]!());
      const key = `shop::${next(10)}`;
      for (const call of [
        backend.read(key),
        backend.write(key, stored("x".repeat(next(1_000)))),
        backend.remove(key),
        backend.markStale!(key),
      ])
        calls.push(settled(call));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(calls);
    await proxy.pass();
    await recovered();
    process.off("unhandledRejection", listener);
    expect(unhandled).toEqual([]);
    expect(
      await server.command(
        "EVAL",
        "local n = 0 for _, k in ipairs(redis.call('KEYS', '*')) do if redis.call('PTTL', k) == -1 then n = n + 1 end end return n",
        0,
      ),
    ).toBe(0);
  });
});
