import { AsyncLocalStorage } from "node:async_hooks";
import {
  createTestCache,
  flush,
  gate,
  outcome,
  scriptedBackend,
  TestClock,
  type ScriptedBackend,
} from "@hotset/testing";
import { describe, expect, it } from "vitest";
import type { Cache } from "../../src/cache/cache.ts";
import { OutsideValues } from "./outside-values.ts";

const STORED = { status: "stored" };
const REFUSED = { status: "refused" };
const nowhere = AsyncLocalStorage.snapshot();

function open(stack: "memory" | "backend" | "no leases" = "backend") {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: stack === "backend", tagVersions: true, coherence: "reported" });
  const of = (each: ScriptedBackend) => createTestCache({ clock, ttl: "1h", backend: stack !== "memory" && each });
  const [a, b] = [of(backend), of(backend.peer())];
  const values = new OutsideValues(a);
  /** As a framework that awaits before it calls its store: what follows has no context. */
  const lost = {
    get: (key: string) => nowhere(() => values.get(key)),
    set: (key: string, value: {}, options?: object) => nowhere(() => values.set(key, value, options)),
  };
  return { clock, backend, a, b, values, lost };
}

/** A caller that misses, and then computes for as long as the test says. */
function caller(get: () => Promise<unknown>, set: (value: string) => Promise<unknown>) {
  const leave = gate();
  let value = "";
  const done = (async () => {
    await get();
    await leave.pass();
    return set(value);
  })();
  return (given: string) => {
    value = given;
    leave.open();
    return done;
  };
}

