import { flush, outcome, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import type { Module } from "../module/module.ts";
import { QueueEvents, type QueueEvent } from "./events.ts";
import type { QueueStore } from "./store.ts";

/** Events are published by the test, and what Redis has of the one job is `job`. */
function start(job?: object) {
  const clock = new TestClock();
  const sockets: { isOpen: boolean }[] = [];
  let publish: (message: Buffer) => void;
  const open = async () => {
    const socket = { isOpen: true };
    sockets.push(socket);
    return { ...subscriber, close: async () => void (socket.isOpen = false) };
  };
  const subscriber = {
    on: () => undefined,
    subscribe: async (_kind: string, _channel: string, listener: (message: Buffer) => void) => {
      publish = listener;
    },
  };
  const module = {
    clock,
    connection: { open },
    onDisconnect: () => () => undefined,
  } as unknown as Module;
  const store = { channel: "c", get: async () => job } as unknown as QueueStore;
  return {
    clock,
    sockets,
    // Another object of the same queue for each call.
    finished: (id: string) => new QueueEvents(module, store).finished(id),
    publish: async (event: QueueEvent): Promise<void> => {
      publish(Buffer.from(JSON.stringify(event)));
      await flush();
    },
  };
}

it.each([
  [
    { state: "completed", result: 7 },
    { status: "completed", result: 7 },
  ],
  [
    { state: "dead", reason: "bad" },
    { status: "dead", reason: "bad" },
  ],
] as const)("finished of a job that is %j resolves with %j", async (job, end) => {
  expect(await start(job).finished("1")).toEqual(end);
});

it("finished resolves with the end that is published, and with no event before it or of another job", async () => {
  for (const [last, end] of [
    [
      { kind: "completed", id: "1", result: 7 },
      { status: "completed", result: 7 },
    ],
    [
      { kind: "dead", id: "1", reason: "bad" },
      { status: "dead", reason: "bad" },
    ],
    [{ kind: "removed", id: "1" }, { status: "gone" }],
  ] as const) {
    const { finished, publish } = start({ state: "active" });
    const call = finished("1");
    await flush();
    for (const event of [
      { kind: "added", id: "1" },
      { kind: "active", id: "1", attempt: 1 },
      { kind: "stalled", id: "1", attempt: 1 },
      { kind: "drained" },
      { kind: "progress", id: "1", progress: 50 },
      { kind: "retrying", id: "1", reason: "once more" },
      { kind: "completed", id: "2", result: 8 },
      { kind: "removed", id: "2" },
    ] as const)
      await publish(event);
    expect(await outcome(call)).toEqual({ status: "pending" });
    await publish(last);
    expect(await call).toEqual(end);
  }
});

it("each call of finished has a result that no other call can change", async () => {
  const { finished, publish } = start({ state: "active" });
  const calls = [finished("1"), finished("1")];
  await flush();
  await publish({ kind: "completed", id: "1", result: { rows: [1] } });
  const [first, second] = (await Promise.all(calls)) as { result?: { rows: number[] } }[];
  first?.result?.rows.push(2);
  expect(second).toEqual({ status: "completed", result: { rows: [1] } });
});

it("finished of a job that has completed and was not kept is completed: its event may come after the look", async () => {
  const { clock, finished, publish } = start();
  const call = finished("1");
  await flush();
  expect(await outcome(call)).toEqual({ status: "pending" });
  clock.advance(19);
  await publish({ kind: "completed", id: "1", result: 7 });
  expect(await call).toEqual({ status: "completed", result: 7 });
});

it("finished of a job that is not there is gone, after the 20 ms in which its event could still come", async () => {
  const { clock, finished } = start();
  const call = finished("1");
  await flush();
  clock.advance(20);
  expect(await call).toEqual({ status: "gone" });
});

it("calls of finished share a connection, which is closed 30 s after the last", async () => {
  const { clock, finished, sockets } = start({ state: "completed" });
  for (let i = 0; i < 3; i += 1) {
    expect(await finished("1")).toEqual({ status: "completed" });
    clock.advance(29_999);
  }
  expect(sockets).toEqual([{ isOpen: true }]);
  clock.advance(1);
  await flush();
  expect(sockets).toEqual([{ isOpen: false }]);
  expect(await finished("1")).toEqual({ status: "completed" });
  expect(sockets).toEqual([{ isOpen: false }, { isOpen: true }]);
});
