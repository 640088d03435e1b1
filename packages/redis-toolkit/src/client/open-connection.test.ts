import { ConfigurationError, InvalidArgumentError } from "@hotset/core";
import { single } from "@hotset/redis/internal";
import { describe, expect, it } from "vitest";
import { hashSlot, openConnection } from "./open-connection.ts";

/** The longest delay that a timer takes. */
const LONGEST_MS = 2 ** 31 - 1;
const DURATION = 'must be from 1 ms to 24 days, as a number or like "5m"';
const FROM_ZERO = 'must be from 0 ms to 24 days, as a number or like "5m"';
const COUNT = "must be a whole number of at least 1, or Infinity";
const CLIENT_NAME = "clientName must be 1 to 128 printable ASCII characters without spaces";
const PASSWORD = "password must be a string, or a function that returns one, got another value";

const open = (options: object): Promise<void> => openConnection(single("redis://nowhere.invalid"), options).close();

/** What holds options, and their names, are configuration; values are arguments. */
const refusalOf = (message: string): typeof ConfigurationError | typeof InvalidArgumentError =>
  /unknown option|must be an object, got|nopass/.test(message) ? ConfigurationError : InvalidArgumentError;

describe("an option that is refused", () => {
  it.each<readonly [object, string]>([
    [{ username: "" }, 'username must be a non-empty string, got ""'],
    [{ username: 1 }, "username must be a non-empty string, got 1"],
    [{ password: "" }, 'redis: the password "" is for a user with nopass; give the username too'],
    [{ password: null }, PASSWORD],
    [{ clientName: "" }, `${CLIENT_NAME}, got ""`],
    [{ clientName: "a".repeat(129) }, `${CLIENT_NAME}, got "${"a".repeat(40)}…"`],
    [{ clientName: ["a"] }, `${CLIENT_NAME}, got an array`],
    [{ readRetries: 0.5 }, "readRetries must be a whole number of at least 0, got 0.5"],
    [{ readRetries: Infinity }, "readRetries must be a whole number of at least 0, got Infinity"],
    [{ protocol: 1 }, "protocol must be 2 or 3, got 1"],
    [{ connectTimeoutMs: 0 }, `connectTimeoutMs ${DURATION}, got 0`],
    [{ connectTimeoutMs: LONGEST_MS + 1 }, `connectTimeoutMs ${DURATION}, got ${LONGEST_MS + 1}`],
    [{ responseTimeoutMs: Infinity }, `responseTimeoutMs ${DURATION}, got Infinity`],
    [{ responseTimeoutMs: NaN }, `responseTimeoutMs ${DURATION}, got NaN`],
    [{ heartbeatMs: "25d" }, `heartbeatMs ${DURATION}, got "25d"`],
    [{ heartbeatMs: "soon" }, `heartbeatMs ${DURATION}, got "soon"; units are ms, s, m, h and d`],
    [{ maxInFlight: 0 }, `maxInFlight ${COUNT}, got 0`],
    [{ maxInFlight: 1.5 }, `maxInFlight ${COUNT}, got 1.5`],
    [{ maxInFlight: "5" }, `maxInFlight ${COUNT}, got "5"`],
    [{ retries: -1 }, `retries ${COUNT}, got -1`],
    [{ onOverload: "" }, 'onOverload must be "wait" or "reject", got ""'],
    [{ backoff: { baseMs: -1 } }, `backoff.baseMs ${FROM_ZERO}, got -1`],
    [{ backoff: { maxMs: -1 } }, `backoff.maxMs ${FROM_ZERO}, got -1`],
    [{ backoff: { factor: 0.9 } }, "backoff.factor must be a number of at least 1, got 0.9"],
    [{ backoff: { factor: Infinity } }, "backoff.factor must be a number of at least 1, got Infinity"],
    [{ backoff: { factor: NaN } }, "backoff.factor must be a number of at least 1, got NaN"],
    [
      { backoff: { baseMs: 11, maxMs: 10 } },
      "backoff.baseMs must not be longer than backoff.maxMs, got 11 ms and 10 ms",
    ],
    [{ backoff: null }, "openConnection: backoff must be an object, got null; accepted: baseMs, factor, maxMs"],
    [{ pool: 5 }, "openConnection: pool must be an object, got a number; accepted: max, waitMs, idleMs"],
    [{ pool: { max: 0 } }, `pool.max ${COUNT}, got 0`],
    [{ pool: { waitMs: 0 } }, `pool.waitMs ${DURATION}, got 0`],
    [{ pool: { idleMs: 0 } }, `pool.idleMs ${DURATION}, got 0`],
  ])("%o", (options, message) => {
    expect(() => open(options)).toThrow(new (refusalOf(message))(message));
  });

  it.each([
    [null, "openConnection: options must be an object, got null; accepted: username,"],
    [5, "openConnection: options must be an object, got a number; accepted: username,"],
    [{ poool: {} }, 'openConnection: unknown option "poool"; did you mean pool?; accepted: username, password,'],
    [
      { pool: { maxx: 1 } },
      'openConnection: unknown option "pool.maxx"; did you mean max?; accepted: max, waitMs, idleMs',
    ],
    [{ backoff: { base: 1 } }, 'openConnection: unknown option "backoff.base"; accepted: baseMs, factor, maxMs'],
  ])("%o is refused as options", (options, message) => {
    expect(() => open(options as object)).toThrow(ConfigurationError);
    expect(() => open(options as object)).toThrow(message);
  });
});

