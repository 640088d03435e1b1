import { flush, outcome, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import type { Module } from "../module/module.ts";
import { WakeListener } from "./wake-listener.ts";

/** Opening and each blocking call are settled by the test, or rejected by an aborted signal. */
function start() {
  const opens: PromiseWithResolvers<unknown>[] = [];
  const calls: PromiseWithResolvers<unknown>[] = [];
  const reports: string[] = [];
  const clock = new TestClock();
  const until = (list: PromiseWithResolvers<unknown>[], signal: AbortSignal): Promise<unknown> => {
    const one = Promise.withResolvers<unknown>();
    signal.addEventListener("abort", () => one.reject(signal.reason));
    list.push(one);
    return one.promise;
  };
  const module = {
    clock,
    random: () => 0.5,
    connection: { open: ({ signal }: { readonly signal: AbortSignal }) => until(opens, signal) },
    space: { inside: (key: string) => key },
    report: (kind: string) => reports.push(kind),
  } as unknown as Module;
  const connection = {
    call: (_args: readonly string[], { signal }: { readonly signal: AbortSignal }) => until(calls, signal),
    close: async () => undefined,
  };
  return { listener: new WakeListener(module, "wake"), opens, calls, reports, clock, connection };
}

it("closing it ends a wait for a wake, for a connection and after a failure, without a report", async () => {
  const waiting = start();
  const wake = waiting.listener.wait();
  waiting.opens[0]!.resolve(waiting.connection);
  await flush();
  await waiting.listener.close();
  expect(await outcome(wake)).toEqual({ status: "fulfilled", value: false });
  expect(waiting.reports).toEqual([]);

  const opening = start();
  const opened = opening.listener.wait();
  await opening.listener.close();
  expect(await outcome(opened)).toEqual({ status: "fulfilled", value: false });
  expect(opening.reports).toEqual([]);

  const failed = start();
  const pause = failed.listener.wait();
  failed.opens[0]!.reject(new Error("away"));
  await flush();
  expect([await outcome(pause), failed.reports]).toEqual([{ status: "pending" }, ["queue: waiting for jobs"]]);
  await failed.listener.close();
  expect(await outcome(pause)).toEqual({ status: "fulfilled", value: false });
});

it("after it was closed a wait opens nothing", async () => {
  const { listener, opens } = start();
  await listener.close();
  expect([await listener.wait(), opens.length]).toEqual([false, 0]);
});

it("a taken wake differs from the end of the time; a failure pauses, twice as long after the next", async () => {
  const { listener, opens, calls, clock, connection } = start();
  const first = listener.wait();
  opens[0]!.resolve(connection);
  await flush();
  calls[0]!.resolve(["wake", "w", "0"]);
  expect(await first).toBe(true);
  const second = listener.wait();
  await flush();
  calls[1]!.resolve(null);
  expect(await second).toBe(false);
  for (const [i, pauseMs] of [100, 200].entries()) {
    const failed = listener.wait();
    await flush();
    if (i === 0) calls[2]!.reject(new Error("away"));
    else opens[1]!.reject(new Error("away"));
    await flush();
    clock.advance(pauseMs - 1);
    await flush();
    expect(await outcome(failed)).toEqual({ status: "pending" });
    clock.advance(1);
    expect(await failed).toBe(false);
  }
});
