/** Sockets of their own, deadlines and signals, on servers that stall, die and come back. */
import { single } from "@hotset/redis";
import { openConnection, type RedisConnection, type RedisConnectionOptions } from "@hotset/redis-toolkit/connection";
import { startOwnRedis, startProxy, type FaultProxy, type OwnRedis } from "@hotset/test-servers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

let server: OwnRedis;
let proxy: FaultProxy;
beforeEach(async () => {
  server = await startOwnRedis();
  proxy = await startProxy(server.port);
});
afterEach(async () => {
  await proxy.close();
  await server.stop();
});

const open = (options?: RedisConnectionOptions): RedisConnection =>
  openConnection(single(proxy.url), {
    responseTimeoutMs: 1_000,
    heartbeatMs: 100,
    backoff: { baseMs: 10, maxMs: 50 },
    ...options,
  });
const failure = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => "no error",
    (error: unknown) => error,
  );

describe("a connection whose server dies", () => {
  it("reports it once, and each of its sockets ends or comes back as promised", async () => {
    await using redis = open();
    const events: string[] = [];
    redis.on("up", () => void events.push("up"));
    redis.on("down", () => void events.push("down"));
    expect(redis.state).toBe("idle");
    await redis.connect();

    await using blocking = await redis.open({ role: "blocking" });
    await using subscriber = await redis.open({ role: "subscriber" });
    blocking.onLost(() => void events.push("blocking lost"));
    subscriber.on("lost", () => void events.push("subscriber lost"));
    subscriber.on("gap", () => void events.push("gap"));
    const received: string[] = [];
    await subscriber.subscribe("channel", "news", (message) => void received.push(message.toString()));
    const popped = failure(blocking.call(["BLPOP", "jobs", "30"], { blockMs: 30_000 }));
    await redis.pool.use((connection) => connection.call(["PING"]));

    await server.kill();
    expect(await popped).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: true, maybeExecuted: true });
    expect(blocking.isOpen).toBe(false);
    await expect.poll(() => redis.state).toBe("down");
    expect(await failure(redis.call(["PING"]))).toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: false });
    expect(await failure(redis.open({ role: "exclusive" }))).toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    await expect.poll(() => redis.pool.status.size).toBe(0);

    await server.start();
    await expect
      .poll(() => events.filter((event) => event === "gap" || event === "up").toSorted())
      .toEqual(["gap", "up", "up"]);
    expect(events.toSorted()).toEqual(["blocking lost", "down", "gap", "subscriber lost", "up", "up"]);
    expect(await redis.call(["PUBLISH", "news", "back"])).toBe(1);
    await expect.poll(() => received).toEqual(["back"]);
    expect(await redis.pool.use((connection) => connection.call(["PING"]))).toBe("PONG");
  });

  it("listeners that throw keep it from no other listener, and from coming back", async () => {
    await using redis = open();
    const events: string[] = [];
    const thrown: string[] = [];
    const both = (name: string): readonly (() => void)[] => [
      () => {
        throw new Error(name);
      },
      () => void events.push(name),
    ];
    for (const event of ["up", "down"] as const) for (const listener of both(event)) redis.on(event, listener);
    const listeners = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException").on("uncaughtException", ({ message }) => thrown.push(message));
    try {
      await redis.connect();
      await using blocking = await redis.open({ role: "blocking" });
      await using subscriber = await redis.open({ role: "subscriber" });
      for (const listener of both("blocking lost")) blocking.onLost(listener);
      for (const event of ["lost", "gap"] as const) for (const listener of both(event)) subscriber.on(event, listener);
      const received: string[] = [];
      await subscriber.subscribe("channel", "news", (message) => void received.push(message.toString()));
      for (const times of [1, 2]) {
        await server.kill();
        await expect.poll(() => redis.state).toBe("down");
        await server.start();
        await expect.poll(() => events.filter((event) => event === "gap")).toHaveLength(times);
        await expect.poll(() => redis.state).toBe("up");
        expect(await redis.call(["PUBLISH", "news", `back ${times}`])).toBe(1);
        await expect.poll(() => received.at(-1)).toBe(`back ${times}`);
      }
      const all = ["blocking lost", "down", "down", "gap", "gap", "lost", "lost", "up", "up", "up"];
      expect([events.toSorted(), thrown.toSorted()]).toEqual([all, all]);
    } finally {
      process.removeAllListeners("uncaughtException");
      for (const listener of listeners) process.on("uncaughtException", listener);
    }
  });

  it("a read that was lost waits for it within its deadline; one that begins when connecting fails does not", async () => {
    await using redis = open({ readRetries: 1 });
    await redis.connect();
    server.pause();
    const read = redis.call(["GET", "k"], { isReadOnly: true, deadlineMs: 60_000 });
    const impatient = failure(redis.call(["GET", "k"], { isReadOnly: true, deadlineMs: 300 }));
    await new Promise((resolve) => setImmediate(resolve));
    await server.kill();
    expect(await impatient).toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    const begun = (): Promise<unknown> => failure(redis.call(["GET", "k"], { isReadOnly: true, deadlineMs: 60_000 }));
    const refused = { code: "BACKEND_UNAVAILABLE", maybeExecuted: false, message: expect.stringContaining("not sent") };
    await expect.poll(() => redis.state).toBe("down");
    expect(await begun()).toMatchObject(refused);
    await server.start();
    expect(await read).toBe(null);
  });

  it("a subscriber notices a silent server by its heartbeat, and closes no connection that is only quiet", async () => {
    await using redis = open({ responseTimeoutMs: 2_000 });
    await using subscriber = await redis.open({ role: "subscriber" });
    const events: string[] = [];
    subscriber.on("lost", () => void events.push("lost"));
    subscriber.on("gap", () => void events.push("gap"));
    await subscriber.subscribe("pattern", "*", () => undefined);
    const beats = (): number => proxy.counts.commandsByName["PING"] ?? 0;
    await expect.poll(beats).toBeGreaterThan(5);
    expect(events).toEqual([]);
    server.pause();
    await expect.poll(() => events).toEqual(["lost"]);
    server.resume();
    await expect.poll(() => events).toEqual(["lost", "gap"]);
  });

  it.for(["channel", "pattern", "shard"] as const)(
    "a subscription of kind %s that begins while the former one ends is one at the server",
    async (kind) => {
      await using redis = open();
      await redis.connect();
      await using subscriber = await redis.open({ role: "subscriber" });
      const received: string[] = [];
      const end = await subscriber.subscribe(kind, "news", () => void received.push("former"));
      const ended = end();
      await subscriber.subscribe(kind, "news", (message) => void received.push(message.toString()));
      await ended;
      expect(await redis.call([kind === "shard" ? "SPUBLISH" : "PUBLISH", "news", "n1"])).toBe(1);
      await expect.poll(() => received).toEqual(["n1"]);
    },
  );
});

