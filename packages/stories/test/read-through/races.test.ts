import type { Cache, Namespace } from "@hotset/core";
import { flush, gate, outcome, type ScriptedBackend, type ScriptedOperation } from "@hotset/testing";
import { describe, expect, it, vi } from "vitest";
import { numbered } from "../support/sources.ts";
import { open, STACKS, STACKS_WITH_BACKEND, type Stack } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

interface Mutation {
  readonly what: string;
  /** The number of the promise that this mutation covers. */
  readonly promise: string;
  run(space: Namespace, root: Cache): Promise<unknown>;
  /** The value that `get` returns afterwards. */
  readonly leaves: "newer" | undefined;
  readonly fencedBy: "set" | "delete" | "stale" | "tags" | "clear";
  /** The backend call that carries the mutation: the operation and its key. */
  readonly sentAs: readonly [ScriptedOperation, key: string];
}

const ENTRY = "test:users::k";
/** The key of the tag versions' issuer, which is renewed before any tag version. */
const ISSUER = "{~~test}::";

const DELETED = { leaves: undefined, fencedBy: "delete", sentAs: ["remove", ENTRY] } as const;
const SET = { promise: "C60", leaves: "newer", fencedBy: "set", sentAs: ["write", ENTRY] } as const;
const TAGS = { promise: "C60", leaves: undefined, fencedBy: "tags", sentAs: ["write", ISSUER] } as const;
const CLEARED = { ...TAGS, fencedBy: "clear" } as const;

/** Every mutation that invalidates an earlier load. The entry is `k`, tagged `t`, in the namespace `users`. */
const MUTATIONS: readonly Mutation[] = [
  { what: "delete", promise: "C59", ...DELETED, run: (users) => users.delete("k") },
  { what: "deleteMany", promise: "C59", ...DELETED, run: (users) => users.deleteMany(["j", "k"]) },
  { what: "set", ...SET, run: (users) => users.set("k", "newer", { tags: ["t"] }) },
  { what: "setMany", ...SET, run: (users) => users.setMany(Object.entries({ j: "other", k: "newer" })) },
  { what: "a set without a lifetime", promise: "C60", ...DELETED, run: (users) => users.set("k", "newer", { ttl: 0 }) },
  {
    what: "markStale",
    promise: "C60",
    leaves: undefined,
    fencedBy: "stale",
    sentAs: ["markStale", ENTRY],
    run: (users) => users.markStale("k"),
  },
  { what: "invalidateTags", ...TAGS, run: (users) => users.invalidateTags("other", "t") },
  { what: "invalidateTags above it", ...TAGS, run: (_, root) => root.invalidateTags("t") },
  { what: "markTagsStale", ...TAGS, run: (users) => users.markTagsStale("t") },
  { what: "clear", ...CLEARED, run: (users) => users.clear() },
  { what: "clear of the cache", ...CLEARED, run: (_, root) => root.clear() },
];

const openUsers = (stack: Stack, policy: Parameters<typeof open>[1] = {}) => {
  const opened = open(stack, { ttl: "1h", ...policy });
  return { ...opened, users: opened.cache.namespace("users") };
};

/** The bytes of `k` in the backend, as they were written. */
const bytesOf = (backend: ReturnType<typeof open>["backend"]): string | undefined => {
  const entry = backend.store.get(ENTRY);
  return entry && Buffer.from(entry.data).toString();
};

