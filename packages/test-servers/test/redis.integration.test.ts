import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, inject, it, vi } from "vitest";
import { freePort, RespClient, startOwnRedis, startRedis, type OwnRedis } from "../src/index.ts";

describe("a Redis with a clock of its own", () => {
  it("jumps ahead and back; keys end by it, and timers do not; or names the package that is missing", async () => {
    const started = startOwnRedis({ hasOwnClock: true });
    const missing = await started.then(
      () => undefined,
      (error: Error) => error.message,
    );
    if (missing !== undefined) {
      expect(missing).toBe(
        "A server whose clock can be set needs libfaketime, which this machine has not: apt-get install libfaketime",
      );
      return;
    }
    await using redis = await started;
    await redis.command("SET", "hour", "x", "PX", 3_600_000);
    await redis.jumpClock(-3_600_000);
    expect(Number(await redis.command("PTTL", "hour")) / 3_600_000).toBeCloseTo(2, 2);
    await redis.jumpClock(7_200_000);
    expect(await redis.command("GET", "hour")).toBe(null);
    await redis.restart();
    const [seconds] = (await redis.command("TIME")) as readonly string[];
    expect(Number(seconds) - Date.now() / 1_000).toBeGreaterThan(3_595);
  });

  it("is asked for", async () => {
    await using redis = await startOwnRedis();
    await expect(redis.jumpClock(1_000)).rejects.toThrow("jumpClock() needs startOwnRedis({ hasOwnClock: true })");
  });
});

describe("the Redis of the run", () => {
  it("is there in every test file", async () => {
    const client = RespClient.fromUrl(inject("redisUrl"));
    expect(await client.command("PING")).toBe("PONG");
    client.close();
  });

  it("comes from REDIS_URL, is shared, and stays up after stop", async () => {
    const env = { REDIS_URL: inject("redisUrl") };
    const one = await startRedis(env);
    const other = await startRedis(env);
    expect([one.isOwn, one.url, await one.runId()]).toEqual([false, env.REDIS_URL, await other.runId()]);
    expect(one.keyPrefix).toMatch(/^t[0-9a-f]{10}$/);
    expect(one.keyPrefix).not.toBe(other.keyPrefix);
    await one.stop();
    expect(await other.command("PING")).toBe("PONG");
    await other.stop();
  });

  it("is reported, not replaced, if REDIS_URL does not answer", async () => {
    await expect(startRedis({ REDIS_URL: "redis://:secret@127.0.0.1:1" })).rejects.toThrow(
      "The Redis of REDIS_URL at 127.0.0.1:1 does not answer: Error: connect ECONNREFUSED 127.0.0.1:1",
    );
  });

  it("is an own process of the kind that HOTSET_TEST_SERVER names", async () => {
    await expect(startRedis({ HOTSET_TEST_SERVER: "redis6" })).rejects.toThrow(
      'HOTSET_TEST_SERVER must be one of redis7, redis8, valkey8, got "redis6"',
    );
  });
});

it("a port is given once until the process ends, also while its server is down", async () => {
  using _random = vi.spyOn(Math, "random").mockReturnValueOnce(0.5).mockReturnValueOnce(0.5);
  const [one, other] = [await freePort(), await freePort()];
  expect(other).not.toBe(one);
});

