/**
 * Active users, counted in three ways: who is online now, by name; who was active on which day, exactly, in one bit for
 * each user; and how many different visitors there were, about, in 12 kB however many they are.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node active-users.ts
 */
import { createRedis } from "@hotset/redis-toolkit";
import { activeUsers, uniques } from "@hotset/redis-toolkit/counters";
import { presence } from "@hotset/redis-toolkit/presence";

await using redis = createRedis();
const app = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples");
await app.purge(); // what an earlier run may have left

// Now: each request says that a user was seen. A user who is not seen for five minutes is removed.
const online = presence(app, "active_users", { ttl: "5m" });
await online.seen("ada", "bob", "cem");
await online.seen("ada");
await online.gone("cem"); // a logout
console.log(
  `online: ${await online.count()}, bob: ${await online.isActive("bob")}, cem: ${await online.isActive("cem")}`,
);

// One who is seen for a moment only.
const moment = presence(app, "typing", { ttl: "100ms" });
await moment.seen("ada");
while (await moment.isActive("ada")) await new Promise((resolve) => setTimeout(resolve, 20));
console.log("nobody is typing:", (await moment.list()).length === 0);

// By day: ids are small whole numbers, as a database gives them. Thirty days back can be asked for.
const daily = activeUsers(app, "visits", { window: "daily", keep: 30 });
const isNew = [await daily.mark(7), await daily.mark(7), await daily.mark(100_000)];
console.log("new today:", isNew.join(", "));
// Two windows, so that this holds at midnight, too.
console.log("active since yesterday:", await daily.count({ windows: 2 }));
const days = await daily.counts({ windows: 31 });
console.log(`${days.length} days, ${days.slice(0, 29).reduce((sum, { count }) => sum + count, 0)} in the first 29`);

// About: 10,000 visitors, of whom some come twice, on two sites of one group. An error of 2 % is rare.
const shop = uniques(app, "shop", { group: "sites" });
const blog = uniques(app, "blog", { group: "sites" });
const visitors = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `visitor-${from + i}`);
await shop.add(...visitors(0, 6_000));
await blog.add(...visitors(4_000, 10_000));
await shop.add(...visitors(0, 6_000)); // again
const within = (count: number, expected: number): boolean => Math.abs(count - expected) < 0.04 * expected;
const [inShop, inBoth] = [await shop.count(), await shop.count({ with: [blog] })];
console.log(`shop about 6000: ${within(inShop, 6_000)}, both about 10000: ${within(inBoth, 10_000)}`);
await app.purge();
