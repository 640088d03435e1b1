import { createRedis, type Redis, type RedisOptions } from "@hotset/redis-toolkit";
import {
  consumer,
  streams,
  type ConsumerContext,
  type Delivery,
  type Entry,
  type EntryId,
  type PendingEntry,
  type Stream,
} from "@hotset/redis-toolkit/streams";
import { forkScript, randomPrefix, startOwnRedis, startProxy, type OwnRedis } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { GroupMember } from "../src/streams/member.ts";
import { FORGET } from "../src/streams/scripts.ts";
import { placeOf } from "../src/streams/stream-place.ts";
import { ALONE, EVERYWHERE, startServers } from "./servers.ts";
import type { Handlers } from "./stream-worker.ts";

const servers = startServers({ user: "streams", keys: "any" });

interface Job {
  readonly n: string;
}

type Jobs = Stream<Job>;

const WORKER = new URL("stream-worker.ts", import.meta.url);
const QUICK = { block: 50, minIdle: 100 } as const;
const SILENT = { error: () => 0, warn: () => 0, info: () => 0 };

/** The entries that a handler was given, in order. */
class Seen {
  readonly entries: { readonly n: string; readonly id: EntryId; readonly deliveries: number }[] = [];

  readonly handler = ({ id, fields }: Entry<Job>, { deliveries }: ConsumerContext): void => {
    this.entries.push({ n: fields.n, id, deliveries });
  };

  get numbers(): readonly string[] {
    return this.entries.map(({ n }) => n);
  }
}

const appendAll = async (jobs: Jobs, numbers: readonly string[]): Promise<readonly EntryId[]> => {
  const ids: EntryId[] = [];
  for (const n of numbers) ids.push(await jobs.append({ n }));
  return ids;
};

const numbersTo = (count: number): readonly string[] => Array.from({ length: count }, (_, n) => `${n}`);

