/**
 * Trading events that must not be lost: a stream keeps them, every group of consumers gets all of them, a consumer that
 * was away goes on where it was, and an audit reads any part again.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node trading-events.ts
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis } from "@hotset/redis-toolkit";
import { consumer, streams, type Consumer } from "@hotset/redis-toolkit/streams";

interface TradingEvent {
  readonly type: "ORDER_EXECUTED" | "ORDER_CANCELLED";
  readonly order: string;
  readonly symbol: string;
  /** A decimal number as text: a double would round it. */
  readonly quantity: string;
}

await using redis = createRedis();
const trading = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples");
await trading.purge(); // what an earlier run may have left

// About the last million events; older ones go.
const events = streams(trading).stream<TradingEvent>("trading:events", { maxLen: 1_000_000 });

// Risk wants everything from the beginning, the report only what happens from now on. A group is made once.
const [risk, report] = [events.group("risk"), events.group("report")];
await risk.ensure("0");
const executed = { type: "ORDER_EXECUTED", symbol: "BTCUSD", quantity: "1.5" } as const;
const first = await events.append({ ...executed, order: "1" });
console.log(`groups: ${await report.ensure("$")}, ${await report.ensure("$")}`);

const seen: Record<string, string[]> = { risk: [], report: [] };
const follow = (group: "risk" | "report"): Consumer<TradingEvent> =>
  // With concurrency 1 entries are handled in their order. One whose handler fails comes again.
  consumer(events, group, { count: 100 }, ({ fields }) => void seen[group]!.push(fields.order));

const reporter = follow("report");
await events.append({ ...executed, order: "2" });
while (seen["report"]!.length < 1) await sleep(5);
await reporter.stop(); // a deployment

await events.append({ ...executed, order: "3", type: "ORDER_CANCELLED" });
console.log(`while the report was away: ${(await report.info())?.lag} waits`);

const consumers = [follow("report"), follow("risk")];
while (seen["report"]!.length < 2 || seen["risk"]!.length < 3) await sleep(5);
await Promise.all(consumers.map((each) => each.stop()));
console.log(`risk: ${seen["risk"]!.join(", ")} | report: ${seen["report"]!.join(", ")}`);
console.log(`pending: ${(await risk.pending()).count}, ${(await report.pending()).count}`);

// An audit needs no group, and takes nothing away.
const cancelled = (await events.range()).filter(({ fields }) => fields.type === "ORDER_CANCELLED");
console.log(
  `audit: ${await events.len()} events, cancelled: ${cancelled.map(({ fields }) => fields.order).join(", ")}`,
);

// A program that remembers an id by itself reads on from there; it cannot miss what comes between two reads.
const reader = events.reader({ after: first, count: 10 });
console.log((await reader.next()).map(({ fields }) => fields.order).join(", "));
await reader.close();
await trading.purge();