describe("a socket of its own", () => {
  it("has the time of the block, and slack: an answer in the last moment counts", async () => {
    await using redis = open({ responseTimeoutMs: 1_500 });
    await using blocking = await redis.open({ role: "blocking" });
    const startedAt = performance.now();
    expect(await blocking.call(["BLPOP", "jobs", "2"], { blockMs: 2_000 })).toBe(null);
    expect(performance.now() - startedAt).toBeGreaterThan(1_990);
    expect(blocking.isOpen).toBe(true);
  });

  it("is closed when the deadline of a command has passed, so that nothing is popped behind its back", async () => {
    await using redis = open({ responseTimeoutMs: 1_500 });
    await redis.connect();
    await using blocking = await redis.open({ role: "blocking" });
    expect(await failure(blocking.call(["BLPOP", "jobs", "0"], { blockMs: 100 }))).toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      operation: "BLPOP",
      maybeExecuted: true,
      message: expect.stringContaining("within 1600 ms"),
    });
    expect(blocking.isOpen).toBe(false);
    // Redis learns of it over another connection than that of the push.
    await expect.poll(async () => (await server.info("clients"))["blocked_clients"]).toBe("0");
    await redis.call(["RPUSH", "jobs", "1"]);
    expect(await redis.call(["LLEN", "jobs"])).toBe(1);
  });

  it("is not opened beyond its deadline, nor after its signal was aborted", async () => {
    await using redis = open();
    proxy.swallow();
    expect(await failure(redis.open({ role: "exclusive", deadlineMs: 100 }))).toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      message: expect.stringContaining("no answer within 100 ms"),
    });
    const stop = new AbortController();
    for (const role of ["exclusive", "subscriber"] as const) {
      const opening = failure(
        role === "subscriber" ? redis.open({ role, signal: stop.signal }) : redis.open({ role, signal: stop.signal }),
      );
      stop.abort(new Error("shut down"));
      expect(await opening).toBe(stop.signal.reason);
    }
  });

  it("loads no script of the cache, and neither does the shared link", async () => {
    await using redis = open();
    await redis.connect();
    await redis.call(["PING"]);
    await using exclusive = await redis.open({ role: "exclusive" });
    await exclusive.call(["PING"]);
    expect(proxy.counts.commandsByName["SCRIPT"]).toBe(undefined);
  });
});

