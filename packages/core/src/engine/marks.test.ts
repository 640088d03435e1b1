import { createTestCache, flush, gate, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import type { Cache } from "../cache/cache.ts";
import { BackendUnavailableError } from "../contracts/errors.ts";
import type { Served } from "../entry/policy.ts";
import type { Duration } from "../primitives/duration.ts";

type Stack = "memory" | "backend" | "memory over backend";
const STACKS: readonly Stack[] = ["memory", "backend", "memory over backend"];

/** Two processes; over memory alone it is one. */
function open(stack: Stack, leases = true) {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases, tagVersions: true, coherence: "reported" });
  const peer = backend.peer();
  const of = (each: ScriptedBackend): Cache =>
    createTestCache({
      clock,
      ttl: "1h",
      staleWhileRevalidate: "1h",
      local: stack !== "backend",
      backend: stack !== "memory" && each,
    });
  const a = of(backend);
  return { clock, backend, peer, a, b: stack === "memory" ? a : of(peer) };
}

async function served(cache: Cache, key: string): Promise<Served> {
  let found: Served | undefined;
  await cache.get(key, { allowStale: true, onServed: (each) => (found = each) });
  return found!;
}

/** The status and the life that is left. */
async function left(cache: Cache, key: string): Promise<unknown> {
  const { status, expiresInMs } = await served(cache, key);
  return status === "miss" ? status : [status, expiresInMs];
}

describe.each(STACKS)("C597: why get finds a stale value, over %s", (stack) => {
  it("is its age, or a mark of the key, a tag or the namespace, by any process", async () => {
    const { clock, a, b } = open(stack);
    const marks = {
      key: () => b.markStale("key"),
      tag: () => b.markTagsStale("t"),
      clear: () => b.clear({ stale: true }),
    };
    for (const [key, mark] of Object.entries(marks)) {
      await a.set(key, 1, { tags: ["t"] });
      expect(await served(b, key)).not.toHaveProperty("cause");
      await mark();
      await flush();
      for (const cache of [a, b])
        expect(await served(cache, key), key).toMatchObject({ status: "stale", cause: "marked" });
    }
    const events: unknown[] = [];
    a.on("stale", ({ cause }) => events.push(cause));
    await a.set("k", 1, { ttl: "1s" });
    clock.advance("1s");
    for (const cache of [a, b]) expect(await served(cache, "k")).toMatchObject({ status: "stale", cause: "age" });
    expect(events).toEqual(stack === "memory" ? ["age", "age"] : ["age"]);
    await a.set("k", 2);
    expect(await served(a, "k")).toMatchObject({ status: "hit" });
  });
});

describe.each(STACKS)("C599: a mark of tags with an end, over %s", (stack) => {
  it("leaves its entries stale until then, in every process, and no later ones", async () => {
    const { clock, a, b } = open(stack);
    await a.set("k", "old", { tags: ["t", "u"] });
    await a.set("other", 1, { tags: ["u"] });
    expect(await b.get("k")).toBe("old");
    expect(await b.markTagsStale(["t"], { expireIn: "1m" })).toEqual({ status: "done" });
    await flush();
    for (const cache of [a, b]) expect(await left(cache, "k")).toEqual(["stale", 60_000]);
    await a.set("new", 1, { tags: ["t"] });
    clock.advance(59_999);
    for (const cache of [a, b]) expect(await left(cache, "k")).toEqual(["stale", 1]);
    clock.advance(1);
    for (const cache of [a, b]) {
      expect(await left(cache, "k")).toBe("miss");
      expect([await cache.get("new"), await cache.get("other")]).toEqual([1, 1]);
    }
    const down = new Error("db down");
    await expect(a.getOrSet("k", () => Promise.reject(down), { staleIfError: "1h" })).rejects.toBe(down);
  });

  it("the earliest end that has not come yet counts, and none that has concerns what was stored since", async () => {
    const { clock, a, b } = open(stack);
    await a.set("k", 1, { tags: ["t"] });
    await b.markTagsStale(["t"], { expireIn: "1m" });
    await a.set("l", 1, { tags: ["t"] });
    await b.markTagsStale(["t"], { expireIn: "10s" });
    await flush();
    for (const key of ["k", "l"]) expect(await left(a, key)).toEqual(["stale", 10_000]);
    await b.markTagsStale(["t"], { expireIn: "1h" });
    await flush();
    clock.advance("10s");
    for (const key of ["k", "l"]) expect(await left(a, key)).toBe("miss");
    await a.set("k", 2, { tags: ["t"] });
    await b.markTagsStale(["t"], { expireIn: "1h" });
    await flush();
    expect([await left(a, "k"), await left(b, "l")]).toEqual([["stale", 3_600_000], "miss"]);
    await b.invalidateTags("t");
    await b.markTagsStale(["t"], { expireIn: Infinity });
    await flush();
    for (const cache of [a, b]) expect(await left(cache, "k")).toBe("miss");
  });

  it("C614 without an end writes nothing to the backend that stays for ever", async () => {
    const { a, backend, clock } = open(stack);
    await a.set("k", 1, { tags: ["t"] });
    await a.markTagsStale(["t"], { expireIn: Infinity });
    expect(await left(a, "k")).toEqual(["stale", 7_200_000]);
    // Versions of tags, and what is written about them.
    clock.advance("30d");
    expect(backend.store.keys()).toEqual([]);
  });

  it("0 removes; unknown options are refused", async () => {
    const { a } = open(stack);
    await a.set("k", 1, { tags: ["t"] });
    await a.markTagsStale(["t"], { expireIn: 0 });
    expect(await left(a, "k")).toBe("miss");
    await expect(a.markTagsStale(["t"], { expireIn: -1 })).rejects.toThrow("expireIn must be at least 0 ms");
    await expect(a.markTagsStale(["t"], { expire: 1 } as never)).rejects.toThrow('unknown option "expire"');
    await expect(a.markTagsStale(["t"] as never, "u")).rejects.toThrow("a list among 2 arguments");
  });
});