describe.each(EVERYWHERE)("consumers over %s", (where) => {
  let redis: Redis;
  let jobs: Jobs;
  beforeAll(async () => {
    redis = await servers.open(where, { logger: SILENT });
  });
  beforeEach(() => {
    jobs = streams(redis).stream<Job>(randomPrefix());
  });

  it("A51: consumers of one group handle every entry once, and nothing stays pending", async () => {
    const [one, other] = [new Seen(), new Seen()];
    await using first = consumer(jobs, "processors", { count: 3, block: 50 }, one.handler);
    await using second = consumer(jobs, "processors", { concurrency: 2, count: 3, block: 50 }, other.handler);
    await appendAll(jobs, numbersTo(40));
    await expect.poll(() => one.entries.length + other.entries.length).toBe(40);
    expect([...one.numbers, ...other.numbers].toSorted()).toEqual(numbersTo(40).toSorted());
    expect(one.numbers).toEqual(one.numbers.toSorted((a, b) => Number(a) - Number(b)));
    await expect.poll(() => first.status()).toEqual({ lag: 0, pending: 0, ownPending: 0 });
    expect(first.counts.handled + second.counts.handled).toBe(40);
    expect(first.counts.groupsCreated + second.counts.groupsCreated).toBe(1);
  });

  it("A52: a consumer begins with what it holds, then reads new entries", async () => {
    const group = jobs.group("processors");
    await group.ensure("0");
    await appendAll(jobs, ["0", "1", "2"]);
    await group.read({ consumer: "mine", count: 2 });
    const seen = new Seen();
    await using _consumer = consumer(jobs, "processors", { name: "mine", block: 50 }, seen.handler);
    await expect.poll(() => seen.entries.length).toBe(3);
    expect(seen.entries.map(({ n, deliveries }) => [n, deliveries])).toEqual([
      ["0", 2],
      ["1", 2],
      ["2", 1],
    ]);
  });

  it("A52: an entry whose handler fails is delivered again, and at last is a dead letter with the reason", async () => {
    const tries: number[] = [];
    const handled: string[] = [];
    const errors: unknown[] = [];
    const onError = (error: unknown, { entry, deliveries }: Delivery<Job>): never => {
      errors.push([(error as Error).message, entry.fields.n, deliveries]);
      throw new Error("of onError");
    };
    const options = { ...QUICK, maxDeliveries: 3, onError };
    await using own = consumer(jobs, "processors", options, ({ fields }, { deliveries }) => {
      if (fields.n !== "poison") return void handled.push(fields.n);
      tries.push(deliveries);
      throw new Error("cannot be read");
    });
    const [, poison] = await appendAll(jobs, ["0", "poison", "1"]);
    await expect.poll(() => jobs.dead.len()).toBe(1);
    // The poison may have been delivered three times before the last entry was appended.
    await expect.poll(() => handled.length).toBe(2);
    expect([tries, handled]).toEqual([
      [1, 2, 3],
      ["0", "1"],
    ]);
    expect(errors).toEqual([1, 2, 3].map((deliveries) => ["cannot be read", "poison", deliveries]));
    const [letter] = await jobs.dead.range();
    expect(letter).toEqual({
      id: expect.stringMatching(/^\d+-\d+$/),
      entryId: poison,
      group: "processors",
      reason: "handler",
      error: "cannot be read",
      deliveries: 3,
      fields: { n: "poison" },
      pairs: [["n", "poison"]],
    });
    await expect.poll(async () => (await own.status()).pending).toBe(0);
    expect(own.counts).toEqual({ handled: 2, failed: 3, redelivered: 2, buried: 1, deleted: 0, groupsCreated: 1 });
    await redis.commands.xAdd(jobs.dead.key, "*", { id: "not of a consumer" });
    expect(await jobs.dead.range()).toEqual([letter]);
    expect(await jobs.dead.delete(letter!.id)).toBe(1);
    expect([await jobs.dead.len(), await jobs.len()]).toEqual([1, 3]);
  });

  it("an entry whose handler throws an error without a text is a dead letter all the same", async () => {
    await using _own = consumer(jobs, "processors", { ...QUICK, maxDeliveries: 1 }, () => {
      throw Object.defineProperty(new Error("x"), "message", { value: { code: 7 } });
    });
    await appendAll(jobs, ["poison"]);
    await expect.poll(() => jobs.dead.len()).toBe(1);
    expect(await jobs.dead.range()).toMatchObject([{ reason: "handler", error: "a value of type object" }]);
  });

  it("A52: what consumers that ended have held too often is a dead letter, and is not handled", async () => {
    const group = jobs.group("processors");
    await group.ensure("0");
    const [id] = await appendAll(jobs, ["poison", "1"]);
    await group.read({ consumer: "gone" });
    for (const taker of ["gone", "gone"]) await group.claim({ consumer: taker, minIdle: 1, ids: [id!] }).then(wait(5));
    const deliveries = (await group.pendingEntries())[0]!.deliveries;
    expect(deliveries).toBeGreaterThanOrEqual(2);
    const seen = new Seen();
    await using own = consumer(jobs, "processors", { ...QUICK, maxDeliveries: deliveries }, seen.handler);
    await expect.poll(() => jobs.dead.len()).toBe(1);
    await expect.poll(() => seen.numbers).toEqual(["1"]);
    expect(await jobs.dead.range()).toMatchObject([
      { entryId: id, reason: "deliveries", error: "", deliveries, fields: { n: "poison" } },
    ]);
    await expect.poll(async () => (await own.status()).pending).toBe(0);
  });

  it("A54: an entry that was deleted while it was pending is acknowledged and counted", async () => {
    const group = jobs.group("processors");
    await group.ensure("0");
    const ids = await appendAll(jobs, ["0", "1", "2", "3"]);
    await group.read({ consumer: "mine", count: 2 });
    await group.read({ consumer: "gone", count: 1 });
    await jobs.delete(ids[0]!, ids[2]!);
    const seen = new Seen();
    await using own = consumer(jobs, "processors", { ...QUICK, name: "mine", count: 5 }, seen.handler);
    await expect.poll(() => own.counts.deleted).toBe(2);
    await expect.poll(() => seen.numbers).toEqual(["1", "3"]);
    await expect.poll(async () => (await own.status()).pending).toBe(0);
  });

  it("A55: stop lets handlers finish, reads no more, and leaves the group if nothing is pending", async () => {
    const gate = Promise.withResolvers<void>();
    const seen = new Seen();
    const own = consumer(jobs, "processors", { block: "10s", count: 2 }, async (entry, context) => {
      seen.handler(entry, context);
      await gate.promise;
    });
    await appendAll(jobs, ["0", "1", "2"]);
    await expect.poll(() => seen.numbers).toEqual(["0"]);
    const stopped = own.stop();
    expect([own.state, own.stop()]).toEqual(["stopping", stopped]);
    gate.resolve();
    await stopped;
    expect([own.state, seen.numbers]).toEqual(["stopped", expect.arrayContaining(["0"])]);
    expect(await jobs.group("processors").pending()).toMatchObject({ count: 0 });
    expect(await jobs.group("processors").consumers()).toEqual([]);
    const rest = new Seen();
    await using _rest = consumer(jobs, "processors", { count: 3, block: 50 }, rest.handler);
    await expect.poll(() => [...seen.numbers, ...rest.numbers]).toEqual(["0", "1", "2"]);
  });

  it("A55: a consumer that holds an entry stays in the group when it stops; another takes the entry", async () => {
    const own = consumer(jobs, "processors", { block: "1m" }, () => Promise.reject(new Error("not now")));
    await appendAll(jobs, ["0"]);
    await expect.poll(() => own.counts.failed).toBe(1);
    await own.stop();
    expect(await jobs.group("processors").consumers()).toMatchObject([{ name: own.name, pending: 1 }]);
    const seen = new Seen();
    await using _next = consumer(jobs, "processors", QUICK, seen.handler);
    await expect.poll(() => seen.entries).toMatchObject([{ n: "0", deliveries: 2 }]);
  });

  it("bytes and fields of one name reach the handler and the dead letters as they were appended", async () => {
    const bytes = streams(redis).stream(`${jobs.key}:bytes`, { values: "bytes" });
    const pairs = [
      ["a", Buffer.from([0, 255])],
      ["a", Buffer.from([128])],
      ["id", Buffer.from("its own")],
    ] as const;
    const got: unknown[] = [];
    await using _own = consumer(bytes, "processors", { block: 50, maxDeliveries: 1 }, (entry) => {
      got.push(entry.pairs);
      throw new Error("never");
    });
    await bytes.append(pairs);
    await expect.poll(() => bytes.dead.len()).toBe(1);
    expect((await bytes.dead.range())[0]!.pairs).toEqual(pairs);
    expect(got).toEqual([pairs]);
  });

  it("A52: dead letters lie in the slot of their stream, also for tenants and names with a hash tag", async () => {
    const tenant = redis.tenant("acme{1}");
    const made = [redis, tenant].flatMap((view) =>
      ["events", "{eu}events", "a{b"].map((name) => [view, name] as const),
    );
    for (const [view, name] of made) {
      const stream = streams(view).stream<Job>(`${randomPrefix()}${name}`);
      await using _own = consumer(stream, "g", { block: 50, maxDeliveries: 1 }, () => Promise.reject(new Error("no")));
      await stream.append({ n: "1" });
      await expect.poll(() => stream.dead.len()).toBe(1);
      expect(await view.commands.type(stream.dead.key)).toBe("stream");
    }
    expect(streams(redis).stream("events").dead.key).toBe("{events}:dead");
    expect(streams(redis).stream("{eu}events").dead.key).toBe("{eu}events:dead");
    expect(streams(redis.tenant("acme")).stream("events").dead.key).toBe("{acme:events}:dead");
  });
});

