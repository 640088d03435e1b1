import { expect, it } from "vitest";
import { isUnexecuted, withAsking } from "./burst.ts";

const moved = new Error("MOVED 1 127.0.0.1:7000");
const aborted = new Error("EXECABORT Transaction discarded because of previous errors.");
const lost = new Error("Socket closed unexpectedly");

it.for<[string, string[], unknown[], boolean]>([
  ["every command was redirected", ["SET", "GET"], [moved, new Error("ASK 1 127.0.0.1:7000")], true],
  ["a command was executed before the slot moved", ["SET", "SET"], ["OK", moved], false],
  ["a transaction was aborted", ["WATCH", "MULTI", "SET", "EXEC"], ["OK", "OK", moved, aborted], true],
  ["a transaction was aborted, in lower case", ["multi", "set", "exec"], ["OK", moved, aborted], true],
  [
    "a transaction was executed before the slot moved",
    ["MULTI", "SET", "EXEC", "SET"],
    ["OK", "QUEUED", ["OK"], moved],
    false,
  ],
  [
    "a command went before a transaction that was aborted",
    ["SET", "MULTI", "SET", "EXEC"],
    ["OK", "OK", moved, aborted],
    false,
  ],
  ["the connection was lost behind a redirection", ["SET", "SET"], [moved, lost], false],
  ["the connection was lost before EXEC was answered", ["MULTI", "SET", "EXEC"], ["OK", moved, lost], false],
  ["a transaction was discarded", ["MULTI", "SET", "DISCARD", "GET"], ["OK", moved, "OK", moved], true],
])("a burst is sent to another node only if nothing of it was executed: %s", ([, names, results, expected]) => {
  expect(
    isUnexecuted(
      names.map((name) => [name]),
      results,
    ),
  ).toBe(expected);
});

it("asks before each command, and before a transaction once", () => {
  const { sent, resultsOf } = withAsking([["SET", "a"], ["MULTI"], ["SET", "a"], ["EXEC"], ["GET", "a"]]);
  expect(sent.map(([name]) => name)).toEqual(["ASKING", "SET", "ASKING", "MULTI", "SET", "EXEC", "ASKING", "GET"]);
  expect(resultsOf(["ok", 1, "ok", 2, 3, 4, "ok", 5])).toEqual([1, 2, 3, 4, 5]);
});
