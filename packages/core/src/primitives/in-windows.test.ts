import { expect, it } from "vitest";
import { partsOf, WINDOW } from "./in-windows.ts";

const items = Array.from({ length: 2 * WINDOW + 1 }, (_, i) => i);

it("parts have a thousand at most", () => {
  expect(Array.from(partsOf(items), (part) => part.length)).toEqual([WINDOW, WINDOW, 1]);
  expect(Array.from(partsOf([1, 2]))).toEqual([[1, 2]]);
  expect(Array.from(partsOf([]))).toEqual([[]]);
});
