/**
 * Notifications by pub/sub, which is at most once: Redis keeps no message, so one without a listener is lost, and
 * so are those of a lost connection and of a reader that is too slow. Each loss is counted or reported. Where nothing
 * may be lost, see trading-events.ts.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node notifications.ts
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis } from "@hotset/redis-toolkit";
import { pubsub } from "@hotset/redis-toolkit/pubsub";

interface Notification {
  readonly type: "login" | "message";
  readonly user: number;
}

// A logger gets a line when messages are dropped; without one Node prints a warning.
const lines: string[] = [];
const logger = { error() {}, info() {}, warn: (line: string) => void lines.push(line) };
await using redis = createRedis({ logger });
const app = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples");
const notifications = pubsub(app).channel<Notification>("notifications");

console.log("before anybody listens:", await notifications.publish({ type: "login", user: 1 }), "received it");

// Handlers run one after the other. One that fails is counted, and the next message comes all the same.
const got: string[] = [];
const listening = await notifications.listen((event) => {
  if (event.kind === "gap") return; // the connection was lost: fetch again what may have been missed
  if (event.message.user === 2) throw new Error("a handler with a fault");
  got.push(`${event.message.type} of ${event.message.user}`);
});

// A second reader, as an iterator: each of the two gets every message.
const inbox = await notifications.subscribe();
const reading = (async () => {
  for await (const event of inbox) if (event.kind === "message" && event.message.user === 3) return "user 3 came";
  return "the inbox was closed";
})();

for (const user of [1, 2, 3]) await notifications.publish({ type: "login", user });
await app.commands.publish("notifications", "this is not JSON"); // by another program
console.log(await reading);
while (got.length < 2 || listening.corrupt < 1) await sleep(5);
console.log(`${got.join(", ")}; ${listening.failures} failure of a handler, ${listening.corrupt} message was not JSON`);
await listening.close();

// A reader that is too slow costs bounded memory: here it keeps the newest three.
const prices = pubsub(app).channel<number>("prices", { buffer: 3, overflow: "drop-oldest" });
const slow = await prices.subscribe();
for (let price = 1; price <= 10; price += 1) await prices.publish(price);
while (slow.dropped < 7) await sleep(5);
const kept: number[] = [];
for await (const event of slow) {
  if (event.kind === "message") kept.push(event.message);
  if (kept.length === 3) break; // leaving the loop ends the subscription
}
console.log(
  `10 prices: ${slow.dropped} dropped, ${kept.join(", ")} kept; ${await prices.publish(11)} received the next`,
);
console.log(lines[0]?.slice(0, 58)); // which option bounds it follows
