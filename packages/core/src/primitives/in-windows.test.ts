import { expect, it } from "vitest";
import { gate } from "@hotset/testing";
import { inWindow, partsOf, WINDOW } from "./in-windows.ts";

const items = Array.from({ length: 2 * WINDOW + 1 }, (_, i) => i);

it("C158: a thousand are under way at a time, and one that ends makes room for the next", async () => {
  const hold = gate();
  let running = 0;
  let most = 0;
  const results = inWindow(items, async (item) => {
    most = Math.max(most, (running += 1));
    await hold.pass();
    running -= 1;
    return item;
  });
  expect(running).toBe(WINDOW);
  hold.open();
  expect(await results).toEqual(items);
  expect([running, most]).toEqual([0, WINDOW]);
});

it("C158: the first error is thrown, when all have ended", async () => {
  let ended = 0;
  const results = inWindow(items, async (item) => {
    await Promise.resolve();
    ended += 1;
    if (item === 7 || item === 9) throw new Error(`of ${item}`);
  });
  await expect(results).rejects.toThrow("of 7");
  expect(ended).toBe(items.length);
});

it("C158: parts have a thousand at most", () => {
  expect(Array.from(partsOf(items), (part) => part.length)).toEqual([WINDOW, WINDOW, 1]);
  expect(Array.from(partsOf([1, 2]))).toEqual([[1, 2]]);
  expect(Array.from(partsOf([]))).toEqual([[]]);
});
