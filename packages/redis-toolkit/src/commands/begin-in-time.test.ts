import { gate, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { beginInTime } from "./begin-in-time.ts";

it("C261: work that gets its connection after the deadline does not begin", async () => {
  const clock = new TestClock();
  const connected = gate();
  let begun: unknown = "not tried";
  const late = beginInTime({ deadlineMs: 50 }, clock, async ({ begin }) => {
    await connected.pass();
    try {
      begin();
      begun = "begun";
    } catch (error) {
      begun = error;
    }
  }).catch((error: unknown) => error);
  clock.advance(50);
  const error = await late;
  expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: false });
  connected.open();
  await expect.poll(() => begun).toBe(error);
});

it("C261: once work has begun, neither the deadline nor the signal of its wait ends it", async () => {
  const clock = new TestClock();
  const ending = new AbortController();
  const done = beginInTime({ deadlineMs: 50, signal: ending.signal }, clock, async ({ begin }) => {
    begin();
    clock.advance(50);
    ending.abort();
    await Promise.resolve();
    return "done";
  });
  expect(await done).toBe("done");
});

it("C261: a signal that was aborted before it rejects nothing else, also where the work throws at once", async () => {
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown): unknown => rejections.push(reason);
  process.on("unhandledRejection", onRejection);
  const signal = AbortSignal.abort(new Error("over"));
  const wrong = new Error("wrong");
  const failed = beginInTime({ signal }, new TestClock(), () => {
    throw wrong;
  });
  await expect(failed).rejects.toThrow(/over|wrong/);
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", onRejection);
  expect(rejections).toEqual([]);
});