it("C599: where its end is lost, or the mark did not reach the backend, the entries are gone", async () => {
  const { backend, clock, a, b } = open("memory over backend");
  await a.set("k", 1, { tags: ["t"] });
  await b.markTagsStale(["t"], { expireIn: "1m" });
  await flush();
  for (const key of backend.store.keys()) if (key.startsWith("{~~~")) await backend.remove(key);
  expect((await served(b, "k")).status).toBe("miss");
  await a.set("k", 2, { tags: ["u"] });
  backend.down();
  expect(await a.markTagsStale(["u"], { expireIn: "1m" })).toEqual({ status: "pending" });
  backend.up();
  for (let i = 0; i < 10; i += 1) {
    clock.advance("1s");
    await flush();
  }
  for (const cache of [a, b]) expect((await served(cache, "k")).status).toBe("miss");
});

describe.each(STACKS)("C601: a mark of a key with an end, over %s", (stack) => {
  it("leaves its entry stale until then, in every process, and no later one", async () => {
    const { clock, a, b } = open(stack);
    await a.set("k", "old");
    expect(await b.get("k")).toBe("old");
    expect(await b.markStale("k", { expireIn: "1m" })).toEqual({ status: "stale" });
    await flush();
    for (const cache of [a, b]) expect(await left(cache, "k")).toEqual(["stale", 60_000]);
    expect(await served(a, "k")).toMatchObject({ cause: "marked" });
    clock.advance(59_999);
    for (const cache of [a, b]) expect(await left(cache, "k")).toEqual(["stale", 1]);
    clock.advance(1);
    for (const cache of [a, b]) expect(await left(cache, "k")).toBe("miss");
    const down = new Error("db down");
    await expect(a.getOrSet("k", () => Promise.reject(down), { staleIfError: "1h" })).rejects.toBe(down);
    expect(await b.markStale("k", { expireIn: "1m" })).toEqual({ status: "missing" });
    await a.set("k", "new");
    clock.advance("30m");
    expect([await a.get("k"), await b.get("k")]).toEqual(["new", "new"]);
  });

  it("never lengthens a life: that of the entry, or what an earlier mark left of it", async () => {
    const { clock, a, b } = open(stack);
    const marked = async (expireIn: Duration): Promise<unknown> => {
      await b.markStale("k", { expireIn });
      await flush();
      const [one, other] = [await left(a, "k"), await left(b, "k")];
      expect(one).toEqual(other);
      return one;
    };
    await a.set("k", 1, { ttl: "1s", staleWhileRevalidate: "10s" });
    clock.advance("5s");
    // Where there is a backend, less by as long as a mark may take.
    const marginMs = stack === "memory" ? 0 : 1_000;
    expect(await marked("1m")).toEqual(["stale", 6_000 - marginMs]);
    await a.set("k", 2);
    expect(await marked(Infinity)).toEqual(["stale", 3_600_000]);
    expect(await marked("10s")).toEqual(["stale", 10_000]);
    expect(await marked("1m")).toEqual(["stale", 10_000 - marginMs]);
    await b.markStale("k");
    expect(await left(a, "k")).toEqual(["stale", 10_000 - marginMs]);
  });

  it("ends as the fallback of a load that was running", async () => {
    const { clock, a } = open(stack);
    await a.set("k", "old", { ttl: "1s", staleIfError: "1h" });
    clock.advance("1s");
    const loading = gate();
    const load = async (): Promise<never> => {
      await loading.pass();
      throw new Error("db down");
    };
    const call = a.getOrSet("k", load, { staleWhileRevalidate: 0, staleIfError: "1h", loadTimeout: "1h" });
    await loading.arrived();
    await a.markStale("k", { expireIn: "1m" });
    clock.advance("1m");
    loading.open();
    await expect(call).rejects.toThrow("db down");
  });

  it("0 removes; unknown options are refused", async () => {
    const { a, b } = open(stack);
    const events: unknown[] = [];
    a.on("invalidate", ({ mode, origin }) => events.push([mode, origin]));
    await a.set("k", 1);
    events.length = 0;
    expect(await a.markStale("k", { expireIn: 0 })).toEqual({ status: "stale" });
    expect(events).toEqual([["remove", "here"]]);
    for (const cache of [a, b]) expect(await left(cache, "k")).toBe("miss");
    expect(await a.markStale("k", { expireIn: 0 })).toEqual({ status: "missing" });
    await expect(a.markStale("k", { expireIn: -1 })).rejects.toThrow("expireIn must be at least 0 ms");
    await expect(a.markStale("k", { expire: 1 } as never)).rejects.toThrow('unknown option "expire"');
  });
});

