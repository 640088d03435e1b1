import { flush, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { Deadline, Deadlines, runningTime } from "../primitives/deadlines.ts";
import type { RemoteTier } from "../tiers/remote-tier.ts";
import { Budget } from "./budget.ts";

/** A budget of 500 ms, from a clock at 1,000. @param answered how many calls the backend has answered. */
function budget(answered = 1): { readonly clock: TestClock; readonly remote: RemoteTier; readonly one: Budget } {
  const clock = new TestClock();
  const remote = {
    label: "redis",
    deadlineMs: 500,
    meter: { answered },
    reads: { time: runningTime(clock) },
  } as RemoteTier;
  return { clock, remote, one: new Budget(remote, clock.now()) };
}

describe("the time for the backend", () => {
  it("is what a read left of it, less what is spent afterwards", () => {
    const { one } = budget();
    one.answered(1_200);
    expect(one.leftMs).toBe(300);
    one.asks(2_000);
    one.answered(2_050);
    expect(one.leftMs).toBe(250);
    one.renew();
    expect(one.leftMs).toBe(500);
  });

  it("is nearly whole until a twentieth of it is spent", () => {
    const { one } = budget();
    one.answered(1_025);
    expect(one.isNearlyWhole).toBe(true);
    one.asks(2_000);
    one.answered(2_001);
    expect(one.isNearlyWhole).toBe(false);
  });

  it("C617 is not spent while the loop stands still", () => {
    const { clock, one } = budget();
    Deadlines.of(clock, 1_000).start(new Deadline());
    // The timer counts parts of 25 ms.
    clock.stall(5_000);
    one.answered(clock.now());
    expect(one.leftMs).toBe(475);
    one.asks(clock.now());
    // Due before the timer, which has not counted this pause yet.
    clock.schedule(() => one.answered(clock.now()), 10);
    clock.stall(3_000);
    expect(one.leftMs).toBe(450);
  });

  it("C617 is spent from when the loop runs again, for a question that was asked before its timer fired", () => {
    const { clock, remote } = budget();
    Deadlines.of(clock, 1_000).start(new Deadline());
    let one: Budget | undefined;
    clock.schedule(() => (one = new Budget(remote, clock.now())), 10);
    clock.stall(5_000);
    clock.advance(20);
    one!.answered(clock.now());
    expect(one!.leftMs).toBe(480);
  });

  it("is not spent by waiting behind others", () => {
    const { one, remote } = budget();
    remote.meter.answered += 100;
    one.answered(1_100);
    expect(one.leftMs).toBe(400);
    const other = new Budget(remote, 1_000);
    remote.meter.answered += 101;
    other.answered(9_000);
    expect(other.leftMs).toBe(500);
  });

  it("is not spent by calls from before the backend answered any: they connect", () => {
    const { one, remote } = budget(0);
    remote.meter.answered = 1;
    one.answered(9_000);
    expect(one.leftMs).toBe(500);
    one.asks(1_000);
    one.answered(1_200);
    expect(one.leftMs).toBe(300);
  });

  it.each([
    ["call", 100, "rejected"],
    ["call", 101, "pending"],
    ["calls", 101, "rejected"],
  ] as const)("work that takes all of it, %s of the backend, behind %d others: %s", async (of, others, status) => {
    const { clock, one, remote } = budget();
    const { promise, resolve } = Promise.withResolvers<string>();
    const ends: string[] = [];
    void one.wait(promise, of).then((answer) => ends.push(answer instanceof Error ? answer.message : answer));
    clock.advance(499);
    await flush();
    expect(ends).toEqual([]);
    remote.meter.answered += others;
    clock.advance(1);
    await flush();
    expect(ends).toEqual(status === "pending" ? [] : ["redis: no time is left to wait for it"]);
    resolve("answer");
    await flush();
    expect(ends).toEqual(status === "pending" ? ["answer"] : ["redis: no time is left to wait for it"]);
  });
});
