import { InvalidArgumentError } from "@hotset/core";
import { describe, expect, it } from "vitest";
import { hashSlot, openConnection } from "./redis-connection.ts";
import { single } from "./shared-connection.ts";

/** The longest delay that a timer takes. */
const LONGEST_MS = 2 ** 31 - 1;
const DURATION = 'must be a duration of 1 ms to 24 days, as milliseconds or like "5s"';
const FROM_ZERO = 'must be a duration of 0 ms to 24 days, as milliseconds or like "5s"';
const COUNT = "must be a whole number of at least 1, or Infinity";
const CLIENT_NAME = "clientName must be 1 to 128 printable ASCII characters without spaces";
const PASSWORD = "password must be a non-empty string, or a function that returns one";

const open = (options: object): Promise<void> => openConnection(single("redis://nowhere.invalid"), options).close();

describe("an option that is refused", () => {
  it.each<readonly [object, string]>([
    [{ username: "" }, 'username must be a non-empty string, got ""'],
    [{ username: 1 }, "username must be a non-empty string, got 1"],
    [{ password: "" }, PASSWORD],
    [{ password: null }, PASSWORD],
    [{ clientName: "" }, `${CLIENT_NAME}, got ""`],
    [{ clientName: "a".repeat(129) }, `${CLIENT_NAME}, got "${"a".repeat(40)}"`],
    [{ clientName: ["a"] }, `${CLIENT_NAME}, got an object`],
    [{ readRetries: 0.5 }, "readRetries must be a whole number of at least 0, got 0.5"],
    [{ readRetries: Infinity }, "readRetries must be a whole number of at least 0, got Infinity"],
    [{ protocol: 1 }, "protocol must be 2 or 3, got 1"],
    [{ connectTimeoutMs: 0 }, `connectTimeoutMs ${DURATION}, got 0`],
    [{ connectTimeoutMs: LONGEST_MS + 1 }, `connectTimeoutMs ${DURATION}, got ${LONGEST_MS + 1}`],
    [{ responseTimeoutMs: Infinity }, `responseTimeoutMs ${DURATION}, got Infinity`],
    [{ responseTimeoutMs: NaN }, `responseTimeoutMs ${DURATION}, got NaN`],
    [{ heartbeatMs: "25d" }, `heartbeatMs ${DURATION}, got "25d"`],
    [
      { heartbeatMs: "soon" },
      'heartbeatMs must be a duration: milliseconds, or a number with a unit of ms, s, m, h or d ("5s"), got "soon"',
    ],
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
    [{ backoff: null }, "backoff must be an object of options, got null"],
    [{ pool: 5 }, "pool must be an object of options, got 5"],
    [{ pool: { max: 0 } }, `pool.max ${COUNT}, got 0`],
    [{ pool: { waitMs: 0 } }, `pool.waitMs ${DURATION}, got 0`],
    [{ pool: { idleMs: 0 } }, `pool.idleMs ${DURATION}, got 0`],
  ])("%o", (options, message) => {
    expect(() => open(options)).toThrow(new InvalidArgumentError(message));
  });

  it.each([
    [null, "options must be an object of options, got null"],
    [5, "options must be an object of options, got 5"],
    [{ poool: {} }, 'openConnection: unknown option "poool"; known: username, password,'],
    [{ pool: { maxx: 1 } }, 'openConnection: unknown option "pool.maxx"; known: max, waitMs, idleMs'],
    [{ backoff: { base: 1 } }, 'openConnection: unknown option "backoff.base"; known: baseMs, factor, maxMs'],
  ])("%o is refused as options", (options, message) => {
    expect(() => open(options as object)).toThrow(InvalidArgumentError);
    expect(() => open(options as object)).toThrow(message);
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