describe.each(STACKS)("over %s", (stack) => {
  describe.each(MUTATIONS)("$promise $what while a load runs", ({ run, leaves, fencedBy }) => {
    it("the load's waiters get its value, and it is stored nowhere (bentocache, cachified, cacheable)", async () => {
      const { cache, users, backend } = openUsers(stack);
      const fenced = watch(cache, "fenced");
      const loads = watch(cache, "load");
      const loading = gate<string>();
      const waiters = [
        users.getOrSet("k", loading.pass, { tags: ["t"] }),
        users.getOrSet("k", loading.pass, { tags: ["t"] }),
      ];
      await loading.arrived();
      await run(users, cache);
      expect(await outcome(waiters[0]!)).toEqual({ status: "pending" });

      loading.open("old");
      expect(await Promise.all(waiters)).toEqual(["old", "old"]);
      await cache.drain();
      expect(users.peek("k")).toBe(stack === "backend" ? undefined : leaves);
      expect(await users.get("k")).toBe(leaves);
      expect(bytesOf(backend)).not.toBe('"old"');
      expect(fenced.map(([, event]) => event)).toEqual([
        { cache: "test", namespace: ["users"], key: "k", by: fencedBy },
      ]);
      expect(loads.map(([, { result }]) => result)).toEqual(["fenced"]);

      const load = numbered();
      expect(await users.getOrSet("k", load)).toBe(leaves ?? "value-1");
      expect(await users.get("k")).toBe(leaves ?? "value-1");
    });

    it("later callers start a new load (C66)", async () => {
      const { cache, users } = openUsers(stack);
      const before = gate<string>();
      const waiter = users.getOrSet("k", before.pass, { tags: ["t"] });
      await before.arrived();
      const changing = run(users, cache);
      const load = vi.fn(() => "new");
      const during = users.getOrSet("k", load, { tags: ["t"] });
      await changing;
      const after = users.getOrSet("k", load, { tags: ["t"] });
      // A value that was just set is returned without a load.
      expect(["new", "newer"]).toContain(await during);
      expect(await after).toBe(leaves ?? "new");
      before.open("old");
      expect(await waiter).toBe("old");
      await cache.drain();
      expect(await users.get("k")).toBe(leaves ?? "new");
    });

    it("a load that starts after the mutation is stored (C65)", async () => {
      const { cache, users } = openUsers(stack);
      const before = gate<string>();
      const waiter = users.getOrSet("k", before.pass, { tags: ["t"] });
      await before.arrived();
      await run(users, cache);
      const load = numbered();
      expect(await users.getOrSet("k", load, { tags: ["t"] })).toBe(leaves ?? "value-1");
      before.open("old");
      await waiter;
      await cache.drain();
      expect(await users.getOrSet("k", load, { tags: ["t"] })).toBe(leaves ?? "value-1");
      expect(load.runs).toBe(leaves === undefined ? 1 : 0);
    });

    it("C41 the result of a background load is dropped", async () => {
      const { cache, users, backend, clock } = openUsers(stack, { ttl: 100, staleWhileRevalidate: "1h" });
      await users.set("k", "oldest", { tags: ["t"] });
      clock.advance(100);
      const loading = gate<string>();
      expect(await users.getOrSet("k", loading.pass, { tags: ["t"] })).toBe("oldest");
      await loading.arrived();
      await run(users, cache);
      loading.open("old");
      await cache.drain();
      expect(await users.get("k")).toBe(leaves);
      expect(bytesOf(backend)).not.toBe('"old"');
    });

    it("C41 the result of a load that continues after a timeout is dropped", async () => {
      const { cache, users, backend, clock } = openUsers(stack, { hardTimeout: 10 });
      const loading = gate<string>();
      const impatient = users.getOrSet("k", loading.pass, { tags: ["t"] });
      await loading.arrived();
      clock.advance(10);
      await expect(impatient).rejects.toMatchObject({ code: "LOAD_TIMEOUT" });
      await run(users, cache);
      loading.open("old");
      await cache.drain();
      expect(await users.get("k")).toBe(leaves);
      expect(bytesOf(backend)).not.toBe('"old"');
    });
  });

  it("C60 invalidating a tag that the loader adds later drops the load's result", async () => {
    const { users, backend } = openUsers(stack);
    const loading = gate<string>();
    const waiter = users.getOrSet("k", async ({ setOptions }) => {
      const value = await loading.pass();
      setOptions({ tags: ["late"] });
      return value;
    });
    await loading.arrived();
    await users.invalidateTags("late");
    loading.open("old");
    expect(await waiter).toBe("old");
    expect(await users.get("k")).toBeUndefined();
    expect(bytesOf(backend)).toBeUndefined();
  });

  it("C60 tag calls, clears and deletes elsewhere do not affect a load", async () => {
    const { cache, users } = openUsers(stack);
    const loading = gate<string>();
    const waiter = users.getOrSet("k", loading.pass, { tags: ["t"] });
    await loading.arrived();
    await users.invalidateTags("other");
    await users.namespace("below").invalidateTags("t");
    await users.namespace("below").clear();
    await cache.namespace("beside").clear();
    await users.delete("j");
    loading.open("value");
    expect(await waiter).toBe("value");
    expect(await users.get("k")).toBe("value");
  });

  it("C60 the last set value stays, among concurrent writes and loads", async () => {
    const { users, cache } = openUsers(stack);
    const loading = gate<string>();
    const waiter = users.getOrSet("k", loading.pass);
    await loading.arrived();
    await Promise.all([users.set("k", "first"), users.set("k", "second"), users.delete("k"), users.set("k", "last")]);
    loading.open("old");
    await waiter;
    await cache.drain();
    expect(await users.get("k")).toBe("last");
  });

  it("C60 the value of the forced load that began last stays", async () => {
    const { users, cache } = openUsers(stack);
    const first = gate<string>();
    const second = gate<string>();
    const waiters = [users.getOrSet("k", first.pass, { forceRefresh: true })];
    await first.arrived();
    waiters.push(users.getOrSet("k", second.pass, { forceRefresh: true }));
    await second.arrived();
    second.open("second");
    expect(await waiters[1]).toBe("second");
    first.open("first");
    expect(await waiters[0]).toBe("first");
    await cache.drain();
    expect(await users.get("k")).toBe("second");
  });
});

