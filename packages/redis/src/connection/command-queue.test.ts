import { BackendUnavailableError } from "@hotset/core";
import { flush, outcome, TestClock } from "@hotset/testing";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { Wire } from "../../test/wire.ts";
import { CommandQueue } from "./command-queue.ts";

const READ = { tier: "redis", operation: "read" };

let clock: TestClock;
let wire: Wire;
let queue: CommandQueue;

beforeEach(() => {
  clock = new TestClock();
  wire = new Wire();
  queue = new CommandQueue({ clock, deadlineMs: 1_000, maxInFlight: 3 });
  queue.client = wire;
});

/** One command, sent when there is room. */
function ask(command: string): Promise<unknown> {
  const call = queue.begin<unknown>(READ);
  if (queue.hasRoom) call.exchange(queue.client!, [command]);
  else queue.enqueue(call, (client) => call.exchange(client, [command]));
  call.promise.catch(() => undefined);
  return call.promise;
}

describe("deadlines", () => {
  it("A10: each command ends at its own, and a late reply goes to no other command", async () => {
    const first = ask("1");
    clock.advance(400);
    const second = ask("2");
    clock.advance(599);
    expect([await outcome(first), await outcome(second)]).toEqual([{ status: "pending" }, { status: "pending" }]);

    clock.advance(1);
    expect(await outcome(first)).toMatchObject({
      status: "rejected",
      reason: { code: "BACKEND_UNAVAILABLE", retryable: true, maybeExecuted: true, ...READ },
    });
    expect(await outcome(second)).toEqual({ status: "pending" });

    await wire.reply("one");
    await wire.reply("two");
    expect(await second).toBe("two");
  });

  it("one of its own bounds the wait for room, too, although others are answered meanwhile", async () => {
    const calls = [ask("1"), ask("2"), ask("3"), ask("4")];
    const bound = queue.begin<unknown>(READ, 500);
    queue.enqueue(bound, (client) => bound.exchange(client, ["5"]));
    clock.advance(300);
    await wire.reply("one");
    clock.advance(199);
    expect(await outcome(bound.promise)).toEqual({ status: "pending" });
    clock.advance(1);
    expect(await outcome(bound.promise)).toMatchObject({
      status: "rejected",
      reason: { maybeExecuted: false, message: expect.stringContaining("was not sent within 500 ms") },
    });
    for (const reply of ["two", "three", "four"]) await wire.reply(reply);
    expect(await Promise.all(calls)).toEqual(["one", "two", "three", "four"]);
    expect(queue.inFlight).toBe(0);
  });

  it("a command that waited for room is sent with what is left of its deadline, unless the wait extends that", async () => {
    const send = vi.spyOn(wire, "sendCommand");
    const options = { key: "k" };
    const calls = [ask("1"), ask("2"), ask("3")];
    const commands = [queue.begin(READ, 800), queue.begin(READ, undefined, "counts"), queue.begin(READ)];
    for (const one of commands) queue.enqueue(one, (client) => one.exchange(client, ["SET"], options));
    clock.advance(300);
    for (const reply of ["one", "two", "three"]) await wire.reply(reply);
    expect(send.mock.calls.slice(3)).toEqual([
      [["SET"], { key: "k", leftMs: 500 }],
      [["SET"], { key: "k", leftMs: 700 }],
      [["SET"], { key: "k" }],
    ]);
    for (const reply of ["four", "five", "six"]) await wire.reply(reply);
    expect(await Promise.all([...calls, ...commands.map(({ promise }) => promise)])).toHaveLength(6);
  });

  it("a command that was answered leaves nothing behind to fall due", async () => {
    const answered = ask("1");
    await wire.reply("one");
    clock.advance(10_000);
    expect(await answered).toBe("one");
  });

  it("the order of replies is that of the commands, also where some gave up", async () => {
    const calls = [ask("1"), ask("2"), ask("3")];
    clock.advance(1_000);
    await flush();
    const later = ask("4");
    for (const reply of ["one", "two", "three", "four"]) await wire.reply(reply);
    expect(wire.sent).toEqual(["1", "2", "3", "4"]);
    for (const call of calls) await expect(call).rejects.toBeInstanceOf(BackendUnavailableError);
    expect(await later).toBe("four");
  });

  it("arm one timer for many commands, and none without commands", async () => {
    let timers = 0;
    const counting = {
      now: () => clock.now(),
      schedule: (callback: () => void, delayMs: number) => (timers++, clock.schedule(callback, delayMs)),
    };
    queue = new CommandQueue({ clock: counting, deadlineMs: 1_000, maxInFlight: 3 });
    queue.client = wire;
    for (let i = 0; i < 1_000; i++) {
      const call = ask(String(i));
      await wire.reply("ok");
      await call;
    }
    expect(timers).toBe(1);
    clock.advance(60_000);
    expect(timers).toBe(1);
  });
});

