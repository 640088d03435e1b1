import { InvalidArgumentError } from "@hotset/core";
import { TestClock } from "@hotset/testing";
import { expect, it, vi } from "vitest";
import { SharedModule } from "./shared-module.ts";

const invalid = new InvalidArgumentError("of hotset");

it("trouble of each kind is a line a second, with the number of those between, without their text", () => {
  const clock = new TestClock();
  const lines: string[] = [];
  const write = (line: string): unknown => lines.push(line);
  const modules = new SharedModule({ clock, logger: { error: write, warn: write, info: write } });
  modules.report("queue", invalid);
  modules.report("queue", invalid);
  modules.report("consumer", new TypeError("a value"));
  clock.advance(1_000);
  modules.report("queue", "a value");
  expect(lines).toEqual([
    "hotset: redis: queue: of hotset",
    "hotset: redis: consumer: TypeError",
    "hotset: redis: queue: string; 1 more since the last line",
  ]);
});

it("what cannot be looked at is reported all the same", () => {
  const lines: string[] = [];
  const write = (line: string): unknown => lines.push(line);
  const modules = new SharedModule({ clock: new TestClock(), logger: { error: write, warn: write, info: write } });
  const { proxy, revoke } = Proxy.revocable(new Error("x"), {});
  revoke();
  modules.report("stream handler", proxy);
  expect(lines).toEqual(["hotset: redis: stream handler: an error that cannot be read"]);
});

it("without a logger each kind is one warning", () => {
  const warned = vi.spyOn(process, "emitWarning").mockReturnValue();
  const modules = new SharedModule({ clock: new TestClock(), logger: undefined });
  for (const kind of ["queue", "queue", "lost group"]) modules.report(kind, invalid);
  expect(warned.mock.calls.map(([, options]) => (options as unknown as { code: string }).code)).toEqual([
    "HOTSET_REDIS_QUEUE",
    "HOTSET_REDIS_LOST_GROUP",
  ]);
  warned.mockRestore();
});

it("all that run are stopped, once each, also where one fails; one that withdrew its stop is not", async () => {
  const reported: string[] = [];
  const logger = { error: () => 0, warn: (line: string) => reported.push(line), info: () => 0 };
  const modules = new SharedModule({ clock: new TestClock(), logger });
  const stopped: string[] = [];
  modules.onDisconnect(() => Promise.reject(invalid));
  modules.onDisconnect(async () => void stopped.push("one"));
  modules.onDisconnect(async () => void stopped.push("other"))();
  await modules.stop();
  await modules.stop();
  expect([stopped, reported]).toEqual([["one"], ["hotset: redis: stop: of hotset"]]);
});

it("one stage follows the other, and what begins meanwhile belongs to its stage", async () => {
  const modules = new SharedModule({ clock: new TestClock(), logger: undefined });
  const order: string[] = [];
  modules.onDisconnect(async () => void order.push("wait"), "waits");
  modules.onDisconnect(async () => void order.push("listener"), "listeners");
  modules.onDisconnect(async () => {
    await Promise.resolve();
    modules.onDisconnect(async () => void order.push("late worker"));
    modules.onDisconnect(async () => void order.push("late wait"), "waits");
    await Promise.resolve();
    order.push("worker");
  });
  await modules.stop();
  expect(order).toEqual(["late worker", "worker", "listener", "wait", "late wait"]);
});

it("what begins after the stop is stopped at once, when its constructor is done", async () => {
  const modules = new SharedModule({ clock: new TestClock(), logger: undefined });
  await modules.stop();
  const order: string[] = [];
  modules.onDisconnect(async () => void order.push("stopped"));
  order.push("made");
  await Promise.resolve();
  expect(order).toEqual(["made", "stopped"]);
});
