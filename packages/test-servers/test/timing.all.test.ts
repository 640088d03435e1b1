import { setImmediate } from "node:timers/promises";
import { isLate } from "@hotset/test-servers";
import { expect, it } from "vitest";

/** Runs for so many timers of 20 ms. */
const ticks = (count: number): Promise<void> =>
  new Promise((resolve) => {
    let left = count;
    const ticking = setInterval(() => {
      left -= 1;
      if (left > 0) return;
      clearInterval(ticking);
      resolve();
    }, 20);
  });

it("isLate: a call is late that is pending for longer than that, also one that fails", async () => {
  expect(await isLate(ticks(30), 200)).toBe(true);
  const failing = ticks(30).then(() => Promise.reject(new Error("of the call")));
  expect(await isLate(failing, 200)).toBe(true);
});

it("isLate: a call is not late that ends sooner, or as soon as a pause of this process is over", async () => {
  expect(await isLate(Promise.resolve(), 200)).toBe(false);
  const paused = setImmediate().then(() => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
    return ticks(1);
  });
  expect(await isLate(paused, 200)).toBe(false);
});
