import { json } from "@hotset/core";
import { describe, expect, it } from "vitest";
import { fromSwap } from "./from-swap.ts";
import { pollChanges } from "./poll-changes.ts";
import type { SwapStore } from "./swap-store.ts";

const store: SwapStore<string> = {
  get: () => Promise.resolve(undefined),
  swap: () => Promise.resolve(undefined),
  delete: () => Promise.resolve(false),
  close: () => undefined,
};
const ACCEPTED =
  "label, format, compressor, alsoReads, maxRecordBytes, maxDecodedBytes, deadlineMs, breaker, clock, log";

describe("fromSwap refuses what can never work, and names it", () => {
  it.each<[message: string, options: object]>([
    ["label must be a non-empty string, got undefined", { label: undefined }],
    ['label must be a non-empty string, got ""', { label: "" }],
    ["maxRecordBytes must be a whole number of at least 5121, or Infinity, got 4096", { maxRecordBytes: 4_096 }],
    ['maxRecordBytes must be a whole number of at least 5121, or Infinity, got "1mb"', { maxRecordBytes: "1mb" }],
    ["maxDecodedBytes must be a whole number of at least 1, or Infinity, got 0.5", { maxDecodedBytes: 0.5 }],
    ["deadlineMs must be a number of milliseconds of at least 1, got NaN", { deadlineMs: Number.NaN }],
    ['deadlineMs must be a number of milliseconds of at least 1, got "1s"', { deadlineMs: "1s" }],
    ["clock must be an object with now() and schedule(), got a function", { clock: () => 1 }],
    [
      'log must be true, false or an object with busyMs, idleMs, maxStalenessMs or recheckMs, got "yes"',
      { log: "yes" },
    ],
    ['log.busyMs must be a number of milliseconds of at least 1, got "20ms"', { log: { busyMs: "20ms" } }],
    ["log.idleMs must be a number of milliseconds of at least 1, got Infinity", { log: { idleMs: Infinity } }],
    ["log.maxStalenessMs must be a number of milliseconds of at least 1, got 0", { log: { maxStalenessMs: 0 } }],
    ["log.recheckMs must be a number of milliseconds of at least 1, or Infinity, got -1", { log: { recheckMs: -1 } }],
    ["breaker.failures must be a whole number of at least 1, or Infinity, got 0", { breaker: { failures: 0 } }],
    ["breaker.waitMs must be a number of milliseconds of at least 1, got null", { breaker: { waitMs: null } }],
    [
      'breaker.longestWaitMs must be a number of milliseconds of at least 1, got "30s"',
      { breaker: { longestWaitMs: "30s" } },
    ],
    ["breaker.onReconnect must be a function, got an object", { breaker: { onReconnect: {} } }],
  ])("%s", (message, options) => {
    expect(() => fromSwap(store, { label: "mine", ...options })).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", message: `fromSwap: ${message}` }),
    );
  });

  it.each<[message: string, options: unknown]>([
    [`fromSwap: options must be an object, got null; accepted: ${ACCEPTED}`, undefined],
    [
      `fromSwap: unknown option "deadline"; did you mean deadlineMs?; accepted: ${ACCEPTED}`,
      { label: "mine", deadline: 1 },
    ],
    [
      'fromSwap: unknown option "log.busy"; accepted: busyMs, idleMs, maxStalenessMs, recheckMs',
      { label: "mine", log: { busy: 20 } },
    ],
    [
      "fromSwap: breaker must be an object, got a number; accepted: failures, waitMs, longestWaitMs, onReconnect",
      { label: "mine", breaker: 5 },
    ],
  ])("%s", (message, options) => {
    expect(() => fromSwap(store, options as { label: string })).toThrow(
      expect.objectContaining({ code: "INVALID_CONFIGURATION", message }),
    );
  });

  it("a store without one of its methods", () => {
    expect(() => fromSwap({ ...store, swap: undefined } as never, { label: "mine" })).toThrow(
      "fromSwap: store must be an object with get(), swap(), delete() and close(), got an object",
    );
  });
});

it("fromSwap takes each option", () => {
  const backend = fromSwap(store, {
    ...{ label: "mine", format: json(), alsoReads: [], maxRecordBytes: 400_000, maxDecodedBytes: Infinity },
    ...{ deadlineMs: 0.5 + 1, breaker: { failures: 3 } as never, clock: undefined },
    log: { busyMs: 50, idleMs: 500, maxStalenessMs: 1_000, recheckMs: Infinity },
  });
  expect(backend).toMatchObject({
    ...{ label: "mine", maxEntryBytes: 400_000 - 5_120, maxDecodedBytes: Infinity, deadlineMs: 1.5 },
    ...{ breaker: { failures: 3, waitMs: 1_000, longestWaitMs: 30_000 }, coherence: { maxStalenessMs: 1_000 } },
  });
});

it.each<[message: string, options: object]>([
  ["pollChanges: busyMs must be a number of milliseconds of at least 1, got 0", { busyMs: 0 }],
  ["pollChanges: idleMs must be a number of milliseconds of at least 1, got a function", { idleMs: () => 1 }],
  ["pollChanges: clock must be an object with now() and schedule(), got an object", { clock: {} }],
  ['pollChanges: unknown option "idle"; accepted: busyMs, idleMs, maxStalenessMs, clock', { idle: 1 }],
])("%s", (message, options) => {
  expect(() => pollChanges(() => ({ position: 0 }), options)).toThrow(message);
});