describe("C601: what else happens while a key is marked with an end", () => {
  it.each(["read", "leases.touch"] as const)(
    "a value that is set meanwhile, before the %s, is neither stale nor ended",
    async (operation) => {
      const { clock, peer, a, b } = open("memory over backend");
      await a.set("k", "old");
      const waiting = gate();
      peer.script(operation, { before: waiting });
      const marking = b.markStale("k", { expireIn: "1m" });
      await waiting.arrived();
      await a.set("k", "new");
      waiting.open();
      expect(await marking).toEqual({ status: "stale" });
      await flush();
      for (const cache of [a, b]) expect(await left(cache, "k")).toEqual(["hit", 7_200_000]);
      clock.advance("59m");
      for (const cache of [a, b]) expect(await cache.get("k")).toBe("new");
    },
  );

  it("of two marks at the same time either end counts, or the entry is gone", async () => {
    const { clock, backend, peer, a, b } = open("memory over backend");
    await a.set("k", "old");
    const [first, second] = [gate(), gate()];
    backend.script("leases.touch", { before: first });
    peer.script("leases.touch", { before: second });
    const marking = [a.markStale("k", { expireIn: "1m" }), b.markStale("k", { expireIn: "10s" })];
    await Promise.all([first.arrived(), second.arrived()]);
    first.open();
    second.open();
    await Promise.all(marking);
    await flush();
    clock.advance("1m");
    for (const cache of [a, b]) expect(await left(cache, "k")).toBe("miss");
  });

  it("a copy that another process makes before the end is written ends with it", async () => {
    const { clock, peer, a, b } = open("memory over backend");
    await a.set("k", "old");
    const [touching, loading] = [gate(), gate<string>()];
    peer.script("leases.touch", { before: touching });
    const marking = b.markStale("k", { expireIn: "1m" });
    await touching.arrived();
    expect(await a.getOrSet("k", () => loading.pass())).toBe("old");
    touching.open();
    await marking;
    await flush();
    clock.advance("1m");
    expect(await left(a, "k")).toBe("miss");
    loading.open("new");
  });

  it("is not the fallback, after its end, of a load that read it before the end was written", async () => {
    const { clock, backend, a } = open("memory over backend");
    await a.set("k", "old", { staleIfError: "1h" });
    const [touching, loading] = [gate(), gate<string>()];
    backend.script("leases.touch", { before: touching });
    const marking = a.markStale("k", { expireIn: "1m" });
    await touching.arrived();
    const options = { staleWhileRevalidate: 0, staleIfError: "1h", loadTimeout: "1h" } as const;
    const call = a.getOrSet("k", () => loading.pass(), options);
    await loading.arrived();
    touching.open();
    await marking;
    clock.advance("1m");
    loading.fail(new Error("db down"));
    await expect(call).rejects.toThrow("db down");
  });

  it("where a read is behind the mark, or the backend has no leases, the entry is gone", async () => {
    const { peer, a, b } = open("memory over backend");
    for (const behind of [{ version: "older", staleInMs: 1_000 }, { version: "stale-older" }, undefined]) {
      await a.set("k", "old");
      peer.script("read", { answer: (entry) => behind && { ...entry!, ...behind } });
      expect(await b.markStale("k", { expireIn: "1m" })).toEqual({ status: "stale" });
      await flush();
      for (const cache of [a, b]) expect(await left(cache, "k")).toBe("miss");
    }
    const { a: one, b: other } = open("memory over backend", false);
    await one.set("k", "old");
    expect(await other.markStale("k", { expireIn: "1m" })).toEqual({ status: "stale" });
    expect(await left(one, "k")).toBe("miss");
  });

  it.each(["markStale", "read", "leases.touch"] as const)(
    "where the backend does not answer to %s, the mark is pending, and removes the entry once it does",
    async (operation) => {
      const { clock, peer, a, b } = open("memory over backend");
      await a.set("k", "old");
      const stop = peer.script(operation, { fail: true, times: Infinity });
      peer.script("remove", { fail: true });
      expect(await b.markStale("k", { expireIn: "1m" })).toEqual({ status: "pending" });
      expect(await b.get("k", { allowStale: true })).toBe(undefined);
      stop();
      for (let i = 0; i < 5; i += 1) {
        clock.advance("1s");
        await flush();
      }
      for (const cache of [a, b]) expect(await left(cache, "k")).toBe("miss");
    },
  );

  it("a bypassed backend is marked all the same", async () => {
    const { clock, a, b } = open("memory over backend");
    await a.set("k", "old");
    b.bypass(["scripted"]);
    expect(await b.markStale("k", { expireIn: "1m" })).toEqual({ status: "stale" });
    expect(await left(a, "k")).toEqual(["stale", 60_000]);
    clock.advance("1m");
    expect(await left(a, "k")).toBe("miss");
  });
});

