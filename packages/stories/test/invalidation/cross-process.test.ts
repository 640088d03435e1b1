/**
 * How changes of one process reach the others. The tests force the interleavings and move the clock. The
 * counter-examples are in docs/reference/counter-examples.md.
 */
import { flush, gate, outcome } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { gatedLoads, holding, inStep, keptOf, type SimulatedProcess } from "../support/processes.ts";
import { never } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const DOWN = new Error("db down");
const K = "test::k";
const answered = <T>(value: T) => ({ status: "fulfilled", value }) as const;

const changes = {
  set: ({ cache }: SimulatedProcess) => cache.set("k", "new"),
  delete: ({ cache }: SimulatedProcess) => cache.delete("k"),
  markStale: ({ cache }: SimulatedProcess) => cache.markStale("k"),
  invalidateTags: ({ cache }: SimulatedProcess) => cache.invalidateTags("t"),
  markTagsStale: ({ cache }: SimulatedProcess) => cache.markTagsStale("t"),
  clear: ({ cache }: SimulatedProcess) => cache.clear(),
};
const names = Object.keys(changes) as (keyof typeof changes)[];
const after = (name: keyof typeof changes): string | undefined => (name === "set" ? "new" : undefined);

describe("C81 another process sees a change as soon as its message arrives", () => {
  it.for(names)("made by %s", async (name) => {
    const { p1, p2 } = await inStep({ staleIfError: "1h" });
    await p1.cache.set("k", "old", { tags: ["t"] });
    expect([await p2.cache.get("k"), p2.cache.peek("k")]).toEqual(["old", "old"]);
    p2.link.hold();
    await changes[name](p1);
    expect(p2.cache.peek("k")).toBe("old");
    p2.link.deliver(1);
    expect(p2.cache.peek("k")).toBe(undefined);
    expect(await p2.cache.get("k")).toBe(after(name));
    // A process's own copies are never outdated.
    expect(await p1.cache.get("k")).toBe(after(name));
  });

  const reads = {
    get: ({ cache }: SimulatedProcess) => cache.get("k"),
    getOrSet: ({ cache }: SimulatedProcess) => cache.getOrSet("k", ({ noStore }) => noStore(undefined)),
    getMany: async ({ cache }: SimulatedProcess) => (await cache.getMany(["k"])).get("k"),
  };
  const overtaken = names.flatMap((name) =>
    (Object.keys(reads) as (keyof typeof reads)[]).flatMap((read) =>
      (["read", "tags.read"] as const).map((late) => [name, read, late] as const),
    ),
  );

  it.for(overtaken)(
    "made by %s, when the answer to a concurrent %s (its %s) is handled after the message (C61, counter-example 1)",
    async ([name, read, late]) => {
      const { p1, start } = await inStep({ backend: { batch: false } });
      await p1.cache.set("k", "old", { tags: ["t"] });
      const p2 = start();
      await p2.cache.connect();
      const answering = gate();
      p2.backend.script(late, { after: answering });
      const reading = reads[read](p2);
      await answering.arrived();
      await flush();
      await changes[name](p1);
      answering.open();
      expect(["old", after(name)]).toContain(await reading);
      expect([undefined, after(name)]).toContain(p2.cache.peek("k"));
      expect(await p2.cache.get("k")).toBe(after(name));
    },
  );

  it("made by each of three processes in turn", async () => {
    const { all } = await inStep({}, 3);
    for (const [i, writer] of all.entries()) {
      await writer.cache.set("k", i);
      expect(await Promise.all(all.map(({ cache }) => cache.get("k")))).toEqual([i, i, i]);
      expect(all.map(({ cache }) => cache.peek("k"))).toEqual([i, i, i]);
    }
  });

  it("made by a program without the library, or by expiry", async () => {
    const { p1, store } = await inStep();
    await p1.cache.set("k", "old");
    store.set(K, { data: Buffer.from('"foreign"'), meta: "", staleInMs: 1_000, expiresInMs: 1_000 });
    expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual([undefined, "foreign"]);
    expect(store.delete(K)).toBe(true);
    expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual([undefined, undefined]);
    await p1.cache.set("k", "again");
    store.clear();
    expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual([undefined, undefined]);
  });

  it("with an invalidate event of origin elsewhere that names the namespace and the key", async () => {
    const { p1, p2 } = await inStep();
    const users = p2.cache.namespace("a:b").namespace("c");
    await users.set("k", 1);
    const seen = watch(p2.cache, "invalidate");
    await p1.cache.namespace("a:b").namespace("c").delete("k");
    await p1.cache.delete("absent");
    expect(seen.map(([, event]) => event)).toEqual([
      { cache: "test", namespace: ["a:b", "c"], scope: "key", mode: "remove", origin: "elsewhere", key: "k" },
    ]);
  });
});

