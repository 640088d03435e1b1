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

it("A100: entries that were read are not counted, until their handlers begin", async () => {
  await append("1", "2", "3");
  const held = gate();
  const seen: string[] = [];
  const handler = async ({ fields }: { readonly fields: Job }): Promise<void> => {
    seen.push(fields.n);
    await held.pass();
  };
  consumers.push(consumer(jobs, "g", { count: 3, minIdle: "1h", block: 50, stopTimeout: 1 }, handler));
  await held.arrived();
  await expect.poll(counted).toEqual([1, 0, 0]);
  held.open();
  await expect.poll(() => seen).toEqual(["1", "2", "3"]);
});

it("A100: what a process had read goes to another consumer as a first delivery, unless a handler had begun", async () => {
  const ids = await append("1", "2");
  const gone = memberOf("gone");
  const { deliveries } = await gone.readMany(2);
  expect(deliveries.map(({ isCounted }) => isCounted)).toEqual([false, false]);
  expect(await gone.count(new Map([[ids[0]!, 1]]))).toEqual([]);
  const taken = await memberOf("me").take("idle", "0-0", 2);
  expect(taken.deliveries).toMatchObject([
    { entry: { id: ids[0] }, deliveries: 2, isCounted: false },
    { entry: { id: ids[1] }, deliveries: 1, isCounted: false },
  ]);
});

it("A100: a delivery whose reply was lost counts nothing, however often it is asked for", async () => {
  const [id] = await append("1");
  const member = memberOf("me");
  await member.readMany(1);
  const first = { entry: { id }, deliveries: 1, isCounted: false };
  for (let i = 0; i < 5; i += 1) expect((await member.take("lost", "0-0", 1)).deliveries).toMatchObject([first]);
  await member.count(new Map([[id!, 1]]));
  for (const which of ["idle", "retaken", "retaken", "own"] as const)
    expect((await member.take(which, "0-0", 1)).deliveries).toMatchObject([{ ...first, deliveries: 2 }]);
  expect([await counted(), await jobs.dead.len()]).toEqual([[1], 0]);
});

it("A100: an entry that a waiting read brought is delivered once, even if its reply was lost", async () => {
  const [id] = await append("1");
  const member = memberOf("me");
  await member.readOne(0, new AbortController().signal);
  for (let i = 0; i < 5; i += 1) {
    const { deliveries } = await member.take("lost", "0-0", 1);
    expect(deliveries).toEqual([{ entry: expect.objectContaining({ id }), deliveries: 1 }]);
  }
  await member.close();
});

it("A100: an entry at its last delivery is not buried by its own consumer that asks for lost ones", async () => {
  const [id] = await append("1");
  const member = memberOf("me");
  await member.readMany(1);
  await member.count(new Map([[id!, 3]]));
  for (const which of ["lost", "retaken"] as const)
    expect(await member.take(which, "0-0", 1)).toMatchObject({ deliveries: [], buried: 0 });
  expect(await member.take("idle", "0-0", 1)).toMatchObject({ deliveries: [], buried: 1 });
});

it("A100: a handler that has begun is counted, one that another consumer has taken is not", async () => {
  const ids = await append("1", "2");
  const member = memberOf("me");
  await member.readMany(2);
  await jobs.group("g").claim({ consumer: "thief", minIdle: 0, ids: [ids[1]!] });
  const begun = new Map(ids.map((id) => [id, 1]));
  expect(await member.count(begun)).toEqual([ids[1]]);
  expect(await counted()).toEqual([1, 1]);
  expect(await member.count(begun)).toEqual([ids[1]]);
  expect(await counted()).toEqual([1, 1]);
});

it("A101: a reply ends with the entry that fills it, and says that there may be more", async () => {
  const ids = await append(..."abcde".split("").map((n) => n.repeat(1_000)));
  const member = memberOf("me", 2_500);
  const read = async (): Promise<unknown> => {
    const { deliveries, isMore } = await member.readMany(5);
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

it("A101: entries that are larger than those before stay with their reader, which takes them next", async () => {
  const texts = ["a", "b", "c", ..."defgh".split("").map((n) => n.repeat(1_000))];
  const ids = await append(...texts);
  const member = memberOf("me", 2_500);
  const { deliveries, isMore, hasUnseen } = await member.readMany(7);
  expect(deliveries.map(({ entry }) => ids.indexOf(entry.id))).toEqual([0, 1, 2, 3, 4, 5]);
  expect([isMore, hasUnseen, await counted()]).toEqual([true, true, [0, 0, 0, 0, 0, 0, 0]]);
  const unseen = await member.take("lost", ids[5]!, 7);
  expect(unseen.deliveries).toMatchObject([{ entry: { id: ids[6] }, deliveries: 1, isCounted: false }]);

  await jobs.group("all").ensure("0");
  const seen: (readonly [string, number])[] = [];
  const own = consumer(jobs, "all", { count: 7, maxReplyBytes: 2_500, block: 50 }, ({ fields }, context) => {
    seen.push([fields.n, context.deliveries]);
  });
  consumers.push(own);
  await expect.poll(() => own.counts.handled).toBe(8);
  expect(seen).toEqual(texts.map((text) => [text, 1]));
  expect(own.counts.redelivered).toBe(0);
});

it.each([
  { small: 1, returned: 4, held: 4 },
  { small: 31, returned: 34, held: 47 },
])("A101: however large entries become, one read of Redis reaches for 16: $small small ones", async (row) => {
  const large = "x".repeat(100_000);
  await append(...Array.from({ length: row.small }, () => "a"), ...Array.from({ length: 300 }, () => large));
  const { deliveries, hasUnseen } = await memberOf("me").readMany(row.small + 300);
  const { count } = await jobs.group("g").pending();
  expect({ returned: deliveries.length, held: count }).toEqual({ returned: row.returned, held: row.held });
  expect(hasUnseen).toBe(row.held > row.returned);
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
