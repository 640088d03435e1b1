import { BackendUnavailableError } from "@hotset/core";
import { CommandQueue } from "@hotset/redis/internal";
import { flush, outcome, TestClock } from "@hotset/testing";
import { ErrorReply } from "@redis/client";
import { beforeEach, describe, expect, it } from "vitest";
import { Wire } from "../../test/wire.ts";
import { Calls, type CallSettings } from "./calls.ts";
import type { Args, CallOptions } from "./contract.ts";

const DEADLINE_MS = 1_000;
/** With `random` near 1, the waits between attempts are 10, 20, 40 ... ms. */
const RANDOM = 1;

let clock: TestClock;
let wire: Wire;
let queue: CommandQueue;
let events: string[];

const callsWith = (settings: Partial<CallSettings> = {}): Calls =>
  new Calls(
    { queue, admit: (command, send) => queue.enqueue(command, send) },
    {
      onOverload: "wait",
      readRetries: 2,
      random: () => RANDOM,
      onMoved: () => events.push("moved"),
      onRetry: () => events.push("retry"),
      ...settings,
    },
  );

/** It may fail before the test looks at it. */
const watched = <T>(call: Promise<T>): Promise<T> => {
  call.catch(() => undefined);
  return call;
};

const ORIGIN = { tier: "redis", operation: "GET" };
const READ: CallOptions = { isReadOnly: true };
const lost = (): Error => new Error("Socket closed unexpectedly");
const reply = (text: string): Error => new ErrorReply(text);

beforeEach(() => {
  clock = new TestClock();
  wire = new Wire();
  queue = new CommandQueue({ clock, deadlineMs: DEADLINE_MS, maxInFlight: 2 });
  queue.client = wire;
  events = [];
});

