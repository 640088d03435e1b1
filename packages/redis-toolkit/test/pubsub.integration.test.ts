import { systemClock } from "@hotset/core";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { pubsub, type ChannelEvent } from "@hotset/redis-toolkit/pubsub";
import { randomPrefix, startOwnRedis, until } from "@hotset/test-servers";
import { gate, TestClock } from "@hotset/testing";
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { ALONE, EVERYWHERE, startServers } from "./servers.ts";

const servers = startServers({ user: "pubsub", keys: "any" });

const messagesOf = <T>(events: readonly ChannelEvent<T>[]): readonly T[] =>
  events.flatMap((event) => (event.kind === "message" ? [event.message] : []));

describe.each(EVERYWHERE)("pub/sub over %s", (where) => {
  let redis: Redis;
  let name: string;
  beforeAll(async () => {
    redis = await servers.open(where);
  });
  beforeEach(() => {
    name = randomPrefix();
  });

  it("A45: each subscription gets every message that is published after it was confirmed, in order", async () => {
    const channel = pubsub(redis).channel<{ n: number }>(name);
    const seen: [ChannelEvent<{ n: number }>[], ChannelEvent<{ n: number }>[]] = [[], []];
    await using one = await channel.listen((event) => seen[0].push(event));
    await using other = await channel.listen((event) => seen[1].push(event));
    for (let n = 0; n < 20; n += 1) await channel.publish({ n });
    for (const events of seen)
      await expect.poll(() => messagesOf(events)).toEqual(Array.from({ length: 20 }, (_, n) => ({ n })));
    expect(seen[0][0]).toMatchObject({ channel: name });
    expect([one.dropped, other.dropped, one.corrupt, one.failures]).toEqual([0, 0, 0, 0]);
  });

  it("R2-17: one handler for several channels, all of them or none", async () => {
    const names = ["a", "b"].map((end) => `${name}${end}`);
    const { channel, subscribe } = pubsub(redis);
    const seen: ChannelEvent<number>[] = [];
    await using listening = await subscribe<number>(names, (event) => {
      seen.push(event);
      throw new Error("of the handler");
    });
    for (const [n, each] of names.entries()) await channel<number>(each).publish(n);
    await expect.poll(() => [messagesOf(seen).toSorted(), listening.failures]).toEqual([[0, 1], 2]);
    await listening.close();
    expect(await channel(names[0]!).publish(2)).toBe(0);
    await expect(subscribe([], () => 0)).rejects.toThrow("names must be a list of channels, got an array");
    await expect(subscribe([names[0]!, ""], () => 0)).rejects.toThrow("the name must be text that is not empty");
    await expect(subscribe(names, () => 0, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow(
      "enough",
    );
    expect(await channel(names[0]!).publish(3)).toBe(0);
  });

  it("a channel that is subscribed to again while its subscription ends receives what is published", async () => {
    // The socket stays open, as in an application that has other subscriptions.
    await using _other = await pubsub(redis).channel(`${name}other`).subscribe();
    for (const kind of ["channel", "pattern", "shard"] as const) {
      const channel = pubsub(redis).channel<string>(`${name}${kind}`, { kind });
      const former = await channel.subscribe();
      const ended = former.close();
      const seen: ChannelEvent<string>[] = [];
      await using _listening = await channel.listen((event) => seen.push(event));
      await ended;
      const publisher = kind === "pattern" ? pubsub(redis).channel<string>(`${name}${kind}`) : channel;
      await publisher.publish(kind);
      await expect.poll(() => messagesOf(seen)).toEqual([kind]);
    }
  });

  it("A48: a handler that fails, and a message that cannot be read, stop nothing; leaving the loop ends it", async () => {
    const schema = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value: unknown) => (typeof value === "number" ? { value } : { issues: [{ message: "no" }] }),
      },
    } as const;
    const channel = pubsub(redis).channel<number>(name, { schema });
    const seen: number[] = [];
    await using listening = await channel.listen((event) => {
      if (event.kind === "message") seen.push(event.message);
      if (seen.length === 1) throw new Error("of the handler");
    });
    await redis.commands.publish(name, "{");
    for (const message of [1, "two" as never, 3]) await channel.publish(message);
    await expect.poll(() => seen).toEqual([1, 3]);
    expect([listening.failures, listening.corrupt]).toEqual([1, 2]);
    await listening.close();
    const subscription = await channel.subscribe();
    await channel.publish(4);
    for await (const event of subscription) {
      expect(event).toEqual({ kind: "message", message: 4, channel: name });
      break;
    }
    expect(await subscription.next()).toEqual({ done: true, value: undefined });
  });

  it("A35: channels and patterns of a tenant are its own", async () => {
    const [one, other] = [redis.tenant(`${name}*`), redis.tenant(`${name}x`)];
    const seen: unknown[] = [];
    await using _all = await pubsub(one)
      .channel<string>("news:*", { kind: "pattern", codec: "text" })
      .listen((event) => seen.push(event));
    await pubsub(other).channel<string>("news:a", { codec: "text" }).publish("of another");
    await pubsub(one).channel<string>("news:a", { codec: "text" }).publish("hello");
    await expect.poll(() => seen).toEqual([{ kind: "message", message: "hello", channel: "news:a" }]);
  });

  it("sharded channels, and bytes", async () => {
    const channel = pubsub(redis).channel<Buffer>(name, { kind: "shard", codec: "bytes" });
    const seen: Buffer[] = [];
    await using _listening = await channel.listen((event) => event.kind === "message" && seen.push(event.message));
    expect(await channel.publish(Buffer.from([0, 255]))).toBe(1);
    await expect.poll(() => seen).toEqual([Buffer.from([0, 255])]);
  });
});

