import { AsyncLocalStorage } from "node:async_hooks";
import { describe, expect, it } from "vitest";
import { TestClock } from "@hotset/testing";
import { Timeouts } from "./timeouts.ts";

/** Counts the timers that are armed. */
class CountingClock extends TestClock {
  armed = 0;
  made = 0;

  override schedule(callback: () => void, delayMs: number): () => void {
    let isOver = false;
    const over = (): void => {
      if (!isOver) this.armed -= 1;
      isOver = true;
    };
    this.armed += 1;
    this.made += 1;
    const cancel = super.schedule(() => {
      over();
      callback();
    }, delayMs);
    return () => {
      over();
      cancel();
    };
  }
}

describe("timeouts", () => {
  it("pass after their lengths, in order, unless they are ended", () => {
    const clock = new TestClock();
    const timeouts = new Timeouts(clock);
    const passed: string[] = [];
    const [late, ended] = [
      timeouts.start(20, () => passed.push("late")),
      timeouts.start(10, () => passed.push("ended")),
    ];
    timeouts.start(10.9, () => passed.push("soon"));
    expect([ended.end(), ended.end()]).toEqual([true, false]);
    clock.advance(9);
    expect(passed).toEqual([]);
    clock.advance(1);
    expect(passed).toEqual(["soon"]);
    clock.advance(10);
    expect([passed, late.end()]).toEqual([["soon", "late"], false]);
  });

  it("C130: count only time in which the event loop ran", () => {
    const clock = new TestClock();
    let passed = 0;
    new Timeouts(clock).start(1_000, () => (passed += 1));
    clock.stall("10s");
    clock.advance(700);
    expect(passed).toBe(0);
    clock.advance(300);
    expect(passed).toBe(1);
  });

  it("a thousand of one length arm one timer, and none stays when the last is over", () => {
    const clock = new CountingClock();
    const timeouts = new Timeouts(clock);
    const all = Array.from({ length: 1_000 }, () => timeouts.start(1_000, () => undefined));
    expect([clock.armed, clock.made]).toEqual([1, 1]);
    for (const one of all) one.end();
    clock.advance(250);
    expect(clock.armed).toBe(0);
    timeouts.start(1_000, () => undefined);
    expect([clock.armed, clock.made]).toEqual([1, 2]);
  });

  it("at rest leave no timer behind for those that are over, and keep those of others", () => {
    const clock = new CountingClock();
    const timeouts = Timeouts.on(clock);
    let passed = 0;
    const [over, under] = [10, 20].map((length) => timeouts.start(length, () => (passed += 1)));
    over!.end();
    Timeouts.on(clock).rest();
    expect(clock.armed).toBe(1);
    under!.end();
    timeouts.rest();
    expect(clock.armed).toBe(0);
    timeouts.start(10, () => (passed += 1));
    clock.advance(10);
    expect([passed, clock.armed]).toEqual([1, 0]);
  });

  it("hold the process in the context of no call, which they would keep in memory", () => {
    const request = new AsyncLocalStorage<string>();
    const heldIn: unknown[] = [];
    const clock = Object.assign(new TestClock(), {
      hold: () => {
        heldIn.push(request.getStore());
        return () => undefined;
      },
    });
    request.run("a request", () => new Timeouts(clock).start(10, () => undefined));
    expect(heldIn).toEqual([undefined]);
  });
});