describe("a read that was lost", () => {
  it("is sent again after 10 and 20 ms, twice at most, and then fails", async () => {
    const call = watched(callsWith().call(["GET", "k"], READ));
    for (const waitMs of [10, 20]) {
      await wire.fail(lost());
      const { length } = wire.sent;
      clock.advance(waitMs - 1);
      await flush();
      expect(wire.sent).toHaveLength(length);
      clock.advance(1);
      await flush();
      expect(wire.sent).toHaveLength(length + 1);
    }
    await wire.fail(lost());
    expect(await outcome(call)).toMatchObject({
      status: "rejected",
      reason: { code: "BACKEND_UNAVAILABLE", operation: "GET", maybeExecuted: true },
    });
    expect(events).toEqual(["retry", "retry"]);
    expect(wire.sent).toEqual(["GET k", "GET k", "GET k"]);
  });

  it("gives the reply of a later attempt", async () => {
    const call = watched(callsWith().call(["GET", "k"], READ));
    await wire.fail(lost());
    clock.advance(10);
    await flush();
    await wire.reply("v");
    expect(await call).toBe("v");
    expect(events).toEqual(["retry"]);
  });

  it("is not sent again where the wait would reach its deadline, its own or that of the queue", async () => {
    const own = watched(callsWith().call(["GET", "a"], { ...READ, deadlineMs: 60 }));
    const other = watched(callsWith().call(["GET", "b"], READ));
    clock.advance(50);
    await wire.fail(lost());
    expect(await outcome(own)).toMatchObject({ status: "rejected" });
    clock.advance(DEADLINE_MS - 50 - 11);
    await wire.fail(lost());
    expect(await outcome(other)).toEqual({ status: "pending" });
    clock.advance(10);
    await flush();
    expect(wire.sent).toEqual(["GET a", "GET b", "GET b"]);
    await wire.reply("v");
    expect(await other).toBe("v");
  });

  it("has what is left of its own deadline in each attempt", async () => {
    const call = watched(callsWith().call(["GET", "k"], { ...READ, deadlineMs: 100 }));
    clock.advance(40);
    await wire.fail(lost());
    clock.advance(10);
    await flush();
    expect(wire.sent).toHaveLength(2);
    clock.advance(49);
    expect(await outcome(call)).toEqual({ status: "pending" });
    clock.advance(1);
    expect(await outcome(call)).toMatchObject({ status: "rejected", reason: { operation: "GET" } });
  });

  it("ends at once when its signal is aborted during the wait, and leaves no listener and no timer", async () => {
    const leaving = new AbortController();
    const call = watched(callsWith().call(["GET", "k"], { ...READ, signal: leaving.signal }));
    await wire.fail(lost());
    leaving.abort(new Error("enough"));
    expect(await outcome(call)).toMatchObject({ status: "rejected", reason: { message: "enough" } });
    clock.advance(1_000);
    await flush();
    expect(wire.sent).toHaveLength(1);
  });

  it.each<readonly [string, CallOptions, Partial<CallSettings>, () => Error]>([
    ["it does not only read", {}, {}, lost],
    ["the connection repeats nothing", READ, { readRetries: 0 }, lost],
    ["the server has refused it", READ, {}, () => reply("ERR wrong number of arguments")],
    ["its key lies on another node", READ, {}, () => reply("MOVED 1 other:6379")],
    [
      "Redis refuses for good",
      READ,
      {},
      () => new BackendUnavailableError("closed", { tier: "redis", operation: "x", retryable: false }),
    ],
  ])("is not sent again where %s", async (_, options, settings, error) => {
    const call = watched(callsWith(settings).call(["GET", "k"], options));
    await wire.fail(error());
    clock.advance(DEADLINE_MS);
    expect(await outcome(call)).toMatchObject({ status: "rejected" });
    expect(wire.sent).toEqual(["GET k"]);
    expect(events).toEqual(error().message.startsWith("MOVED") ? ["moved"] : []);
  });

  it("begins while no connection can be made: it is refused as a write is, unless it was lost before", async () => {
    const down = new BackendUnavailableError("refused", { operation: "connect", maybeExecuted: false });
    const calls = new Calls(
      {
        queue,
        admit: (command) =>
          command.fail(new BackendUnavailableError("down", { ...ORIGIN, cause: down, maybeExecuted: false })),
      },
      {
        onOverload: "wait",
        readRetries: 1,
        random: () => RANDOM,
        onMoved: () => undefined,
        onRetry: () => events.push("retry"),
      },
    );
    const lostOne = watched(calls.call(["GET", "a"], READ));
    await wire.fail(lost());
    queue.client = undefined;
    const begun = watched(calls.call(["GET", "b"], READ));
    expect(await outcome(begun)).toMatchObject({ status: "rejected", reason: { maybeExecuted: false } });
    for (const waitMs of [10, 20, 40]) {
      clock.advance(waitMs);
      await flush();
    }
    expect([await outcome(lostOne), events]).toEqual([{ status: "pending" }, []]);
    queue.client = wire;
    clock.advance(80);
    await flush();
    await wire.reply("v");
    expect([await lostOne, events]).toEqual(["v", ["retry"]]);
  });

  it("counts no attempt that was not sent: it waits for a connection as long as its deadline lets it", async () => {
    let failures = 0;
    const away = new Calls(
      {
        queue,
        admit: (command) => {
          failures += 1;
          command.fail(new BackendUnavailableError("away", { ...ORIGIN, maybeExecuted: false }));
        },
      },
      { onOverload: "wait", readRetries: 1, random: () => RANDOM, onMoved: () => undefined, onRetry: () => undefined },
    );
    queue.client = undefined;
    const call = watched(away.call(["GET", "k"], READ));
    for (const waitMs of [10, 20, 40, 80, 160, 320]) {
      await flush();
      clock.advance(waitMs);
    }
    expect(await outcome(call)).toMatchObject({ status: "rejected", reason: { maybeExecuted: false } });
    expect(failures).toBe(7);
  });
});