describe("C61 a load during which another process changes the key", () => {
  it.for(names)("by %s returns its value to its callers, and stores it nowhere", async (name) => {
    const { p1, p2, store, loads, first: loading } = await holding({}, { tags: ["t"] });
    await changes[name](p2);
    loads.runs[0]!.open("old");
    expect(await loading).toBe("old");
    await flush();
    expect(await keptOf(p1, p2)).toEqual([undefined, after(name), after(name)]);
    expect(store.leaseHolder(K)).toBe(undefined);
    expect(await p1.cache.getOrSet("k", () => "reloaded", { tags: ["t"] })).toBe(after(name) ?? "reloaded");
    await flush(); // Its own change message left the copy unconfirmed; no caller waits for the confirmation.
    expect([p1.cache.peek("k"), await p2.cache.get("k")]).toEqual([
      after(name) ?? "reloaded",
      after(name) ?? "reloaded",
    ]);
  });

  it.for(names)(
    "by %s stores it nowhere, even when the change coincides with the store (counter-example 1)",
    async (name) => {
      const { p1, p2 } = await inStep();
      const storing = gate();
      p1.backend.script("leases.store", { after: storing });
      const loading = p1.cache.getOrSet("k", () => "old", { tags: ["t"] });
      await storing.arrived();
      await changes[name](p2);
      storing.open();
      expect(await loading).toBe("old");
      await flush();
      expect(p1.cache.peek("k")).toBe(undefined);
      expect([await p1.cache.get("k"), await p2.cache.get("k")]).toEqual([after(name), after(name)]);
    },
  );

  it.for(names)(
    "by %s is not joined by callers after the message, even if the key was absent (counter-examples 4 and 5)",
    async (name) => {
      const { p1, p2, loads, first: older } = await holding({}, { tags: ["t"] });
      p1.link.hold();
      const changing = changes[name](p2);
      await changing;
      // The message has not arrived yet.
      const shared = p1.cache.getOrSet("k", never, { tags: ["t"] });
      p1.link.deliver();
      const newer = p1.cache.getOrSet("k", loads.load, { tags: ["t"] });
      await flush();
      loads.runs[0]!.open("old");
      expect([await older, await shared]).toEqual(["old", "old"]);
      await flush();
      for (const run of loads.runs.slice(1)) run.open("newer");
      expect(await outcome(newer)).toEqual(answered(after(name) ?? "newer"));
    },
  );

  it("by delete just after the load's lease ended is not stored (counter-example 4)", async () => {
    const { p1, p2, store, loads, first: older } = await holding();
    store.expireLease(K);
    await p2.cache.delete("k");
    const newer = p1.cache.getOrSet("k", loads.load);
    await loads.arrived(2);
    loads.runs[0]!.open("old");
    loads.runs[1]!.open("newer");
    expect([await older, await newer]).toEqual(["old", "newer"]);
    expect(await p2.cache.get("k")).toBe("newer");
  });

  it("by a program without the library is not stored: the entry differs from the one at the grant of its lease", async () => {
    const { p1, p2, store, clock } = await inStep({ ttl: 100, staleIfError: "1h" });
    await p1.cache.set("k", "old");
    clock.advance(100);
    const loads = gatedLoads<string>();
    const loading = p1.cache.getOrSet("k", loads.load);
    await loads.arrived(1);
    store.delete(K);
    loads.runs[0]!.open("loaded");
    expect(await loading).toBe("loaded");
    await flush();
    expect([store.keys().includes(K), p1.cache.peek("k"), await p2.cache.get("k")]).toEqual([
      false,
      undefined,
      undefined,
    ]);
  });
});