describe("C617 the event loop stands still", () => {
  it("a command has as much time to be answered afterwards, and nothing counts as silence", async () => {
    const reported: number[] = [];
    queue.onSilence = (since) => reported.push(since);
    const began = clock.now();
    const command = ask("1");
    clock.stall(5_000);
    expect(await outcome(command)).toEqual({ status: "pending" });
    clock.advance(974);
    expect(await outcome(command)).toEqual({ status: "pending" });
    clock.advance(1);
    expect(await outcome(command)).toMatchObject({ status: "rejected" });
    // By the time in which the event loop ran.
    expect(reported).toEqual([began]);
  });
});

describe("the limit of commands in flight", () => {
  it("A17: further commands wait, and are sent in order as replies come", async () => {
    const calls = ["1", "2", "3", "4", "5"].map(ask);
    expect(wire.sent).toEqual(["1", "2", "3"]);
    await wire.reply("one");
    expect(wire.sent).toEqual(["1", "2", "3", "4"]);
    for (const reply of ["two", "three", "four", "five"]) await wire.reply(reply);
    expect(await Promise.all(calls)).toEqual(["one", "two", "three", "four", "five"]);
    expect(queue.inFlight).toBe(0);
  });

  it("A17 A13: a command that waits ends at the deadline, and was not executed", async () => {
    const calls = ["1", "2", "3", "4"].map(ask);
    clock.advance(1_000);
    expect(await outcome(calls[0]!)).toMatchObject({ reason: { maybeExecuted: true } });
    expect(await outcome(calls[3]!)).toMatchObject({ reason: { maybeExecuted: false, retryable: true } });
    await wire.reply("one");
    expect(wire.sent).toEqual(["1", "2", "3"]);
  });

  it("a command past its deadline still takes its room until it is answered", async () => {
    for (const command of ["1", "2", "3"]) void ask(command);
    clock.advance(1_000);
    await flush();
    const next = ask("4");
    expect(wire.sent).toHaveLength(3);
    await wire.reply("one");
    expect(wire.sent).toHaveLength(4);
    for (const reply of ["two", "three", "four"]) await wire.reply(reply);
    expect(await next).toBe("four");
  });

  it("what waits for room is not late while others are answered, and has its whole deadline once it is sent", async () => {
    const calls = ["1", "2", "3", "4", "5"].map(ask);
    clock.advance(900);
    await wire.reply("one"); // "4" is sent
    for (const early of calls.slice(1, 3)) early.catch(() => undefined);
    clock.advance(900);
    expect(await outcome(calls[1]!)).toMatchObject({ status: "rejected" });
    expect(await outcome(calls[3]!)).toEqual({ status: "pending" });
    expect(await outcome(calls[4]!)).toEqual({ status: "pending" });
    await wire.reply("two"); // "5" is sent
    clock.advance(99);
    expect(await outcome(calls[3]!)).toEqual({ status: "pending" });
    clock.advance(1);
    expect(await outcome(calls[3]!)).toMatchObject({ status: "rejected", reason: { maybeExecuted: true } });
    clock.advance(899);
    expect(await outcome(calls[4]!)).toEqual({ status: "pending" });
    clock.advance(1);
    expect(await outcome(calls[4]!)).toMatchObject({ status: "rejected", reason: { maybeExecuted: true } });
  });

  it("the wait for room ends when nothing is answered, and after ten deadlines", async () => {
    const silent = ["1", "2", "3", "4"].map(ask);
    for (const call of silent) call.catch(() => undefined);
    clock.advance(1_000);
    expect(await outcome(silent[3]!)).toMatchObject({ status: "rejected", reason: { maybeExecuted: false } });
    for (let i = 0; i < 3; i += 1) await wire.reply("late");

    // Always full, and always answered.
    const last = Array.from({ length: 100 }, (_, i) => ask(String(i))).at(-1)!;
    for (let seconds = 1; seconds <= 11; seconds += 1) {
      expect((await outcome(last)).status, `after ${seconds - 1} s`).toBe("pending");
      for (let i = 0; i < 3; i += 1) await wire.reply("ok");
      clock.advance(1_000);
    }
    expect(await outcome(last)).toMatchObject({ status: "rejected", reason: { maybeExecuted: false } });
  });

  it("A17: the number that may wait is bounded, too; further commands are refused at once", async () => {
    const calls = Array.from({ length: 3 + 120 + 1 }, (_, i) => ask(String(i)));
    expect(await outcome(calls[122]!)).toEqual({ status: "pending" });
    expect(await outcome(calls[123]!)).toMatchObject({
      status: "rejected",
      reason: { code: "BACKEND_UNAVAILABLE", maybeExecuted: false },
    });
  });
});

describe("silence", () => {
  it("is reported with the instant at which it began, and only where nothing at all was answered", async () => {
    const reported: number[] = [];
    queue.onSilence = (since) => reported.push(since);
    const startedAt = clock.now();
    void ask("1");
    clock.advance(500);
    void ask("2");
    clock.advance(500);
    expect(reported).toEqual([startedAt]);

    // The reply to the first proves that the server is alive.
    await wire.reply("one");
    clock.advance(500);
    expect(reported).toEqual([startedAt]);
  });
});