it("A45: any number of listeners is one connection and one subscription at the server, which ends with the last", async () => {
  await using own = await startOwnRedis();
  await using redis = createRedis({ ...ALONE, url: own.url });
  const channel = pubsub(redis).channel("c");
  const subscriptions = await Promise.all(Array.from({ length: 50 }, () => channel.subscribe()));
  expect(await redis.commands.pubSubNumSub("c")).toMatchObject({ c: 1 });
  expect(String(await own.command("CLIENT", "LIST")).match(/name=hotset/g)).toHaveLength(2);
  await Promise.all(subscriptions.map((subscription) => subscription.close()));
  await expect.poll(async () => String(await own.command("CLIENT", "LIST")).match(/name=hotset/g)).toHaveLength(1);
});

it("a subscription that was refused counts no gaps", async () => {
  const own = await startOwnRedis();
  await using redis = createRedis({ ...ALONE, url: own.url, username: "reader", password: "p" });
  await own.command("ACL", "SETUSER", "reader", "on", ">p", "~*", "+@all", "resetchannels", "&news");
  await using news = await pubsub(redis).channel("news").subscribe();
  for (const name of ["secret", "secret", "other"])
    await expect(pubsub(redis).channel(name).subscribe()).rejects.toMatchObject({ operation: "SUBSCRIBE" });
  await own.command("CLIENT", "KILL", "TYPE", "pubsub");
  expect((await news.next()).value).toEqual({ kind: "gap" });
  expect(redis.stats().modules.subscriptionGaps).toBe(1);
  await own.stop();
});

it("A46: after a restart of Redis subscriptions are back once, and a gap is reported", async () => {
  await using own = await startOwnRedis();
  await using redis = createRedis({ ...ALONE, url: own.url });
  const channel = pubsub(redis).channel<number>("c");
  const seen: ChannelEvent<number>[] = [];
  await using _listening = await channel.listen((event) => seen.push(event));
  await channel.publish(1);
  await expect.poll(() => seen).toHaveLength(1);
  await own.kill();
  await own.start();
  await expect.poll(() => seen.at(-1)).toEqual({ kind: "gap" });
  await until("a publish", () =>
    channel.publish(2).then(
      (receivers) => receivers === 1,
      () => false,
    ),
  );
  await expect.poll(() => messagesOf(seen)).toEqual([1, 2]);
});

it("C116: a listener, and a reader that waits, keep the process alive until they end", async () => {
  let held = 0;
  const hold = () => {
    held += 1;
    return () => void (held -= 1);
  };
  const redis = await servers.open("one server", { clock: { ...systemClock, hold } });
  const channel = pubsub(redis).channel<number>(randomPrefix());
  const subscription = await channel.subscribe();
  await expect.poll(() => held).toBe(0);
  const listening = await channel.listen(() => undefined);
  await expect.poll(() => held).toBe(1);
  const next = subscription.next();
  await expect.poll(() => held).toBe(2);
  await channel.publish(1);
  await next;
  await expect.poll(() => held).toBe(1);
  await Promise.all([listening.close(), subscription.close()]);
  await expect.poll(() => held).toBe(0);
});

