import { h } from "preact";
import { expect, it } from "vitest";
import { showMarks, visible } from "./visible.ts";

it("marks of direction are shown as escapes, in all text of a page", () => {
  expect(visible("a\u202Eb \u2066c\u2069 ä")).toBe(String.raw`a\u202eb \u2066c\u2069 ä`);
  showMarks();
  const { children } = h("p", null, "key ", ["a\u202Eb", 1]).props;
  expect(children).toEqual(["key ", [String.raw`a\u202eb`, 1]]);
});