describe("a signal", () => {
  it("that is aborted already sends nothing", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    for (const call of [
      watched(callsWith().call(["SET", "k", "v"], { signal })),
      watched(callsWith().burst("k", [["PING"]], { signal })),
    ])
      expect(await outcome(call)).toMatchObject({ status: "rejected", reason: { message: "enough" } });
    expect(wire.sent).toEqual([]);
  });

  it("ends a call that was sent, and one that waits for room, which is then never sent", async () => {
    const leaving = new AbortController();
    const others = [callsWith().call(["SET", "a", "1"]), callsWith().call(["SET", "b", "1"])];
    const waiting = watched(callsWith().call(["SET", "c", "1"], { signal: leaving.signal }));
    leaving.abort(new Error("enough"));
    expect(await outcome(waiting)).toMatchObject({ status: "rejected", reason: { message: "enough" } });
    for (const _ of others) await wire.reply("OK");
    expect(await Promise.all(others)).toEqual(["OK", "OK"]);
    expect(wire.sent).toEqual(["SET a 1", "SET b 1"]);
  });

  it("has no listener left when the call has ended", async () => {
    const leaving = new AbortController();
    let listeners = 0;
    const { signal } = leaving;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners += 1;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners -= 1;
      removeEventListener.apply(signal, args);
    };
    const call = watched(callsWith().call(["GET", "k"], { ...READ, signal }));
    expect(listeners).toBe(1);
    await wire.fail(lost());
    // That of the wait before the next attempt.
    expect(listeners).toBe(1);
    clock.advance(10);
    await flush();
    await wire.reply("v");
    expect(await call).toBe("v");
    expect(listeners).toBe(0);
  });
});

describe("without room", () => {
  it("a call waits, or is refused with one error for all calls of a command", async () => {
    const refusing = callsWith({ onOverload: "reject" });
    const sent = [refusing.call(["GET", "a"]), refusing.call(["GET", "b"])];
    const [first, second, other] = await Promise.all(
      [
        ["GET", "c"],
        ["get", "d"],
        ["SET", "e", "1"],
      ].map((args) => refusing.call(args).catch((error: unknown) => error)),
    );
    expect(first).toMatchObject({
      code: "OVERLOADED",
      message: "redis: GET was refused: 2 commands are in flight; see maxInFlight",
    });
    expect(second).toBe(first);
    expect(other).toMatchObject({ code: "OVERLOADED", operation: "SET" });
    const waiting = watched(callsWith().call(["GET", "f"]));
    for (const _ of sent) await wire.reply("v");
    await wire.reply("f");
    expect(await waiting).toBe("f");
    expect(wire.sent).toEqual(["GET a", "GET b", "GET f"]);
  });
});

