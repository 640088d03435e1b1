import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { consumer, streams, type Consumer, type EntryId, type Stream } from "@hotset/redis-toolkit/streams";
import { startOwnRedis, startProxy, type FaultProxy, type OwnRedis, type ReadonlyCommand } from "@hotset/test-servers";
import { gate } from "@hotset/testing";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { GroupMember } from "../src/streams/member.ts";
import { placeOf } from "../src/streams/stream-place.ts";
import { ALONE } from "./servers.ts";

interface Job {
  readonly n: string;
}

const SILENT = { error: () => 0, warn: () => 0, info: () => 0 };

let server: OwnRedis;
let proxy: FaultProxy;
let near: Stream<Job>;
const opened: Redis[] = [];

const open = (url: string): Stream<Job> => {
  const redis = createRedis({ ...ALONE, url, logger: SILENT, commandTimeout: "2s", backoff: { base: 10, max: 100 } });
  opened.push(redis);
  return streams(redis).stream<Job>("jobs");
};

beforeAll(async () => {
  server = await startOwnRedis();
  proxy = await startProxy(server.port);
});
beforeEach(async () => {
  await server.command("FLUSHALL");
  near = open(server.url);
  await near.group("g").ensure("0");
});
afterEach(async () => {
  await proxy.pass();
  await Promise.all(opened.splice(0).map((redis) => redis.disconnect()));
});
afterAll(async () => {
  await proxy.close();
  await server.stop();
});

const append = async (...numbers: readonly string[]): Promise<readonly EntryId[]> => {
  const ids: EntryId[] = [];
  for (const n of numbers) ids.push(await near.append({ n }));
  return ids;
};

const counted = async (): Promise<readonly number[]> =>
  (await near.group("g").pendingEntries()).map(({ deliveries }) => deliveries);

// The scripts of a consumer by their arguments: see src/streams/scripts.ts.
const isTake = (command: ReadonlyCommand): boolean => command.includes("idle");
const isRead = (command: ReadonlyCommand): boolean =>
  command[0]!.startsWith("EVAL") && command.at(-1) === "262144" && !/own|lost|idle/.test(command.join(" "));
const isCount = (command: ReadonlyCommand): boolean =>
  command[0]!.startsWith("EVAL") && /^\d+-\d+$/.test(command.at(-2)!);

const QUICK = { block: 50, minIdle: 100, stopTimeout: 50 } as const;

/** Stops a consumer whose link is gone, so it can ask for nothing more. */
async function stopAlone(own: Consumer<Job>): Promise<void> {
  await proxy.refuse();
  proxy.cut();
  await own.stop();
}

it("A100: idle entries whose reply was lost, with their consumer, are not counted", async () => {
  await append("1", "2");
  await near.group("g").read({ consumer: "gone", count: 2 });
  const hold = proxy.hold(isTake, "reply");
  await expect
    .poll(async () => (await near.group("g").pendingEntries()).every(({ idleMs }) => idleMs > QUICK.minIdle))
    .toBe(true);
  const own = consumer(open(proxy.url), "g", { ...QUICK, concurrency: 2 }, () => expect.unreachable());
  await hold.reached;
  await stopAlone(own);
  const pending = await near.group("g").pendingEntries();
  expect(pending.map(({ deliveries, consumer: holder }) => [deliveries, holder])).toEqual([
    [1, own.name],
    [1, own.name],
  ]);
});

it("A100: entries of a read whose reply was lost, with their consumer, are not counted", async () => {
  // A server gets the text of a script once.
  await new GroupMember<Job>(placeOf(near), near.group("g"), {
    ...{ name: "gone", maxReplyBytes: 262_144, minIdleMs: 0, maxDeliveries: 3, maxDead: 0 },
  }).readMany(1);
  await append("1", "2", "3");
  const hold = proxy.hold(isRead, "reply");
  const own = consumer(open(proxy.url), "g", { ...QUICK, concurrency: 3 }, () => expect.unreachable());
  await hold.reached;
  await stopAlone(own);
  expect(await counted()).toEqual([0, 0, 0]);
});

it("A100: idle entries whose reply was lost are asked for again, and are repetitions of what had begun", async () => {
  await append("1");
  await near.group("g").read({ consumer: "gone" });
  const hold = proxy.hold(isTake, "reply");
  const begun: number[] = [];
  const own = consumer(open(proxy.url), "g", { ...QUICK, concurrency: 2 }, (_, { deliveries }) => {
    begun.push(deliveries);
  });
  await hold.reached;
  await expect.poll(counted).toEqual([1]);
  hold.cut();
  await expect.poll(() => own.counts.handled).toBe(1);
  expect(begun).toEqual([2]);
});

it("A100: the handler of an entry that was delivered before begins once Redis has counted it", async () => {
  await append("1");
  await near.group("g").read({ consumer: "gone" });
  const hold = proxy.hold(isCount, "request");
  const begun = gate();
  const seen: number[] = [];
  const own = consumer(open(proxy.url), "g", QUICK, async (_, { deliveries }) => {
    seen.push(deliveries);
    await begun.pass();
  });
  await hold.reached;
  expect([await counted(), seen]).toEqual([[1], []]);
  hold.release();
  await begun.arrived();
  expect([await counted(), seen]).toEqual([[2], [2]]);
  begun.open();
  await expect.poll(() => own.counts.handled).toBe(1);
});

it("A100: an entry of a waiting read whose reply was lost is not counted if its consumer stops meanwhile", async () => {
  await append("1");
  const hold = proxy.hold("XREADGROUP", "reply");
  const held = gate();
  const options = { ...QUICK, block: "10s", minIdle: "1h", concurrency: 2 } as const;
  const own = consumer(open(proxy.url), "g", options, () => held.pass());
  await held.arrived();
  const [second] = await append("2");
  await hold.reached;
  await own.stop();
  expect((await near.group("g").pendingEntries()).map(({ id, deliveries }) => [id, deliveries])).toEqual([
    [expect.any(String), 1],
    [second, 0],
  ]);
  held.open();
});
