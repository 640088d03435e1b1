import { ConfigurationError, InvalidArgumentError } from "@hotset/core";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { windowAt, windowBefore } from "@hotset/redis-toolkit/counters";
import { leaderboard, type Leaderboard, type LeaderboardOptions } from "@hotset/redis-toolkit/leaderboard";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { hostModules, moduleOf, type Module } from "../src/module/module.ts";
import { ALONE, ALSO_OVER_HTTP, startServers } from "./servers.ts";

const servers = startServers({ user: "boards" });

const membersOf = (rows: readonly { readonly member: string }[]): string => rows.map(({ member }) => member).join(" ");
const ranksOf = (rows: readonly { readonly member: string; readonly rank: number }[]): string =>
  rows.map(({ member, rank }) => `${member}${rank}`).join(" ");

describe.each(ALSO_OVER_HTTP)("leaderboards over %s", (where) => {
  let redis: Redis;
  let name: string;
  const board = (options?: LeaderboardOptions): Leaderboard => leaderboard(redis, name, options);
  beforeAll(async () => {
    redis = await servers.open(where);
  });
  beforeEach(() => {
    name = randomPrefix();
  });

  it("A85: a union that may be older, or has the other order, serves no call but its own", async () => {
    const windowed = board({ window: "weekly" });
    await windowed.setMany([
      ["ada", 5],
      ["bob", 3],
    ]);
    const [old, young] = [windowed.union({ windows: 2, maxAge: "1h" }), windowed.union({ windows: 2, maxAge: "30m" })];
    const best = windowed.union({ windows: 2, scores: "best", maxAge: "1h" });
    expect([membersOf(await old.top()), membersOf(await best.top())]).toEqual(["ada bob", "ada bob"]);
    const { name: week } = windowAt("weekly", Date.now());
    const { name: before } = windowBefore("weekly", windowAt("weekly", Date.now()), 1);
    await redis.commands.zAdd(`leaderboard:{${name}}:${before}:scores`, [
      { value: "ada", score: 1 },
      { value: "bob", score: 9 },
    ]);
    expect([membersOf(await old.top()), membersOf(await young.top())]).toEqual(["ada bob", "bob ada"]);
    const lowest = board({ window: "weekly", order: "lowest" });
    expect(await lowest.union({ windows: 2, scores: "best", maxAge: "1h" }).top()).toEqual([
      { member: "ada", score: 1, rank: 1 },
      { member: "bob", score: 3, rank: 2 },
    ]);
    expect(await redis.commands.ttlMs(`leaderboard:{${name}}:${before}:${week}:sum:1800000:scores`)).toBeLessThan(
      1_800_001,
    );
  });

  it("A84: scores are set, added to, and kept if better; rows come by rank", async () => {
    const scores = board();
    expect([await scores.set("ada", 10), await scores.set("ada", 10), await scores.set("ada", 12)]).toEqual([
      "added",
      "unchanged",
      "changed",
    ]);
    expect(await scores.best("ada", 11)).toEqual({ score: 12, improved: false });
    expect(await scores.best("ada", 12)).toEqual({ score: 12, improved: false });
    expect(await scores.best("ada", 13)).toEqual({ score: 13, improved: true });
    expect(await scores.best("bob", -1.5)).toEqual({ score: -1.5, improved: true });
    expect([await scores.incr("cem"), await scores.incr("cem", 4), await scores.incr("ada", -0.5)]).toEqual([
      1, 5, 12.5,
    ]);
    expect(
      await scores.setMany([
        ["dan", 2],
        ["ada", 12.5],
        ["bob", 3],
        ["dan", 1],
      ]),
    ).toEqual({
      added: 1,
      changed: 2,
      unchanged: 1,
    });
    expect(await scores.top()).toEqual([
      { member: "ada", score: 12.5, rank: 1 },
      { member: "cem", score: 5, rank: 2 },
      { member: "bob", score: 3, rank: 3 },
      { member: "dan", score: 1, rank: 4 },
    ]);
    expect(await scores.page(2, { size: 3 })).toEqual({
      rows: [{ member: "dan", score: 1, rank: 4 }],
      members: 4,
      pages: 2,
    });
    expect(await scores.page(3, { size: 3 })).toEqual({ rows: [], members: 4, pages: 2 });
    expect(await scores.rank("bob")).toEqual({ member: "bob", score: 3, rank: 3 });
    expect([await scores.rank("nobody"), await scores.around("nobody")]).toEqual([undefined, []]);
    expect(ranksOf(await scores.around("cem", 1))).toBe("ada1 cem2 bob3");
    expect(ranksOf(await scores.around("ada"))).toBe("ada1 cem2 bob3");
    expect([await scores.remove("bob", "nobody"), await scores.remove(), await scores.size()]).toEqual([1, 0, 3]);
    await scores.clear();
    expect([await scores.top(), await scores.page(1), await scores.size()]).toEqual([
      [],
      { rows: [], members: 0, pages: 0 },
      0,
    ]);
  });

  it("A84: the lowest score is first, and the best, where the order says so", async () => {
    const times = board({ order: "lowest" });
    await times.setMany([
      ["ada", 61.25],
      ["bob", 59.5],
      ["cem", 61.25],
      ["dan", 70],
    ]);
    expect([await times.best("dan", 71), await times.best("dan", 60)]).toEqual([
      { score: 70, improved: false },
      { score: 60, improved: true },
    ]);
    expect(ranksOf(await times.top())).toBe("bob1 dan2 ada3 cem3");
    expect(ranksOf(await times.around("cem", 1))).toBe("ada3 cem3");
  });

  it("A84: scores come back bit for bit; what no double holds is refused", async () => {
    const scores = board({ ties: "first-reached", ranks: "dense" });
    const exact = [0.1 + 0.2, 1 / 3, 2 ** 53 + 2, -(2 ** 60), 5e-324, Number.MAX_VALUE, -1e-7, Infinity, -Infinity];
    await scores.setMany(exact.map((score, i) => [`m${i}`, score]));
    const top = await scores.top();
    expect(top.map(({ score }) => score)).toEqual(exact.toSorted((a, b) => b - a));
    expect(top.map(({ rank }) => rank)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(await scores.set("m2", 9007199254740994n)).toBe("unchanged");
    await expect(scores.set("m2", 9007199254740993n)).rejects.toThrow(
      "a score is a double, and 9007199254740993 is not",
    );
    await expect(scores.set("m2", Number.NaN)).rejects.toThrow("a score must be a number, got NaN");
    await expect(scores.best("m2", "7" as never)).rejects.toThrow("a score must be a number, got text of 1 character");
    await expect(scores.incr("m2", Infinity)).rejects.toThrow("by must be a finite number, got Infinity");
    await scores.set("full", 2 ** 53 - 2);
    expect(await scores.incr("full")).toBe(2 ** 53 - 1);
    await expect(scores.incr("full")).rejects.toMatchObject({ code: "NOT_A_NUMBER" });
    await expect(scores.incr("full", 2)).rejects.toMatchObject({ code: "NOT_A_NUMBER" });
    await expect(scores.incr("m5", Number.MAX_VALUE)).rejects.toMatchObject({ code: "NOT_A_NUMBER" });
    expect((await scores.rank("m5"))?.score).toBe(Number.MAX_VALUE);
    expect([(await scores.rank("full"))?.score, await scores.incr("m7", 1), await scores.incr("m8", 1)]).toEqual([
      2 ** 53 - 1,
      Infinity,
      -Infinity,
    ]);
  });

  it("A84: members of one score are sorted by name, or the first that reached it is first", async () => {
    const [byName, byTime] = [board(), leaderboard(redis, `${name}2`, { ties: "first-reached" })];
    for (const scores of [byName, byTime]) {
      for (const member of ["cem", "ada", "bob"]) await scores.set(member, 5);
      await scores.set("top", 9);
    }
    expect(ranksOf(await byName.top())).toBe("top1 cem2 bob2 ada2");
    expect(ranksOf(await byTime.top())).toBe("top1 cem2 ada3 bob4");
    // Setting the score that a member has changes nothing; to leave and come back does.
    await byTime.set("cem", 5);
    await byTime.best("cem", 5);
    await byTime.incr("cem", 0);
    expect(membersOf(await byTime.top())).toBe("top cem ada bob");
    await byTime.incr("cem", 1);
    await byTime.incr("cem", -1);
    expect(membersOf(await byTime.top())).toBe("top ada bob cem");
    expect(await byTime.rank("cem")).toEqual({ member: "cem", score: 5, rank: 4 });
    expect(ranksOf(await byTime.around("bob", 1))).toBe("ada2 bob3 cem4");
    await byTime.remove("ada");
    await byTime.set("ada", 5);
    expect(membersOf(await byTime.top())).toBe("top bob cem ada");
    const low = leaderboard(redis, `${name}3`, { ties: "first-reached", order: "lowest", ranks: "standard" });
    for (const member of ["cem", "ada", "bob"]) await low.set(member, 5);
    expect(ranksOf(await low.top())).toBe("cem1 ada1 bob1");
    await expect(leaderboard(redis, `${name}3`, { ties: "first-reached" }).top()).rejects.toThrow(ConfigurationError);
    await expect(leaderboard(redis, `${name}3`, { ties: "first-reached" }).set("x", 1)).rejects.toThrow(
      'the ties of this board are kept for order: "lowest"',
    );
  });

  it("A84: standard, dense and ordinal ranks, also from the middle of ties", async () => {
    const scores: readonly [string, number][] = [
      ["a", 9],
      ["b", 8],
      ["c", 8],
      ["d", 8],
      ["e", 7],
      ["f", 7],
      ["g", 1],
    ];
    const ranks = async (kind: "standard" | "dense" | "ordinal"): Promise<readonly string[]> => {
      const one = leaderboard(redis, `${name}${kind}`, { ranks: kind });
      await one.setMany(scores);
      return [
        ranksOf(await one.top()),
        ranksOf((await one.page(2, { size: 3 })).rows),
        String((await one.rank("g"))?.rank),
      ];
    };
    expect(await ranks("standard")).toEqual(["a1 d2 c2 b2 f5 e5 g7", "b2 f5 e5", "7"]);
    expect(await ranks("dense")).toEqual(["a1 d2 c2 b2 f3 e3 g4", "b2 f3 e3", "4"]);
    expect(await ranks("ordinal")).toEqual(["a1 d2 c3 b4 f5 e6 g7", "b4 f5 e6", "7"]);
  });

  it("A84: a board is what a list sorted by hand is, after any changes, by writers of different options", async () => {
    const full = board({ ties: "first-reached", ranks: "dense" });
    const plain = board();
    const model = new Map<string, { score: number; reached: number }>();
    let step = 0;
    const place = (member: string, score: number): void => {
      if (model.get(member)?.score !== score) model.set(member, { score, reached: (step += 1) });
    };
    const random = seeded(7);
    await full.set("m0", 0);
    place("m0", 0);
    for (let i = 0; i < 150; i += 1) {
      const writer = random(2) === 0 ? full : plain;
      const [member, score] = [`m${random(12)}`, random(6) - 2];
      const before = model.get(member)?.score;
      switch (random(4)) {
        case 0:
          await writer.set(member, score);
          place(member, score);
          break;
        case 1:
          await writer.incr(member, score);
          place(member, (before ?? 0) + score);
          break;
        case 2:
          await writer.best(member, score);
          place(member, Math.max(before ?? -Infinity, score));
          break;
        default:
          await writer.remove(member);
          model.delete(member);
      }
      const sorted = [...model].toSorted(([, a], [, b]) => b.score - a.score || a.reached - b.reached);
      const levels = [...new Set(sorted.map(([, { score: level }]) => level))];
      const rows = sorted.map(([name_, one]) => ({
        member: name_,
        score: one.score,
        rank: levels.indexOf(one.score) + 1,
      }));
      expect(await full.top(100)).toEqual(rows);
      const position = rows.findIndex((row) => row.member === member);
      expect(await full.around(member, 1)).toEqual(
        position === -1 ? [] : rows.slice(Math.max(0, position - 1), position + 2),
      );
    }
  });

  it("an index that was lost, or never made, is made again from the scores", async () => {
    const full = board({ ties: "first-reached", ranks: "dense" });
    const base = `leaderboard:{${name}}`;
    await board().setMany([
      ["a", 1],
      ["b", 2],
      ["c", 2],
    ]);
    expect(ranksOf(await full.top())).toBe("c1 b1 a2");
    await full.set("d", 2);
    for (const [part, top] of [
      ["levels", "e1 c2 b2 d2 a3"],
      // When they were reached is lost, so ties are by name.
      ["stamps", "e1 d2 c2 b2 a3"],
      ["reached", "e1 d2 c2 b2 a3"],
    ] as const) {
      await redis.commands.delete(`${base}:${part}`);
      await board().set("e", part.length);
      expect(ranksOf(await full.top())).toBe(top);
    }
    // Without scores, what was made from them counts for nothing.
    await redis.commands.delete(`${base}:scores`);
    expect(await full.top()).toEqual([]);
    await full.set("new", 1);
    expect(ranksOf(await full.top())).toBe("new1");
    await full.remove("new");
    const left: string[] = [];
    for await (const key of redis.commands.scan({ match: `${base}*` })) left.push(key);
    expect(left).toEqual([]);
  });

  it("names and members of any kind are kept apart", async () => {
    const names = [`${name}}`, `${name}{`, `${name}%7D`, `${name}:scores`, `${name} \n\0*`];
    const members = ["{a}", ":", "%", "\0", " ", "ä€😀", "1234567890123456", "__proto__"];
    for (const [i, one] of names.entries()) {
      const scores = leaderboard(redis, one, { ties: "first-reached" });
      await scores.setMany(members.map((member) => [member, i]));
      expect((await scores.top()).map(({ member }) => member)).toEqual(members);
    }
    expect(await Promise.all(names.map((one) => leaderboard(redis, one).size()))).toEqual(
      names.map(() => members.length),
    );
  });
});

const seeded = (seed: number): ((below: number) => number) => {
  let state = seed;
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * below);
  };
};