it("A47: a burst reaches a handler whole", async () => {
  const redis = await servers.open("one server");
  const channel = pubsub(redis).channel<number>(randomPrefix());
  const seen: number[] = [];
  await using listening = await channel.listen(async (event) => {
    await Promise.resolve();
    if (event.kind === "message") seen.push(event.message);
  });
  const sent = Array.from({ length: 5_000 }, (_, i) => i);
  await Promise.all(sent.map((i) => channel.publish(i)));
  await expect.poll(() => seen.length + listening.dropped).toBe(5_000);
  expect(seen).toEqual(sent);
});

it("A47: a slow reader loses messages, as many as are counted, by the policy", async () => {
  const redis = await servers.open("one server");
  const outcomes: Record<string, unknown> = {};
  for (const overflow of ["drop-oldest", "drop-newest", "close"] as const) {
    const channel = pubsub(redis).channel<number>(`slow ${overflow}`, { buffer: 3, overflow });
    const subscription = await channel.subscribe();
    for (let n = 0; n < 5; n += 1) await channel.publish(n);
    await expect.poll(() => subscription.dropped).toBe(overflow === "close" ? 1 : 2);
    if (overflow !== "close") setTimeout(() => void subscription.close(), 50);
    const read: number[] = [];
    for await (const event of subscription) if (event.kind === "message") read.push(event.message);
    outcomes[overflow] = read;
  }
  expect(outcomes).toEqual({ "drop-oldest": [2, 3, 4], "drop-newest": [0, 1, 2], close: [0, 1, 2] });
});

it("a subscription ends when its connection is closed, one that is begun meanwhile too", async () => {
  const redis = await servers.open("one server");
  const channel = pubsub(redis).channel<string>(randomPrefix());
  const lasting = new AbortController();
  const removed = vi.spyOn(lasting.signal, "removeEventListener");
  const loop = async (): Promise<string> => {
    for await (const _event of await channel.subscribe({ signal: lasting.signal }));
    return "ended";
  };
  const waiting = loop();
  await using listening = await channel.listen(() => undefined);
  const late = loop().catch((error: Error) => error.message);
  await redis.disconnect();
  expect([await waiting, await late]).toEqual(["ended", expect.stringMatching(/^ended$|closed/)]);
  await listening.close();
  expect(removed).toHaveBeenCalledTimes(2);
});

it("disconnect waits 10 seconds for the handler of a listener, and no longer", async () => {
  const clock = new TestClock();
  const redis = await servers.open("one server", { clock });
  const channel = pubsub(redis).channel<string>(randomPrefix());
  const held = gate();
  const listening = await channel.listen(() => held.pass());
  await channel.publish("go");
  await held.arrived();
  let isOver = false;
  const schedule = vi.spyOn(clock, "schedule");
  const disconnected = redis.disconnect().then(() => (isOver = true));
  await expect.poll(() => schedule.mock.calls.map(([, delayMs]) => delayMs)).toContain(10_000);
  clock.advance(9_999);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(isOver).toBe(false);
  clock.advance(1);
  await disconnected;
  held.open();
  await listening.close();
});

it("a signal ends a subscription, and what can never work is refused", async () => {
  const redis = await servers.open("one server");
  const ending = new AbortController();
  const subscription = await pubsub(redis).channel("c").subscribe({ signal: ending.signal });
  ending.abort();
  expect(await subscription.next()).toEqual({ done: true, value: undefined });
  await expect(pubsub(redis).channel("c").subscribe({ signal: AbortSignal.abort() })).rejects.toThrow("aborted");
  const unheard = pubsub(redis)
    .channel("c")
    .listen({} as never);
  await expect(unheard).rejects.toThrow("listen(handler): the handler must be a function");
  expect(() => pubsub(redis).channel("")).toThrow("the name must be text");
  for (const option of ["buffer", "maxBytes"])
    expect(() => pubsub(redis).channel("c", { [option]: 0 })).toThrow(`${option} must be a whole number of at least 1`);
  expect(() => pubsub(redis).channel("c", { size: 1 } as never)).toThrow('unknown option "size"');
  await expect(pubsub(redis).channel("c*", { kind: "pattern" }).publish(1)).rejects.toThrow(
    "a pattern is not a channel",
  );
  await expect(
    pubsub(redis)
      .channel<string>("c", { codec: "text" })
      .publish(1 as never),
  ).rejects.toThrow("must be text");
});
