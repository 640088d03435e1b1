import { flush, outcome, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import type { DedicatedConnection } from "../client/contract.ts";
import type { Module } from "../module/module.ts";
import { monitor } from "./monitor.ts";

it("a signal that is aborted as the connection opens ends the monitor", async () => {
  const opened = Promise.withResolvers<DedicatedConnection>();
  let isClosed = false;
  const socket = {
    onLost: () => () => undefined,
    monitor: async () => undefined,
    close: async () => void (isClosed = true),
  } as unknown as DedicatedConnection;
  const module = { clock: new TestClock(), connection: { open: () => opened.promise } } as unknown as Module;
  const stop = new AbortController();
  const watching = monitor(module, () => undefined, { iKnowItHalvesThroughput: true, signal: stop.signal });
  await flush();
  opened.resolve(socket);
  stop.abort();
  expect([await outcome(watching), isClosed]).toEqual([{ status: "fulfilled", value: undefined }, true]);
});