describe("a call with patience", () => {
  const away = (): BackendUnavailableError =>
    new BackendUnavailableError("cannot be reached", { operation: "connect", maybeExecuted: false });
  let isUp: boolean;
  let listeners: Set<() => void>;
  /** Over a link that refuses calls while it is down, as that of one server does. */
  const patient = (patienceMs: number, settings: Partial<CallSettings> = {}): Calls =>
    new Calls(
      {
        queue,
        admit: (command, send) => {
          if (isUp) return queue.enqueue(command, send);
          command.fail(new BackendUnavailableError("was not sent", { cause: away(), maybeExecuted: false }));
        },
      },
      {
        onOverload: "wait",
        readRetries: 2,
        random: () => RANDOM,
        onMoved: () => undefined,
        onRetry: () => undefined,
        patienceMs,
        line: {
          get isUp() {
            return isUp;
          },
          onUp: (listener) => {
            listeners.add(listener);
            return () => listeners.delete(listener);
          },
        },
        ...settings,
      },
    );
  const connect = (): Promise<void> => {
    isUp = true;
    queue.client = wire;
    for (const listener of listeners) listener();
    return flush();
  };
  const passed = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 10) {
      clock.advance(Math.min(10, left));
      await flush();
    }
  };
  beforeEach(() => {
    isUp = false;
    queue.client = undefined;
    listeners = new Set();
  });

  it("waits for a connection, and is sent the moment there is one", async () => {
    const call = watched(patient(3_000).call(["INCR", "n"]));
    await passed(2_500);
    expect(wire.sent).toEqual([]);
    await connect();
    expect(wire.sent).toEqual(["INCR n"]);
    await wire.reply(1);
    expect(await call).toBe(1);
    expect(listeners.size).toBe(0);
  });

  it("has its whole deadline from then on", async () => {
    const call = watched(patient(3_000).call(["INCR", "n"]));
    await passed(2_900);
    await connect();
    clock.advance(DEADLINE_MS - 1);
    expect(await outcome(call)).toEqual({ status: "pending" });
    clock.advance(1);
    expect(await outcome(call)).toMatchObject({ status: "rejected", reason: { maybeExecuted: true } });
  });

  it("rejects with the last reason when its patience ends, and is not sent later", async () => {
    const call = watched(patient(3_000).call(["INCR", "n"]));
    await passed(2_990);
    expect(await outcome(call)).toEqual({ status: "pending" });
    await passed(10);
    expect(await outcome(call)).toMatchObject({ status: "rejected", reason: { maybeExecuted: false } });
    await connect();
    expect([wire.sent, listeners.size]).toEqual([[], 0]);
  });

  it("waits within a deadline of its own, or as long as it says itself", async () => {
    const [bounded, eager] = [
      watched(patient(3_000).call(["INCR", "n"], { deadlineMs: 200 })),
      watched(patient(3_000).call(["INCR", "n"], { patienceMs: 0 })),
    ];
    await flush();
    expect(await outcome(eager)).toMatchObject({ status: "rejected" });
    await passed(190);
    expect(await outcome(bounded)).toEqual({ status: "pending" });
    await passed(10);
    expect(await outcome(bounded)).toMatchObject({ status: "rejected" });
  });

  it("that may have been carried out is not sent again, unless that changes nothing more", async () => {
    isUp = true;
    queue.client = wire;
    const calls = [{}, { isRepeatable: true }].map((options) => watched(patient(3_000).call(["INCR", "n"], options)));
    await wire.fail(lost());
    await wire.fail(lost());
    expect(await outcome(calls[0]!)).toMatchObject({ status: "rejected", reason: { maybeExecuted: true } });
    await passed(10);
    expect(wire.sent).toHaveLength(3);
    await wire.reply(1);
    expect(await calls[1]).toBe(1);
  });

  it("waits for a server that is loading, and not for room", async () => {
    isUp = true;
    queue.client = wire;
    const calls = patient(10_000);
    const loading = watched(calls.call(["INCR", "n"]));
    await wire.fail(reply("LOADING Redis is loading the dataset in memory"));
    await passed(10);
    expect(wire.sent).toHaveLength(2);
    const others = [watched(calls.call(["GET", "a"])), watched(calls.call(["GET", "b"]))];
    clock.advance(DEADLINE_MS);
    await flush();
    expect(await outcome(others[1]!)).toMatchObject({
      reason: { message: expect.stringContaining("was not sent") as string },
    });
    await wire.reply(1);
    expect(await outcome(loading)).toMatchObject({ status: "rejected" });
  });

  it("ends when its signal is aborted, with the reason", async () => {
    const stop = new AbortController();
    const call = watched(patient(3_000).call(["INCR", "n"], { signal: stop.signal }));
    await passed(100);
    const reason = new Error("no longer needed");
    stop.abort(reason);
    expect(await outcome(call)).toEqual({ status: "rejected", reason });
  });

  it("ends with the reason of its signal also after an attempt whose reply was lost", async () => {
    isUp = true;
    queue.client = wire;
    const stop = new AbortController();
    const options = { isRepeatable: true, signal: stop.signal };
    const call = watched(patient(3_000).call(["INCR", "n"], options));
    isUp = false;
    queue.client = undefined;
    await wire.fail(lost());
    await passed(100);
    const reason = new Error("no longer needed");
    stop.abort(reason);
    expect(await outcome(call)).toEqual({ status: "rejected", reason });
  });

  it("as a burst is sent as a whole, once", async () => {
    const burst = watched(
      patient(3_000).burst("k", [
        ["INCR", "n"],
        ["INCR", "m"],
      ]),
    );
    await passed(100);
    await connect();
    await wire.reply(1);
    await wire.reply(2);
    expect(await burst).toEqual([1, 2]);
    expect(wire.sent).toEqual(["INCR n", "INCR m"]);
  });
});