it("C599: ends as the fallback of a load that was running", async () => {
  for (const stack of STACKS) {
    const { clock, a } = open(stack);
    await a.set("k", "old", { ttl: "1s", staleIfError: "1h", tags: ["t"] });
    clock.advance("1s");
    const loading = gate();
    const load = async (): Promise<never> => {
      await loading.pass();
      throw new Error("db down");
    };
    const call = a.getOrSet("k", load, { staleWhileRevalidate: 0, staleIfError: "1h", loadTimeout: "1h" });
    await loading.arrived();
    await a.markTagsStale(["t"], { expireIn: "1m" });
    clock.advance("1m");
    loading.open();
    await expect(call, stack).rejects.toThrow("db down");
  }
});

it("C599: a mark with an end stands for no invalidation that is pending", async () => {
  const { backend, clock, a, b } = open("memory over backend");
  await a.set("k", "old", { tags: ["t"] });
  backend.script("tags.renew", { fail: true });
  expect(await a.invalidateTags("t")).toEqual({ status: "pending" });
  expect(await a.markTagsStale(["t"], { expireIn: "1h" })).toEqual({ status: "done" });
  for (let i = 0; i < 5; i += 1) {
    clock.advance("1s");
    await flush();
  }
  for (const cache of [a, b]) expect((await served(cache, "k")).status).toBe("miss");
});

it("C599: a copy that was read while the mark was under way ends with it, where no changes are reported", async () => {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true });
  const a = createTestCache({ clock, backend, ttl: "1h", staleIfError: "1h", localTtl: "1h" });
  await createTestCache({ clock, backend, local: false, ttl: "1h", staleIfError: "1h" }).set("k", "old", {
    tags: ["t"],
  });
  const renewing = gate();
  backend.script("tags.renew", { before: renewing });
  const marking = a.markTagsStale(["t"], { expireIn: "1m" });
  await renewing.arrived();
  expect(await a.get("k")).toBe("old");
  renewing.open();
  await marking;
  expect(await left(a, "k")).toEqual(["stale", 60_000]);
  clock.advance("1m");
  expect(await left(a, "k")).toBe("miss");
});

it("C599: leaves what is in a local namespace below stale until then", async () => {
  const { clock, a } = open("memory over backend");
  const own = a.namespace("own", { localOnly: true });
  await own.set("k", "old", { tags: ["t"] });
  await a.markTagsStale(["t"], { expireIn: "1m" });
  expect(await own.get("k", { allowStale: true })).toBe("old");
  clock.advance("1m");
  expect(await own.get("k", { allowStale: true })).toBe(undefined);
});

it("C599: a copy of a composition that was marked is not served where its end cannot be read", async () => {
  const { clock, backend, peer } = open("backend");
  const reading = { ...peer };
  const one = createTestCache({ clock, ttl: "1h", staleIfError: "1h", local: false, backend: reading });
  await one.set("k", "old", { tags: ["t"] });
  const copy = (await peer.read("test::k"))!;
  reading.read = (key) =>
    key === "test::k"
      ? Promise.resolve({ ...copy, behind: () => peer.read(key) })
      : Promise.reject(new BackendUnavailableError("down"));
  expect(await one.get("k")).toBe("old");
  await createTestCache({ clock, local: false, backend }).markTagsStale(["t"], { expireIn: "1m" });
  expect(await one.get("k")).toBe(undefined);
});
