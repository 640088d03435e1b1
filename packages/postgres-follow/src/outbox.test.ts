import { InvalidArgumentError } from "@hotset/core";
import { gate, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { Outbox, type Followed } from "./outbox.ts";

interface Sent {
  readonly tags: readonly string[];
  readonly keys: readonly string[];
}

const ofTags = (...tags: readonly string[]) => ({ tags, keys: [], clear: false });

function setUp(answers: (() => Promise<boolean>)[] = [], visible: boolean[] = [], settleMs = 0) {
  const sent: (Sent | "clear")[] = [];
  const warnings: string[] = [];
  const clock = new TestClock();
  const isAcknowledged = async (): Promise<boolean> => (answers.shift() ?? (async () => true))();
  const cache: Followed = {
    invalidateTags: async (...given) => {
      sent.push({ tags: given.flat(), keys: [] });
      return { status: (await isAcknowledged()) ? "done" : "pending" };
    },
    deleteMany: async (keys) => {
      sent.push({ tags: [], keys });
      return { deleted: 0, missing: 0, pending: (await isAcknowledged()) ? 0 : 1 };
    },
    clear: async () => {
      sent.push("clear");
      return { status: (await isAcknowledged()) ? "done" : "pending" };
    },
  };
  const outbox = new Outbox({
    cache,
    clock,
    settleMs,
    warn: (_kind, text) => warnings.push(text),
    isVisible: async () => visible.shift() ?? true,
  });
  return { outbox, sent, clock, warnings };
}

const isDone = async (promise: Promise<void>): Promise<boolean> => {
  await new Promise(setImmediate);
  return Promise.race([promise.then(() => true), Promise.resolve().then(() => false)]);
};

describe("Outbox", () => {
  it("C647: sends what is added in one turn as one call, and what comes during it as the next", async () => {
    const held = gate();
    const { outbox, sent } = setUp([() => held.pass().then(() => true)]);
    outbox.add(ofTags("a", "b"));
    outbox.add(ofTags("b", "c"));
    const first = outbox.flush();
    await held.arrived();
    for (let i = 0; i < 100; i += 1) {
      outbox.add({ tags: [`t${i % 3}`], keys: [`k${i % 2}`], clear: false });
      void outbox.flush();
    }
    const second = outbox.flush();
    expect(await isDone(first)).toBe(false);
    held.open();
    await second;
    expect(sent).toEqual([
      { tags: ["a", "b", "c"], keys: [] },
      { tags: ["t0", "t1", "t2"], keys: [] },
      { tags: [], keys: ["k0", "k1"] },
    ]);
  });

  it("C642: is settled once the invalidation is acknowledged, in the order of batches", async () => {
    const { outbox, sent, clock } = setUp([async () => false, async () => false]);
    outbox.add(ofTags("a"));
    const first = outbox.flush();
    expect(await isDone(first)).toBe(false);
    clock.advance(10);
    expect(await isDone(first)).toBe(false);
    clock.advance(40);
    expect(await isDone(first)).toBe(true);
    expect(sent).toHaveLength(3);
    // With nothing to send it is what was sent before.
    expect(await isDone(outbox.flush())).toBe(true);
  });

  it("C643: invalidates again once the transaction is visible, and again after settleMs", async () => {
    const { outbox, sent, clock } = setUp([], [false, false, true], 1_000);
    outbox.add(ofTags("a"), 7);
    const settled = outbox.flush();
    await isDone(settled);
    expect(sent).toHaveLength(1);
    clock.advance(10);
    await isDone(settled);
    expect(sent).toHaveLength(1);
    clock.advance(40);
    await isDone(settled);
    expect(sent).toHaveLength(2);
    clock.advance(999);
    expect(await isDone(settled)).toBe(false);
    clock.advance(1);
    expect(await isDone(settled)).toBe(true);
    expect(sent).toHaveLength(3);
  });

  it("C644: clears for a key that the cache refuses, so that it holds up no other", async () => {
    const refused = async (): Promise<boolean> => {
      throw new InvalidArgumentError("a bad key");
    };
    const { outbox, sent, clock, warnings } = setUp([refused]);
    outbox.add({ tags: [], keys: ["k"], clear: false });
    const settled = outbox.flush();
    await isDone(settled);
    clock.advance(10);
    expect(await isDone(settled)).toBe(true);
    expect(sent).toEqual([{ tags: [], keys: ["k"] }, "clear"]);
    expect(warnings).toEqual(["an invalidation failed, and is made again: InvalidArgumentError: a bad key"]);
  });

  it("C642: what was not acknowledged when it is closed is never settled", async () => {
    const { outbox, sent, clock } = setUp([async () => false]);
    outbox.add(ofTags("a"));
    const settled = outbox.flush();
    await isDone(settled);
    outbox.close();
    clock.advance(60_000);
    expect(await isDone(settled)).toBe(false);
    expect(sent).toHaveLength(1);
  });
});