it("a script that the server has forgotten goes by its text, within the same deadline", async () => {
  const calls = callsWith();
  const options = { script: "return 1" };
  const known = watched(calls.call(["EVALSHA", "sha", "1", "k", "a"], options));
  await wire.reply(1);
  expect(await known).toBe(1);
  const forgotten = watched(calls.call(["EVALSHA", "sha", "1", "k", "a"], options));
  clock.advance(DEADLINE_MS - 1);
  await wire.fail(reply("NOSCRIPT No matching script"));
  expect(wire.sent.at(-1)).toBe("EVAL return 1 1 k a");
  expect(events).toEqual([]);
  clock.advance(1);
  expect(await outcome(forgotten)).toMatchObject({ status: "rejected", reason: { maybeExecuted: true } });
});

it("a forgotten script goes ahead of the calls that wait for room, which may be of the same script", async () => {
  const calls = callsWith();
  const options = { script: "return 1" };
  const all = ["a", "b", "c", "d"].map((arg) => watched(calls.call(["EVALSHA", "sha", "0", arg], options)));
  expect(wire.sent).toEqual(["EVALSHA sha 0 a", "EVALSHA sha 0 b"]);
  for (let i = 0; i < 2; i += 1) await wire.fail(reply("NOSCRIPT No matching script"));
  expect(wire.sent.slice(2)).toEqual(["EVAL return 1 0 a", "EVAL return 1 0 b"]);
  for (let i = 0; i < 4; i += 1) await wire.reply(i);
  expect(await Promise.all(all)).toEqual([0, 1, 2, 3]);
  expect(wire.sent.slice(4)).toEqual(["EVALSHA sha 0 c", "EVALSHA sha 0 d"]);
  expect(queue.inFlight).toBe(0);
});

it("a script whose caller has given up is not sent by its text", async () => {
  const leaving = new AbortController();
  const call = watched(callsWith().call(["EVALSHA", "sha", "0"], { script: "return 1", signal: leaving.signal }));
  leaving.abort(new Error("enough"));
  await wire.fail(reply("NOSCRIPT No matching script"));
  expect(wire.sent).toEqual(["EVALSHA sha 0"]);
  expect(await outcome(call)).toMatchObject({ status: "rejected", reason: { message: "enough" } });
  expect(queue.inFlight).toBe(0);
});

it("a call ends at its deadline, its wait for room included", async () => {
  const sent = [watched(callsWith().call(["INCR", "a"])), watched(callsWith().call(["INCR", "b"]))];
  const waiting = watched(callsWith().call(["INCR", "c"]));
  clock.advance(DEADLINE_MS / 2);
  // Others are answered, and it gets room late: its time goes on.
  for (const call of sent) {
    await wire.reply(1);
    await call;
  }
  expect(wire.sent).toHaveLength(3);
  clock.advance(DEADLINE_MS / 2 - 1);
  expect(await outcome(waiting)).toEqual({ status: "pending" });
  clock.advance(1);
  expect(await outcome(waiting)).toMatchObject({ status: "rejected", reason: { maybeExecuted: true } });
});

describe("a burst", () => {
  it("of nothing sends nothing", async () => {
    expect(await callsWith().burst("k", [])).toEqual([]);
    expect(queue.inFlight).toBe(0);
  });

  it("has a result for each command, and errors that name theirs", async () => {
    const burst = callsWith().burst("k", [
      ["SET", "k", "1"],
      ["GET", "k"],
    ]);
    await wire.reply("OK");
    await wire.fail(reply("MOVED 1 other:6379"));
    const [set, get] = await burst;
    expect(set).toBe("OK");
    expect(get).toMatchObject({
      message: "redis: GET was refused: its key lies on another node (MOVED 1 other:6379)",
      operation: "GET",
      maybeExecuted: false,
    });
    expect(events).toEqual(["moved"]);
  });
});

it("errors name the first 500 commands by name, and further ones as one", async () => {
  const calls = callsWith({ onOverload: "reject" });
  queue.client = undefined;
  queue.inFlight = 2;
  const nameOf = async (command: string): Promise<unknown> =>
    ((await calls.call([command]).catch((error: unknown) => error)) as BackendUnavailableError).operation;
  for (let i = 0; i < 500; i += 1) expect(await nameOf(`c${i}`)).toBe(`C${i}`);
  expect(await nameOf("more")).toBe("command");
  expect(await nameOf("c0")).toBe("C0");
});

