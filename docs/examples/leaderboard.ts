/**
 * A leaderboard of a game: points add up, the best time counts, equal scores share a rank, and every week begins anew.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node leaderboard.ts
 */
import { createRedis } from "@hotset/redis-toolkit";
import { leaderboard, type Row } from "@hotset/redis-toolkit/leaderboard";

await using redis = createRedis();
const game = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples");
await game.purge(); // what an earlier run may have left

const show = (rows: readonly Row[]): string => rows.map((row) => `${row.rank}. ${row.member} ${row.score}`).join(", ");

// Points: each change is one step, so many processes may write at the same time.
const points = leaderboard(game, "user_scores", { ranks: "standard" });
await points.setMany([
  ["ada", 990],
  ["bob", 700],
  ["cem", 990],
  ["dan", 40],
]);
await Promise.all(Array.from({ length: 50 }, () => points.incr("dan", 10)));
console.log("top:", show(await points.top(10)));

// The page of a player: the own rank, and the neighbours.
console.log("rank of dan:", (await points.rank("dan"))?.rank, "| around bob:", show(await points.around("bob", 1)));
const { rows, pages } = await points.page(2, { size: 3 });
console.log(`page 2 of ${pages}:`, show(rows));

// Laps: the lowest time is the best, a slower lap changes nothing, and of equal times the first one leads.
const laps = leaderboard(game, "laps", { order: "lowest", ties: "first-reached" });
await laps.best("eve", 61.25);
await laps.best("ada", 61.25);
console.log("a slower lap:", await laps.best("eve", 63));
console.log("laps:", show(await laps.top(2)));

// Weeks in UTC by the clock of Redis; a week ends by itself, and the last four can be summed up.
const weekly = leaderboard(game, "weekly", { window: "weekly", keep: 3 });
await weekly.incr("ada", 5);
await weekly.incr("bob", 7);
console.log("four weeks:", show(await weekly.union({ windows: 4, scores: "sum", maxAge: "10s" }).top(1)));

// An account is deleted.
console.log("removed:", await points.remove("bob"), "of", (await points.size()) + 1);
await game.purge();
