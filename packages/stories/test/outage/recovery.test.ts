/**
 * Invalidations that could not be sent at once, and those that are issued again: interleavings are forced, time is
 * moved by hand. Counter-examples: docs/reference/counter-examples.md.
 */
import { type Cache } from "@hotset/core";
import { flush, gate, outcome } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { inStep, type SimulatedProcess } from "../support/processes.ts";
import { counted } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const DOWN = new Error("db down");
const K = "test::k";
const answered = <T>(value: T) => ({ status: "fulfilled", value }) as const;

const invalidations = {
  delete: ({ cache }: SimulatedProcess) => cache.delete("k"),
  set: ({ cache }: SimulatedProcess) => cache.set("k", "new", { tags: ["t"] }),
  markStale: ({ cache }: SimulatedProcess) => cache.markStale("k"),
  invalidateTags: ({ cache }: SimulatedProcess) => cache.invalidateTags("t"),
  clear: ({ cache }: SimulatedProcess) => cache.clear(),
};
const names = Object.keys(invalidations) as (keyof typeof invalidations)[];

/** The backend and the link of one process are unreachable. */
function away({ backend, link }: SimulatedProcess): void {
  link.lose({ attach: "hangs" });
  backend.down();
}
/** Delivered at once; no time has to pass. */
async function back({ backend, link }: SimulatedProcess): Promise<void> {
  backend.up();
  link.heal();
  await flush();
}

describe("C93 an invalidation while the backend is unreachable", () => {
  it.for(names)(
    "is reported as pending, holds here, and for all processes once it is replayed, right after the link is back: %s",
    async (name) => {
      const { p1, p2, store } = await inStep();
      await p1.cache.set("k", "old", { tags: ["t"] });
      expect(await p2.cache.get("k")).toBe("old");
      away(p1);
      const recovered = watch(p1.cache, "recover");
      expect(await invalidations[name](p1)).toEqual({ status: "pending" });
      const here = name === "set" ? "new" : undefined;
      expect([p1.cache.peek("k"), await p1.cache.get("k"), p2.cache.peek("k"), p1.cache.stats().pending]).toEqual([
        undefined,
        here,
        "old",
        1,
      ]);
      await back(p1);
      expect([p1.cache.stats().pending, p2.cache.peek("k"), await p2.cache.get("k"), await p1.cache.get("k")]).toEqual([
        0,
        undefined,
        undefined,
        undefined,
      ]);
      expect(recovered.map(([, { replayed, overflowed }]) => [replayed, overflowed])).toEqual([[1, false]]);
      if (name !== "invalidateTags" && name !== "clear") expect(store.keys()).not.toContain(K);
    },
  );

  it("makes every read of its key wait for the replay: an older command may arrive late (counter-example 11)", async () => {
    const { p1, clock, store } = await inStep();
    const arriving = gate();
    p1.backend.script("write", { before: arriving });
    const setting = p1.cache.set("k", "v1");
    await arriving.arrived();
    clock.advance(1_000);
    expect(await setting).toEqual({ status: "pending" });
    p1.backend.script("remove", { fail: true });
    expect(await p1.cache.delete("k")).toEqual({ status: "pending" });
    arriving.open();
    await flush();
    // The backend has it now; no read here may find it.
    expect(store.keys()).toContain(K);
    const replaying = gate();
    p1.backend.script("remove", { before: replaying });
    p1.backend.forgetCalls();
    const reads = [
      p1.cache.get("k"),
      p1.cache.getMany(["k"]).then((found) => found.get("k")),
      p1.cache.inspect("k"),
      p1.cache.getOrSet("k", ({ noStore }) => noStore("loaded")),
    ];
    await replaying.arrived();
    await flush();
    expect(p1.backend.count("read")).toBe(0);
    replaying.open();
    expect(await Promise.all(reads)).toEqual([undefined, undefined, undefined, "loaded"]);
    expect(p1.backend.count("remove")).toBe(1);
  });

  it("fences calls under way when its replay is acknowledged: a set of that time leaves no copy that the backend lacks (counter-example 15)", async () => {
    const { p1, clock } = await inStep({ backend: { echoes: false } });
    p1.backend.script("remove", { fail: true });
    expect(await p1.cache.delete("k")).toEqual({ status: "pending" });
    const [replaying, writing] = [gate(), gate()];
    p1.backend.script("remove", { before: replaying });
    p1.backend.script("write", { after: writing });
    clock.advance(1_000);
    await replaying.arrived();
    const setting = p1.cache.set("k", "new");
    await writing.arrived();
    replaying.open();
    await flush();
    writing.open();
    await setting;
    await flush();
    expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual([undefined, undefined]);
  });
});

