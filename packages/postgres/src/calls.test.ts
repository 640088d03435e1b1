import { TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { Calls } from "./calls.ts";
import { statementsOf, type Statement } from "./statements.ts";

const { read, write } = statementsOf("hotset");
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Statements stay open until they are answered. */
function open(connections = 4) {
  const clock = new TestClock();
  const sent: { readonly kind: string; readonly calls: number; answer(): void; check(): void }[] = [];
  const calls = new Calls(
    { label: "postgres", deadlineMs: 1_000, connections },
    clock,
    ({ statement, rows: made, check }) => {
      const { promise, resolve } = Promise.withResolvers<readonly (readonly unknown[])[]>();
      sent.push({ kind: statement.operation, calls: made.length, answer: () => resolve(made.map(() => [])), check });
      return promise;
    },
  );
  const make = async (statement: Statement, count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1) void calls.make(statement, [[]]);
    await nextTurn();
  };
  const seen = (): readonly (readonly [string, number])[] => sent.map((each) => [each.kind, each.calls]);
  return { clock, calls, sent, make, seen };
}

it("calls that are made while a statement of their kind is on its way are the next one", async () => {
  const { sent, make, seen } = open();
  await make(read, 5);
  await make(read, 1);
  await make(read, 2);
  await make(write, 1);
  expect(seen()).toEqual([
    ["read", 5],
    ["write", 1],
  ]);
  sent[0]!.answer();
  await nextTurn();
  expect(seen().slice(2)).toEqual([["read", 3]]);
});

it("they wait for it for 2 ms, and as many as fill a statement not at all", async () => {
  const { clock, make, seen } = open();
  await make(read, 1);
  await make(read, 1);
  clock.advance(1);
  expect(seen().length).toBe(1);
  await make(read, 1);
  clock.advance(1);
  expect(seen()).toEqual([
    ["read", 1],
    ["read", 2],
  ]);
  await make(read, 100);
  expect(seen().slice(2)).toEqual([["read", 100]]);
});

it("runs as many statements as it has connections, and changes wait for no other statement", async () => {
  const { sent, make, seen } = open(2);
  await make(write, 150);
  await make(write, 1);
  const full = [
    ["write", 100],
    ["write", 50],
  ];
  expect(seen()).toEqual(full);
  sent[0]!.answer();
  await nextTurn();
  expect(seen()).toEqual([...full, ["write", 1]]);
});

it("sends no change that was asked for before the process was suspended, and reads are sent", async () => {
  const { clock, calls, sent, make, seen } = open(2);
  await make(write, 1);
  const waiting = calls.make(write, [[]]).catch((error: unknown) => error);
  void calls.make(read, [[]]);
  clock.suspend("1m");
  await make(write, 3);
  expect(await waiting).toMatchObject({ name: "StandstillError" });
  // The first one still waited for a connection.
  expect(() => sent[0]!.check()).toThrow("postgres: write was not sent: this process stood still");
  sent[0]!.answer();
  await nextTurn();
  expect(seen()).toEqual([
    ["write", 1],
    ["write", 3],
    ["read", 1],
  ]);
  expect(() => sent[1]!.check()).not.toThrow();
});
