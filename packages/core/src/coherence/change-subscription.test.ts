import { beforeEach, describe, expect, it } from "vitest";
import type { Coherence, CoherenceListener } from "../contracts/backend.ts";
import { ChangeSubscription } from "./change-subscription.ts";
import { gate, type Gate } from "../testing/gate.ts";
import { flush, outcome } from "../testing/outcome.ts";
import { TestClock } from "../testing/test-clock.ts";
import { Trust } from "./trust.ts";

const DOWN = new Error("not reachable");

let clock: TestClock;
let trust: Trust;
/** What the cache was told. */
let heard: string[];
/** One for each attachment. */
let attempts: { readonly listener: CoherenceListener; readonly answer: Gate<void>; isDetached: boolean }[];

function hearing(maxStalenessMs?: number): ChangeSubscription {
  const coherence: Coherence = {
    ...(maxStalenessMs !== undefined && { maxStalenessMs }),
    attach: async (listener) => {
      const attempt = { listener, answer: gate(), isDetached: false };
      attempts.push(attempt);
      await attempt.answer.pass();
      return async () => {
        attempt.isDetached = true;
      };
    },
  };
  return new ChangeSubscription(coherence, clock, trust, {
    changed: (keys) => heard.push(`changed ${keys.join()}`),
    tagsChanged: (tags) => heard.push(`tags ${tags.join()}`),
    everythingChanged: () => heard.push("everything"),
    attached: () => heard.push("attached"),
    detached: (error) => heard.push(`detached: ${(error as Error).message}`),
    replaced: () => heard.push("replaced"),
  });
}

async function attached(one: ChangeSubscription): Promise<void> {
  void one.start();
  attempts.at(-1)!.listener.alive(clock.now());
  attempts.at(-1)!.answer.open();
  await flush();
  heard.length = 0;
}

beforeEach(() => {
  clock = new TestClock();
  trust = new Trust();
  [heard, attempts] = [[], []];
});

describe("attaching", () => {
  it("begins with the first use, once, and resolves when it came to something", async () => {
    const one = hearing();
    expect(attempts).toHaveLength(0);
    const first = one.start();
    const second = one.start();
    expect([attempts.length, await outcome(first)]).toEqual([1, { status: "pending" }]);
    attempts[0]!.answer.open();
    await Promise.all([first, second]);
    expect(heard).toEqual(["everything", "attached"]);
  });

  it("begins trust: what was heard of, and known, before it does not count", async () => {
    const one = hearing(500);
    const { epoch } = trust;
    void one.start();
    attempts[0]!.listener.alive(clock.now());
    expect(trust.until).toBe(-Infinity);
    attempts[0]!.answer.open();
    await flush();
    expect([trust.until, one.until, trust.epoch > epoch]).toEqual([clock.now() + 500, clock.now() + 500, true]);
  });

  it("that is refused resolves as well, is told once, and is tried again each second", async () => {
    const one = hearing();
    const first = one.start();
    for (let i = 0; i < 3; i += 1) {
      attempts[i]!.answer.fail(DOWN);
      await flush();
      clock.advance(999);
      expect(attempts).toHaveLength(i + 1);
      clock.advance(1);
      expect(attempts).toHaveLength(i + 2);
    }
    await first;
    expect(heard).toEqual(["detached: not reachable"]);
    attempts[3]!.answer.open();
    await flush();
    expect(heard).toEqual(["detached: not reachable", "everything", "attached"]);
  });

  it("that breaks while it is made is made again, at once, and then once a second; the broken one is let go", async () => {
    void hearing().start();
    attempts[0]!.listener.lost(DOWN);
    attempts[0]!.answer.open();
    await flush();
    expect([attempts.length, attempts[0]!.isDetached, heard]).toEqual([2, true, []]);
    attempts[1]!.listener.lost(DOWN);
    attempts[1]!.answer.open();
    await flush();
    expect([attempts.length, attempts[1]!.isDetached]).toEqual([2, true]);
    clock.advance(1_000);
    attempts[2]!.answer.open();
    await flush();
    expect([attempts.length, attempts[2]!.isDetached, heard]).toEqual([3, false, ["everything", "attached"]]);
  });
});

describe("once attached", () => {
  it("what the backend says is handed on", async () => {
    const one = hearing();
    await attached(one);
    const { listener } = attempts[0]!;
    expect(listener.now()).toBe(clock.now());
    listener.changed(["a", "b"]);
    listener.tagsChanged(["t"]);
    listener.replaced();
    expect(heard).toEqual(["changed a,b", "tags t", "replaced"]);
  });

  it("a sign of life prolongs trust from when it was asked for", async () => {
    await attached(hearing(500));
    const askedAt = clock.now();
    clock.advance(300);
    attempts[0]!.listener.alive(askedAt + 100);
    expect(trust.until).toBe(askedAt + 600);
  });

  it("that anything may have changed ends what was known, and no trust in what is to come", async () => {
    await attached(hearing());
    const { epoch, until } = trust;
    attempts[0]!.listener.everythingChanged();
    expect([heard, trust.epoch > epoch, trust.until]).toEqual([["everything"], true, until]);
  });

  it("a loss ends trust in the same tick, is told, and attaches again at once; more of it changes nothing", async () => {
    await attached(hearing());
    const { epoch } = trust;
    const { listener } = attempts[0]!;
    listener.lost(DOWN);
    expect([trust.until, trust.epoch > epoch, heard, attempts.length]).toEqual([
      -Infinity,
      true,
      ["everything", "detached: not reachable"],
      2,
    ]);
    attempts[1]!.listener.alive(clock.now());
    attempts[1]!.answer.open();
    await flush();
    expect([attempts[0]!.isDetached, trust.until, heard.slice(2)]).toEqual([
      true,
      clock.now() + 2_000,
      ["everything", "attached"],
    ]);
  });
});

describe("once stopped", () => {
  it("nobody is listening, trusted or tried again", async () => {
    const one = hearing();
    await attached(one);
    await one.stop();
    const { listener } = attempts[0]!;
    listener.lost(DOWN);
    listener.replaced();
    clock.advance(10_000);
    expect([attempts[0]!.isDetached, attempts.length, trust.until, heard]).toEqual([true, 1, -Infinity, []]);
  });

  it("nor begun, nor waited for", async () => {
    const one = hearing();
    await one.stop();
    await one.start();
    expect(attempts).toHaveLength(0);
  });

  it("an attempt under way is given up when it ends, however it ends", async () => {
    for (const isRefused of [false, true]) {
      attempts = [];
      const one = hearing();
      const starting = one.start();
      await one.stop();
      await starting;
      if (isRefused) attempts[0]!.answer.fail(DOWN);
      else attempts[0]!.answer.open();
      await flush();
      clock.advance(10_000);
      expect([attempts.length, attempts[0]!.isDetached, heard]).toEqual([1, !isRefused, []]);
    }
  });

  it("a retry is taken back", async () => {
    const one = hearing();
    void one.start();
    attempts[0]!.answer.fail(DOWN);
    await flush();
    await one.stop();
    clock.advance(10_000);
    expect(attempts).toHaveLength(1);
  });
});