describe("C94 a set while the backend is unreachable", () => {
  it("is the answer of this process meanwhile; the older value is never served here again, or anywhere after the replay", async () => {
    const { p1, p2, clock } = await inStep();
    await p1.cache.set("k", "old");
    expect(await p2.cache.get("k")).toBe("old");
    away(p1);
    expect(await p1.cache.set("k", "new")).toEqual({ status: "pending" });
    expect(await p1.cache.get("k")).toBe("new");
    void back(p1);
    for (let i = 0; i < 5; i += 1) {
      expect(["new", undefined]).toContain(await p1.cache.get("k"));
      clock.advance(500);
      await flush();
    }
    expect([p1.cache.stats().pending, await p1.cache.get("k"), p2.cache.peek("k"), await p2.cache.get("k")]).toEqual([
      0,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("C95 is replayed as a removal: that may remove a value written since, but never brings the older one back (counter-example 12)", async () => {
    const { p1, p2, clock } = await inStep();
    away(p1);
    await p1.cache.set("k", "pending");
    void back(p1);
    p1.backend.forgetCalls();
    await p2.cache.delete("k");
    clock.advance(1_000);
    await flush();
    expect(p1.backend.calls.filter(({ keys }) => keys.includes(K)).map(({ operation }) => operation)).toEqual([
      "remove",
    ]);
    expect([await p1.cache.get("k"), await p2.cache.get("k")]).toEqual([undefined, undefined]);
  });

  it("C95 is not replayed once a newer write of this process was acknowledged", async () => {
    const { p1, p2, clock } = await inStep();
    p1.backend.script("write", { fail: true });
    expect(await p1.cache.set("k", "first")).toEqual({ status: "pending" });
    expect(await p1.cache.set("k", "second")).toMatchObject({ status: "stored" });
    clock.advance(10_000);
    await flush();
    expect([p1.backend.count("remove"), await p1.cache.get("k"), await p2.cache.get("k")]).toEqual([
      0,
      "second",
      "second",
    ]);
  });
});

describe("C93 after another server answers", () => {
  /** Deletes or replaces, and then the store is what it was before. */
  async function restored(
    name: keyof typeof invalidations,
    afterMs: number,
    options: Parameters<typeof inStep>[0] = {},
  ): Promise<{ p1: SimulatedProcess; p2: SimulatedProcess; clock: Awaited<ReturnType<typeof inStep>>["clock"] }> {
    const { p1, p2, clock, store } = await inStep(options);
    await p2.cache.set("k", "old", { tags: ["t"] });
    const restore = store.snapshot();
    await invalidations[name](p1);
    clock.advance(afterMs);
    await flush();
    for (const { link } of [p1, p2]) link.lose({ attach: "hangs" });
    restore();
    // The other process remembers its own set; it is not notified.
    p1.link.replaced();
    for (const { link } of [p1, p2]) link.heal();
    await flush();
    return { p1, p2, clock };
  }

  it.for(names)("this process issues its invalidations of the last 30 seconds again: %s", async (name) => {
    const { p1, p2 } = await restored(name, 30_000);
    expect([await p1.cache.get("k"), await p2.cache.get("k"), p1.cache.stats().pending]).toEqual([
      undefined,
      undefined,
      0,
    ]);
  });

  it("a markStale that met the other server before it was known brings back nothing that was deleted", async () => {
    const { p1, store } = await inStep({ staleWhileRevalidate: "1m" });
    await p1.cache.set("k", "old");
    const restore = store.snapshot();
    await p1.cache.deleteMany(["first", "k"]);
    restore();
    const replayed = gate();
    const acknowledged = gate();
    // It is issued again alone, and the others after it.
    p1.backend.script("remove", { key: "test::first", before: replayed });
    p1.backend.script("markStale", { after: acknowledged });
    const marking = p1.cache.markStale("k");
    await flush();
    p1.link.replaced();
    await flush();
    expect(p1.cache.stats().pending).toBe(2);
    acknowledged.open();
    // Perhaps that of the former server.
    expect(await marking).toEqual({ status: "pending" });
    const loading = p1.cache.getOrSet("k", () => "new");
    replayed.open();
    expect(await loading).toBe("new");
    expect([await p1.cache.get("k"), p1.cache.stats().pending]).toEqual(["new", 0]);
  });

  it("all is issued before any read of it here", async () => {
    const { p1, store } = await inStep();
    await p1.cache.set("k", "old");
    const restore = store.snapshot();
    await p1.cache.delete("k");
    restore();
    const removing = gate();
    p1.backend.script("remove", { before: removing });
    p1.link.replaced();
    const call = p1.cache.getOrSet("k", () => "loaded");
    const read = p1.cache.get("k");
    await flush();
    p1.backend.forgetCalls();
    removing.open();
    expect([await call, ["loaded", undefined].includes((await read) as undefined)]).toEqual(["loaded", true]);
  });

  const calls = {
    "a load": ({ cache }: SimulatedProcess) => cache.getOrSet("k", () => "loaded"),
    "a current load": ({ cache }: SimulatedProcess) => cache.getOrSet("k", () => "loaded", { current: true }),
    "a read": ({ cache }: SimulatedProcess) => cache.get("k"),
    "a read of many keys": async ({ cache }: SimulatedProcess) => (await cache.getMany(["k"])).get("k"),
  };

  it.for(
    (Object.keys(calls) as (keyof typeof calls)[]).flatMap((name) =>
      (["delete", "invalidateTags"] as const).flatMap((before) =>
        (["the replay", "a newer delete"] as const).map((then) => [name, before, then] as const),
      ),
    ),
  )(
    "what it had answered before is not served here: %s, after %s, answered only after %s",
    async ([name, before, then]) => {
      const { p1, p2, store } = await inStep();
      await p2.cache.set("k", "old", { tags: ["t"] });
      const restore = store.snapshot();
      // It is issued again alone, and the others after it.
      await p1.cache.delete("first");
      await invalidations[before](p1);
      await p1.cache.delete("other");
      restore();
      const [judged, replayed] = [gate(), gate()];
      p1.backend.script(name === "a current load" ? "leases.acquire" : "read", { after: judged });
      const answer = calls[name](p1);
      await judged.arrived();
      p1.backend.script("remove", { key: "test::first", before: replayed });
      p1.link.replaced();
      await flush();
      if (then === "a newer delete") expect(await p1.cache.delete("k")).toMatchObject({ status: "deleted" });
      replayed.open();
      await flush();
      expect(p1.cache.stats().pending).toBe(0);
      judged.open();
      expect(await answer).toBe(name.endsWith("load") ? "loaded" : undefined);
    },
  );
});

it("C57 a link that is lost while a call waits: for another process makes it ask the backend, and load here without an answer", async () => {
  const { p1, p2 } = await inStep();
  void p1.cache.getOrSet("k", () => new Promise<string>(() => undefined));
  await flush();
  const waiting = p2.cache.getOrSet("k", () => "loaded here");
  await flush();
  away(p2);
  expect(await outcome(waiting)).toEqual(answered("loaded here"));
  expect(p2.cache.peek("k")).toBe(undefined);
});

it("C26 a value that a replay removes is not a fallback for an error in any process", async () => {
  const { p1, p2 } = await inStep({ ttl: 100, staleIfError: "1h" });
  await p1.cache.set("k", "old");
  expect(await p2.cache.get("k")).toBe("old");
  away(p1);
  await p1.cache.delete("k");
  const load = (cache: Cache): Promise<string> => cache.getOrSet("k", () => Promise.reject(DOWN));
  await expect(load(p1.cache)).rejects.toBe(DOWN);
  await back(p1);
  await expect(load(p2.cache)).rejects.toBe(DOWN);
});

it("C93 keys are replayed also where versions of tags may not be renewed", async () => {
  const { p1, clock } = await inStep();
  await p1.cache.set("k", "old");
  p1.backend.script("tags.renew", { fail: new Error("NOPERM"), times: Infinity });
  p1.backend.script("remove", { fail: true });
  expect([await p1.cache.invalidateTags("t"), await p1.cache.delete("k")]).toEqual([
    { status: "pending" },
    { status: "pending" },
  ]);
  clock.advance("1s");
  await flush();
  expect([p1.backend.store.keys(), p1.cache.stats().pending]).toEqual([[], 1]);
  expect(await p1.cache.getOrSet("k", () => "new")).toBe("new");
  expect(p1.backend.store.keys()).toEqual([K]);
});

it("a backend that refuses invalidations is asked once in a while, and not with each read that they cover", async () => {
  const { p1, clock } = await inStep();
  const refusal = new Error("NOREPLICAS Not enough good replicas to write.");
  const takeBack = p1.backend.script("remove", { fail: refusal, times: Infinity });
  const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
  await p1.cache.deleteMany(keys);
  const errors = watch(p1.cache, "backend:error");
  p1.backend.forgetCalls();
  for (let i = 0; i < 200; i += 1) {
    expect(await p1.cache.get(keys[i % 100]!)).toBe(undefined);
    clock.advance(50);
    await flush();
  }
  // In 10 s: at once, then after 1, 2, 4 and 5 s at the latest.
  expect([p1.backend.count("remove"), errors.length]).toEqual([4, 4]);
  // A new connection is a reason to try at once.
  takeBack();
  p1.link.lose({ attach: "hangs" });
  p1.link.heal();
  await flush(20);
  expect(p1.cache.stats().pending).toBe(0);
});

describe.each(names)("while the backend refuses %s of this process and answers its reads", (own) => {
  const refusal = new Error("NOPERM this user has no permissions to run the command");
  const refusing = async () => {
    const { p1, p2, clock } = await inStep();
    await p2.cache.set("k", "old", { tags: ["t"] });
    const writes = [
      "write",
      "remove",
      "markStale",
      "leases.acquire",
      "leases.store",
      "tags.pin",
      "tags.renew",
    ] as const;
    const allow = writes.map((each) => p1.backend.script(each, { fail: refusal, times: Infinity }));
    expect(await invalidations[own](p1)).toEqual({ status: "pending" });
    return { p1, p2, clock, allow: () => allow.forEach((each) => each()) };
  };

  it.for(names)("its copy ends with %s elsewhere, and what is there stays hidden", async (change) => {
    const { p1, p2 } = await refusing();
    const source = counted("first", "second");
    const load = async (): Promise<unknown> => p1.cache.getOrSet("k", source.load, { tags: ["t"] });
    const first = own === "set" ? "new" : "first";
    expect([await load(), await load(), p1.cache.peek("k")]).toEqual([first, first, first]);
    await invalidations[change](p2);
    await flush();
    expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual([undefined, undefined]);
    const next = own === "set" ? "first" : "second";
    expect([await load(), await load(), p1.cache.stats().pending]).toEqual([next, next, 1]);
  });

  it("a touch that is taken sends it again, long before its turn", async () => {
    const { p1, p2, clock, allow } = await refusing();
    await p2.cache.set("other", 1);
    clock.advance("1s");
    await flush();
    clock.advance(150);
    allow();
    const touch = async (): Promise<string> => (await p1.cache.touch("other")).status;
    // While the removal of everything is pending, nothing is there to be touched.
    const write = own === "clear" ? async () => (await p1.cache.set("other", 2)).status : touch;
    const taken = own === "clear" ? "stored" : "touched";
    expect(await write()).toBe(taken);
    await flush();
    expect(p1.cache.stats().pending).toBe(1);
    clock.advance(50);
    expect(await write()).toBe(taken);
    await flush();
    expect([p1.cache.stats().pending, await p2.cache.get("k")]).toEqual([0, undefined]);
  });
});

it("a copy of a refused set is not trusted where its key changed before it was watched", async () => {
  const { p1, p2 } = await inStep();
  p1.backend.script("write", { fail: new Error("NOPERM"), times: Infinity });
  p1.backend.script("remove", { fail: new Error("NOPERM"), times: Infinity });
  const watching = gate();
  p1.backend.script("read", { after: watching });
  const set = p1.cache.set("k", "mine");
  await watching.arrived();
  await p2.cache.set("k", "later");
  await flush();
  watching.open();
  expect([await set, p1.cache.peek("k")]).toEqual([{ status: "pending" }, undefined]);
});

it.for(["delete", "clear", "invalidateTags"] as const)(
  "C93 a load that waited for the replay of %s is stored: its acknowledgement does not fence it",
  async (name) => {
    const { p1, clock } = await inStep();
    await p1.cache.set("k", "old", { tags: ["t"] });
    p1.backend.script(name === "delete" ? "remove" : "tags.renew", { fail: true });
    expect(await invalidations[name](p1)).toEqual({ status: "pending" });
    const fenced = watch(p1.cache, "fenced");
    const loads: string[] = [];
    const load = async (): Promise<unknown> =>
      p1.cache.getOrSet(
        "k",
        ({ reason }) => {
          loads.push(reason);
          return "new";
        },
        { tags: ["t"] },
      );
    clock.advance(500);
    expect([await load(), await load(), fenced]).toEqual(["new", "new", []]);
    expect([loads, p1.cache.stats().pending, p1.backend.store.keys().includes(K)]).toEqual([["miss"], 0, true]);
  },
);

describe.each(["delete", "clear", "invalidateTags"] as const)("%s that ends one that is pending", (name) => {
  it.for(Array.from({ length: 12 }, (_, turns) => turns))(
    "shows no older value to a read that was sent before: %i turns later",
    async (turns) => {
      const { p1, clock } = await inStep();
      const operation = name === "delete" ? "remove" : "tags.renew";
      await p1.cache.set("k", "old", { tags: ["t"] });
      const allow = p1.backend.script(operation, { fail: new Error("NOPERM"), times: Infinity });
      expect(await invalidations[name](p1)).toEqual({ status: "pending" });
      clock.advance("1s");
      await flush();
      allow();
      const [sending, reading] = [gate(), gate()];
      p1.backend.script(operation, { before: sending });
      p1.backend.script("read", { after: reading });
      const second = invalidations[name](p1);
      await sending.arrived();
      const found = Promise.all([p1.cache.get("k"), p1.cache.getOrSet("k", () => "new")]);
      await reading.arrived();
      sending.open();
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      reading.open();
      expect([await found, (await second).status]).toEqual([
        [undefined, "new"],
        name === "delete" ? "deleted" : "done",
      ]);
    },
  );
});
