import { flush, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { within } from "./within.ts";

const late = (): never => {
  throw new Error("late");
};

describe("within", () => {
  it("settles as the work does, and is not late afterwards", async () => {
    const clock = new TestClock();
    let calls = 0;
    const counted = (): never => {
      calls += 1;
      throw new Error("late");
    };
    expect(await within(clock, 10, Promise.resolve("value"), counted)).toBe("value");
    await expect(within(clock, 10, Promise.reject(new Error("down")), counted)).rejects.toThrow("down");
    clock.advance(10);
    expect(calls).toBe(0);
  });

  it("settles at the limit as `late` returns or throws, and ignores the outcome of the work", async () => {
    const clock = new TestClock();
    const [work, failing] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
    const answers = Promise.allSettled([
      within(clock, 10, work.promise, () => "late"),
      within(clock, 10, failing.promise, late),
    ]);
    clock.advance(10);
    work.resolve("value");
    failing.reject(new Error("down"));
    expect(await answers).toEqual([
      { status: "fulfilled", value: "late" },
      { status: "rejected", reason: new Error("late") },
    ]);
  });

  it("is not late before the limit", async () => {
    const clock = new TestClock();
    const work = Promise.withResolvers<string>();
    const answer = within(clock, 10, work.promise, late);
    clock.advance(9);
    work.resolve("value");
    await flush(1);
    clock.advance(1);
    expect(await answer).toBe("value");
  });

  it("goes on waiting if `late` returns the work", async () => {
    const clock = new TestClock();
    const work = Promise.withResolvers<string>();
    let calls = 0;
    const answer = within(clock, 10, work.promise, () => {
      calls += 1;
      return work.promise;
    });
    clock.advance(10);
    work.resolve("value");
    expect([await answer, calls]).toEqual(["value", 1]);
  });
});