describe("a call", () => {
  it("has a deadline of its own, its wait for room included", async () => {
    await using redis = open({ maxInFlight: 1 });
    await redis.connect();
    const held = proxy.hold("GET");
    const first = redis.call(["GET", "a"], { deadlineMs: 19_000 }).catch((error: unknown) => error);
    await held.reached;
    const second = failure(redis.call(["SET", "a", "1"], { deadlineMs: 150 }));
    // Before the one that it waits for.
    expect(await second).toMatchObject({
      maybeExecuted: false,
      message: expect.stringContaining("was not sent within 150 ms"),
    });
    held.release();
    expect(await first).toBe(null);
  });

  it("ends when its signal is aborted: with the reason, at once, and is not sent later", async () => {
    await using redis = open({ maxInFlight: 1 });
    await redis.connect();
    const held = proxy.hold("GET");
    const first = redis.call(["GET", "a"]);
    await held.reached;
    const stop = new AbortController();
    const waiting = failure(redis.call(["SET", "a", "1"], { signal: stop.signal }));
    const reason = new Error("no longer needed");
    stop.abort(reason);
    expect(await waiting).toBe(reason);
    expect(await failure(redis.call(["PING"], { signal: stop.signal }))).toBe(reason);
    held.release();
    await first;
    expect(await redis.call(["EXISTS", "a"])).toBe(0);
  });

  it("a stall of 1.6 s is waited for, and costs no connection", async () => {
    await using redis = open({ responseTimeoutMs: 5_000 });
    await using blocking = await redis.open({ role: "blocking" });
    const id = await redis.call(["CLIENT", "ID"]);
    const stall = server.command("DEBUG", "SLEEP", "1.6");
    const answers = [
      redis.call(["INCR", "n"]),
      redis.burst("n", [["MULTI"], ["INCR", "n"], ["EXEC"]]),
      blocking.call(["BLPOP", "none", "0.1"], { blockMs: 100 }),
    ];
    expect(await Promise.all(answers)).toEqual([1, ["OK", "QUEUED", [2]], null]);
    await stall;
    expect(await redis.call(["CLIENT", "ID"])).toBe(id);
  });

  it("has room for 5,000 bursts in one tick, in their order", async () => {
    await using redis = open({ responseTimeoutMs: 5_000 });
    const bursts = Array.from({ length: 5_000 }, () =>
      redis.burst("n", [
        ["INCR", "n"],
        ["INCR", "n"],
      ]),
    );
    const results = await Promise.all(bursts);
    expect(results.flat()).toEqual(Array.from({ length: 10_000 }, (_, i) => i + 1));
  });

  it("that was sent once is executed once, however often the connection is cut", async () => {
    await using redis = open();
    let acknowledged = 0;
    let unknown = 0;
    for (let i = 0; i < 30; i++) {
      const calls = Array.from({ length: 20 }, () =>
        redis.call(["INCR", "n"]).then(
          () => void (acknowledged += 1),
          (error: { readonly maybeExecuted: boolean }) => void (unknown += error.maybeExecuted ? 1 : 0),
        ),
      );
      if (i % 2 === 1) proxy.cut();
      await Promise.all(calls);
      await redis.call(["PING"], { isReadOnly: true, deadlineMs: 10_000 });
    }
    const executed = Number(await server.command("GET", "n"));
    expect(executed).toBeGreaterThanOrEqual(acknowledged);
    expect(executed).toBeLessThanOrEqual(acknowledged + unknown);
    expect(acknowledged).toBeGreaterThan(200);
  });
});

