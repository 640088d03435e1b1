import { flush, outcome, TestClock } from "@hotset/core/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { ChangeHub, type ChangeSource } from "./change-hub.ts";
import { SubscriptionRefusedError, type ChangeListener } from "../connection/change-notifier.ts";

/** A source whose answers the test gives. */
class Fake implements ChangeSource {
  readonly asked: PromiseWithResolvers<boolean>[] = [];
  readonly deadlines: number[] = [];
  readonly covers: PromiseWithResolvers<void>[] = [];
  rests = 0;

  subscribe(): Promise<void> {
    this.covers.push(Promise.withResolvers());
    return this.covers.at(-1)!.promise;
  }

  heartbeat(deadlineMs: number): Promise<boolean> {
    this.deadlines.push(deadlineMs);
    this.asked.push(Promise.withResolvers());
    return this.asked.at(-1)!.promise;
  }

  unsubscribe(): void {
    this.rests += 1;
  }

  covered(): Promise<void> {
    this.covers.at(-1)!.resolve();
    return flush();
  }

  answer(isProven = true, which = -1): Promise<void> {
    this.asked.at(which)!.resolve(isProven);
    return flush();
  }
}

class RecordingListener implements ChangeListener {
  readonly topic: string;
  readonly maxStalenessMs: number;
  readonly received: string[] = [];

  constructor(topic = "hotset:", maxStalenessMs = 2_000) {
    this.topic = topic;
    this.maxStalenessMs = maxStalenessMs;
  }

  now(): number {
    // A clock of its own.
    return clock.now() + 1_000_000;
  }

  changed(keys: readonly string[]): void {
    this.received.push(...keys);
  }

  everythingChanged(): void {
    this.received.push("everything");
  }

  alive(sentAtMs: number): void {
    this.received.push(`alive ${sentAtMs - 1_000_000}`);
  }

  replaced(): void {
    this.received.push("replaced");
  }

  lost(error: unknown): void {
    this.received.push(`lost: ${(error as Error).message}`);
  }
}

let clock: TestClock;
let sources: Fake[];
let reach: PromiseWithResolvers<void>;
let hub: ChangeHub;
let listener: RecordingListener;
beforeEach(() => {
  clock = new TestClock();
  sources = [new Fake()];
  reach = Promise.withResolvers();
  hub = new ChangeHub(
    clock,
    () => reach.promise,
    () => sources,
  );
  listener = new RecordingListener();
});

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Leaves nothing of what was heard but a replacement that was told at its end. */
async function attach(added = listener): Promise<() => Promise<void>> {
  added.received.splice(0);
  const attached = hub.attach(added);
  reach.resolve();
  await flush();
  for (const source of sources) await source.covered();
  for (const source of sources) await source.answer();
  const detach = await attached;
  await immediate();
  added.received.splice(0, added.received.length, ...added.received.filter((what) => what === "replaced"));
  return detach;
}

describe("attaching", () => {
  it("C87: waits for the servers, for the acknowledgement, and for a sign of life", async () => {
    const attached = hub.attach(listener);
    clock.advance(3_600_000);
    expect(await outcome(attached)).toEqual({ status: "pending" });
    expect(sources[0]!.covers).toEqual([]);
    reach.resolve();
    expect(await outcome(attached)).toEqual({ status: "pending" });
    const acknowledgedAt = clock.now();
    await sources[0]!.covered();
    clock.advance(10);
    expect(await outcome(attached)).toEqual({ status: "pending" });
    await sources[0]!.answer();
    expect(await outcome(attached)).toMatchObject({ status: "fulfilled" });
    // From when it was asked, and not before it was acknowledged.
    expect(listener.received).toEqual([`alive ${acknowledgedAt}`]);
  });

  it("C87: what is pushed right behind the acknowledgement is told, although nobody knows of it yet", async () => {
    const attached = hub.attach(listener);
    reach.resolve();
    await flush();
    sources[0]!.covers[0]!.resolve();
    hub.changed(["hotset:shop::1"]);
    await flush();
    await sources[0]!.answer();
    await attached;
    expect(listener.received).toEqual(["hotset:shop::1", expect.stringMatching(/^alive/)]);
  });

  it("begins anew when a connection is lost meanwhile", async () => {
    const attached = hub.attach(listener);
    reach.resolve();
    await flush();
    await sources[0]!.covered();
    hub.lost(new Error("cut"));
    await sources[0]!.answer();
    expect(await outcome(attached)).toEqual({ status: "pending" });
    expect(sources[0]!.covers).toHaveLength(2);
    await sources[0]!.covered();
    await sources[0]!.answer();
    expect(await outcome(attached)).toMatchObject({ status: "fulfilled" });
    expect(listener.received.filter((what) => what.startsWith("lost"))).toEqual([]);
  });

  it("tries again, and not in a circle, where a failure is not known to the link yet", async () => {
    const attached = hub.attach(listener);
    reach.resolve();
    await flush();
    sources[0]!.covers[0]!.reject(new Error("Socket closed unexpectedly"));
    await flush();
    expect(sources[0]!.covers).toHaveLength(1);
    clock.advance(50);
    await flush();
    expect(sources[0]!.covers).toHaveLength(2);
    await sources[0]!.covered();
    await sources[0]!.answer();
    expect(await outcome(attached)).toMatchObject({ status: "fulfilled" });
  });

  it("rejects what is refused, and what is not tried any more; then nobody listens", async () => {
    const refused = hub.attach(listener);
    reach.resolve();
    await flush();
    sources[0]!.covers[0]!.reject(new SubscriptionRefusedError("NOPERM"));
    await expect(refused).rejects.toThrow("NOPERM");
    expect(hub.hasListeners).toBe(false);

    reach = Promise.withResolvers();
    const away = hub.attach(listener);
    reach.reject(new Error("WRONGPASS"));
    await expect(away).rejects.toThrow("WRONGPASS");
    expect(hub.hasListeners).toBe(false);
  });

  it("is not shown by a server that lives and cannot tell, and is no less an attachment", async () => {
    const attached = hub.attach(listener);
    reach.resolve();
    await flush();
    await sources[0]!.covered();
    await sources[0]!.answer(false);
    await attached;
    expect(listener.received).toEqual([]);
    clock.advance(500);
    await sources[0]!.answer();
    expect(listener.received).toEqual([`alive ${clock.now()}`]);
  });
});

