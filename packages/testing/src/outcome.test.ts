import { expect, it } from "vitest";
import { flush, outcome } from "./outcome.ts";

it("returns the state of a promise", async () => {
  expect(await outcome(Promise.resolve(1))).toEqual({ status: "fulfilled", value: 1 });
  expect(await outcome(Promise.reject(new RangeError("no")))).toEqual({
    status: "rejected",
    reason: new RangeError("no"),
  });
  expect(await outcome(new Promise(() => undefined))).toEqual({ status: "pending" });
});

it("waits for every continuation and for callbacks of setImmediate", async () => {
  const seen: string[] = [];
  void (async () => {
    for (let i = 0; i < 1_000; i += 1) await Promise.resolve();
    seen.push("continuations");
    setImmediate(() => setImmediate(() => seen.push("immediates")));
  })();
  await flush();
  expect(seen).toEqual(["continuations", "immediates"]);
});