describe.each(STACKS_WITH_BACKEND)("over %s, on the way to the backend", (stack) => {
  describe.each(MUTATIONS)("$promise $what", ({ run, leaves, sentAs: [operation, key] }) => {
    it("wins against a load that ran while the mutation was being sent", async () => {
      const { cache, users, backend } = openUsers(stack);
      await users.set("k", "oldest", { tags: ["t"] });
      const sending = gate();
      backend.script(operation, { key, before: sending });
      const changing = run(users, cache);
      await sending.arrived();
      const waiter = users.getOrSet("k", () => "old", { tags: ["t"], forceRefresh: true });
      await flush();
      sending.open();
      await changing;
      await waiter;
      await cache.drain();
      expect(await users.get("k")).toBe(leaves);
      expect(users.peek("k")).toBe(stack === "backend" ? undefined : leaves);
    });

    it.for(["before", "after"] as const)("wins against a store that is paused %s its write", async (point) => {
      const { cache, users, backend } = openUsers(stack);
      const storing = gate();
      backend.script("write", { key: ENTRY, [point]: storing });
      const waiter = users.getOrSet("k", () => "old", { tags: ["t"] });
      await storing.arrived();
      const changing = run(users, cache);
      await flush();
      storing.open();
      await changing;
      expect(await waiter).toBe("old");
      await cache.drain();
      expect(users.peek("k")).toBe(stack === "backend" ? undefined : leaves);
      expect(await users.get("k")).toBe(leaves);
    });

    it.for(["get", "getMany", "getOrSet"] as const)(
      "C62 wins against a %s that is about to fill the local tier",
      async (how) => {
        const { cache, users, backend, clock } = openUsers(stack);
        await open("backend", { backend, clock, ttl: "1h" })
          .cache.namespace("users")
          .set("k", "old", { tags: ["t"] });
        const answering = gate();
        backend.script(how === "getMany" ? "batch.read" : "read", { key: ENTRY, after: answering });
        const reading: Promise<unknown> =
          how === "get"
            ? users.get("k")
            : how === "getMany"
              ? users.getMany(["j", "k"])
              : users.getOrSet("k", () => "loaded", { tags: ["t"] });
        await answering.arrived();
        await run(users, cache);
        answering.open();
        await reading;
        await cache.drain();
        expect(users.peek("k")).not.toBe("old");
        expect(await users.get("k")).not.toBe("old");
      },
    );

    it.for(["before", "after"] as const)("C60 wins against a set that is paused %s its write", async (point) => {
      const { users, cache, backend } = openUsers(stack);
      const writing = gate();
      backend.script("write", { key: ENTRY, [point]: writing });
      const setting = users.set("k", "old", { tags: ["t"] });
      await writing.arrived();
      const changing = run(users, cache);
      await flush();
      writing.open();
      expect(await setting).toMatchObject({ status: "stored" });
      await changing;
      expect(users.peek("k")).not.toBe("old");
      expect(await users.get("k")).toBe(leaves);
    });

    it("C60 keeps an overtaken set out of the local tier, even while the mutation is being sent", async () => {
      const { cache, users, backend } = openUsers(stack);
      const [writing, sending] = [gate(), gate()];
      backend.script("write", { key: ENTRY, before: writing });
      const setting = users.set("k", "old", { tags: ["t"] });
      await writing.arrived();
      backend.script(operation, { key, before: sending });
      const changing = run(users, cache);
      writing.open();
      expect(await setting).toMatchObject({ status: "stored" });
      expect(users.peek("k")).toBe(undefined);
      sending.open();
      await changing;
    });

    it("C63 leaves no older value in the local tier when a reader runs during it", async () => {
      const { cache, users, backend } = openUsers(stack);
      await users.set("k", "old", { tags: ["t"] });
      const sending = gate();
      backend.script(operation, { key, before: sending });
      const changing = run(users, cache);
      await sending.arrived();
      await users.get("k");
      await users.getOrSet("k", () => "loaded", { tags: ["t"] });
      sending.open();
      await changing;
      expect(users.peek("k")).toBe(stack === "backend" ? undefined : leaves);
      expect(await users.get("k")).toBe(leaves);
    });
  });

  describe.each(["before", "after"] as const)("C62 a forced load that began %s the read", (order) => {
    it.for(["get", "getMany", "getOrSet"] as const)(
      "wins against a %s that is about to fill the local tier",
      async (how) => {
        const { users, backend, clock } = openUsers(stack);
        await open("backend", { backend, clock, ttl: "1h" }).cache.namespace("users").set("k", "old");
        const loading = gate<string>();
        const answering = gate();
        const force = (): Promise<string> => users.getOrSet("k", loading.pass, { forceRefresh: true });
        const earlier = order === "before" ? force() : undefined;
        // It has read what it replaces.
        if (earlier !== undefined) await loading.arrived();
        backend.script(how === "getMany" ? "batch.read" : "read", { key: ENTRY, after: answering });
        const reading: Promise<unknown> =
          how === "get"
            ? users.get("k")
            : how === "getMany"
              ? users.getMany(["j", "k"])
              : users.getOrSet("k", () => "loaded");
        if (how !== "getOrSet" || order === "after") await answering.arrived();
        const forced = earlier ?? force();
        loading.open("forced");
        expect(await forced).toBe("forced");
        answering.open();
        await reading;
        expect(users.peek("k")).toBe(stack === "backend" ? undefined : "forced");
        expect(await users.get("k")).toBe("forced");
      },
    );
  });

  it("C63 a slow delete with a concurrent reader leaves nothing behind (bentocache)", async () => {
    const { cache, backend, stored } = open(stack, { ttl: "1h" });
    await cache.set("k", "deleted");
    const removing = gate();
    backend.script("remove", { before: removing });
    const deleting = cache.delete("k");
    await removing.arrived();
    expect(await cache.get("k")).toBe("deleted");
    removing.open();
    expect(await deleting).toMatchObject({ status: "deleted" });
    expect(cache.peek("k")).toBeUndefined();
    expect(await cache.get("k")).toBeUndefined();
    expect(stored()).toEqual([]);
  });

  describe("of many sets of one key", () => {
    const sent = (backend: ScriptedBackend): readonly string[] =>
      backend.calls.flatMap(({ operation, keys }) => (keys.includes("test::k") ? [operation] : []));

    it("that wait only the last is sent, and all of them have its result", async () => {
      const { cache, backend, clock } = open(stack, { ttl: "1h" });
      await cache.set("k", "warm");
      backend.forgetCalls();
      const writing = gate();
      backend.script("write", { key: "test::k", before: writing });
      const sets = Array.from({ length: 1_000 }, (_, i) => cache.set("k", `value ${i}`));
      await writing.arrived();
      await flush();
      writing.open();
      const results = await Promise.all(sets);
      expect(new Set(results.map(({ status }) => status))).toEqual(new Set(["stored"]));
      expect(sent(backend)).toEqual(["write", "write"]);
      expect(cache.peek("k")).toBe(stack === "backend" ? undefined : "value 999");
      expect(await cache.get("k")).toBe("value 999");
      expect(await open("backend", { clock, backend }).cache.get("k")).toBe("value 999");
    });

    it("none is sent before or after a delete between them", async () => {
      const { cache, backend } = open(stack, { ttl: "1h" });
      await cache.set("k", "warm");
      backend.forgetCalls();
      const writing = gate();
      backend.script("write", { key: "test::k", before: writing });
      const first = cache.set("k", "first");
      await writing.arrived();
      const rest = [
        cache.set("k", "a"),
        cache.set("k", "b"),
        cache.delete("k"),
        cache.set("k", "c"),
        cache.set("k", "d"),
      ];
      writing.open();
      expect((await Promise.all([first, ...rest])).map(({ status }) => status)).toEqual([
        "stored",
        "stored",
        "stored",
        "deleted",
        "stored",
        "stored",
      ]);
      expect(sent(backend)).toEqual(["write", "write", "remove", "write"]);
      expect(await cache.get("k")).toBe("d");
    });

    it("all are pending where the one that was sent is", async () => {
      const { cache, backend, stored } = open(stack, { ttl: "1h" });
      const writing = gate();
      backend.script("write", { key: "test::k", before: writing });
      const first = cache.set("k", "first");
      await writing.arrived();
      const rest = [cache.set("k", "second"), cache.set("k", "third")];
      backend.down();
      writing.open();
      await first;
      expect(await Promise.all(rest)).toEqual([{ status: "pending" }, { status: "pending" }]);
      expect([await cache.get("k"), cache.stats().pending]).toEqual([stack === "backend" ? undefined : "third", 1]);
      backend.up();
      await cache.close();
      expect(stored()).toEqual([]);
    });
  });

  it("C64 an earlier set never replaces a later one: when the backend is slower for the earlier one", async () => {
    const { cache, backend, clock } = open(stack, { ttl: "1h" });
    const writing = gate();
    backend.script("write", { key: "test::k", before: writing });
    const first = cache.set("k", "first");
    await writing.arrived();
    const last = [cache.set("k", "second"), cache.delete("k"), cache.set("k", "last")];
    await flush();
    writing.open();
    await first;
    await Promise.all(last);
    expect(await cache.get("k")).toBe("last");
    expect(await open("backend", { clock, backend }).cache.get("k")).toBe("last");
  });
});
