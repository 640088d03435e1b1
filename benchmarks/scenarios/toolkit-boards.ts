import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { leaderboard, type Leaderboard, type LeaderboardOptions } from "@hotset/redis-toolkit/leaderboard";
import type { OwnRedis } from "@hotset/test-servers";
import { commandFigures, processorMs } from "../server-figures.ts";
import { percentile, type Conditions, type Figure, type Trial } from "../trial.ts";

const MEMBERS = 1_000_000;
const READS = 3_000;
const WRITES = 10_000;

const BOARDS: readonly (readonly [string, LeaderboardOptions])[] = [
  ["ties by name", {}],
  ["first-reached, dense", { ties: "first-reached", ranks: "dense" }],
];

/** Boards with a million members, beside small ones: reading the first rows must not depend on the size. */
export const toolkitBoards = ({ server, url }: Conditions): Trial => ({
  name: "toolkit boards of a million members",
  async run() {
    await using redis = createRedis({ url, env: false, commandTimeout: "1m" });
    const figures: Figure[] = [];
    for (const [name, options] of BOARDS) {
      const [small, large] = [leaderboard(redis, "small", options), leaderboard(redis, "large", options)];
      await fill(small, 100);
      const before = await usedMemory(server);
      await fill(large, MEMBERS);
      const bytes = ((await usedMemory(server)) - before) / MEMBERS;
      const top = await latencies(READS, () => large.top(10));
      const ranked = await latencies(READS, (i) => large.rank(`user ${(i * 7_919) % MEMBERS}`));
      const added = await latencies(WRITES, (i) => large.incr(`user ${(i * 7_919) % MEMBERS}`));
      const ofSmall = await serverTime(server, READS, () => small.top(10));
      const ofLarge = await serverTime(server, READS, () => large.top(10));
      figures.push(
        { what: `${name}: top 10, p50`, value: percentile(top, 0.5), unit: " ms" },
        { what: `${name}: top 10, p99`, value: percentile(top, 0.99), unit: " ms" },
        {
          what: `${name}: top 10, time of Redis for a call`,
          value: ofLarge.microseconds,
          unit: " us",
          remark: `with 100 members ${ofSmall.microseconds.toFixed(1)} us`,
        },
        { what: `${name}: commands for a top 10`, value: ofLarge.commands, unit: "", atMost: 1 },
        { what: `${name}: rank, p99`, value: percentile(ranked, 0.99), unit: " ms" },
        { what: `${name}: incr, p99`, value: percentile(added, 0.99), unit: " ms" },
        { what: `${name}: memory for a member`, value: bytes, unit: " bytes" },
      );
      await server.command("FLUSHALL", "SYNC");
    }
    figures.push(...(await timeOfIndex(server, redis)));
    return figures;
  },
});

async function fill(board: Leaderboard, members: number): Promise<void> {
  for (let first = 0; first < members; first += 1_000)
    await board.setMany(
      Array.from({ length: Math.min(1_000, members - first) }, (_, i) => [
        `user ${first + i}`,
        // Some hundred members share a score.
        ((first + i) * 7_919) % 4_999,
      ]),
    );
}

async function latencies(count: number, call: (i: number) => Promise<unknown>): Promise<readonly number[]> {
  const found: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const at = performance.now();
    await call(i);
    found.push(performance.now() - at);
  }
  return found;
}

/** For a board that was filled without an index. */
async function timeOfIndex(server: OwnRedis, redis: Redis): Promise<readonly Figure[]> {
  const board = leaderboard(redis, "late");
  await fill(board, MEMBERS);
  const before = await processorMs(server);
  const [ms = Number.NaN] = await latencies(1, () => leaderboard(redis, "late", BOARDS[1]![1]).top());
  const ofRedis = (await processorMs(server)) - before;
  await board.clear();
  const what = "making both indexes of a million members";
  return [
    { what, value: ms, unit: " ms" },
    { what: `${what}, processor of Redis`, value: ofRedis, unit: " ms" },
  ];
}

async function serverTime(
  server: OwnRedis,
  calls: number,
  call: () => Promise<unknown>,
): Promise<{ readonly microseconds: number; readonly commands: number }> {
  await server.command("CONFIG", "RESETSTAT");
  for (let i = 0; i < calls; i += 1) await call();
  const scripts = await commandFigures(server, ["evalsha"]);
  return { microseconds: scripts.microseconds / calls, commands: scripts.calls / calls };
}

const usedMemory = async (server: OwnRedis): Promise<number> => Number((await server.info("memory"))["used_memory"]);
