import { createTestCache, flush, gate, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import type { Cache } from "../cache/cache.ts";
import { InvalidArgumentError } from "../contracts/errors.ts";
import type { Fence } from "../entry/policy.ts";

const ENDING = { ttl: 1_000, staleIfError: 0, tags: ["t"] };

type Stack = "memory" | "backend" | "memory over backend";
const STACKS: readonly Stack[] = ["memory", "backend", "memory over backend"];

function open(stack: Stack, options: { leases?: boolean; tagVersions?: boolean } = {}) {
  const clock = new TestClock();
  const near = { clock, ttl: "1h", staleIfError: "1h", local: stack !== "backend" } as const;
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported", ...options });
  const of = (each: ScriptedBackend): Cache => createTestCache({ ...near, backend: stack !== "memory" && each });
  return { clock, backend, a: of(backend), b: stack === "memory" ? of(backend) : of(backend.peer()) };
}

/** Calls that end what was computed before them, by the process that has the fence or another one. */
const CHANGES: readonly (readonly [string, (cache: Cache) => Promise<unknown>])[] = [
  ["delete", (cache) => cache.delete("k")],
  ["markStale", (cache) => cache.markStale("k")],
  ["set", (cache) => cache.set("k", "theirs")],
  ["invalidateTags", (cache) => cache.invalidateTags("t")],
  ["markTagsStale", (cache) => cache.markTagsStale("t")],
  ["clear", (cache) => cache.clear()],
];

describe.each(STACKS)("C591: a set with a fence, over %s", (stack) => {
  const processes = stack === "memory" ? (["a"] as const) : (["a", "b"] as const);

  it.each(["nothing", "a value", "a stale value", "an invalidated value"])("is stored over %s", async (before) => {
    const { a, b } = open(stack);
    if (before !== "nothing") await a.set("k", "old", { tags: ["t"] });
    if (before === "a stale value") await a.markStale("k");
    if (before === "an invalidated value") await b.invalidateTags("t");
    const since = await a.fence("k");
    expect(await a.set("k", "new", { since, tags: ["t"] })).toEqual({ status: "stored" });
    await flush();
    const other = stack === "memory" ? a : b;
    expect([await a.get("k"), await other.get("k")]).toEqual(["new", "new"]);
    await a.invalidateTags("t");
    expect([await a.get("k"), await other.get("k")]).toEqual([undefined, undefined]);
  });

  it.each(processes.flatMap((by) => CHANGES.map(([name, change]) => [name, by, change] as const)))(
    "is refused after %s by %s, over nothing and over a value, and leaves what is there",
    async (_name, by, change) => {
      for (const before of [undefined, "old"]) {
        const caches = open(stack);
        const { a } = caches;
        if (before !== undefined) await a.set("k", before, { tags: ["t"] });
        const since = await a.fence("k");
        await change(caches[by]);
        await flush();
        const left = await caches[by].get("k");
        expect(await a.set("k", "computed before", { since, tags: ["t"] })).toEqual({ status: "refused" });
        await flush();
        expect([await a.get("k"), await caches[by].get("k")]).toEqual([left, left]);
      }
    },
  );

  it("is stored after changes of other keys, tags and namespaces", async () => {
    const { a, b } = open(stack);
    const since = await a.namespace("n").fence("k");
    await b.delete("k");
    await b.invalidateTags("u");
    await b.namespace("m").clear();
    await a.namespace("n").invalidateTags("v");
    expect(await a.namespace("n").set("k", 1, { since, tags: ["t"] })).toEqual({ status: "stored" });
  });

  it("keeps no load waiting; one that is stored meanwhile stays", async () => {
    const { a, b, clock } = open(stack);
    const since = await a.fence("k");
    const asked = clock.now();
    expect(await b.getOrSet("k", () => "loaded")).toBe("loaded");
    expect(clock.now()).toBe(asked);
    if (stack === "memory") return;
    expect(await a.set("k", "computed before", { since })).toEqual({ status: "refused" });
    expect([await a.get("k"), await b.get("k")]).toEqual(["loaded", "loaded"]);
  });

  it("of several processes one stores, and all have fences", async () => {
    const { a, b } = open(stack);
    const other = stack === "memory" ? a : b;
    const [one, two] = await Promise.all([a.fence("k"), other.fence("k")]);
    expect(await other.set("k", 2, { since: two })).toEqual({ status: "stored" });
    await flush();
    expect(await a.set("k", 1, { since: one })).toEqual({ status: "refused" });
    expect(await a.get("k")).toBe(2);
  });

  it("setMany goes by the fence of each key", async () => {
    const { a, b } = open(stack);
    const since = await a.fence(["1", "2", "3"]);
    await (stack === "memory" ? a : b).delete("2");
    const entries = ["1", "2", "3"].map((key) => [key, key] as const);
    expect(await a.setMany(entries, { since })).toEqual({ stored: 2, pending: 0, refused: 1 });
    expect([...(await a.getMany(["1", "2", "3"])).keys()]).toEqual(["1", "3"]);
  });

  it("setMany stores the last value of a key that is there twice", async () => {
    const { a } = open(stack);
    const since = await a.fence("k");
    const entries = [1, 2, 3].map((value) => ["k", value] as const);
    expect(await a.setMany(entries, { since })).toEqual({ stored: 1, pending: 0, refused: 0 });
    expect(await a.get("k")).toBe(3);
  });

  it.each<[string, (cache: Cache, reader: Cache, clock: TestClock) => Promise<unknown>, string?]>([
    ["that has a ttl", (cache) => cache.set("k", "old", ENDING), "old"],
    [
      "that this process has read",
      async (cache, reader) => [await cache.set("k", "old", ENDING), await reader.get("k")],
      "old",
    ],
    ["that its tags hide", async (cache) => [await cache.set("k", "old", ENDING), await cache.invalidateTags("t")]],
    ["that is the mark of an older fence", async (cache, _, clock) => [await cache.fence("k"), clock.advance(299_000)]],
  ])("is stored after the end of an entry %s, and refused if anything changes it then", async (_, begin, seen) => {
    for (const change of [undefined, (cache: Cache) => cache.delete("k")]) {
      const { a, b, clock } = open(stack);
      const other = stack === "memory" ? a : b;
      await begin(other, a, clock);
      const since = await a.fence("k");
      const read = (): Promise<unknown> => Promise.all([a, other].map((each) => each.get("k", { allowStale: true })));
      expect(await read()).toEqual([seen, seen]);
      clock.advance(1_000);
      expect(await read()).toEqual([undefined, undefined]);
      await expect(a.getOrSet("l", () => a.getOrSet("k", () => Promise.reject(new Error("down"))))).rejects.toThrow(
        "down",
      );
      clock.advance(60_000);
      await change?.(other);
      await flush();
      const isStored = change === undefined;
      expect(await a.set("k", "new", { since, tags: ["t"] })).toEqual({ status: isStored ? "stored" : "refused" });
      expect(await other.get("k")).toBe(isStored ? "new" : undefined);
    }
  });

  it("holds for five minutes, and for one set", async () => {
    const { a, clock } = open(stack);
    const [first, second] = [await a.fence("k"), await a.fence("l")];
    clock.advance(299_000);
    expect(await a.set("k", 1, { since: first })).toEqual({ status: "stored" });
    expect(await a.set("k", 2, { since: first })).toEqual({ status: "refused" });
    clock.advance(1_000);
    expect(await a.set("l", 1, { since: second })).toEqual({ status: "refused" });
    expect([await a.get("k"), await a.get("l")]).toEqual([1, undefined]);
  });

  it("takes a fence of its own cache and key, and nothing else", async () => {
    const { a, b } = open(stack);
    for (const since of [await b.fence("k"), await a.fence("l"), {}, 1, await a.namespace("n").fence("k")])
      await expect(a.set("k", 1, { since: since as never })).rejects.toThrow(/^since must be/);
    await expect(
      a.setMany(
        [
          ["k", 1],
          ["l", 1],
        ],
        { since: await a.fence("k") },
      ),
    ).rejects.toThrow(InvalidArgumentError);
    await expect(a.getOrSet("k", ({ setOptions }) => setOptions({ since: 1 } as never))).rejects.toThrow("since");
    expect(await a.get("k")).toBeUndefined();
  });
});

describe("C591: a fence, and a backend", () => {
  it("that does not answer the set: the value is kept here, and its removal is replayed", async () => {
    const { a, b, backend } = open("memory over backend");
    const since = await a.fence("k");
    backend.down();
    expect(await a.set("k", 1, { since })).toEqual({ status: "pending" });
    expect(await a.getOrSet("k", () => 2, { staleIfError: "1h" })).toBe(1);
    backend.up();
    expect(await b.get("k")).toBeUndefined();
  });

  it("that answers neither the fence nor the set: the value is kept here, and its removal is replayed", async () => {
    const { a, b, backend } = open("memory over backend");
    await b.set("k", "theirs");
    backend.down();
    const since = await a.fence("k");
    expect(await a.set("k", 1, { since })).toEqual({ status: "pending" });
    expect(await a.getOrSet("k", () => 2, { staleIfError: "1h" })).toBe(1);
    backend.up();
    expect(await b.get("k")).toBe("theirs");
    await flush();
    expect(await a.get("k")).toBeUndefined();
    expect(await b.get("k")).toBeUndefined();
  });

  it("that does not answer the fence: what is stored later is refused, and the entry stays", async () => {
    const { a, b, backend } = open("memory over backend");
    await b.set("k", "theirs");
    backend.down();
    const since = await a.fence("k");
    backend.up();
    expect(await a.set("k", 1, { since })).toEqual({ status: "refused" });
    await flush();
    expect([await a.get("k"), await b.get("k")]).toEqual(["theirs", "theirs"]);
  });

  it.each(["a", "b"] as const)("where %s loads the key: refused, and the load is stored", async (by) => {
    const caches = open("memory over backend");
    const { a } = caches;
    await a.set("k", "old");
    const loading = gate<string>();
    const loaded = caches[by].getOrSet("k", () => loading.pass(), { forceRefresh: true });
    await loading.arrived();
    const since = await a.fence("k");
    expect(await a.set("k", "computed", { since })).toEqual({ status: "refused" });
    loading.open("loaded");
    expect(await loaded).toBe("loaded");
    await flush();
    expect(await a.get("k")).toBe("loaded");
  });

  it("without leases or versions of tags: changes of this process, and of tags by any", async () => {
    for (const lacking of [{ leases: false }, { leases: false, tagVersions: false }]) {
      const { a, b } = open("backend", lacking);
      const fences = [await a.fence("k"), await a.fence("l")];
      await a.delete("k");
      await b.invalidateTags("t");
      expect(await a.set("k", 1, { since: fences[0] })).toEqual({ status: "refused" });
      expect(await a.set("l", 1, { since: fences[1], tags: ["t"] })).toEqual({ status: "refused" });
      expect(await a.set("k", 1, { since: await a.fence("k"), tags: ["t"] })).toEqual({ status: "stored" });
      expect(await b.get("k")).toBe(1);
    }
  });

  it("costs one trip over an entry, three over nothing; the set two, beside those of tags", async () => {
    const { a, backend } = open("backend");
    const count = async (call: () => Promise<unknown>): Promise<readonly string[]> => {
      backend.forgetCalls();
      await call();
      return backend.calls.flatMap(({ operation }) => /^leases[.](.*)/.exec(operation)?.[1] ?? []);
    };
    let since: Fence | undefined;
    const fence = async (): Promise<unknown> => (since = await a.fence("k"));
    const set = async (): Promise<unknown> => a.set("k", 1, { since, tags: ["t"] });
    expect(await count(fence)).toEqual(["confirm", "acquire", "store"]);
    expect(await count(set)).toEqual(["acquire", "store"]);
    expect(await count(fence)).toEqual(["confirm"]);
    expect(await count(set)).toEqual(["acquire", "store"]);
  });
});
