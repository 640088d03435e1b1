import { ErrorReply } from "@redis/client";
import { expect, it } from "vitest";
import { isReply } from "./faults.ts";

/** An error whose prototype says nothing of its class. */
const withoutClass = (message: string): Error =>
  Object.setPrototypeOf(
    new Error(message),
    Object.create(Error.prototype, { constructor: { value: undefined } }),
  ) as Error;

it.each<[what: string, error: unknown, expected: boolean]>([
  ["a reply by its text", new Error("WRONGTYPE Operation against a key"), true],
  ["a reply of the client, with any text", new ErrorReply("none left"), true],
  ["an error of a socket", Object.assign(new Error("ECONNRESET it ended"), { code: "ECONNRESET" }), false],
  ["an error with any text", new Error("none left"), false],
  ["an error without a class", withoutClass("none left"), false],
  ["no error", "ERR text", false],
])("%s", (_, error, expected) => {
  expect(isReply(error)).toBe(expected);
});