describe("leaderboards", () => {
  it("bad options, names, members and numbers are refused before anything is sent", async () => {
    const redis = await servers.open("one server");
    const refused = (options: unknown): string => {
      try {
        leaderboard(redis, "b", options as LeaderboardOptions);
        return "accepted";
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidArgumentError);
        return (error as Error).message;
      }
    };
    expect(refused({ tie: "by-name" })).toContain('unknown option "tie"');
    expect(refused({ ties: "none" })).toContain('ties must be "by-name" or "first-reached", got "none"');
    expect(refused({ order: "up" })).toContain('order must be "highest" or "lowest"');
    expect(refused({ ranks: "olympic" })).toContain('ranks must be "standard" or "dense"');
    expect(refused({ window: "yearly" })).toContain('window must be "hourly" or "daily" or "weekly" or "monthly"');
    expect(refused({ keep: 2 })).toContain("keep needs window");
    expect(refused({ window: "daily", keep: 1_000 })).toContain("keep must be a whole number from 0 to 999, got 1000");
    expect(() => leaderboard(redis, "")).toThrow("name must be text of 1 to 512 characters");
    const board = leaderboard(redis, "b");
    for (const bad of [
      board.top(0),
      board.top(10_001),
      board.page(0),
      board.page(1, { size: 1.5 }),
      board.around("a", -1),
      board.set("", 1),
      board.set("x".repeat(513), 1),
      board.rank("\ud800"),
      board.setMany(Array.from({ length: 1_001 }, (_, i) => [`m${i}`, i])),
    ])
      await expect(bad).rejects.toThrow(InvalidArgumentError);
    expect(() => board.previous()).toThrow("this board has no windows");
    expect(() => board.union({ windows: 1 })).toThrow("this board has no windows");
    expect(await board.size()).toBe(0);
  });

  it("A84: many writers at once: each step is one, and the indexes agree with the scores", async () => {
    const redis = await servers.open("a cluster");
    const name = randomPrefix();
    const boards = [leaderboard(redis, name, { ties: "first-reached", ranks: "dense" }), leaderboard(redis, name)];
    await boards[0]!.set("m0", 0);
    await Promise.all(Array.from({ length: 1_000 }, (_, i) => boards[i % 2]!.incr(`m${i % 7}`, 1 + (i % 3))));
    const rows = await boards[0]!.top(100);
    const sums = new Map<string, number>();
    for (let i = 0; i < 1_000; i += 1) sums.set(`m${i % 7}`, (sums.get(`m${i % 7}`) ?? 0) + 1 + (i % 3));
    expect(new Map(rows.map(({ member, score }) => [member, score]))).toEqual(
      new Map([...sums].toSorted(([, a], [, b]) => b - a)),
    );
    const base = `leaderboard:{${name}}`;
    expect(await redis.commands.zCard(`${base}:levels`)).toBe(new Set(sums.values()).size);
    expect(await redis.commands.zCard(`${base}:reached`)).toBe(7);
  });

  it("an index is made in steps, between which the board changes and the index is lost again", async () => {
    const redis = await servers.open("a cluster");
    const name = randomPrefix();
    const [plain, full] = [
      leaderboard(redis, name),
      leaderboard(redis, name, { ties: "first-reached", ranks: "dense" }),
    ];
    const model = new Map(Array.from({ length: 7_000 }, (_, i) => [`m${i}`, i % 500]));
    const all = [...model];
    for (let i = 0; i < all.length; i += 1_000) await plain.setMany(all.slice(i, i + 1_000));
    const change = async (from: number): Promise<void> => {
      for (let i = from; i < from + 60; i += 1) {
        const member = `m${(i * 97) % 7_000}`;
        model.set(member, i % 700);
        await (i % 2 === 0 ? plain : full).set(member, i % 700);
        if (i % 5 !== 0) continue;
        model.delete(`m${i}`);
        await full.remove(`m${i}`);
      }
    };
    for (const [round, part] of ["", "levels", "reached", "stamps", "levels"].entries()) {
      const lose = async (): Promise<void> => {
        for (let i = 0; part !== "" && i < 2; i += 1) {
          await plain.size();
          await redis.commands.delete(`leaderboard:{${name}}:${part}`);
        }
      };
      await Promise.all([full.top(), change(round * 60), lose(), full.page(3)]);
      const levels = [...new Set(model.values())].toSorted((a, b) => b - a);
      const rows = await full.top(10_000);
      expect(rows.map(({ member, score, rank }) => [member, score, rank]).toSorted()).toEqual(
        [...model].map(([member, score]) => [member, score, levels.indexOf(score) + 1]).toSorted(),
      );
      expect(rows.every(({ score }, i) => i === 0 || score <= rows[i - 1]!.score)).toBe(true);
      expect(await redis.commands.zCard(`leaderboard:{${name}}:levels`)).toBe(levels.length);
    }
  });

  it("an index that is lost between two steps is made from the beginning", async () => {
    const redis = await servers.open("one server");
    const name = randomPrefix();
    for (let i = 0; i < 5_000; i += 1_000)
      await leaderboard(redis, name).setMany(Array.from({ length: 1_000 }, (_, n) => [`m${i + n}`, i + n]));
    let steps = 0;
    const module = moduleOf(redis);
    const losing: Module = {
      ...module,
      runScript: async (...call) => {
        const reply = await module.runScript(...call);
        const isStep = call[0].includes("ZSCAN");
        if (isStep && (steps += 1) === 2) await redis.commands.delete(`leaderboard:{${name}}:levels`);
        return reply;
      },
    };
    const view = hostModules({}, () => losing) as Redis;
    expect((await leaderboard(view, name, { ranks: "dense" }).top(1))[0]).toEqual({
      member: "m4999",
      score: 4_999,
      rank: 1,
    });
    expect(steps).toBeGreaterThan(4);
    expect(await redis.commands.zCard(`leaderboard:{${name}}:levels`)).toBe(5_000);
  });

  it("a full server refuses writes by a typed error, changes nothing, and lets members be removed", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url });
    const board = leaderboard(redis, "b", { ties: "first-reached" });
    await board.setMany([
      ["a", 1],
      ["b", 2],
    ]);
    await own.command("CONFIG", "SET", "maxmemory", "1");
    await expect(board.set("c", 3)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    await expect(board.incr("a", 5)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    expect(membersOf(await board.top())).toBe("b a");
    expect(await board.remove("b")).toBe(1);
    await own.command("CONFIG", "SET", "maxmemory", "0");
    expect(await board.set("c", 3)).toBe("added");
    await own.command("CONFIG", "SET", "maxmemory", "100mb");
    await own.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
    await using other = createRedis({ ...ALONE, url: own.url });
    const required = leaderboard(other, "b", { requireNoEviction: true });
    await expect(required.set("d", 3)).rejects.toThrow("leaderboard: maxmemory-policy is allkeys-lru");
    expect(membersOf(await required.top())).toBe("c a");
  });
});