describe("null is not the default, and nothing else stands for an option", () => {
  const OBJECT = "must be an object, got";
  const OPTIONS =
    "username, password, clientName, protocol, connectTimeoutMs, responseTimeoutMs, maxInFlight, onOverload, retries, backoff, readRetries, patienceMs, heartbeatMs, pool, clock";

  it.each<readonly [object, string]>([
    [{ protocol: null }, "protocol must be 2 or 3, got null"],
    [{ connectTimeoutMs: null }, `connectTimeoutMs ${DURATION}, got null`],
    [{ responseTimeoutMs: null }, `responseTimeoutMs ${DURATION}, got null`],
    [{ heartbeatMs: null }, `heartbeatMs ${DURATION}, got null`],
    [{ maxInFlight: null }, `maxInFlight ${COUNT}, got null`],
    [{ onOverload: null }, 'onOverload must be "wait" or "reject", got null'],
    [{ retries: null }, `retries ${COUNT}, got null`],
    [{ readRetries: null }, "readRetries must be a whole number of at least 0, got null"],
    [{ clock: null }, "clock must be an object with now() and schedule(), got null"],
    [{ clock: { now: () => 0 } }, "clock must be an object with now() and schedule(), got an object"],
    [{ backoff: { baseMs: null } }, `backoff.baseMs ${FROM_ZERO}, got null`],
    [{ backoff: { maxMs: null } }, `backoff.maxMs ${FROM_ZERO}, got null`],
    [{ backoff: { factor: null } }, "backoff.factor must be a number of at least 1, got null"],
    [{ backoff: { factor: "2" } }, 'backoff.factor must be a number of at least 1, got "2"'],
    [{ backoff: { factor: Symbol("2") } }, "backoff.factor must be a number of at least 1, got a symbol"],
    [{ backoff: [] }, `openConnection: backoff ${OBJECT} an array; accepted: baseMs, factor, maxMs`],
    [{ pool: { max: null } }, `pool.max ${COUNT}, got null`],
    [{ pool: { waitMs: null } }, `pool.waitMs ${DURATION}, got null`],
    [{ pool: { idleMs: null } }, `pool.idleMs ${DURATION}, got null`],
    [{ pool: [10] }, `openConnection: pool ${OBJECT} an array; accepted: max, waitMs, idleMs`],
    [[], `openConnection: options ${OBJECT} an array; accepted: ${OPTIONS}`],
    ["fast" as never, `openConnection: options ${OBJECT} text of 4 characters; accepted: ${OPTIONS}`],
  ])("%o", (options, message) => {
    expect(() => open(options)).toThrow(new (refusalOf(message))(message));
  });
});