const wait = (ms: number) => async (): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function withServer(
  run: (own: OwnRedis, redis: Redis, jobs: Jobs) => Promise<void>,
  { config, ...options }: RedisOptions & { readonly config?: readonly string[] } = {},
): Promise<void> {
  await using own = await startOwnRedis(config === undefined ? {} : { config });
  await using redis = createRedis({ ...ALONE, url: own.url, logger: SILENT, ...options });
  await run(own, redis, streams(redis).stream<Job>("jobs"));
}

const NONE = { count: 0 };

const blocked = (own: OwnRedis) => async (): Promise<string | undefined> =>
  (await own.info("clients"))["blocked_clients"];

it("A52: what a killed process held is handled by another after minIdle, with the deliveries counted", () =>
  withServer(async (own, _redis, jobs) => {
    await jobs.group("processors").ensure("0");
    await appendAll(jobs, numbersTo(50));
    await using worker = forkScript<Handlers>(WORKER);
    await worker.call("hold", own.url, "jobs", 50);
    await expect.poll(() => worker.call("held")).toBe(50);
    const areCounted = async (): Promise<boolean> =>
      (await jobs.group("processors").pendingEntries({ count: 50 })).every(({ deliveries }) => deliveries === 1);
    await expect.poll(areCounted).toBe(true);
    await worker.kill();
    const seen = new Seen();
    await using taker = consumer(jobs, "processors", { ...QUICK, count: 20 }, seen.handler);
    await expect.poll(() => seen.entries.length).toBe(50);
    expect(seen.numbers.toSorted()).toEqual(numbersTo(50).toSorted());
    expect(seen.entries.every(({ deliveries }) => deliveries === 2)).toBe(true);
    expect(taker.counts).toMatchObject({ handled: 50, redelivered: 50 });
  }));