describe("C586: values made outside a loader", () => {
  it("are refused if computed before a change by any process, and the next one is stored", async () => {
    const { a, b, values } = open();
    for (const by of [a, b]) {
      await values.get("k");
      await by.delete("k");
      expect(await values.set("k", "before")).toEqual(REFUSED);
      expect(await values.set("k", "after")).toEqual(STORED);
      await by.delete("k");
      await values.get("k");
      expect(await values.set("k", "again", { tags: ["t"] })).toEqual(STORED);
      await by.invalidateTags("t");
    }
  });

  it.each(["a", "b"] as const)("after 20 that failed and a change by %s, one fills the cache", async (by) => {
    for (const change of ["delete", "clear"] as const)
      for (const isLost of [false, true]) {
        const { values, lost, ...caches } = open();
        const { get, set } = isLost ? lost : values;
        for (let i = 0; i < 20; i += 1) await get.call(values, "k");
        await (change === "delete" ? caches[by].delete("k") : caches[by].clear());
        const found = [];
        for (let i = 0; i < 4; i += 1) {
          found.push(await get.call(values, "k"));
          if (found[i] === undefined) await set.call(values, "k", i);
        }
        // Without a context one value may be thrown away, since it may be of one of the 20.
        expect(found).toEqual(isLost ? [undefined, undefined, 1, 1] : [undefined, 0, 0, 0]);
      }
  });

  it("of a slow caller are refused, also after others were stored before the change", async () => {
    const { b, values } = open();
    const begin = () =>
      caller(
        () => values.get("k"),
        (value) => values.set("k", value),
      );
    const [slow, slower, fast] = [begin(), begin(), begin()];
    await flush();
    expect(await fast("of all three")).toEqual(STORED);
    expect(await nowhere(() => values.set("k", "written through"))).toEqual(STORED);
    await b.delete("k");
    await flush();
    const later = begin();
    await flush();
    expect(await slow("old")).toEqual(REFUSED);
    expect(await later("new")).toEqual(STORED);
    expect(await slower("old")).toEqual(REFUSED);
    expect(await b.get("k")).toBe("new");
  });

  it("without a context count as of the oldest caller that may come, each once, until the next miss; refused, they remove the key", async () => {
    const { b, lost } = open();
    for (let i = 0; i < 3; i += 1) await lost.get("k");
    expect(await lost.set("k", "v1")).toEqual(STORED);
    await b.set("k", "theirs");
    expect(await lost.set("k", "older or newer")).toEqual(REFUSED);
    expect(await b.get("k")).toBe(undefined);
    expect(await lost.get("k")).toBe(undefined);
    expect(await lost.set("k", "v3")).toEqual(STORED);
    await b.delete("k");
    await flush();
    expect(await lost.get("k")).toBe(undefined);
    expect(await lost.set("k", "v4")).toEqual(STORED);
  });

  it("without a context, several slow ones are refused beside one that began after the change", async () => {
    const { b, lost } = open();
    for (let i = 0; i < 2; i += 1) await lost.get("k");
    await b.delete("k");
    await flush();
    await lost.get("k");
    for (let i = 0; i < 2; i += 1) expect(await lost.set("k", "old")).toEqual(REFUSED);
    expect(await lost.set("k", "new")).toEqual(STORED);
  });

  it("without a context, a cycle of miss, set and change loses none", async () => {
    const { a, b, lost } = open();
    for (const by of [a, b, a, b]) {
      expect(await lost.get("k")).toBe(undefined);
      expect(await lost.set("k", 1)).toEqual(STORED);
      await by.delete("k");
      await flush();
    }
  });

  it("that a caller sets again replace its first one, as of that set", async () => {
    const { a, b, values, backend } = open();
    await values.get("k");
    expect(await values.set("k", 1)).toEqual(STORED);
    backend.forgetCalls();
    expect(await values.set("k", 2)).toEqual(STORED);
    expect([backend.count("write"), backend.count("leases.store")]).toEqual([1, 0]);
    for (const by of [a, b]) {
      await by.delete("k");
      expect(await values.set("k", 3)).toEqual(STORED);
    }
  });

  it("of a key that was read again and found may be newer than that, so neither stays", async () => {
    for (const by of ["a", "b"] as const) {
      const { values, ...caches } = open();
      expect(await values.get("k")).toBe(undefined);
      await caches[by].set("k", "theirs");
      expect(await values.get("k")).toBe("theirs");
      expect(await values.set("k", "written through, or computed since the miss")).toEqual(REFUSED);
      expect(await caches.b.get("k")).toBe(undefined);
    }
  });

  it("that fail, by what their framework says, count no more", async () => {
    const { b, values, lost } = open();
    const makings = [];
    for (let i = 0; i < 3; i += 1) {
      makings.push(values.enter("k"));
      await values.begin(makings[i]!);
    }
    for (const making of makings) values.end(making);
    await b.delete("k");
    expect(await lost.set("k", "new")).toEqual(STORED);
  });

  it("that are sent while another one is sent: the last one wins, and each caller has its result", async () => {
    const { a, b, backend, values } = open();
    const callers = Array.from({ length: 9 }, () =>
      caller(
        () => values.get("k"),
        (value) => values.set("k", value),
      ),
    );
    await flush();
    const stored = gate();
    backend.script("leases.store", { before: stored });
    const sets = callers.map((set, i) => set(`${i}`));
    await flush();
    stored.open();
    expect(await Promise.all(sets)).toEqual(Array.from({ length: 9 }, () => STORED));
    expect([await a.get("k"), await b.get("k")]).toEqual(["8", "8"]);
  });

  it("stay apart for callers at once, and for several keys of one caller", async () => {
    const { b, values } = open();
    const keys = ["1", "2", "3"];
    const load = async (key: string, change?: () => Promise<unknown>) => {
      expect(await values.get(key)).toBe(undefined);
      await change?.();
      return (await values.set(key, key)).status;
    };
    expect(await Promise.all([load("1"), load("2", () => b.delete("2")), load("3")])).toEqual([
      "stored",
      "refused",
      "stored",
    ]);
    await Promise.all(keys.map((key) => b.delete(key)));
    await flush();
    await Promise.all(keys.map((key) => values.get(key)));
    await b.delete("2");
    expect(await Promise.all(keys.map(async (key) => (await values.set(key, key)).status))).toEqual([
      "stored",
      "refused",
      "stored",
    ]);
  });

  it("of an owner are those that it has read", async () => {
    const { b, values } = open();
    const read = async (owner: object) => {
      const making = values.enter("k", owner);
      await values.begin(making);
      return making;
    };
    const before = await read({});
    await b.delete("k");
    await flush();
    const after = await read({});
    expect(await values.set("k", "old", undefined, values.of("k", before))).toEqual(REFUSED);
    expect(await values.set("k", "new", undefined, values.of("k", after))).toEqual(STORED);
  });

  it("wait no longer than 200 ms for a fence", async () => {
    const { b, backend, clock, values } = open();
    const answer = gate();
    backend.script("leases.confirm", { after: answer });
    const begun = values.begin(values.enter("k"));
    clock.advance(199);
    expect((await outcome(begun)).status).toBe("pending");
    clock.advance(1);
    expect((await outcome(begun)).status).toBe("fulfilled");
    const set = values.set("k", 1);
    answer.open();
    expect(await set).toEqual(STORED);
    expect(await b.get("k")).toBe(1);
  });

  it("are stored as of their set once they have taken five minutes; one context knows of the last 16, a process of 10,000 keys", async () => {
    const { a, clock, values, lost } = open("memory");
    await values.get("k");
    clock.advance(300_000);
    await a.delete("k");
    expect(await values.set("k", 1)).toEqual(STORED);
    for (let i = 0; i < 20_000; i += 1) await lost.get(`${i}`);
    await a.clear();
    expect(await lost.set("9990", 1)).toEqual(STORED);
    expect(await lost.set("10010", 1)).toEqual(REFUSED);
  });

  it.each(["memory", "no leases"] as const)("over %s, obey what this process changes", async (stack) => {
    const changes: ((cache: Cache) => Promise<unknown>)[] = [
      (cache) => cache.delete("k"),
      (cache) => cache.set("k", "theirs"),
      (cache) => cache.markStale("k"),
      (cache) => cache.invalidateTags("t"),
      (cache) => cache.clear(),
    ];
    for (const change of changes) {
      const { a, values } = open(stack);
      await values.get("k");
      await change(a);
      expect(await values.set("k", "old", { tags: ["t"] })).toEqual(REFUSED);
    }
  });
});