describe("an argument that cannot work is refused before anything is opened or sent", () => {
  type Connection = ReturnType<typeof openConnection>;
  const FUNCTION = "must be a function, got";
  const nothing = async (): Promise<void> => undefined;

  it.each<readonly [string, (connection: Connection) => unknown]>([
    [`on(event, listener): listener ${FUNCTION} undefined`, (redis) => redis.on("up", undefined as never)],
    [`each(task): task ${FUNCTION} null`, (redis) => redis.each(null as never)],
    [`pool.use(task): task ${FUNCTION} text of 4 characters`, (redis) => redis.pool.use("task" as never)],
    ["signal must be an AbortSignal, got an object", (redis) => redis.pool.use(nothing, { signal: {} as never })],
    [
      "waitMs must be from 0 ms to 24 days, in milliseconds, got NaN",
      (redis) => redis.pool.use(nothing, { waitMs: NaN }),
    ],
    ["key must be a string or a Buffer, got 7", (redis) => redis.pool.use(nothing, { key: 7 as never })],
    [
      'pool.use(task, options): unknown option "deadlineMs"; accepted: key, waitMs, signal',
      (redis) => redis.pool.use(nothing, { deadlineMs: 5 } as never),
    ],
    [
      "open: options must be an object, got null; accepted: role, key, deadlineMs, signal",
      (redis) => redis.open(null as never),
    ],
    [
      'open: unknown option "deadline"; did you mean deadlineMs?; accepted: role, key, deadlineMs, signal',
      (redis) => redis.open({ role: "blocking", deadline: 5 } as never),
    ],
    [
      'open({ deadlineMs }): deadlineMs must be from 1 ms to 24 days, in milliseconds, got "5s"',
      (redis) => redis.open({ role: "blocking", deadlineMs: "5s" as never }),
    ],
    [
      "open({ signal }): signal must be an AbortSignal, got null",
      (redis) => redis.open({ role: "subscriber", signal: null as never }),
    ],
    [
      "open({ key }): key must be a string or a Buffer, got an object",
      (redis) => redis.open({ role: "exclusive", key: {} as never }),
    ],
  ])("%s", async (message, use) => {
    await using redis = openConnection(single("redis://nowhere.invalid"));
    const refused = (async () => use(redis))();
    await expect(refused).rejects.toThrow(new InvalidArgumentError(message));
    expect(redis.pool.status).toEqual({ size: 0, idle: 0, inUse: 0, waiting: 0 });
    expect(redis.state).toBe("idle");
  });

  it("hashSlot takes text or a Buffer", () => {
    for (const [given, shown] of [
      [null, "null"],
      [undefined, "null"],
      [5, "5"],
      [["a"], "an array"],
    ])
      expect(() => hashSlot(given as never)).toThrow(
        new InvalidArgumentError(`hashSlot(key): key must be a string or a Buffer, got ${shown as string}`),
      );
  });
});

it.each([
  { username: "u", password: "p" },
  { username: "u", password: () => "p" },
  { clientName: "a".repeat(128) },
  { readRetries: 0 },
  { protocol: 2 },
  { connectTimeoutMs: 1, responseTimeoutMs: LONGEST_MS, heartbeatMs: "5s" },
  { maxInFlight: 1, retries: Infinity },
  { backoff: { baseMs: 0, factor: 1, maxMs: 0 } },
  { backoff: { baseMs: 10, maxMs: 10 } },
  { pool: { max: Infinity, waitMs: 1, idleMs: 1 } },
  { pool: {}, backoff: {} },
])("%o is accepted, and opens nothing", async (options) => {
  await expect(open(options)).resolves.toBe(undefined);
});

it("hashSlot gives the slot of a key in a cluster, by its hash tag where there is one", () => {
  expect(["123456789", "{user1}.a", Buffer.from("{user1}.b"), "{}a"].map(hashSlot)).toEqual([
    12_739, 8_106, 8_106, 10_875,
  ]);
});
