// A rolling deploy as docs/migrating/beside-old-processes.md has it: three old processes are replaced one by one, and
// at each step both sides use one lock, one limit, the same sessions and one board. The old side is Python with
// redis-py; where that is not installed, it is the commands that redis-py sends.

import { execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { leaderboard } from "@hotset/redis-toolkit/leaderboard";
import { locks } from "@hotset/redis-toolkit/lock";
import { fixedWindow, rateLimit } from "@hotset/redis-toolkit/rate-limit";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { startOwnRedis } from "@hotset/test-servers";
import { expect, it } from "vitest";
import { ALONE } from "./servers.ts";

/** The calls of a process of either side. */
interface Program {
  work(times: number): Promise<unknown>;
  /** Whether the call is refused. */
  isRateLimited(user: number, limit: number): Promise<unknown>;
  createSession(user: number): Promise<unknown>;
  getSession(id: string): Promise<unknown>;
  addScore(user: number, score: number): Promise<unknown>;
  topUsers(): Promise<unknown>;
  stop(): Promise<unknown>;
}

const python = process.env["PYTHON"] ?? "python3";
const hasRedisPy = ((): boolean => {
  try {
    execFileSync(python, ["-c", "import redis"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

function pythonProgram(url: string): Program {
  const child = spawn(python, ["-W", "ignore", join(import.meta.dirname, "processes/old_program.py"), url], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const call = async (...command: readonly unknown[]): Promise<unknown> => {
    child.stdin.write(`${JSON.stringify(command)}\n`);
    return JSON.parse((await answers.next()).value as string);
  };
  return {
    work: (times) => call("work", times),
    isRateLimited: (user, limit) => call("is_rate_limited", user, limit, 3_600),
    createSession: (user) => call("create_session", user),
    getSession: (id) => call("get_session", id),
    addScore: (user, score) => call("add_score", user, score),
    topUsers: () => call("top_users"),
    stop: async () => child.stdin.end(),
  };
}

const RELEASE = `if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) else return 0 end`;

function rawProgram(url: string): Program {
  const redis = createRedis({ ...ALONE, url });
  const send = (...args: readonly (string | number)[]): Promise<unknown> => redis.commands.send(args.map(String));
  return {
    work: async (times) => {
      for (let i = 0; i < times; i += 1) {
        const id = randomUUID();
        while ((await send("SET", "lock:counter", id, "EX", 30, "NX")) !== "OK") await sleep(1);
        const value = Number((await send("GET", "counter")) ?? 0);
        await sleep(1);
        await send("SET", "counter", value + 1);
        await send("EVAL", RELEASE, 1, "lock:counter", id);
      }
    },
    isRateLimited: async (user, limit) => {
      const current = await send("GET", `rate_limit:${user}`);
      if (current === null) await send("SETEX", `rate_limit:${user}`, 3_600, 1);
      else if (Number(current) >= limit) return true;
      else await send("INCRBY", `rate_limit:${user}`, 1);
      return false;
    },
    createSession: async (user) => {
      const id = randomUUID();
      await send("SETEX", `session:${id}`, 86_400, `{"user_id": ${user}, "created_at": "2026-11-27"}`);
      return id;
    },
    getSession: async (id) => JSON.parse(String(await send("GET", `session:${id}`))),
    addScore: (user, score) => send("ZINCRBY", "user_scores", score, user),
    topUsers: () =>
      redis.commands
        .zRangeWithScores("user_scores", 0, 9, { REV: true })
        .then((rows) => rows.map(({ value, score }) => [value, score])),
    stop: () => redis.disconnect(),
  };
}

function newProgram(url: string): Program {
  const redis: Redis = createRedis({ ...ALONE, url });
  const { commands } = redis;
  const lock = locks(redis, { key: (name) => `lock:${name}`, ttl: "30s", wait: "10m" });
  const auth = sessions<{ user_id: number }>(redis, { store: "json", userId: (data) => data.user_id });
  const board = leaderboard(redis, "user_scores", { key: (name) => name });
  const limits = new Map<number, ReturnType<typeof rateLimit>>();
  return {
    work: async (times) => {
      for (let i = 0; i < times; i += 1)
        await lock.using("counter", async () => {
          const value = Number((await commands.get("counter")) ?? 0);
          await sleep(1);
          await commands.set("counter", value + 1);
        });
    },
    isRateLimited: async (user, limit) => {
      const rules = [fixedWindow({ limit, window: "1h" })];
      if (!limits.has(limit))
        limits.set(limit, rateLimit(redis, { name: "api", rules, deadline: "30s", key: (id) => `rate_limit:${id}` }));
      return !(await limits.get(limit)!.consume(user)).allowed;
    },
    createSession: async (user) => (await auth.create({ data: { user_id: user } })).id,
    getSession: async (id) => (await auth.touch(id))?.data,
    addScore: (user, score) => board.incr(user, score),
    topUsers: async () => (await board.top()).map(({ member, score }) => [member, score]),
    stop: () => redis.disconnect(),
  };
}

it(`R2-12 R4-03: old processes ${hasRedisPy ? "of redis-py" : "as redis-py sends"} are replaced one by one`, async () => {
  await using own = await startOwnRedis();
  const old = hasRedisPy ? pythonProgram : rawProgram;
  const programs = [old(own.url), old(own.url), old(own.url)];
  const ids: string[] = [];
  for (let replaced = 0; replaced <= programs.length; replaced += 1) {
    if (replaced > 0) {
      await programs[replaced - 1]!.stop();
      programs[replaced - 1] = newProgram(own.url);
    }
    // One lock: no change is lost.
    await Promise.all(programs.map((program) => program.work(10)));
    expect(Number(await own.command("GET", "counter"))).toBe(30 * (replaced + 1));
    // One limit.
    const refused: unknown[] = [];
    for (let call = 0; call < 7; call += 1) refused.push(await programs[call % 3]!.isRateLimited(replaced, 5));
    expect(refused).toEqual([false, false, false, false, false, true, true]);
    // The sessions of each are those of all, also of processes that have ended.
    for (const program of programs) ids.push(String(await program.createSession(replaced)));
    for (const [i, id] of ids.entries())
      for (const program of programs)
        expect(await program.getSession(id)).toMatchObject({ user_id: Math.floor(i / 3) });
    // One board.
    for (const program of programs) await program.addScore(replaced, 10);
    for (const program of programs) expect(((await program.topUsers()) as unknown[]).length).toBe(replaced + 1);
  }
  expect(await programs[0]!.topUsers()).toEqual(["3", "2", "1", "0"].map((user) => [user, 30]));
  for (const id of ids) expect(await own.command("TYPE", `session:${id}`)).toBe("string");
  await Promise.all(programs.map((program) => program.stop()));
});
