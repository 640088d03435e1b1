import { flush, outcome, TestClock } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { SubscriptionRefusedError, type ChangeListener } from "../connection/change-notifier.ts";
import { ChangeHub, type ChangeSource } from "./change-hub.ts";

/** A source whose answers the test gives. */
class FakeSource implements ChangeSource {
  readonly part: string | undefined;
  readonly heartbeats: PromiseWithResolvers<boolean>[] = [];
  readonly deadlines: number[] = [];
  readonly subscriptions: PromiseWithResolvers<void>[] = [];
  unsubscriptions = 0;

  constructor(part?: string) {
    this.part = part;
  }

  subscribe(): Promise<void> {
    this.subscriptions.push(Promise.withResolvers());
    return this.subscriptions.at(-1)!.promise;
  }

  heartbeat(deadlineMs: number): Promise<boolean> {
    this.deadlines.push(deadlineMs);
    this.heartbeats.push(Promise.withResolvers());
    return this.heartbeats.at(-1)!.promise;
  }

  unsubscribe(): void {
    this.unsubscriptions += 1;
  }

  acknowledge(): Promise<void> {
    this.subscriptions.at(-1)!.resolve();
    return flush();
  }

  answer(isProven = true, which = -1): Promise<void> {
    this.heartbeats.at(which)!.resolve(isProven);
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

  everythingChanged(part?: string): void {
    this.received.push(part === undefined ? "everything" : `everything of ${part}`);
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
let sources: FakeSource[];
let reachable: PromiseWithResolvers<void>;
let hub: ChangeHub;
let listener: RecordingListener;
beforeEach(() => {
  clock = new TestClock();
  sources = [new FakeSource()];
  reachable = Promise.withResolvers();
  hub = new ChangeHub(
    clock,
    () => reachable.promise,
    () => sources,
  );
  listener = new RecordingListener();
});

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Attaches, and forgets all notifications but a replacement reported at the end. */
async function attach(added = listener): Promise<() => Promise<void>> {
  added.received.splice(0);
  const attached = hub.attach(added);
  reachable.resolve();
  await flush();
  for (const source of sources) await source.acknowledge();
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
    expect(sources[0]!.subscriptions).toEqual([]);
    reachable.resolve();
    expect(await outcome(attached)).toEqual({ status: "pending" });
    const acknowledgedAt = clock.now();
    await sources[0]!.acknowledge();
    clock.advance(10);
    expect(await outcome(attached)).toEqual({ status: "pending" });
    await sources[0]!.answer();
    expect(await outcome(attached)).toMatchObject({ status: "fulfilled" });
    // Counts from the request for it, which comes after the acknowledgement.
    expect(listener.received).toEqual([`alive ${acknowledgedAt}`]);
  });

  it("C87: reports changes pushed right behind the acknowledgement, before attach has resolved", async () => {
    const attached = hub.attach(listener);
    reachable.resolve();
    await flush();
    sources[0]!.subscriptions[0]!.resolve();
    hub.changed(["hotset:shop::1"]);
    await flush();
    await sources[0]!.answer();
    await attached;
    expect(listener.received).toEqual(["hotset:shop::1", expect.stringMatching(/^alive/)]);
  });

  it("listeners that attach together cost one subscription and one sign of life", async () => {
    const others = Array.from({ length: 200 }, () => new RecordingListener());
    const attaching = Promise.all(others.map((other) => hub.attach(other)));
    reachable.resolve();
    await flush();
    expect(sources[0]!.subscriptions).toHaveLength(1);
    const acknowledgedAt = clock.now();
    await sources[0]!.acknowledge();
    expect(sources[0]!.heartbeats).toHaveLength(1);
    await sources[0]!.answer();
    await attaching;
    for (const { received } of others) expect(received).toEqual([`alive ${acknowledgedAt}`]);
  });

  it("one that comes later is subscribed by itself: what was asked for before may not be for it", async () => {
    const first = hub.attach(listener);
    reachable.resolve();
    await flush();
    const late = new RecordingListener();
    const second = hub.attach(late);
    await flush();
    expect(sources[0]!.subscriptions).toHaveLength(2);
    for (const subscription of sources[0]!.subscriptions) subscription.resolve();
    await flush();
    expect(sources[0]!.heartbeats).toHaveLength(2);
    await sources[0]!.answer(true, 0);
    expect(await outcome(first)).toMatchObject({ status: "fulfilled" });
    expect(await outcome(second)).toEqual({ status: "pending" });
    await sources[0]!.answer(true, 1);
    await second;
  });

  it("starts again when a connection is lost meanwhile", async () => {
    const attached = hub.attach(listener);
    reachable.resolve();
    await flush();
    await sources[0]!.acknowledge();
    hub.lost(new Error("cut"));
    await sources[0]!.answer();
    expect(await outcome(attached)).toEqual({ status: "pending" });
    expect(sources[0]!.subscriptions).toHaveLength(2);
    await sources[0]!.acknowledge();
    await sources[0]!.answer();
    expect(await outcome(attached)).toMatchObject({ status: "fulfilled" });
    expect(listener.received.filter((what) => what.startsWith("lost"))).toEqual([]);
  });

  it("tries again after a pause when the link has not noticed a failure yet", async () => {
    const attached = hub.attach(listener);
    reachable.resolve();
    await flush();
    sources[0]!.subscriptions[0]!.reject(new Error("Socket closed unexpectedly"));
    await flush();
    expect(sources[0]!.subscriptions).toHaveLength(1);
    clock.advance(50);
    await flush();
    expect(sources[0]!.subscriptions).toHaveLength(2);
    await sources[0]!.acknowledge();
    await sources[0]!.answer();
    expect(await outcome(attached)).toMatchObject({ status: "fulfilled" });
  });

  it("rejects when the server refuses, and when connecting is not tried any more; then no listener is left", async () => {
    const refused = hub.attach(listener);
    reachable.resolve();
    await flush();
    sources[0]!.subscriptions[0]!.reject(new SubscriptionRefusedError("NOPERM"));
    await expect(refused).rejects.toThrow("NOPERM");
    expect(hub.hasListeners).toBe(false);

    reachable = Promise.withResolvers();
    const unreachable = hub.attach(listener);
    reachable.reject(new Error("WRONGPASS"));
    await expect(unreachable).rejects.toThrow("WRONGPASS");
    expect(hub.hasListeners).toBe(false);
  });

  it("succeeds with a server that is alive but proves nothing; then there is no sign of life", async () => {
    const attached = hub.attach(listener);
    reachable.resolve();
    await flush();
    await sources[0]!.acknowledge();
    await sources[0]!.answer(false);
    await attached;
    expect(listener.received).toEqual([]);
    clock.advance(500);
    await sources[0]!.answer();
    expect(listener.received).toEqual([`alive ${clock.now()}`]);
  });
});