describe("bad input is refused, and nothing is sent", () => {
  const BEGINS = "call(args): args must begin with the name of a command, and be a list of strings and Buffers";

  it.each<readonly [unknown, string]>([
    [[], BEGINS],
    [[""], BEGINS],
    [[Buffer.alloc(0), "k"], BEGINS],
    ["PING", BEGINS],
    [undefined, BEGINS],
    [[1], "argument 0 of a command must be a string or a Buffer, got a number"],
    [[, "k"], "argument 0 of a command must be a string or a Buffer, got undefined"],
    [["GET", ,], "argument 1 of GET must be a string or a Buffer, got undefined"],
    [["SET", null, "v"], "argument 1 of SET must be a string or a Buffer, got null"],
    [["SET", "k", new Uint8Array(1)], "argument 2 of SET must be a string or a Buffer, got an object"],
  ])("arguments %j", async (args, message) => {
    const refused = { status: "rejected", reason: { code: "INVALID_ARGUMENT", message } };
    expect(await outcome(callsWith().call(args as Args))).toMatchObject(refused);
    expect(await outcome(callsWith().burst("k", [["PING"], args as Args]))).toMatchObject(refused);
    expect(wire.sent).toEqual([]);
  });

  it.each<readonly [unknown, string]>([
    [{ signal: {} }, "signal must be an AbortSignal, got an object"],
    [{ signal: null }, "signal must be an AbortSignal, got null"],
    [{ deadlineMs: null }, "deadlineMs must be from 0 ms to 24 days, in milliseconds, got null"],
    [{ deadlineMs: "5s" }, 'deadlineMs must be from 0 ms to 24 days, in milliseconds, got "5s"'],
    [{ deadlineMs: 2 ** 31 }, "deadlineMs must be from 0 ms to 24 days, in milliseconds, got 2147483648"],
    [{ typeMapping: "text" }, 'typeMapping must be an object, as node-redis has it, got "text"'],
  ])("options %o of a call and of a burst", async (options, message) => {
    const refused = { status: "rejected", reason: { code: "INVALID_ARGUMENT", message } };
    expect(await outcome(callsWith().call(["PING"], options as CallOptions))).toMatchObject(refused);
    expect(await outcome(callsWith().burst("k", [["PING"]], options as CallOptions))).toMatchObject(refused);
    expect(wire.sent).toEqual([]);
  });

  it.each<readonly [unknown, string]>([
    [null, "call(args, options): options must be an object, got null; accepted: key"],
    [
      { deadline: 5 },
      'call(args, options): unknown option "deadline"; did you mean deadlineMs?; accepted: key, isReadOnly, deadlineMs',
    ],
    [{ key: 5 }, "key must be a string or a Buffer, got 5"],
    [{ isReadOnly: "yes" }, 'isReadOnly must be true or false, got "yes"'],
  ])("options %o of a call", async (options, message) => {
    const given = await outcome(callsWith().call(["PING"], options as CallOptions));
    expect(given).toMatchObject({
      status: "rejected",
      reason: { code: "INVALID_ARGUMENT", message: expect.stringContaining(message) as string },
    });
    expect(wire.sent).toEqual([]);
  });

  it.each<readonly [() => Promise<unknown>, string]>([
    [() => callsWith().burst("k", "PING" as never), 'burst(commands): commands must be a list of commands, got "PING"'],
    [() => callsWith().burst("k", [["PING"], ,] as never), BEGINS],
    [() => callsWith().burst(5 as never, [["PING"]]), "burst(key): key must be a string or a Buffer, got 5"],
  ])("%s", async (burst, message) => {
    expect(await outcome(burst())).toMatchObject({
      status: "rejected",
      reason: { code: "INVALID_ARGUMENT", message },
    });
    expect(wire.sent).toEqual([]);
  });

  it("a deadline", async () => {
    const refused = { status: "rejected", reason: { code: "INVALID_ARGUMENT" } };
    expect(await outcome(callsWith().call(["PING"], { deadlineMs: -1 }))).toMatchObject(refused);
    expect(await outcome(callsWith().burst("k", [["PING"]], { deadlineMs: NaN }))).toMatchObject(refused);
    expect(wire.sent).toEqual([]);
  });
});
