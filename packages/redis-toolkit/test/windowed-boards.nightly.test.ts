import type { Redis } from "@hotset/redis-toolkit";
import { activeUsers, uniques, windowAt, windowBefore, type WindowKind } from "@hotset/redis-toolkit/counters";
import { leaderboard } from "@hotset/redis-toolkit/leaderboard";
import { randomPrefix } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { EVERYWHERE, startServers } from "./servers.ts";

const servers = startServers({ user: "boards" });
const DAY = 86_400_000;

/** The name of a window by the clock of this machine, which is the servers' too. */
const named = (kind: WindowKind, back = 0): string => windowBefore(kind, windowAt(kind, Date.now()), back).name;

const rows = (list: readonly { readonly member: string; readonly score: number; readonly rank: number }[]): string =>
  list.map(({ member, score, rank }) => `${rank} ${member} ${score}`).join(", ");

/** Waits out the last second of a day, which is also that of an hour, a week or a month. */
const awayFromMidnight = async (): Promise<void> => {
  const leftMs = DAY - (Date.now() % DAY);
  if (leftMs < 20_000) await new Promise((resolve) => setTimeout(resolve, leftMs + 10));
};

describe.each(EVERYWHERE)("windows over %s", (where) => {
  let redis: Redis;
  let name: string;
  beforeAll(async () => {
    await awayFromMidnight();
    redis = await servers.open(where);
  });
  beforeEach(() => {
    name = randomPrefix();
  });

  it("A85: a board of days has one board a day, each with an end", async () => {
    const board = leaderboard(redis, name, { window: "daily", keep: 6, ties: "first-reached", ranks: "dense" });
    await board.setMany([
      ["ada", 5],
      ["bob", 5],
    ]);
    const today = windowAt("daily", Date.now());
    for (const part of ["scores", "levels", "stamps", "reached"]) {
      const endsAt = await redis.commands.pExpireTime(`leaderboard:{${name}}:${today.name}:${part}`);
      expect(endsAt).toBe(today.endsAt + 6 * DAY);
    }
    await redis.commands.zAdd(`leaderboard:{${name}}:${named("daily", 3)}:scores`, [
      { value: "cem", score: 7 },
      { value: "bob", score: 7 },
    ]);
    expect(rows(await board.top())).toBe("1 ada 5, 1 bob 5");
    expect(rows(await board.previous().top())).toBe("");
    // Its indexes are made by the first call that needs them, with the end of that day.
    expect(rows(await board.previous(3).top())).toBe("1 cem 7, 1 bob 7");
    expect(await redis.commands.pExpireTime(`leaderboard:{${name}}:${named("daily", 3)}:reached`)).toBe(
      today.endsAt + 3 * DAY,
    );
    expect(await board.previous(3).rank("cem")).toEqual({ member: "cem", score: 7, rank: 1 });
    expect(() => board.previous(7)).toThrow("back must be a whole number from 1 to 6, got 7");
    await board.clear();
    expect([await board.size(), await board.previous(3).size()]).toEqual([0, 2]);
  });

  it("A85: windows are joined to one board by the sum, or the best, and nothing of it stays", async () => {
    const board = leaderboard(redis, name, { window: "daily", keep: 6, ranks: "dense" });
    await board.setMany([
      ["ada", 5],
      ["bob", 3],
      ["cem", 3],
    ]);
    for (const [back, score] of [
      [1, 4],
      [6, 2],
      [7, 100],
    ] as const)
      await redis.commands.zAdd(`leaderboard:{${name}}:${named("daily", back)}:scores`, [{ value: "bob", score }]);
    const week = board.union({ windows: 7 });
    expect(rows(await week.top())).toBe("1 bob 9, 2 ada 5, 3 cem 3");
    expect(rows(await board.union({ windows: 2 }).top())).toBe("1 bob 7, 2 ada 5, 3 cem 3");
    expect(rows(await board.union({ windows: 7, scores: "best" }).around("bob", 1))).toBe("1 ada 5, 2 bob 4, 3 cem 3");
    expect([await week.size(), await week.rank("cem")]).toEqual([3, { member: "cem", score: 3, rank: 3 }]);
    const low = leaderboard(redis, name, { window: "daily", keep: 6, order: "lowest" });
    expect(rows(await low.union({ windows: 7, scores: "best" }).top())).toBe("1 bob 2, 2 cem 3, 3 ada 5");
    const keys: string[] = [];
    for await (const key of redis.commands.scan({ match: `leaderboard:{${name}}*` })) keys.push(key);
    expect(keys.filter((key) => key.split(":").length > 4)).toEqual([]);
    expect(() => board.union({ windows: 8 })).toThrow("windows must be a whole number from 1 to 7, got 8");
  });

  it("999 past windows are joined in steps, and nothing of it stays", async () => {
    const board = leaderboard(redis, name, { window: "hourly", keep: 999, ranks: "dense" });
    await board.set("ada", 5);
    for (const [back, value, score] of [
      [1, "bob", 1],
      [62, "bob", 10],
      [63, "ada", 1],
      [500, "bob", 100],
      [999, "cem", 1_000],
      [1_000, "cem", 5_000],
    ] as const)
      await redis.commands.zAdd(`leaderboard:{${name}}:${named("hourly", back)}:scores`, [{ value, score }]);
    expect(rows(await board.union({ windows: 62 }).top())).toBe("1 ada 5, 2 bob 1");
    expect(rows(await board.union({ windows: 63 }).top())).toBe("1 bob 11, 2 ada 5");
    expect(rows(await board.union({ windows: 64 }).top())).toBe("1 bob 11, 2 ada 6");
    expect(rows(await board.union({ windows: 1_000 }).top())).toBe("1 cem 1000, 2 bob 111, 3 ada 6");
    expect(rows(await board.union({ windows: 1_000, scores: "best" }).top())).toBe("1 cem 1000, 2 bob 100, 3 ada 5");
    const keys = async (): Promise<readonly string[]> => {
      const found: string[] = [];
      for await (const key of redis.commands.scan({ match: `leaderboard:{${name}}*` }))
        if (key.split(":").length > 4) found.push(key);
      return found.toSorted();
    };
    expect(await keys()).toEqual([]);
    const shared = board.union({ windows: 1_000, maxAge: "1m" });
    expect(await shared.size()).toBe(3);
    await board.set("dan", 1);
    expect([await shared.size(), (await keys()).length]).toEqual([3, 2]);
  });

  it("A85: a union may be as old as maxAge, and no older", async () => {
    const board = leaderboard(redis, name, { window: "weekly", ranks: "dense" });
    await board.set("ada", 5);
    const union = board.union({ windows: 2, maxAge: "3s" });
    expect(rows(await union.top())).toBe("1 ada 5");
    await board.set("bob", 9);
    expect(rows(await union.top())).toBe("1 ada 5");
    expect(rows(await board.union({ windows: 2, scores: "best" }).top())).toBe("1 bob 9, 2 ada 5");
    await expect.poll(async () => rows(await union.top()), { interval: 50 }).toBe("1 bob 9, 2 ada 5");
    const life = await redis.commands.ttlMs(
      `leaderboard:{${name}}:${named("weekly", 1)}:${named("weekly")}:sum:3000:levels`,
    );
    expect(life).toBeLessThanOrEqual(3_000);
  });

  it("the window is the server's, however the clock of the process moves", async () => {
    const clock = new TestClock();
    const moved = await servers.open(where, { clock });
    const [board, active, seen] = [
      leaderboard(moved, name, { window: "daily" }),
      activeUsers(moved, name),
      uniques(moved, name, { window: "daily" }),
    ];
    for (const days of [0, 1, 40]) {
      clock.advance(days * DAY);
      expect(await board.incr("ada")).toBeGreaterThan(0);
      await active.mark(7);
      await seen.add(`m${days}`);
    }
    expect(await redis.commands.zScore(`leaderboard:{${name}}:${named("daily")}:scores`, "ada")).toBe(3);
    expect(await redis.commands.bitCount(`active:{${name}}:${named("daily")}:bits`)).toBe(1);
    expect(await redis.commands.pfCount(`uniques:{${name}}:${named("daily")}:hll`)).toBe(3);
    const keys: string[] = [];
    for await (const key of redis.commands.scan({ match: `*{${name}}*` })) keys.push(key);
    expect(keys).toHaveLength(3);
    // Once the server's time is known, a call is one command.
    expect(await board.top()).toEqual([{ member: "ada", score: 3, rank: 1 }]);
  });
});