describe("signs of life", () => {
  it("are requested four times in the strictest bound, and count from the request on", async () => {
    await attach();
    await attach(new RecordingListener("hotset:", 400));
    listener.received.splice(0);
    const before = sources[0]!.heartbeats.length;
    // The first one had been due by the wider bound.
    clock.advance(500);
    expect(sources[0]!.heartbeats).toHaveLength(before + 1);
    for (let i = 0; i < 4; i++) clock.advance(100);
    expect(sources[0]!.heartbeats).toHaveLength(before + 5);
    const sentAt = clock.now();
    clock.advance(50);
    await sources[0]!.answer();
    expect(listener.received).toEqual([`alive ${sentAt}`]);
  });

  it("C91: count once all servers have given theirs", async () => {
    sources = [new FakeSource(), new FakeSource()];
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

  it("C86: are dropped when they come after a loss, also where the same listener attaches again", async () => {
    await attach();
    clock.advance(500);
    hub.lost(new Error("cut"));
    expect(listener.received).toEqual(["lost: cut"]);
    const late = sources[0]!.heartbeats.length - 1;
    const attached = hub.attach(listener);
    await flush();
    await sources[0]!.answer(true, late);
    expect(listener.received).toEqual(["lost: cut"]);
    await sources[0]!.acknowledge();
    await sources[0]!.answer();
    await attached;
    expect(listener.received).toHaveLength(2);
  });

  it("are awaited for half the bound, and at least a second", async () => {
    await attach();
    expect(sources[0]!.deadlines).toEqual([1_000]);
    await attach(new RecordingListener("hotset:", 100));
    expect(sources[0]!.deadlines.at(-1)).toBe(1_000);
    hub = new ChangeHub(
      clock,
      () => reachable.promise,
      () => sources,
    );
    await attach(new RecordingListener("hotset:", 10_000));
    expect(sources[0]!.deadlines.at(-1)).toBe(5_000);
  });

  it("are not requested without end while none is given, nor without listeners", async () => {
    const detach = await attach();
    const before = sources[0]!.heartbeats.length;
    clock.advance(60_000);
    expect(sources[0]!.heartbeats).toHaveLength(before + 8);
    await sources[0]!.answer();
    clock.advance(500);
    expect(sources[0]!.heartbeats).toHaveLength(before + 9);
    await detach();
    expect(sources[0]!.unsubscriptions).toBe(1);
    clock.advance(60_000);
    expect(sources[0]!.heartbeats).toHaveLength(before + 9);
  });
});

it("a part that has keys of another one brings that into doubt where it is lost, or emptied", async () => {
  sources = [new FakeSource("one"), new FakeSource("two")];
  await attach();
  hub.moved("one", "two");
  hub.everythingChanged("one");
  hub.lost(new Error("cut"), "one");
  expect(listener.received.splice(0)).toEqual(["everything of one", "lost: cut"]);
  hub.everythingChanged("two");
  hub.lost(new Error("cut"), "two");
  expect(listener.received).toEqual(["everything of two", "everything of one", "lost: cut", "everything of one"]);
});

describe("a part that refuses", () => {
  /** Each part is asked once more; `refuses` by name, and the others are subscribed to. */
  async function beat(...refuses: readonly string[]): Promise<readonly string[]> {
    clock.advance(500);
    for (const source of sources) {
      if (refuses.includes(source.part!)) source.subscriptions.at(-1)!.reject(new SubscriptionRefusedError("NOPERM"));
      else {
        await source.acknowledge();
        await source.answer();
      }
    }
    await flush();
    return listener.received.splice(0).filter((what) => what.startsWith("lost"));
  }
  beforeEach(async () => {
    sources = [new FakeSource("a"), new FakeSource("b")];
    await attach();
  });

  it("later is lost, once, until it has reported changes again", async () => {
    expect([await beat("b"), await beat("b"), await beat("b")]).toEqual([["lost: NOPERM"], [], []]);
    expect([await beat(), await beat("b"), await beat("b")]).toEqual([[], ["lost: NOPERM"], []]);
  });

  it("is lost again when it was gone meanwhile, for less than a heartbeat", async () => {
    expect(await beat("b")).toEqual(["lost: NOPERM"]);
    hub.lost(new Error("not the primary any more"), "b");
    expect(listener.received.splice(0)).toEqual(["lost: not the primary any more"]);
    expect([await beat("b"), await beat("b")]).toEqual([["lost: NOPERM"], []]);
  });

  it("is lost for each listener, also for one that attached while it could not be reached", async () => {
    expect(await beat("b")).toEqual(["lost: NOPERM"]);
    const late = new RecordingListener();
    const attached = hub.attach(late);
    await flush();
    await sources[0]!.acknowledge();
    await sources[0]!.answer();
    sources[1]!.subscriptions.at(-1)!.reject(new Error("not connected"));
    await attached;
    late.received.splice(0);
    expect(await beat("b")).toEqual([]);
    expect(late.received.filter((what) => what.startsWith("lost"))).toEqual(["lost: NOPERM"]);
  });

  it.each([["before"], ["after"]])(
    "is not lost by the topic of another listener, whose attempt began %s the heartbeat and is rejected",
    async (order) => {
      const asked = (): readonly number[] => sources.map(({ subscriptions }) => subscriptions.length);
      const before = asked();
      if (order === "after") clock.advance(500);
      const attached = hub.attach(new RecordingListener("other:")).catch((error: unknown) => error);
      await flush();
      if (order === "before") clock.advance(500);
      expect(asked()).toEqual(before.map((count) => count + 2));
      // A server takes one after the other: the attempt may be over when the heartbeat is refused, or not.
      for (const which of [-2, -1]) {
        sources[0]!.subscriptions.at(which)!.resolve();
        sources[1]!.subscriptions.at(which)!.reject(new SubscriptionRefusedError("NOPERM"));
        await flush();
        await sources[0]!.answer();
      }
      expect(await attached).toBeInstanceOf(SubscriptionRefusedError);
      expect(listener.received.filter((what) => what.startsWith("lost"))).toEqual([]);
      expect([await beat("b"), await beat("b")]).toEqual([["lost: NOPERM"], []]);
    },
  );
});

describe("another server", () => {
  it("is reported at once to a listener that is attaching: commands that wait for the connection must not be sent before", async () => {
    await attach();
    hub.lost(new Error("cut"));
    listener.received.splice(0);
    const attached = hub.attach(listener);
    hub.replaced();
    expect(listener.received).toEqual(["replaced"]);
    await flush();
    await sources[0]!.acknowledge();
    await sources[0]!.answer();
    await attached;
    await immediate();
    expect(listener.received.filter((what) => what === "replaced")).toEqual(["replaced"]);
  });

  it("is reported at once, and once, to a listener that has yet to attach again, whether it lost its subscription or failed to attach", async () => {
    await attach();
    hub.lost(new Error("cut"));
    listener.received.splice(0);
    hub.replaced();
    expect(listener.received).toEqual(["replaced"]);
    reachable = Promise.withResolvers();
    const attaching = hub.attach(listener);
    reachable.reject(new Error("given up"));
    await expect(attaching).rejects.toThrow("given up");
    hub.replaced();
    expect(listener.received).toEqual(["replaced", "replaced"]);
    reachable = Promise.withResolvers();
    await attach();
    expect(listener.received).toEqual([]);
  });

  it("is reported to a listener whose subscription was refused, since its commands go there, too; not to one that was detached", async () => {
    const detach = await attach();
    await detach();
    listener.received.splice(0);
    hub.replaced();
    expect(listener.received).toEqual([]);
    const refused = hub.attach(listener);
    await flush();
    sources[0]!.subscriptions.at(-1)!.reject(new SubscriptionRefusedError("no"));
    await expect(refused).rejects.toThrow("no");
    hub.replaced();
    expect(listener.received).toEqual(["replaced"]);
  });
});

describe("settled()", () => {
  it("shares one question among the calls of one turn of the loop, and not longer", async () => {
    await attach();
    const before = sources[0]!.heartbeats.length;
    const first = hub.settled();
    await Promise.resolve();
    expect(hub.settled()).toBe(first);
    expect(sources[0]!.heartbeats).toHaveLength(before + 1);
    await sources[0]!.answer();
    expect(await first).toBe(true);
    await immediate();
    const second = hub.settled();
    expect(sources[0]!.heartbeats).toHaveLength(before + 2);
    sources[0]!.heartbeats.at(-1)!.reject(new Error("Socket closed unexpectedly"));
    expect(await second).toBe(false);
  });
});
