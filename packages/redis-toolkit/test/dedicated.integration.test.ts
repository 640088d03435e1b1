/** Calls over a socket of one caller that end without an answer, or before they are sent. */
import { single } from "@hotset/redis";
import { openConnection } from "@hotset/redis-toolkit/connection";
import { startOwnRedis } from "@hotset/test-servers";
import { afterAll, describe, expect, it } from "vitest";

const server = await startOwnRedis();
afterAll(() => server.stop());

const failure = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => "no error",
    (error: unknown) => error,
  );

describe("a call that was never sent leaves the socket, and the blocking call on it, as they are", () => {
  it.for<[string, { readonly maxInFlight: number; readonly isAborted: boolean }]>([
    ["its signal was aborted before", { maxInFlight: 10, isAborted: true }],
    ["its signal is aborted while it waits for room", { maxInFlight: 1, isAborted: false }],
  ])("%s", async ([, { maxInFlight, isAborted }]) => {
    await using redis = openConnection(single(server.url), { maxInFlight });
    await using blocking = await redis.open({ role: "blocking" });
    const popped = blocking.call(["BLPOP", "jobs", "30"], { blockMs: 30_000 });
    popped.catch(() => undefined);
    const stop = new AbortController();
    const reason = new Error("no longer needed");
    if (isAborted) stop.abort(reason);
    const unsent = failure(blocking.call(["SET", "k", "1"], { signal: stop.signal }));
    const unsentBurst = failure(blocking.burst([["SET", "k", "1"]], { signal: stop.signal }));
    stop.abort(reason);
    expect([await unsent, await unsentBurst, blocking.isOpen]).toEqual([reason, reason, true]);
    await redis.call(["RPUSH", "jobs", "1"]);
    expect((await popped) as unknown[]).toEqual([Buffer.from("jobs"), Buffer.from("1")]);
    expect(await redis.call(["EXISTS", "k"])).toBe(0);
  });
});

it.for<[string, unknown]>([
  ["an error", new Error("no longer needed")],
  ["null", null],
])("a call that was sent closes the socket when its signal is aborted, with %s as the reason", async ([, reason]) => {
  await using redis = openConnection(single(server.url));
  await using blocking = await redis.open({ role: "blocking" });
  const stop = new AbortController();
  const popped = failure(blocking.call(["BLPOP", "none", "30"], { blockMs: 30_000, signal: stop.signal }));
  stop.abort(reason);
  expect([await popped, blocking.isOpen]).toEqual([reason, false]);
});

it("the wait for the confirmation of MONITOR has a deadline, and closes the socket then", async () => {
  await using redis = openConnection(single(server.url), { responseTimeoutMs: 200 });
  await using exclusive = await redis.open({ role: "exclusive" });
  const losses: string[] = [];
  exclusive.onLost(({ message }) => void losses.push(message));
  server.pause();
  try {
    expect(await failure(exclusive.monitor(() => undefined))).toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      operation: "MONITOR",
      message: expect.stringContaining("was not answered within 200 ms"),
    });
    expect([exclusive.isOpen, losses.length]).toEqual([false, 1]);
  } finally {
    server.resume();
  }
});

it("an error of a listener of MONITOR is an uncaught exception, and changes nothing of the connection", async () => {
  const { promise: uncaught, resolve } = Promise.withResolvers<unknown>();
  const others = process.rawListeners("uncaughtException") as NodeJS.UncaughtExceptionListener[];
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", resolve);
  try {
    await using redis = openConnection(single(server.url));
    await using exclusive = await redis.open({ role: "exclusive" });
    const lost: Error[] = [];
    exclusive.onLost((error) => void lost.push(error));
    const echoed = Promise.withResolvers<void>();
    const error = new Error("of the listener");
    await exclusive.monitor((line) => {
      if (line.includes("second")) echoed.resolve();
      throw error;
    });
    await redis.burst(undefined, [
      ["ECHO", "first"],
      ["ECHO", "second"],
    ]);
    await echoed.promise;
    expect([await uncaught, lost, exclusive.isOpen]).toEqual([error, [], true]);
  } finally {
    process.removeAllListeners("uncaughtException");
    for (const other of others) process.on("uncaughtException", other);
  }
});

it("an option that is undefined sets nothing: the deadline of a blocking call counts from the end of its block", async () => {
  const backoff = { baseMs: undefined, factor: undefined, maxMs: undefined };
  const pool = { max: undefined, waitMs: undefined, idleMs: undefined };
  await using redis = openConnection(single(server.url), {
    responseTimeoutMs: 300,
    backoff,
    pool,
    protocol: undefined,
  });
  await using blocking = await redis.open({ role: "blocking", key: undefined, deadlineMs: undefined });
  const popped = blocking.call(["BLPOP", "nothing", "0.6"], { blockMs: 600, deadlineMs: undefined, signal: undefined });
  expect(await popped).toBe(null);
  expect(await redis.pool.use((lent) => lent.call(["PING"], { blockMs: undefined }), { waitMs: undefined })).toEqual(
    "PONG",
  );
});
