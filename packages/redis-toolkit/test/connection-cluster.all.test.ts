/** Bursts, dedicated sockets and subscriptions in a cluster whose slots move. */
import { cluster } from "@hotset/redis";
import { openConnection, type RedisConnection } from "@hotset/redis-toolkit/connection";
import { startCluster, type ClusterNode } from "@hotset/test-servers";
import { afterAll, describe, expect, it } from "vitest";

const nodes = await startCluster({ replicas: 0, proxied: true });
afterAll(() => nodes.stop());

const open = (protocol: 2 | 3 = 3): RedisConnection =>
  openConnection(cluster(nodes.urls), { responseTimeoutMs: 2_000, backoff: { baseMs: 10, maxMs: 100 }, protocol });

/** A hash tag whose keys `from` serves, and a node that does not. */
async function tagOn(
  from: ClusterNode,
): Promise<{ readonly tag: string; readonly slot: number; readonly to: ClusterNode }> {
  const tag = await nodes.keyOn(from, "tag");
  const to = (await nodes.masters()).find((node) => node !== from)!;
  return { tag, slot: await nodes.slotOf(tag), to };
}

const commandsAt = (node: ClusterNode, name: string): number => node.proxy!.counts.commandsByName[name] ?? 0;
const transfer = (a: string, b: string): readonly (readonly string[])[] => [
  ["MULTI"],
  ["INCR", a],
  ["INCR", b],
  ["EXEC"],
];

describe("a burst", () => {
  it("goes to the node of its key, and nothing of it elsewhere", async () => {
    await using redis = open();
    await redis.connect();
    for (const node of await nodes.masters()) {
      for (const { proxy } of nodes.nodes) proxy!.resetCounts();
      const key = await nodes.keyOn(node);
      expect(await redis.burst(key, [["MULTI"], ["SET", key, "v"], ["EXEC"]])).toEqual(["OK", "QUEUED", ["OK"]]);
      for (const each of nodes.nodes)
        expect([commandsAt(each, "MULTI"), commandsAt(each, "SET")]).toEqual(each === node ? [1, 1] : [0, 0]);
    }
  });

  it("that begins a transaction is asked of the node that its slot moves to, and moves with the slot", async () => {
    await using redis = open();
    const from = (await nodes.masters())[0]!;
    const { tag, slot, to } = await tagOn(from);
    const [a, b] = [`{${tag}}a`, `{${tag}}b`];
    expect(await redis.burst(a, transfer(a, b))).toEqual(["OK", "QUEUED", "QUEUED", [1, 1]]);
    const migration = await nodes.migrateHalfway(slot, to);
    try {
      await migration.move(a, b);
      expect(await redis.burst(a, transfer(a, b))).toEqual(["OK", "QUEUED", "QUEUED", [2, 2]]);
      expect(
        await redis.burst(a, [
          ["INCR", a],
          ["GET", b],
        ]),
      ).toEqual([3, Buffer.from("2")]);
    } finally {
      await migration.finish();
    }
    expect(await redis.burst(a, transfer(a, b))).toEqual(["OK", "QUEUED", "QUEUED", [4, 3]]);
    for (const { proxy } of nodes.nodes) proxy!.resetCounts();
    expect(await redis.burst(a, transfer(a, b))).toEqual(["OK", "QUEUED", "QUEUED", [5, 4]]);
    expect([commandsAt(from, "MULTI"), commandsAt(to, "MULTI")]).toEqual([0, 1]);
  });

  it("stays whole while its slot moves there and back: no half of a transaction is executed", async () => {
    await using redis = open();
    const from = (await nodes.masters())[1]!;
    const { tag, slot, to } = await tagOn(from);
    const [a, b] = [`{${tag}}left`, `{${tag}}right`];
    let isMoving = true;
    let executed = 0;
    const refused: unknown[] = [];
    const callers = Array.from({ length: 20 }, async () => {
      while (isMoving) {
        const results = await redis.burst(a, transfer(a, b));
        const last = results.at(-1);
        if (Array.isArray(last)) executed += 1;
        else refused.push(last);
      }
    });
    const twentyMore = async (count: () => number): Promise<void> => {
      const before = count();
      await expect.poll(count, { interval: 5 }).toBeGreaterThanOrEqual(before + 20);
    };
    try {
      for (const target of [to, from]) {
        await twentyMore(() => executed);
        const migration = await nodes.migrateHalfway(slot, target);
        await migration.move(a);
        // While only one of two keys has moved the server refuses both halves.
        await twentyMore(() => refused.length);
        await migration.move(b);
        await migration.finish();
      }
      await twentyMore(() => executed);
    } finally {
      isMoving = false;
    }
    await Promise.all(callers);
    const values = (await redis.call(["MGET", a, b], { key: a })) as readonly Buffer[];
    expect(values.map(Number)).toEqual([executed, executed]);
    for (const error of refused) expect(String(error)).toMatch(/TRYAGAIN|EXECABORT/);
  });
});