describe("bad input is refused by name, before anything is sent", () => {
  it.for<[RedisConnectionOptions, string]>([
    [{ nope: 1 } as never, 'unknown option "nope"'],
    [{ responseTimeout: 1 } as never, "responseTimeoutMs"],
    [{ responseTimeoutMs: 0 }, "responseTimeoutMs must be"],
    [{ readRetries: -1 }, "readRetries must be a whole number of at least 0, got -1"],
    [{ onOverload: "drop" as never }, 'onOverload must be "wait" or "reject", got "drop"'],
    [{ maxInFlight: 0 }, "maxInFlight must be"],
    [{ protocol: 4 as never }, "protocol must be 2 or 3"],
    [{ clientName: "a b" }, "clientName must be"],
    [{ backoff: { baseMs: 10, maxMs: 5 } }, "backoff.baseMs must not be longer"],
    [{ backoff: { base: 10 } as never }, 'unknown option "backoff.base"'],
    [{ pool: { max: 0 } }, "pool.max must be"],
    [{ password: 1 as never }, "password must be a string, or a function that returns one"],
  ])("%j", ([options, message]) => {
    expect(() => openConnection(single("redis://localhost"), options)).toThrow(message);
  });

  it.for<[string, (redis: RedisConnection) => Promise<unknown>, string]>([
    ["deadlineMs", (redis) => redis.call(["PING"], { deadlineMs: -1 }), "deadlineMs must be from 0 ms"],
    ["deadlineMs", (redis) => redis.burst("k", [["PING"]], { deadlineMs: NaN }), "deadlineMs must be from 0 ms"],
    [
      "role",
      (redis) => redis.open({ role: "pool" as "blocking" }),
      'role must be "blocking" or "exclusive" or "subscriber"',
    ],
    ["event", async (redis) => redis.on("away" as "up", () => undefined), 'event must be "up" or "down", got "away"'],
  ])("%s", async ([, call, message]) => {
    await using redis = open();
    expect(await failure(call(redis))).toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(message),
    });
    expect(redis.state).toBe("idle");
  });

  it("of a socket", async () => {
    await using redis = open();
    await using blocking = await redis.open({ role: "blocking" });
    await using subscriber = await redis.open({ role: "subscriber" });
    for (const [call, message] of [
      [blocking.call(["BLPOP", "k", "0"], { blockMs: Infinity }), "blockMs must be from 0 ms"],
      [
        subscriber.subscribe("topic" as "channel", "a", () => undefined),
        'kind must be "channel" or "pattern" or "shard"',
      ],
      [subscriber.subscribe("channel", "", () => undefined), "name must be a non-empty string"],
    ] as const)
      expect(await failure(call)).toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining(message),
      });
    expect(blocking.isOpen).toBe(true);
  });

  it.for<[readonly unknown[], string]>([
    [[], "args must begin with the name of a command"],
    [["SET", "k", 1], "argument 2 of SET must be a string or a Buffer, got a number"],
    [["SET", null, "v"], "argument 1 of SET must be a string or a Buffer, got null"],
    [[undefined], "argument 0 of a command must be a string or a Buffer"],
  ])("call(%j)", async ([args, message]) => {
    await using redis = open();
    expect(await failure(redis.call(args as never))).toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(message),
    });
    expect(await failure(redis.burst("k", [["PING"], args as never]))).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(redis.state).toBe("idle");
  });
});
