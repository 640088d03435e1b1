import { flush, gate, type Gate, outcome, TestClock } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";
import type { Coherence, CoherenceListener } from "../contracts/capabilities.ts";
import { ChangeSubscription } from "./change-subscription.ts";
import { BackendParts } from "./parts.ts";
import { lastEpoch, Trust } from "./trust.ts";

const DOWN = new Error("not reachable");

const reportingTrust = (maxStalenessMs: number): Trust =>
  new Trust({ parts: new BackendParts(), maxStalenessMs, backendKey: (key) => key, versionsKey: "v" });

let clock: TestClock;
let trust: Trust;
/** The calls that the cache received. */
let calls: string[];
/** One for each attempt to attach. */
let attempts: { readonly listener: CoherenceListener; readonly answer: Gate<void>; isDetached: boolean }[];

function subscription(): ChangeSubscription {
  const coherence: Coherence = {
    attach: async (listener) => {
      const attempt = { listener, answer: gate(), isDetached: false };
      attempts.push(attempt);
      await attempt.answer.pass();
      return async () => {
        attempt.isDetached = true;
      };
    },
  };
  return new ChangeSubscription(
    coherence,
    clock,
    trust,
    {
      changed: (keys) => calls.push(`changed ${keys.join()}`),
      leaseChanged: (keys) => calls.push(`lease ${keys.join()}`),
      tagsChanged: (tags) => calls.push(`tags ${tags.join()}`),
      everythingChanged: (concernsVersions = true) => calls.push(concernsVersions ? "everything" : "entries"),
      attaching: () => undefined,
      unattached: () => calls.push("unattached"),
      attached: () => calls.push("attached"),
      detached: (error) => calls.push(`detached: ${(error as Error).message}`),
      replaced: () => calls.push("replaced"),
      partLost: (part, error, aliveAt) => calls.push(`lost ${part}, alive at ${aliveAt}: ${(error as Error).message}`),
      alive: (part) => part !== "" && calls.push(`back ${part}`),
      partRegained: (part) => calls.push(`regained ${part}`),
      allBack: () => calls.push("all back"),
    },
    true,
  );
}

async function attached(one: ChangeSubscription): Promise<void> {
  void one.start();
  attempts.at(-1)!.listener.alive(clock.now());
  attempts.at(-1)!.answer.open();
  await flush();
  calls.length = 0;
}

beforeEach(() => {
  clock = new TestClock();
  trust = reportingTrust(2_000);
  [calls, attempts] = [[], []];
});

describe("attaching", () => {
  it("begins with the first use, once, and resolves with the first attempt", async () => {
    const one = subscription();
    expect(attempts).toHaveLength(0);
    const first = one.start();
    const second = one.start();
    expect([attempts.length, await outcome(first)]).toEqual([1, { status: "pending" }]);
    attempts[0]!.answer.open();
    await Promise.all([first, second]);
    expect(calls).toEqual(["everything", "attached"]);
  });

  it("begins trust: a sign of life before it extends nothing yet, and older copies are not trusted", async () => {
    const one = subscription();
    const epoch = trust.epochOf("k");
    void one.start();
    attempts[0]!.listener.alive(clock.now());
    expect(trust.epochOf("k").until).toBe(-Infinity);
    attempts[0]!.answer.open();
    await flush();
    expect([trust.epochOf("k").until, trust.epochOf("k") === epoch]).toEqual([clock.now() + 2_000, false]);
  });

  it("that is refused resolves as well, is reported once, and is tried again each second", async () => {
    const one = subscription();
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
    expect(calls).toEqual(["detached: not reachable"]);
    attempts[3]!.answer.open();
    await flush();
    expect(calls).toEqual(["detached: not reachable", "everything", "attached"]);
  });

  it("that is lost before it is done is tried again at once, then once a second; the lost one is detached", async () => {
    void subscription().start();
    attempts[0]!.listener.lost(DOWN);
    attempts[0]!.answer.open();
    await flush();
    expect([attempts.length, attempts[0]!.isDetached, calls]).toEqual([2, true, []]);
    attempts[1]!.listener.lost(DOWN);
    attempts[1]!.answer.open();
    await flush();
    expect([attempts.length, attempts[1]!.isDetached]).toEqual([2, true]);
    clock.advance(1_000);
    attempts[2]!.answer.open();
    await flush();
    expect([attempts.length, attempts[2]!.isDetached, calls]).toEqual([3, false, ["everything", "attached"]]);
  });
});