it("a command over a socket to one node, whose slot has moved, is refused as not executed, and the next socket leads there", async () => {
  await using redis = open();
  const from = (await nodes.masters())[2]!;
  const { tag, slot, to } = await tagOn(from);
  const key = `{${tag}}key`;
  await using exclusive = await redis.open({ role: "exclusive", key });
  expect(await exclusive.call(["INCR", key])).toBe(1);
  const migration = await nodes.migrateHalfway(slot, to);
  await migration.move(key);
  await migration.finish();
  await expect(exclusive.call(["INCR", key])).rejects.toMatchObject({
    code: "BACKEND_UNAVAILABLE",
    operation: "INCR",
    retryable: true,
    maybeExecuted: false,
  });
  await expect
    .poll(async () => {
      await using next = await redis.open({ role: "exclusive", key });
      return next.address;
    })
    .toBe(new URL(to.proxy!.url).host);
});

it.for([3, 2] as const)("a subscription to a sharded channel follows its slot, over RESP%i", async (protocol) => {
  await using redis = open(protocol);
  const from = (await nodes.masters())[0]!;
  const { tag: channel, slot, to } = await tagOn(from);
  await using subscriber = await redis.open({ role: "subscriber", key: channel });
  const received: string[] = [];
  let gaps = 0;
  subscriber.on("gap", () => void (gaps += 1));
  await subscriber.subscribe("shard", channel, (message) => void received.push(message.toString()));
  expect(await redis.call(["SPUBLISH", channel, "before"], { key: channel })).toBe(1);
  await expect.poll(() => received).toEqual(["before"]);
  const migration = await nodes.migrateHalfway(slot, to);
  await migration.finish();
  await expect.poll(() => redis.call(["SPUBLISH", channel, "after"], { key: channel })).toBe(1);
  await expect.poll(() => received.at(-1)).toBe("after");
  expect(gaps).toBe(1);
});

it("in a cluster it is up while some primary can be reached", async () => {
  await using redis = open();
  const events: string[] = [];
  redis.on("up", () => void events.push("up"));
  redis.on("down", () => void events.push("down"));
  await redis.connect();
  await expect.poll(() => events).toEqual(["up"]);
  // That was the first of its primaries.
  await redis.each((primary) => primary.call(["PING"]));
  const [first, ...others] = nodes.nodes;
  await first!.kill();
  await expect.poll(() => redis.each((primary) => primary.call(["PING"])).catch(() => "lost")).toBe("lost");
  expect([redis.state, events]).toEqual(["up", ["up"]]);
  await Promise.all(others.map((node) => node.kill()));
  await expect.poll(() => redis.state).toBe("down");
  await Promise.all(nodes.nodes.map((node) => node.start()));
  await expect.poll(() => redis.state).toBe("up");
  expect(events).toEqual(["up", "down", "up"]);
});