describe("signs of life", () => {
  it("are asked for four times in the strictest bound, and count from when they were asked for", async () => {
    await attach();
    await attach(new RecordingListener("hotset:", 400));
    listener.received.splice(0);
    const before = sources[0]!.asked.length;
    // The first one had been due by the wider bound.
    clock.advance(500);
    expect(sources[0]!.asked).toHaveLength(before + 1);
    for (let i = 0; i < 4; i++) clock.advance(100);
    expect(sources[0]!.asked).toHaveLength(before + 5);
    const sentAt = clock.now();
    clock.advance(50);
    await sources[0]!.answer();
    expect(listener.received).toEqual([`alive ${sentAt}`]);
  });

  it("C91: count when all servers have given theirs", async () => {
    sources = [new Fake(), new Fake()];
    await attach();
    clock.advance(500);
    const sentAt = clock.now();
    await sources[0]!.answer();
    expect(listener.received).toEqual([]);
    await sources[1]!.answer();
    expect(listener.received).toEqual([`alive ${sentAt}`]);
    clock.advance(500);
    await sources[0]!.answer();
    await sources[1]!.answer(false);
    expect(listener.received).toEqual([`alive ${sentAt}`]);
  });

  it("C86: that come after a loss are nobody's, also where the same listener is back", async () => {
    await attach();
    clock.advance(500);
    hub.lost(new Error("cut"));
    expect(listener.received).toEqual(["lost: cut"]);
    const late = sources[0]!.asked.length - 1;
    const attached = hub.attach(listener);
    await flush();
    await sources[0]!.answer(true, late);
    expect(listener.received).toEqual(["lost: cut"]);
    await sources[0]!.covered();
    await sources[0]!.answer();
    await attached;
    expect(listener.received).toHaveLength(2);
  });

  it("are waited for half the bound, and at least a second", async () => {
    await attach();
    expect(sources[0]!.deadlines).toEqual([1_000]);
    await attach(new RecordingListener("hotset:", 100));
    expect(sources[0]!.deadlines.at(-1)).toBe(1_000);
    hub = new ChangeHub(
      clock,
      () => reach.promise,
      () => sources,
    );
    await attach(new RecordingListener("hotset:", 10_000));
    expect(sources[0]!.deadlines.at(-1)).toBe(5_000);
  });

  it("are not asked for without end while none is given, nor when nobody listens", async () => {
    const detach = await attach();
    const before = sources[0]!.asked.length;
    clock.advance(60_000);
    expect(sources[0]!.asked).toHaveLength(before + 8);
    await sources[0]!.answer();
    clock.advance(500);
    expect(sources[0]!.asked).toHaveLength(before + 9);
    await detach();
    expect(sources[0]!.rests).toBe(1);
    clock.advance(60_000);
    expect(sources[0]!.asked).toHaveLength(before + 9);
  });
});

describe("another server", () => {
  it("is told at once to who is attaching: what waits for the connection must not be read before", async () => {
    await attach();
    hub.lost(new Error("cut"));
    listener.received.splice(0);
    const attached = hub.attach(listener);
    hub.replaced();
    expect(listener.received).toEqual(["replaced"]);
    await flush();
    await sources[0]!.covered();
    await sources[0]!.answer();
    await attached;
    await immediate();
    expect(listener.received.filter((what) => what === "replaced")).toEqual(["replaced"]);
  });

  it("is told at once, and once, to who has yet to listen again, whether what he heard was lost or could not be heard again", async () => {
    await attach();
    hub.lost(new Error("cut"));
    listener.received.splice(0);
    hub.replaced();
    expect(listener.received).toEqual(["replaced"]);
    reach = Promise.withResolvers();
    const attaching = hub.attach(listener);
    reach.reject(new Error("given up"));
    await expect(attaching).rejects.toThrow("given up");
    hub.replaced();
    expect(listener.received).toEqual(["replaced", "replaced"]);
    reach = Promise.withResolvers();
    await attach();
    expect(listener.received).toEqual([]);
  });

  it("is told to who is not let listen, whose calls go there all the same, and not to who listens no longer", async () => {
    const detach = await attach();
    await detach();
    listener.received.splice(0);
    hub.replaced();
    expect(listener.received).toEqual([]);
    const refused = hub.attach(listener);
    await flush();
    sources[0]!.covers.at(-1)!.reject(new SubscriptionRefusedError("no"));
    await expect(refused).rejects.toThrow("no");
    hub.replaced();
    expect(listener.received).toEqual(["replaced"]);
  });
});

describe("those who ask whether all has been heard", () => {
  it("share the question within one turn of the loop, and not longer", async () => {
    await attach();
    const before = sources[0]!.asked.length;
    const first = hub.settled();
    await Promise.resolve();
    expect(hub.settled()).toBe(first);
    expect(sources[0]!.asked).toHaveLength(before + 1);
    await sources[0]!.answer();
    expect(await first).toBe(true);
    await immediate();
    const second = hub.settled();
    expect(sources[0]!.asked).toHaveLength(before + 2);
    sources[0]!.asked.at(-1)!.reject(new Error("Socket closed unexpectedly"));
    expect(await second).toBe(false);
  });
});