describe("an own Redis", () => {
  let redis: OwnRedis;
  beforeAll(async () => {
    redis = await startOwnRedis({
      password: 'a "b" c',
      config: ["maxmemory 20mb", "appendonly yes", "appendfsync always", "notify-keyspace-events KEA"],
    });
  });
  afterAll(() => redis.stop());

  it("listens below 55536 on TCP and on a unix socket, with its password", async () => {
    expect(redis.port).toBeLessThan(55_536);
    const viaTcp = RespClient.fromUrl(redis.url);
    const viaSocket = RespClient.fromUrl(`unix://${redis.socketPath}`, { password: 'a "b" c' });
    const open = RespClient.fromUrl(`redis://127.0.0.1:${redis.port}`);
    expect(await viaTcp.command("PING")).toBe("PONG");
    expect(await viaSocket.command("PING")).toBe("PONG");
    await expect(open.command("PING")).rejects.toMatchObject({ prefix: "NOAUTH" });
    for (const client of [viaTcp, viaSocket, open]) client.close();
  });

  it("takes configuration lines", async () => {
    expect(await redis.command("CONFIG", "GET", "maxmemory")).toEqual(["maxmemory", String(20 * 1024 * 1024)]);
    expect(await redis.command("CONFIG", "GET", "appendonly")).toEqual(["appendonly", "yes"]);
    expect((await redis.info("memory"))["maxmemory_policy"]).toBe("noeviction");
  });

  it("returns bytes and errors unchanged", async () => {
    await redis.command("SET", "k", Uint8Array.of(0, 255, 13, 10));
    expect(await redis.commandBytes("GET", "k")).toEqual(Buffer.from([0, 255, 13, 10]));
    await expect(redis.command("HGET", "k", "f")).rejects.toMatchObject({ name: "ReplyError", prefix: "WRONGTYPE" });
  });

  it("comes back on its port with its data and another run_id", async () => {
    await redis.command("SET", "kept", "v");
    const { port } = redis;
    const before = await redis.runId();
    await redis.kill();
    expect(redis.pid).toBe(undefined);
    await expect(redis.command("PING")).rejects.toMatchObject({
      code: expect.stringMatching(/ECONNREFUSED|ENOENT/) as string,
    });
    await redis.start();
    expect(await redis.command("GET", "kept")).toBe("v");
    expect(redis.port).toBe(port);
    expect(await redis.runId()).not.toBe(before);
  });

  it("freezes and goes on", async () => {
    redis.pause();
    const answer = redis.command("INCR", "n");
    const first = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 100, "silent"))]);
    expect(first).toBe("silent");
    redis.resume();
    expect(await answer).toBe(1);
  });

  it("can be killed while it is frozen", async () => {
    redis.pause();
    await redis.restart();
    expect(await redis.command("PING")).toBe("PONG");
  });

  it("is available while it is still loading, and after", async () => {
    const slow = await startOwnRedis({
      config: ["rdbcompression no", "key-load-delay 40000", "loading-process-events-interval-bytes 1024"],
    });
    await slow.command("DEBUG", "POPULATE", 100, "k", 1_000);
    await slow.command("SAVE");
    await slow.kill();
    await slow.start("listening");
    await expect(slow.command("GET", "k:1")).rejects.toMatchObject({ prefix: "LOADING" });
    await slow.kill();
    await slow.start();
    expect(String(await slow.command("GET", "k:1"))).toMatch(/^value:1/);
    await slow.stop();
  });

  it("quotes its log when it does not start", async () => {
    await expect(startOwnRedis({ config: ["nonsense 1"] })).rejects.toThrow(
      /The server in .* ended at once\. End of its log:\n[^]*>>> 'nonsense 1'/,
    );
  });

  it("leaves no process and no folder behind", async () => {
    const gone = await startOwnRedis();
    const { directory, pid } = gone;
    await gone.stop();
    expect([existsSync(directory), isRunning(pid)]).toEqual([false, false]);
  });
});

describe("when its process ends", () => {
  const script = fileURLToPath(new URL("./hold-redis.ts", import.meta.url));

  for (const end of ["SIGKILL", "SIGINT", "a normal exit"] as const) {
    it(`is killed and its folder removed after ${end}`, async () => {
      const holder = spawn(process.execPath, ["--conditions=@hotset/source", script], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      const [line] = (await once(createInterface(holder.stdout), "line")) as [string];
      const { pids, directories } = JSON.parse(line) as { pids: readonly number[]; directories: readonly string[] };
      expect(pids.map(isRunning)).toEqual([true, true]);
      expect(directories.map(existsSync)).toEqual([true, true, true, true]);
      if (end === "a normal exit") holder.stdin.end();
      else holder.kill(end);
      await once(holder, "exit");
      await expect.poll(() => pids.map(isRunning)).toEqual([false, false]);
      await expect.poll(() => directories.map(existsSync)).toEqual([false, false, false, false]);
    });
  }
});

/** A process that has ended but was not yet waited for does not run. */
function isRunning(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return existsSync(`/proc/${pid}/exe`) || !existsSync(`/proc/${pid}`);
}
