import { expect, it } from "vitest";
import { conceal } from "./secrets.ts";

const concealed = (message: string, ...secrets: readonly string[]): string => {
  const error = new Error(message);
  conceal(error, secrets);
  return error.message;
};

it.each([
  ["ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'a' 'b' ", "ERR unknown command 'HELLO'"],
  ["ERR unknown command `GET`, with args beginning with: `a`\n`b`", "ERR unknown command `GET`"],
  ["WRONGPASS invalid username-password pair", "WRONGPASS invalid username-password pair"],
])("C145: arguments that are quoted in %j are cut", (message, left) => {
  expect(concealed(message)).toBe(left);
});

it("C145: a secret is replaced, also percent-encoded and where it is longer than its message", () => {
  expect(concealed("ERR a/b a%2Fb a%2fb a/b", "a/b")).toBe("ERR *** *** *** ***");
  expect(concealed("ERR $& \ud800", "\ud800", "$&")).toBe("ERR *** ***");
});

it("C145: a secret that looks like a part of the protocol does not change it", () => {
  expect(concealed("MOVED 7000 127.0.0.1:7001", "7001")).toBe("MOVED 7000 127.0.0.1:7001");
  expect(concealed("NOAUTH Authentication required.", "NOAUTH")).toBe("NOAUTH Authentication required.");
  expect(concealed("ERR it works", "")).toBe("ERR it works");
});

it("C145: causes, errors of an aggregate and stacks are cleaned, in a circle and without a setter too", () => {
  const first = new DOMException("no hunter2", "AbortError");
  const second: Error = new Error("is hunter2", { cause: new AggregateError([first], "all hunter2") });
  (second.cause as Error).cause = second;
  conceal(second, ["hunter2"]);
  const all = second.cause as AggregateError;
  expect([second.message, all.message, first.message]).toEqual(["is ***", "all ***", "no ***"]);
  for (const error of [second, all, first]) {
    expect(error.stack).toContain("***");
    expect(error.stack).not.toContain("hunter2");
  }
});

it("values that are not errors stay", () => {
  for (const given of [undefined, null, "hunter2", 1]) expect(() => conceal(given, ["hunter2"])).not.toThrow();
});