describe("concurrent writes of this process and of others", () => {
  it.for([true, false])(
    "C81 a set overtaken by another process's set keeps no local copy, with own changes reported: %s (counter-example 1)",
    async (echoes) => {
      const { p1, p2 } = await inStep({ backend: { echoes } });
      const writing = gate();
      p1.backend.script("write", { after: writing });
      const setting = p1.cache.set("k", "mine");
      await writing.arrived();
      await p2.cache.set("k", "theirs");
      writing.open();
      expect(await setting).toMatchObject({ status: "stored" });
      await flush();
      expect(await keptOf(p1, p2)).toEqual([undefined, "theirs", "theirs"]);
    },
  );

  it("C81 a read overtaken by a delete of its own process keeps no local copy, without a message about it (counter-example 2)", async () => {
    const { p1 } = await inStep({ backend: { echoes: false } });
    await p1.cache.set("k", "old");
    p1.link.everything();
    const removing = gate();
    p1.backend.script("remove", { before: removing });
    const deleting = p1.cache.delete("k");
    expect(await p1.cache.get("k")).toBe("old");
    removing.open();
    await deleting;
    expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual([undefined, undefined]);
  });

  it("C26 markStale keeps no local copy, since the message of a concurrent foreign write may be lost (counter-example 3)", async () => {
    const { p1, p2 } = await inStep({ ttl: "1h", staleIfError: "1h", backend: { echoes: false } });
    await p1.cache.set("k", "v0");
    expect(p1.cache.peek("k")).toBe("v0");
    // One message for both writes, attributed to the last writer, P1 itself.
    p1.link.hold();
    await p2.cache.set("k", "v1");
    await p1.cache.markStale("k");
    p1.link.drop();
    p1.link.deliver();
    expect(await p1.cache.getOrSet("k", () => Promise.reject(DOWN))).toBe("v1");
  });

  it.for([true, false])(
    "C64 writes of one process to one key are stored in the order of the calls, with own changes reported: %s (counter-example 16)",
    async (echoes) => {
      const { p1, p2 } = await inStep({ backend: { echoes } });
      const writing = gate();
      p1.backend.script("write", { before: writing });
      const calls = [
        p1.cache.set("k", 1),
        p1.cache.delete("k"),
        p1.cache.set("k", 2),
        p1.cache.markStale("k"),
        p1.cache.set("k", 3),
      ];
      await flush();
      expect(p1.backend.calls.filter(({ keys }) => keys.includes(K)).map(({ operation }) => operation)).toEqual([
        "write",
      ]);
      writing.open();
      await Promise.all(calls);
      expect([await p1.cache.get("k"), await p2.cache.get("k")]).toEqual([3, 3]);
    },
  );

  it("C82 a message about an own write costs no read: the copy is confirmed in the background and then served", async () => {
    const { p1 } = await inStep();
    expect(await p1.cache.set("k", "set")).toMatchObject({ status: "stored" });
    await flush();
    expect(p1.backend.count("leases.confirm", K)).toBe(1);
    expect(p1.cache.peek("k")).toBe("set");
    expect(await p1.cache.getOrSet("j", () => "loaded")).toBe("loaded");
    await flush();
    expect(p1.cache.peek("j")).toBe("loaded");
    p1.backend.forgetCalls();
    expect([await p1.cache.get("k"), await p1.cache.get("j")]).toEqual(["set", "loaded"]);
    expect(p1.backend.count()).toBe(0);
  });

  it("C82 without messages about own writes nothing is confirmed", async () => {
    const { p1 } = await inStep({ backend: { echoes: false } });
    await p1.cache.set("k", "set");
    await p1.cache.getOrSet("j", () => "loaded");
    expect([p1.backend.count("leases.confirm"), p1.cache.peek("k"), p1.cache.peek("j")]).toEqual([0, "set", "loaded"]);
  });

  it("C82 a copy is not served before it is confirmed, and only an unchanged entry is confirmed", async () => {
    const { p1, p2 } = await inStep();
    const confirming = gate();
    p1.backend.script("leases.confirm", { before: confirming });
    await p1.cache.set("k", "mine");
    await confirming.arrived();
    expect(p1.cache.peek("k")).toBe(undefined);
    p1.link.hold();
    await p2.cache.set("k", "theirs");
    confirming.open();
    await flush();
    expect(p1.cache.peek("k")).toBe(undefined);
    p1.link.deliver();
    await flush();
    expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual([undefined, "theirs"]);
  });

  it("C82 a copy is not confirmed after a foreign write whose message looked like an own one", async () => {
    const { p1, p2 } = await inStep();
    await p1.cache.set("warm", 1);
    const confirming = gate();
    p1.backend.script("leases.confirm", { before: confirming });
    await p1.cache.set("k", "mine");
    await confirming.arrived();
    p1.link.hold();
    await p2.cache.set("k", "theirs");
    p1.link.drop();
    p1.link.deliver();
    confirming.open();
    await flush();
    expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual([undefined, "theirs"]);
  });

  it("C82 a copy is not confirmed by an answer from before the link was lost", async () => {
    const { p1, p2 } = await inStep();
    await p1.cache.set("warm", 1);
    const confirming = gate();
    p1.backend.script("leases.confirm", { after: confirming });
    await p1.cache.set("k", "mine");
    await confirming.arrived();
    p1.link.lose({ attach: "hangs" });
    await p2.cache.set("k", "theirs");
    p1.link.heal();
    await flush();
    expect(p1.link.attached).toBe(1);
    // Tag versions are known again.
    expect(await p1.cache.get("warm")).toBe(1);
    confirming.open();
    await flush();
    expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual([undefined, "theirs"]);
  });

  it("C83 a foreign write whose message looks like an own one is not ignored", async () => {
    const { p1, p2 } = await inStep();
    const writing = gate();
    p1.backend.script("write", { after: writing });
    const setting = p1.cache.set("k", "mine");
    await writing.arrived();
    // One message arrives before the own write is acknowledged and one with it: neither is skipped.
    p1.link.hold();
    await p2.cache.set("k", "theirs");
    writing.open();
    await setting;
    p1.link.deliver();
    await flush();
    expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual([undefined, "theirs"]);
  });
});