describe("once attached", () => {
  it("reports of the backend are passed on", async () => {
    const one = subscription();
    await attached(one);
    const { listener } = attempts[0]!;
    expect(listener.now()).toBe(clock.now());
    listener.changed(["a", "b"]);
    listener.tagsChanged(["t"]);
    listener.replaced();
    expect(calls).toEqual(["changed a,b", "tags t", "replaced"]);
  });

  it("a sign of life extends trust from when it was asked for", async () => {
    await attached(subscription());
    const askedAt = clock.now();
    clock.advance(300);
    attempts[0]!.listener.alive(askedAt + 100);
    expect(trust.epochOf("k").until).toBe(askedAt + 2_100);
  });

  it("everythingChanged ends trust in older copies, and not in later ones", async () => {
    await attached(subscription());
    const epoch = trust.epochOf("k");
    const { until } = epoch;
    attempts[0]!.listener.everythingChanged();
    expect([calls, epoch.until, trust.epochOf("k").until]).toEqual([["everything"], -Infinity, until]);
  });

  it("everythingChanged of a part ends trust in older copies of that part alone", async () => {
    const parts = new BackendParts({ names: () => ["a", "b"], of: (key) => key[0]! });
    trust = new Trust({ parts, maxStalenessMs: 2_000, backendKey: (key) => key, versionsKey: "a" });
    await attached(subscription());
    const { listener } = attempts[0]!;
    for (const part of ["a", "b"]) listener.alive(clock.now(), part);
    calls.length = 0;
    const [a, b] = [trust.epochOf("a1"), trust.epochOf("b1")];
    const { until } = a;
    listener.everythingChanged("a");
    expect([calls, a.until, trust.epochOf("a1").until]).toEqual([["everything"], -Infinity, until]);
    expect([b.until, trust.epochOf("b1") === b]).toEqual([until, true]);
  });

  it("everythingChanged of some keys ends trust in older copies of those alone, however often", async () => {
    await attached(subscription());
    const { listener } = attempts[0]!;
    const epoch = trust.epochOf("k");
    const { until } = epoch;
    const untils = (): readonly number[] => ["k", "moved", "v"].map((key) => lastEpoch(epoch, key).until);
    listener.everythingChanged(undefined, (key) => key === "moved");
    expect([calls, untils(), lastEpoch(epoch, "k") === trust.epochOf("k")]).toEqual([
      ["entries"],
      [until, -Infinity, until],
      true,
    ]);
    listener.everythingChanged(undefined, (key) => key === "v");
    expect([calls, untils()]).toEqual([
      ["entries", "everything"],
      [until, -Infinity, -Infinity],
    ]);
    listener.alive(clock.now() + 100);
    expect(untils()).toEqual([until + 100, -Infinity, -Infinity]);
    listener.everythingChanged();
    expect(untils()).toEqual([-Infinity, -Infinity, -Infinity]);
  });

  it("a loss ends trust in the same tick, is reported, and attaches again at once; a second one changes nothing", async () => {
    await attached(subscription());
    const epoch = trust.epochOf("k");
    const { listener } = attempts[0]!;
    listener.lost(DOWN);
    expect([trust.epochOf("k").until, trust.epochOf("k") === epoch, calls, attempts.length]).toEqual([
      -Infinity,
      false,
      ["everything", "detached: not reachable"],
      2,
    ]);
    attempts[1]!.listener.alive(clock.now());
    attempts[1]!.answer.open();
    await flush();
    expect([attempts[0]!.isDetached, trust.epochOf("k").until, calls.slice(2)]).toEqual([
      true,
      clock.now() + 2_000,
      ["everything", "attached"],
    ]);
  });
});

describe("once stopped", () => {
  it("nothing is received, trusted or tried again", async () => {
    const one = subscription();
    await attached(one);
    await one.stop();
    const { listener } = attempts[0]!;
    listener.lost(DOWN);
    listener.replaced();
    clock.advance(10_000);
    expect([attempts[0]!.isDetached, attempts.length, trust.epochOf("k").until, calls]).toEqual([
      true,
      1,
      -Infinity,
      [],
    ]);
  });

  it("nothing is begun or waited for", async () => {
    const one = subscription();
    await one.stop();
    await one.start();
    expect(attempts).toHaveLength(0);
  });

  it("an attempt in progress is detached when it ends, however it ends", async () => {
    for (const isRefused of [false, true]) {
      attempts = [];
      const one = subscription();
      const starting = one.start();
      await one.stop();
      await starting;
      if (isRefused) attempts[0]!.answer.fail(DOWN);
      else attempts[0]!.answer.open();
      await flush();
      clock.advance(10_000);
      expect([attempts.length, attempts[0]!.isDetached, calls]).toEqual([1, !isRefused, []]);
    }
  });

  it("a retry is cancelled", async () => {
    const one = subscription();
    void one.start();
    attempts[0]!.answer.fail(DOWN);
    await flush();
    await one.stop();
    clock.advance(10_000);
    expect(attempts).toHaveLength(1);
  });
});

it("stays attached when a part is lost, and says when its changes are reported again", async () => {
  trust = reportingTrust(600);
  const one = subscription();
  await attached(one);
  const { listener } = attempts[0]!;
  listener.alive(clock.now(), "a");
  const aliveAt = clock.now();
  clock.advance(100);
  listener.alive(clock.now(), "b");
  calls.length = 0;
  listener.lost(new Error("reset"), "a");
  listener.alive(clock.now(), "b");
  expect([calls, attempts.length, attempts[0]!.isDetached]).toEqual([
    [`lost a, alive at ${aliveAt}: reset`, "back b"],
    1,
    false,
  ]);
  listener.alive(clock.now(), "a");
  expect(calls.slice(2)).toEqual(["everything", "back a", "regained a"]);
  await one.stop();
});

it("an attempt that does not end is reported every five seconds, until it ends or the subscription does", async () => {
  const one = subscription();
  void one.start();
  await flush();
  const overdue = (): number => calls.filter((call) => call === "unattached").length;
  clock.advance(4_999);
  expect(overdue()).toBe(0);
  clock.advance(1);
  expect(overdue()).toBe(1);
  clock.advance(5_000);
  expect(overdue()).toBe(2);
  attempts[0]!.answer.open();
  await flush();
  clock.advance(60_000);
  expect(overdue()).toBe(2);
  // A later attempt is watched, too.
  attempts[0]!.listener.lost(DOWN);
  await flush();
  clock.advance(5_000);
  expect(overdue()).toBe(3);
  await one.stop();
  clock.advance(60_000);
  expect(overdue()).toBe(3);
});
