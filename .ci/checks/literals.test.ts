import { expect, it } from "vitest";
import { findBooleanArguments } from "./literals.ts";

it.each([
  ["a call", "read(key, true);", "read", true],
  ["a method", "this.#cache.read(key, false);", "this.#cache.read", false],
  ["a constructor", "new Cache(true, 3);", "Cache", true],
  ["a literal between others", "read(key, false, 3);", "read", false],
])("finds one in %s", (_where, text, callee, literal) => {
  expect(findBooleanArguments("a.ts", `\n${text}`)).toEqual([{ line: 2, callee, literal }]);
});

it.each([
  ["the only argument", "setKeepAlive(true);"],
  ["an option", "read(key, { isForced: true });"],
  ["an element of an argument", "read(key, [true, false]);"],
  ["a default", "const read = (key: string, isForced = true) => key;"],
  ["the byte order of a DataView", "view.getUint32(4, true); view.setBigUint64(4, 1n, true);"],
])("lets %s be one", (_what, text) => {
  expect(findBooleanArguments("a.ts", text)).toEqual([]);
});
