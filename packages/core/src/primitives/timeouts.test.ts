import { AsyncLocalStorage } from "node:async_hooks";
import { TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { Deadlines } from "./deadlines.ts";
import { Timeout } from "./timeouts.ts";

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
    const passed: string[] = [];
    const [late, ended] = [
      new Timeout(clock, 20, () => passed.push("late")),
      new Timeout(clock, 10, () => passed.push("ended")),
    ];
    new Timeout(clock, 10.9, () => passed.push("soon"));
    expect([ended.end(), ended.end()]).toEqual([true, false]);
    clock.advance(9);
    expect(passed).toEqual([]);
    clock.advance(1);
    expect(passed).toEqual(["soon"]);
    clock.advance(10);
    expect([passed, late.end()]).toEqual([["soon", "late"], false]);
  });

  it("C617: count only time in which the event loop ran", () => {
    const clock = new TestClock();
    let passed = 0;
    new Timeout(clock, 1_000, () => (passed += 1));
    clock.stall("10s");
    clock.advance(974);
    expect(passed).toBe(0);
    clock.advance(1);
    expect(passed).toBe(1);
  });

  it("a thousand of one length arm one timer, and none stays when the last is over", () => {
    const clock = new CountingClock();
    const all = Array.from({ length: 1_000 }, () => new Timeout(clock, 1_000, () => undefined));
    expect([clock.armed, clock.made]).toEqual([1, 1]);
    for (const one of all) one.end();
    clock.advance(25);
    expect(clock.armed).toBe(0);
    new Timeout(clock, 1_000, () => undefined);
    expect([clock.armed, clock.made]).toEqual([1, 2]);
  });

  it("at rest leave no timer behind for those that are over, and keep those of others", () => {
    const clock = new CountingClock();
    let passed = 0;
    const [over, under] = [10, 20].map((length) => new Timeout(clock, length, () => (passed += 1)));
    over!.end();
    Deadlines.rest(clock);
    expect(clock.armed).toBe(1);
    under!.end();
    Deadlines.rest(clock);
    expect(clock.armed).toBe(0);
    new Timeout(clock, 10, () => (passed += 1));
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
    request.run("a request", () => new Timeout(clock, 10, () => undefined));
    expect(heldIn).toEqual([undefined]);
  });
});