it.for(names)("C85 a message that arrives late: causes at most a miss: %s", async (name) => {
  const { p1, p2 } = await inStep();
  await p1.cache.set("k", "old", { tags: ["t"] });
  p2.link.hold();
  await changes[name](p1);
  await p1.cache.set("k", "newest", { tags: ["t"] });
  expect([await p2.cache.get("k"), p2.cache.peek("k")]).toEqual(["newest", "newest"]);
  p2.link.deliver();
  expect(await p2.cache.get("k")).toBe("newest");
  expect(p2.cache.peek("k")).toBe("newest");
});

it("C89 a burst of messages: for keys without a local copy causes no reads", async () => {
  const { p1, p2 } = await inStep();
  await p2.cache.set("kept", 1);
  await flush();
  p2.backend.forgetCalls();
  for (let i = 0; i < 1_000; i += 1) {
    await p1.cache.set(`k${i}`, i);
    if (i % 10 === 0) await p1.cache.invalidateTags(`t${i}`);
  }
  await flush();
  expect([p2.backend.count(), p2.cache.peek("kept")]).toEqual([0, 1]);
});

it("C26 in all processes: delete removes the fallback for a failed load, and markStale keeps it", async () => {
  const { all } = await inStep({ ttl: 100, staleIfError: "1h", errorBackoff: 0 }, 3);
  const [p1] = all;
  const fail = (): Promise<string> => Promise.reject(DOWN);
  const everywhere = (): Promise<unknown[]> => Promise.all(all.map(({ cache }) => outcome(cache.getOrSet("k", fail))));
  await p1.cache.set("k", "old");
  for (const { cache } of all) expect(await cache.get("k")).toBe("old");
  await p1.cache.markStale("k");
  expect(await everywhere()).toEqual([answered("old"), answered("old"), answered("old")]);
  await p1.cache.delete("k");
  expect(await everywhere()).toEqual([
    { status: "rejected", reason: DOWN },
    { status: "rejected", reason: DOWN },
    { status: "rejected", reason: DOWN },
  ]);
});

it.for(names)("C41 a background refresh: is dropped when another process changes the key by %s", async (name) => {
  const { p1, p2, clock } = await inStep({ ttl: 100, staleWhileRevalidate: "1h" });
  await p1.cache.set("k", "old", { tags: ["t"] });
  clock.advance(100);
  const loads = gatedLoads<string>();
  expect(await p1.cache.getOrSet("k", loads.load, { tags: ["t"] })).toBe("old");
  await loads.arrived(1);
  await changes[name](p2);
  loads.runs[0]!.open("refreshed");
  await p1.cache.drain();
  expect(await keptOf(p1, p2)).toEqual([undefined, after(name), after(name)]);
});
