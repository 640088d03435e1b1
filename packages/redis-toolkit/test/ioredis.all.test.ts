/** The toolkit over a client of ioredis that the user opened. */
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import { queue } from "@hotset/redis-toolkit/queue";
import { streams } from "@hotset/redis-toolkit/streams";
import { randomPrefix } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import { named, ofEach, outcomeOf, subjectsOver } from "./faults/subjects.ts";
import { startServers, type Where } from "./servers.ts";

const servers = startServers();

describe.each(["one server", "ioredis 5", "ioredis 6"] satisfies Where[])("over a client of %s", (where) => {
  it("every module works", async () => {
    const tried = subjectsOver(await servers.open(where));
    expect(await ofEach(tried, (one) => outcomeOf(one.write()))).toEqual(named(tried, () => "done"));
    expect(await ofEach(tried, (one) => outcomeOf(one.read()))).toEqual(named(tried, () => "done"));
    expect(await ofEach(tried, (one) => one.effects())).toEqual(named(tried, () => 1));
  });

  it("replies are those of node-redis: text, bytes, numbers, pairs, and what is absent", async () => {
    const { commands } = await servers.open(where);
    const key = randomPrefix();
    expect(await commands.set(key, Buffer.from([0, 255]))).toBe("set");
    expect(await commands.getBytes(key)).toEqual(Buffer.from([0, 255]));
    expect(await commands.get(`${key} absent`)).toBe(undefined);
    expect(await commands.hset(`${key} h`, { a: "1", b: "2" })).toBe(2);
    expect(await commands.hGetAll(`${key} h`)).toEqual(
      new Map([
        ["a", "1"],
        ["b", "2"],
      ]),
    );
    await commands.zAdd(`${key} z`, { score: 1.5, value: "a" });
    expect(await commands.zRangeWithScores(`${key} z`, 0, -1)).toEqual([{ value: "a", score: 1.5 }]);
    expect(await commands.zScore(`${key} z`, "a")).toBe(1.5);
    expect(await commands.blPop(`${key} l`, 0.01)).toBe(undefined);
    expect(await commands.lPush(`${key} l`, "x")).toBe(1);
    expect(await commands.blPop(`${key} l`, 1)).toEqual({ key: `${key} l`, element: "x" });
    await expect(commands.lPush(`${key} h`, "x")).rejects.toMatchObject({ code: "WRONG_TYPE" });
  });

  it("a count beyond 2^53 is NOT_A_NUMBER with its text, in a pipeline too; a transaction has no text over ioredis", async () => {
    const redis = await servers.open(where);
    const key = randomPrefix();
    await redis.commands.set(key, 2n ** 53n);
    const beyond = (n: bigint): unknown => ({ code: "NOT_A_NUMBER", message: expect.stringContaining(`(${n})`) });
    await expect(redis.commands.incr(key)).rejects.toMatchObject(beyond(2n ** 53n + 1n) as object);
    const piped = await redis.pipeline((c) => [c.set(key, 2n ** 53n), c.incr(key), c.get(key)]);
    expect(piped).toMatchObject([
      { ok: true },
      { ok: false, error: beyond(2n ** 53n + 1n) },
      { ok: true, value: String(2n ** 53n + 1n) },
    ]);
    const outcome = await redis.transaction({}, ({ queue: c }) => [c.incr(key)]);
    const inOne = where === "one server" ? beyond(2n ** 53n + 2n) : { code: "NOT_A_NUMBER" };
    expect(outcome).toMatchObject({ results: [{ ok: false, error: inOne }] });
  });

  it("transactions that watch have a connection, and pipelines keep their order", async () => {
    const redis = await servers.open(where);
    const key = randomPrefix();
    const outcome = await redis.transaction({ watch: [key] }, async ({ commands, queue: queued }) => {
      expect(await commands.get(key)).toBe(undefined);
      await redis.commands.set(key, "changed");
      return [queued.set(key, "mine")];
    });
    expect(outcome.status).toBe("conflict");
    expect(await redis.pipeline((c) => [c.set(key, "1"), c.incr(key), c.get(key)])).toEqual([
      { ok: true, value: "set" },
      { ok: true, value: 2 },
      { ok: true, value: "2" },
    ]);
  });

  it("messages, blocking reads and jobs come over its duplicates, which are closed with it", async () => {
    const own = await servers.open("one server");
    const redis = await servers.open(where);
    const name = randomPrefix();
    const before = (await own.commands.clientList()).length;
    const seen: unknown[] = [];
    const kinds = { channel: name, pattern: `${name}*`, shard: `${name} shard` } as const;
    for (const [kind, of] of Object.entries(kinds))
      await pubsub(redis)
        .channel(of, { kind: kind as keyof typeof kinds })
        .listen((event) => seen.push(event.kind === "message" ? `${kind} ${String(event.message)}` : event.kind));
    await pubsub(own).channel(name).publish("hello");
    await pubsub(own).channel(kinds.shard, { kind: "shard" }).publish("there");
    await expect.poll(() => seen.toSorted()).toEqual(["channel hello", "pattern hello", "shard there"]);
    const stream = streams(redis).stream(name);
    const read = stream.reader({ block: "10s" }).next();
    await stream.append({ n: "1" });
    expect((await read).map(({ fields }) => fields)).toEqual([{ n: "1" }]);
    const jobs = queue<number>(redis, name, { keep: { completed: 1 } });
    const worker = jobs.worker(({ data }) => data + 1);
    const { id } = await jobs.add(1);
    expect(await jobs.finished(id)).toEqual({ status: "completed", result: 2 });
    await worker.stop();
    await redis.disconnect();
    await expect.poll(async () => (await own.commands.clientList()).length).toBe(before);
  });
});
