import { createTestCache, flush, gate } from "@hotset/core/testing";
import { describe, expect, it } from "vitest";

const never = (): never => {
  throw new Error("a load that is not needed");
};

describe("C208 warm", () => {
  it("loads what is not there, keeps what is, and reports what failed", async () => {
    const cache = createTestCache({ backend: true });
    await cache.set("there", "old");
    const down = new Error("down");
    const result = await cache.warm(
      [
        ["there", never],
        ["a", () => "A"],
        ["b", () => Promise.reject(down)],
        ["c", ({ key }) => key],
      ],
      { ttl: "5m", tags: ["t"] },
    );
    expect(result).toEqual({ present: 1, loaded: 2, failed: new Map([["b", down]]) });
    expect(await cache.getMany(["there", "a", "b", "c"])).toEqual(
      new Map([
        ["there", "old"],
        ["a", "A"],
        ["c", "c"],
      ]),
    );
    expect(await cache.inspect("a")).toMatchObject({ tags: ["t"] });
  });

  it.for([
    [undefined, 10],
    [3, 3],
  ] as const)("with concurrency %s runs %i loads at a time", async ([concurrency, atOnce]) => {
    const cache = createTestCache();
    const loading = gate<number>();
    const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
    const warm = cache.warm(
      keys.map((key) => [key, () => loading.pass()] as const),
      concurrency === undefined ? {} : { concurrency },
    );
    await flush();
    expect(cache.stats().loads).toBe(atOnce);
    loading.open(1);
    expect(await warm).toEqual({ present: 0, loaded: 20, failed: new Map() });
  });

  it("ends with the reason of its signal, and begins no further load", async () => {
    const cache = createTestCache();
    const abort = new AbortController();
    const reason = new Error("shutting down");
    const entries = ["a", "b", "c"].map((key) => [key, () => (abort.abort(reason), key)] as const);
    await expect(cache.warm(entries, { signal: abort.signal, concurrency: 1 })).rejects.toBe(reason);
    expect(cache.stats().loads).toBe(1);
  });

  it("what is deleted during its load is not brought back", async () => {
    const cache = createTestCache({ backend: true });
    const loading = gate<string>();
    const warm = cache.warm([["k", () => loading.pass()]]);
    await loading.arrived();
    await cache.delete("k");
    loading.open("older");
    await warm;
    expect(await cache.get("k")).toBe(undefined);
  });

  it.for([
    [["a"], {}, "entries must hold pairs of a key and a loader"],
    [7, {}, "entries must be a list of pairs of a key and a loader, got a number"],
    [[["b", 1]], {}, "entries must hold pairs of a key and a loader"],
    [[["", never]], {}, "key must"],
    [[], { concurrency: 0 }, "concurrency must be a whole number of at least 1, got 0"],
    [[], { nope: 1 }, "unknown option"],
    [[], { ttl: "soon" }, "ttl"],
  ] as const)("of %j with %j is refused, and nothing is loaded", async ([entries, options, message]) => {
    const cache = createTestCache();
    const all = Array.isArray(entries) ? [["first", never], ...(entries as unknown[])] : entries;
    await expect(cache.warm(all as never, options as never)).rejects.toThrow(message);
    expect(cache.stats().loads).toBe(0);
  });
});