it("A52: an entry stays with its consumer while its handler runs, or waits for another, however long", () =>
  withServer(async (_own, _redis, jobs) => {
    const gate = Promise.withResolvers<void>();
    const handler = (): Promise<void> => gate.promise;
    await using slow = consumer(jobs, "processors", { minIdle: 300, count: 2, block: 50 }, handler);
    await jobs.group("processors").ensure("0");
    const pending = async (): Promise<readonly PendingEntry[]> => jobs.group("processors").pendingEntries();
    await appendAll(jobs, ["0", "1"]);
    await expect.poll(async () => (await pending()).length).toBeGreaterThan(0);
    const begunAt = performance.now();
    const idleTimes = async (): Promise<boolean> =>
      performance.now() - begunAt > 900 && (await pending()).every(({ idleMs }) => idleMs < 200);
    await expect.poll(idleTimes).toBe(true);
    expect((await pending()).map(({ consumer: holder, deliveries }) => [holder, deliveries])).toContainEqual([
      slow.name,
      1,
    ]);
    gate.resolve();
    await expect.poll(() => slow.counts.handled).toBe(2);
  }));

it("A52: a handler learns by its signal that another consumer has taken its entry", () =>
  withServer(async (_own, _redis, jobs) => {
    const reasons: string[] = [];
    // It renews its entry every 667 ms. A test that fails does not wait for its handler.
    const options = { block: 50, minIdle: "2s", stopTimeout: "1s" } as const;
    await using _own2 = consumer(jobs, "processors", options, async (_entry, { signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      reasons.push((signal.reason as Error).message);
    });
    const [id] = await appendAll(jobs, ["0"]);
    const group = jobs.group("processors");
    await expect.poll(async () => (await group.pending().catch(() => ({ count: 0 }))).count).toBe(1);
    // An entry that was renewed in this millisecond is not taken.
    const stolen = async (): Promise<readonly EntryId[]> =>
      (await group.claim({ consumer: "thief", minIdle: 1, ids: [id!] })).map((entry) => entry.id);
    await expect.poll(stolen).toEqual([id]);
    await expect.poll(() => reasons).toEqual(["another consumer has taken the entry"]);
  }));

it.each(["FLUSHALL", "DEL", "XGROUP DESTROY", "a restart without its data"])(
  "A53: after %s the group is made again, and the consumer goes on",
  (loss) =>
    withServer(async (own, redis, jobs) => {
      const seen = new Seen();
      await using worker = consumer(jobs, "processors", { block: "1m" }, seen.handler);
      await appendAll(jobs, ["0"]);
      await expect.poll(() => seen.numbers).toEqual(["0"]);
      await expect.poll(blocked(own)).toBe("1");
      if (loss === "FLUSHALL") await own.command("FLUSHALL");
      else if (loss === "DEL") await own.command("DEL", "jobs");
      else if (loss === "XGROUP DESTROY") await own.command("XGROUP", "DESTROY", "jobs", "processors");
      else await own.restart();
      await expect.poll(() => worker.counts.groupsCreated).toBe(2);
      await own.command("XADD", "jobs", "*", "n", "1");
      await expect.poll(() => seen.numbers.at(-1)).toBe("1");
      // From "0": what is still there is handled again.
      expect(seen.numbers).toEqual(loss === "XGROUP DESTROY" ? ["0", "0", "1"] : ["0", "1"]);
      await redis.disconnect();
    }),
);

it('A53: with onLostGroup "$" a new group leaves out what is there', () =>
  withServer(async (own, _redis, jobs) => {
    await appendAll(jobs, ["0"]);
    const seen = new Seen();
    await using worker = consumer(jobs, "processors", { block: "10s", onLostGroup: "$" }, seen.handler);
    await expect.poll(blocked(own)).toBe("1");
    await appendAll(jobs, ["1"]);
    await expect.poll(() => seen.numbers).toEqual(["1"]);
    await own.command("XGROUP", "DESTROY", "jobs", "processors");
    await expect.poll(() => worker.counts.groupsCreated).toBe(2);
    await appendAll(jobs, ["2"]);
    await expect.poll(() => seen.numbers).toEqual(["1", "2"]);
  }));

it("Redis away, stopped or full: a consumer waits, says so, and goes on; nothing lost or doubled", () => {
  const lines: string[] = [];
  const logger = { ...SILENT, warn: (line: string) => lines.push(line) };
  return withServer(
    async (own, _redis, jobs) => {
      const seen = new Seen();
      await using worker = consumer(jobs, "processors", { block: 50, count: 5 }, seen.handler);
      await appendAll(jobs, ["0", "1"]);
      await expect.poll(() => seen.numbers).toEqual(["0", "1"]);
      await expect.poll(async () => (await worker.status()).pending).toBe(0);
      await own.kill();
      await expect.poll(() => lines.some((line) => line.includes("stream consumer"))).toBe(true);
      await own.start();
      await own.command("XADD", "jobs", "*", "n", "2");
      await expect.poll(() => seen.numbers).toEqual(["0", "1", "2"]);
      own.pause();
      const told = lines.length;
      await expect.poll(() => lines.slice(told).some((line) => line.includes("stream consumer"))).toBe(true);
      own.resume();
      // By then the server has closed the link whose read has timed out: it delivers nothing to that one.
      await expect.poll(() => worker.status().catch(() => undefined)).toMatchObject({ pending: 0 });
      await own.command("XADD", "jobs", "*", "n", "3");
      await expect.poll(() => seen.numbers).toEqual(["0", "1", "2", "3"]);
      await jobs.append({ n: "4" });
      await own.command("CONFIG", "SET", "maxmemory", "1");
      await expect.poll(() => seen.numbers.at(-1)).toBe("4");
      await expect.poll(async () => (await worker.status()).pending).toBe(0);
      expect(worker.counts).toMatchObject({ handled: 5, redelivered: 0, groupsCreated: 1 });
    },
    { config: ["appendonly yes", "appendfsync always"], logger, commandTimeout: "2s" },
  );
});

it("an entry that was handled while Redis was away is acknowledged later, and not handled again", () =>
  withServer(
    async (own, _redis, jobs) => {
      const gate = Promise.withResolvers<void>();
      const seen = new Seen();
      await using worker = consumer(jobs, "processors", QUICK, async (entry, context) => {
        seen.handler(entry, context);
        await gate.promise;
      });
      await appendAll(jobs, ["0"]);
      await expect.poll(() => seen.numbers).toEqual(["0"]);
      await own.kill();
      gate.resolve();
      await expect.poll(() => worker.counts.handled).toBe(1);
      await wait(300)();
      await own.start();
      await expect.poll(() => worker.status().then(({ pending }) => pending)).toBe(0);
      expect(seen.numbers).toEqual(["0"]);
    },
    { config: ["appendonly yes", "appendfsync always"] },
  ));

it("poison becomes a dead letter while memory is short; else it stays pending, and is reported", () => {
  const lines: string[] = [];
  const logger = { ...SILENT, warn: (line: string) => lines.push(line) };
  return withServer(
    async (own, redis, jobs) => {
      const handled: string[] = [];
      await jobs.group("processors").ensure("0");
      await appendAll(jobs, ["poison", "0"]);
      await own.command("CONFIG", "SET", "maxmemory", "1");
      await using _worker = consumer(jobs, "processors", { ...QUICK, maxDeliveries: 2 }, ({ fields }) => {
        if (fields.n === "poison") throw new Error("poison");
        handled.push(fields.n);
      });
      await expect.poll(() => jobs.dead.len()).toBe(1);
      // The poison may have been delivered twice before the entry behind it.
      await expect.poll(() => handled.length).toBe(1);
      expect([handled, await jobs.dead.range()]).toMatchObject([["0"], [{ reason: "handler", deliveries: 2 }]]);
      await own.command("CONFIG", "SET", "maxmemory", "0");
      await redis.commands.delete(jobs.dead.key);
      await redis.commands.set(jobs.dead.key, "not a stream");
      await appendAll(jobs, ["poison", "1"]);
      await expect.poll(() => lines.some((line) => line.includes("WRONGTYPE"))).toBe(true);
      await appendAll(jobs, ["2"]);
      await expect.poll(() => handled).toEqual(["0", "1", "2"]);
      expect((await jobs.group("processors").pending()).count).toBe(1);
      await redis.commands.delete(jobs.dead.key);
      await expect.poll(() => jobs.dead.len()).toBe(1);
      expect((await jobs.group("processors").pending()).count).toBe(0);
    },
    { logger },
  );
});

it("a dead letter that cannot be written keeps no other entry of the same step from its delivery", () =>
  withServer(async (_own, redis, jobs) => {
    const group = jobs.group("processors");
    await group.ensure("0");
    const [poison, next] = await appendAll(jobs, ["poison", "0"]);
    await group.read({ consumer: "gone", count: 2 });
    await redis.commands.set(jobs.dead.key, "not a stream");
    const settings = { name: "me", maxReplyBytes: 262_144, minIdleMs: 0, maxDeliveries: 2, maxDead: 0 };
    const member = new GroupMember<Job>(placeOf(jobs), group, settings);
    await group.claim({ consumer: "gone", minIdle: 1, ids: [poison!] }).then(wait(2));
    await group.claim({ consumer: "gone", minIdle: 1, ids: [poison!] });
    const taken = await member.take("idle", "0-0", 5);
    expect(taken.deliveries).toMatchObject([{ entry: { id: next }, deliveries: 2 }]);
    expect([taken.buried, taken.problems]).toEqual([0, [expect.stringContaining("WRONGTYPE")]]);
    await redis.commands.delete(jobs.dead.key);
    // Its handler begins.
    expect(await member.count(new Map([[next!, 2]]))).toEqual([]);
    expect(await member.take("idle", "0-0", 5)).toMatchObject({ buried: 2, problems: [] });
    expect((await jobs.dead.range()).map(({ entryId, reason }) => [entryId, reason])).toEqual([
      [poison, "deliveries"],
      [next, "deliveries"],
    ]);
  }));

it("after a failover the consumer reads from the new primary", async () => {
  const redis = await servers.open("sentinels", { logger: SILENT });
  const jobs = streams(redis).stream<Job>(randomPrefix());
  const seen = new Seen();
  await using _worker = consumer(jobs, "processors", { block: "1m" }, seen.handler);
  await appendAll(jobs, ["0"]);
  await expect.poll(() => seen.numbers).toEqual(["0"]);
  await (await servers.sentinel()).failover();
  await expect.poll(() => jobs.append({ n: "1" }).then(() => true)).toBe(true);
  await expect.poll(() => seen.numbers.at(-1)).toBe("1");
});

it("A55: after stopTimeout no handler is awaited: signals are aborted, and entries stay pending", () =>
  withServer(async (own, redis) => {
    const clock = new TestClock();
    await using timed = createRedis({ ...ALONE, url: own.url, clock });
    const jobs = streams(timed).stream<Job>("timed");
    const aborted: string[] = [];
    const begun = Promise.withResolvers<void>();
    await appendAll(streams(redis).stream<Job>("timed"), ["0", "1"]);
    const worker = consumer(
      jobs,
      "processors",
      { count: 2, minIdle: "10m", stopTimeout: "20s" },
      async ({ fields }, { signal }) => {
        begun.resolve();
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        aborted.push(fields.n);
        throw new Error("gave up");
      },
    );
    await expect
      .poll(
        async () =>
          (
            await jobs
              .group("processors")
              .pending()
              .catch(() => ({ count: 0 }))
          ).count,
      )
      .toBe(2);
    // What is delivered is pending before this process knows of it.
    await begun.promise;
    const stopped = worker.stop();
    clock.advance("19s");
    await new Promise(setImmediate);
    expect([worker.state, aborted]).toEqual(["stopping", []]);
    clock.advance("1s");
    await stopped;
    expect([worker.state, aborted]).toEqual(["stopped", ["0"]]);
    expect((await jobs.group("processors").pending()).count).toBe(2);
  }));

it.each(["dead", "silent"])("A55: stop is bounded where Redis is %s, and what was handled stays with it", (how) =>
  withServer(
    async (own, _redis, jobs) => {
      const gate = Promise.withResolvers<void>();
      const begun = Promise.withResolvers<void>();
      const worker = consumer(jobs, "processors", { block: "10s" }, () => {
        begun.resolve();
        return gate.promise;
      });
      await own.command("XADD", "jobs", "*", "n", "0");
      await begun.promise;
      await expect
        .poll(
          async () =>
            (
              await jobs
                .group("processors")
                .pending()
                .catch(() => NONE)
            ).count,
        )
        .toBe(1);
      if (how === "dead") await own.kill();
      else own.pause();
      const stopped = worker.stop();
      gate.resolve();
      await stopped;
      expect([worker.state, worker.counts.handled]).toEqual(["stopped", 1]);
      if (how === "silent") own.resume();
    },
    { commandTimeout: "500ms" },
  ),
);

it("A55: disconnect stops consumers first, which leave the group", () =>
  withServer(async (own, redis, jobs) => {
    const seen = new Seen();
    const worker = consumer(jobs, "processors", { block: "10s" }, seen.handler);
    await appendAll(jobs, ["0"]);
    await expect.poll(() => seen.numbers).toEqual(["0"]);
    await redis.disconnect();
    expect(worker.state).toBe("stopped");
    expect(await own.command("XPENDING", "jobs", "processors")).toEqual([0, null, null, null]);
    expect(await own.command("XINFO", "CONSUMERS", "jobs", "processors")).toEqual([]);
  }));

it("a consumer keeps its process alive, also while Redis is away; a stopped one does not", async () => {
  await using own = await startOwnRedis();
  const [away, stopped] = [forkScript<Handlers>(WORKER), forkScript<Handlers>(WORKER)];
  await away.call("begin", "redis://127.0.0.1:1");
  await stopped.call("begin", own.url);
  await stopped.call("disconnect");
  const ends = [away.end(700).then(String, (error: unknown) => String(error)), stopped.end()];
  expect(await Promise.all(ends)).toEqual([expect.stringContaining("did not end"), { code: 0, signal: null }]);
});

it("A100: entries of a reply that was lost are handled at once, uncounted; failed ones wait for minIdle", async () => {
  await using own = await startOwnRedis();
  await using proxy = await startProxy(own.port);
  await using redis = createRedis({ ...ALONE, url: proxy.url, logger: SILENT });
  const [jobs, direct] = [redis, createRedis({ ...ALONE, url: own.url })].map((one) =>
    streams(one).stream<Job>("jobs"),
  );
  const seen = new Seen();
  await using worker = consumer(jobs!, "processors", { block: "1m", minIdle: "1h" }, (entry, context) => {
    seen.handler(entry, context);
    if (entry.fields.n === "fails") throw new Error("not now");
  });
  await appendAll(direct!, ["fails", "0"]);
  await expect.poll(() => seen.numbers).toEqual(["fails", "0"]);
  await expect.poll(blocked(own)).toBe("1");
  proxy.stall("toClient");
  await appendAll(direct!, ["1"]);
  await expect.poll(async () => (await direct!.group("processors").pending()).count).toBe(2);
  proxy.cut();
  await proxy.pass();
  await expect.poll(() => seen.entries.at(-1)).toMatchObject({ n: "1", deliveries: 1 });
  expect([seen.numbers, worker.counts.redelivered]).toEqual([["fails", "0", "1"], 0]);
});

it("attempts become rarer while Redis accepts no other connection", () =>
  withServer(async (own, _redis, jobs) => {
    await jobs.append({ n: "0" });
    const clients = Number((await own.info("clients"))["connected_clients"]);
    await own.command("CONFIG", "SET", "maxclients", clients);
    const seen = new Seen();
    await using _worker = consumer(jobs, "processors", { block: 50 }, seen.handler);
    await wait(1_500)();
    const rejected = async (): Promise<number> => Number((await own.info("stats"))["rejected_connections"]);
    expect(await rejected()).toBeLessThan(12);
    await expect.poll(rejected).toBeGreaterThan(1);
    await own.command("CONFIG", "SET", "maxclients", clients + 5);
    await expect.poll(() => seen.numbers).toEqual(["0"]);
  }));

it("a consumer follows its stream to another node of a cluster", async () => {
  const redis = await servers.open("a cluster", { logger: SILENT });
  const cluster = await servers.cluster();
  const jobs = streams(redis).stream<Job>(randomPrefix());
  const seen = new Seen();
  await using _worker = consumer(jobs, "processors", { block: "1m", minIdle: 200 }, seen.handler);
  await appendAll(jobs, ["0"]);
  await expect.poll(() => seen.numbers).toEqual(["0"]);
  const owner = await cluster.ownerOf(jobs.key);
  const other = (await cluster.masters()).find(({ id }) => id !== owner.id)!;
  const migration = await cluster.migrateHalfway(await cluster.slotOf(jobs.key), other);
  await migration.finish();
  await appendAll(jobs, ["1"]);
  await expect.poll(() => seen.numbers).toEqual(["0", "1"]);
});

it("A55: an entry that the server delivers while the consumer stops is handled before it leaves", async () => {
  await using own = await startOwnRedis();
  await using proxy = await startProxy(own.port);
  await using redis = createRedis({ ...ALONE, url: proxy.url, logger: SILENT });
  const jobs = streams(redis).stream<Job>("jobs");
  const seen = new Seen();
  const worker = consumer(jobs, "processors", { block: "10s", minIdle: "1h" }, seen.handler);
  await expect.poll(blocked(own)).toBe("1");
  const held = proxy.hold("XREADGROUP", "reply");
  await appendAll(jobs, ["0"]);
  await expect.poll(() => seen.numbers).toEqual(["0"]);
  await expect.poll(blocked(own)).toBe("1");
  await appendAll(jobs, ["1"]);
  await held.reached;
  await expect.poll(async () => (await jobs.group("processors").pending()).count).toBe(1);
  await worker.stop();
  expect(seen.entries.at(-1)).toMatchObject({ n: "1", deliveries: 1 });
  expect(await jobs.group("processors").consumers()).toEqual([]);
});

it("consumers that ended a day ago and hold nothing are forgotten", () =>
  withServer(async (own, _redis, jobs) => {
    const group = jobs.group("processors");
    await group.ensure("0");
    await appendAll(jobs, ["0"]);
    await group.read({ consumer: "holds" });
    const seen = new Seen();
    await using worker = consumer(jobs, "processors", { block: "10s" }, seen.handler);
    await own.command("XGROUP", "CREATECONSUMER", "jobs", "processors", "ended");
    await expect.poll(blocked(own)).toBe("1");
    await expect.poll(async () => (await group.consumers()).every(({ idleMs }) => idleMs >= 2_000)).toBe(true);
    await own.command("XGROUP", "CREATECONSUMER", "jobs", "processors", "begins");
    expect(await placeOf(jobs).script("consumer", FORGET, ["processors", "me", 2_000], Number)).toBeGreaterThanOrEqual(
      1,
    );
    expect((await group.consumers()).map(({ name }) => name)).toEqual(["begins", "holds"]);
    // One that waits for an entry is made again with its next one.
    await appendAll(jobs, ["1"]);
    await expect.poll(() => seen.numbers).toEqual(["1"]);
    await expect.poll(async () => (await worker.status()).pending).toBe(1);
  }));

it("an entry with more fields than a dead letter can have stays pending, is reported, and holds up no other", () => {
  const lines: string[] = [];
  const logger = { ...SILENT, warn: (line: string) => lines.push(line) };
  return withServer(
    async (_own, _redis, jobs) => {
      const handled: string[] = [];
      await jobs.append(Array.from({ length: 5_000 }, () => ["n", "poison"] as const));
      await appendAll(jobs, ["0"]);
      await using _worker = consumer(jobs, "processors", { ...QUICK, maxDeliveries: 1 }, ({ fields }) => {
        if (fields.n === "poison") throw new Error("poison");
        handled.push(fields.n);
      });
      await expect.poll(() => lines.some((line) => line.includes("too many results to unpack"))).toBe(true);
      await expect.poll(() => handled).toEqual(["0"]);
      expect((await jobs.group("processors").pending()).count).toBe(1);
    },
    { logger },
  );
});

it("a consumer over a disabled Redis handles nothing, and says so once", async () => {
  const lines: string[] = [];
  const logger = { ...SILENT, warn: (line: string) => lines.push(line) };
  await using redis = createRedis({ ...ALONE, enabled: false, logger });
  const worker = consumer(streams(redis).stream<Job>("jobs"), "g", {}, () => undefined);
  await expect.poll(() => worker.state).toBe("disabled");
  await worker.stop();
  expect(lines).toHaveLength(1);
});

it("what can never work is refused before a consumer begins", async () => {
  await using redis = createRedis({ ...ALONE, url: "redis://127.0.0.1:1" });
  const jobs = streams(redis).stream<Job>("jobs");
  const refused: readonly (readonly [object, string])[] = [
    [{ cuont: 1 }, 'unknown option "cuont"'],
    [{ count: 0 }, "consumer: count must be a whole number from 1 to 1000, got 0"],
    [{ concurrency: 1_001 }, "consumer: concurrency must be a whole number from 1 to 1000"],
    [{ block: 0 }, "consumer: block must be from 1 to 3600000 ms"],
    [{ minIdle: 99 }, "consumer: minIdle must be from 100 to 604800000 ms"],
    [{ maxDeliveries: 0 }, "consumer: maxDeliveries must be a whole number"],
    [{ onLostGroup: ">" }, 'consumer: onLostGroup must be "0" or "$", got ">"'],
    [{ name: "" }, "consumer: name must be text"],
    [{ maxDead: -1 }, "consumer: maxDead must be a whole number"],
    [{ onError: 1 }, "consumer: onError must be a function"],
    [{ stopTimeout: -1 }, "consumer: stopTimeout must be from 0"],
  ];
  for (const [options, message] of refused)
    expect(() => consumer(jobs, "g", options, () => undefined), message).toThrow(message);
  expect(() => consumer(jobs, "", {}, () => undefined)).toThrow("consumer: group must be text");
  expect(() => consumer(jobs, "g", {}, undefined as never)).toThrow("the handler must be a function");
});
