import { expect, it, onTestFinished, vi } from "vitest";
import type { DatabaseFile } from "./database-file.ts";
import type { Tables } from "./tables.ts";
import { WriteQueue } from "./write-queue.ts";

interface Attempt {
  /** For how long the process stands still, in its middle and behind it. */
  readonly standsStillMs?: number;
  readonly thenMs?: number;
  readonly isLocked?: boolean;
}

function queueThat(attempts: readonly Attempt[]) {
  let now = 0;
  const passed = performance.now.bind(performance);
  const clock = vi.spyOn(performance, "now").mockImplementation(() => passed() + now);
  onTestFinished(() => clock.mockRestore());
  let begun = 0;
  const did: string[] = [];
  const tables = {
    begin: () => {
      const { standsStillMs = 0, thenMs = 0, isLocked = false } = attempts[begun++] ?? {};
      now += standsStillMs;
      setImmediate(() => (now += thenMs));
      if (isLocked) throw Object.assign(new Error("database is locked"), { errcode: 5 });
    },
    commit: () => undefined,
    rollback: () => undefined,
  } as unknown as Tables;
  const file = { tables: () => tables, isReplaced: false } as unknown as DatabaseFile;
  const queue = new WriteQueue(
    file,
    () => now,
    () => undefined,
  );
  const write = (what: string, bytes = 0): Promise<unknown> =>
    queue
      .run(() => void did.push(what), bytes)
      .then(
        () => "written",
        (error: Error) => `${error.name}: ${error.message}`,
      );
  return { write, did };
}

const STOOD_STILL = "StandstillError: this process stood still for 10000 ms";

it("a process that stood still in the middle of its attempt writes nothing that it was asked for before", async () => {
  const { write, did } = queueThat([{ standsStillMs: 10_000 }]);
  const late = [write("a"), write("b")];
  expect(await Promise.all(late)).toEqual([STOOD_STILL, STOOD_STILL]);
  expect([await write("c"), did]).toEqual(["written", ["c"]]);
});

it("where the file is locked after it stood still, that says nothing about the file", async () => {
  const { write, did } = queueThat([{ standsStillMs: 10_000, isLocked: true }, { isLocked: true }]);
  const late = write("a");
  expect(await late).toBe(STOOD_STILL);
  expect([await write("b"), did]).toEqual(["written", ["b"]]);
});

it("time in which it stood still is not that of its patience", async () => {
  const { write, did } = queueThat([{ isLocked: true, thenMs: 1_900 }, { isLocked: true }, { isLocked: true }, {}]);
  expect([await write("a"), did]).toEqual(["written", ["a"]]);
});

it("steps that wait behind others on a slow disk are written, however long that takes", async () => {
  const { write, did } = queueThat(Array.from({ length: 8 }, () => ({ standsStillMs: 900 })));
  const names = ["a", "b", "c", "d", "e", "f", "g", "h"];
  expect(await Promise.all(names.map((name) => write(name, 2 ** 20)))).toEqual(names.map(() => "written"));
  expect(did).toEqual(names);
});

it("but not if the process stands still among them", async () => {
  const { write, did } = queueThat([{ standsStillMs: 900 }, { standsStillMs: 1_200 }]);
  const before = ["a", "b", "c"].map((name) => write(name, 2 ** 20));
  expect(await Promise.all(before)).toEqual([
    "written",
    "StandstillError: this process stood still for 2100 ms",
    "StandstillError: this process stood still for 2100 ms",
  ]);
  expect([await write("d"), did]).toEqual(["written", ["a", "d"]]);
});

it("a clock that is set back after a standstill refuses nothing", async () => {
  const { write } = queueThat([{ standsStillMs: 10_000 }, { standsStillMs: -3_600_000 }]);
  expect([await write("a"), await write("b"), await write("c")]).toEqual([STOOD_STILL, "written", "written"]);
});
