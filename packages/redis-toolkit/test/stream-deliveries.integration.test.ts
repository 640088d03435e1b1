import type { Redis } from "@hotset/redis-toolkit";
import { consumer, streams, type Consumer, type EntryId, type Stream } from "@hotset/redis-toolkit/streams";
import { randomPrefix } from "@hotset/test-servers";
import { gate } from "@hotset/testing";
import { afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { GroupMember } from "../src/streams/member.ts";
import { placeOf } from "../src/streams/stream-place.ts";
import { startServers } from "./servers.ts";

interface Job {
  readonly n: string;
}

const servers = startServers({ user: "streams", keys: "any" });
const consumers: Consumer<Job>[] = [];

let redis: Redis;
let jobs: Stream<Job>;

beforeAll(async () => {
  redis = await servers.open("one server");
});
beforeEach(async () => {
  jobs = streams(redis).stream<Job>(randomPrefix());
  await jobs.group("g").ensure("0");
});
afterEach(async () => {
  await Promise.all(consumers.splice(0).map((each) => each.stop()));
});

const append = async (...numbers: readonly string[]): Promise<readonly EntryId[]> => {
  const ids: EntryId[] = [];
  for (const n of numbers) ids.push(await jobs.append({ n }));
  return ids;
};

const memberOf = (name: string, maxReplyBytes = 262_144): GroupMember<Job> =>
  new GroupMember<Job>(placeOf(jobs), jobs.group("g"), {
    ...{ name, maxReplyBytes, minIdleMs: 0, maxDeliveries: 3, maxDead: 0 },
  });

const counted = async (): Promise<readonly number[]> =>
  (await jobs.group("g").pendingEntries()).map(({ deliveries }) => deliveries);

it("A100: entries for which no slot is free are not counted, until their handlers begin", async () => {
  await append("1", "2", "3");
  const held = gate();
  const seen: string[] = [];
  const handler = async ({ fields }: { readonly fields: Job }): Promise<void> => {
    seen.push(fields.n);
    await held.pass();
  };
  consumers.push(consumer(jobs, "g", { count: 3, minIdle: "1h", block: 50, stopTimeout: 1 }, handler));
  await held.arrived();
  expect(await counted()).toEqual([1, 0, 0]);
  held.open();
  await expect.poll(() => seen).toEqual(["1", "2", "3"]);
});

it("A100: an entry that waited behind one whose process ended goes to another consumer as a first delivery", async () => {
  const ids = await append("1", "2");
  const { deliveries } = await memberOf("gone").readMany(2, 1);
  expect(deliveries.map(({ isCounted }) => isCounted)).toEqual([undefined, false]);
  const taken = await memberOf("me").take("idle", "0-0", 2);
  expect(taken.deliveries.map((delivery) => [delivery.entry.id, delivery.deliveries])).toEqual([
    [ids[0], 2],
    [ids[1], 1],
  ]);
});

it("A100: a delivery whose reply was lost counts once, however often it is asked for", async () => {
  const [id] = await append("1");
  const member = memberOf("me");
  await member.readMany(1, 1);
  for (let i = 0; i < 5; i += 1)
    expect((await member.take("lost", "0-0", 1)).deliveries).toMatchObject([{ entry: { id }, deliveries: 1 }]);
  expect((await member.take("idle", "0-0", 1)).deliveries).toMatchObject([{ deliveries: 2 }]);
  expect((await member.take("lost", "0-0", 1)).deliveries).toMatchObject([{ deliveries: 2 }]);
  expect(await jobs.dead.len()).toBe(0);
});

it("A100: a handler that has begun is counted, one that another consumer has taken is not", async () => {
  const ids = await append("1", "2");
  const member = memberOf("me");
  await member.readMany(2, 0);
  await jobs.group("g").claim({ consumer: "thief", minIdle: 0, ids: [ids[1]!] });
  await member.count(ids);
  expect(await counted()).toEqual([1, 1]);
  await member.count(ids);
  expect(await counted()).toEqual([1, 1]);
});

it("A101: a reply ends with the entry that fills it, and says that there may be more", async () => {
  const ids = await append(..."abcde".split("").map((n) => n.repeat(1_000)));
  const member = memberOf("me", 2_500);
  const read = async (): Promise<unknown> => {
    const { deliveries, isMore } = await member.readMany(5, 5);
    return [deliveries.map(({ entry }) => ids.indexOf(entry.id)), isMore];
  };
  expect([await read(), await read(), await read()]).toEqual([
    [[0, 1, 2], true],
    [[3, 4], false],
    [[], false],
  ]);
  for (const which of ["own", "idle"] as const) {
    const first = await memberOf("me", 2_500).take(which, "0-0", 5);
    const second = await memberOf("me", 2_500).take(which, first.next, 5);
    expect([first, second].map(({ deliveries }) => deliveries.length)).toEqual([3, 2]);
    expect([first.isMore, second.isMore]).toEqual([true, false]);
  }
});

it("A102: handlers fill free slots: a slow one holds up no other, and concurrency alone is enough", async () => {
  await append(...Array.from({ length: 12 }, (_, n) => `${n}`));
  const held = gate();
  const ended: string[] = [];
  let running = 0;
  let most = 0;
  const handler = async ({ fields }: { readonly fields: Job }): Promise<void> => {
    most = Math.max(most, (running += 1));
    if (fields.n === "0") await held.pass();
    else await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    ended.push(fields.n);
  };
  const own = consumer(jobs, "g", { concurrency: 3, block: 50 }, handler);
  consumers.push(own);
  await expect.poll(() => ended.length).toBe(11);
  expect([ended.includes("0"), most]).toEqual([false, 3]);
  held.open();
  await expect.poll(() => own.counts.handled).toBe(12);
});
