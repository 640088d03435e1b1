import { createTestCache } from "@hotset/testing";
import { afterEach, describe, expect, it, vi } from "vitest";
import { checkBuild, hasCode, namespaceFor, tagOf, warnOnce } from "./adapter.ts";

afterEach(() => vi.unstubAllGlobals());

describe("namespaceFor", () => {
  const defaults = { place: "shopCache", name: "shop", ttl: "1d", further: ["tags"] } as const;

  it("gives the namespace of the options, with values that are never served stale", async () => {
    await using cache = createTestCache({ ttl: "1h", staleWhileRevalidate: "1h", staleIfError: "1h" });
    const values = namespaceFor<string>(cache, { name: "other", ttl: 100 }, defaults);
    await values.set("k", "v");
    expect(await cache.namespace("other").inspect("k")).toMatchObject({ freshForMs: 100, expiresInMs: 100 });
    await namespaceFor(cache, {}, defaults).set("k", "v");
    expect(await cache.namespace("shop").inspect("k")).toMatchObject({ freshForMs: 86_400_000 });
  });

  it("names the adapter in its errors", async () => {
    await using cache = createTestCache();
    expect(() => namespaceFor({} as never, {}, defaults)).toThrow("shopCache: cache must be what createCache");
    expect(() => namespaceFor(cache, { naem: "x" } as never, defaults)).toThrow(
      'shopCache: unknown option "naem"; did you mean name?; accepted: tags, name, ttl',
    );
    expect(() => checkBuild(cache, "shopCache")).toThrow(
      "shopCache: build must be a function that returns a cache, such as () => cache, got an object",
    );
  });
});

describe("tagOf", () => {
  const LONG = "ü".repeat(513);
  const HASHED = ["", LONG, "a\ud800"];

  it("is a name that can be a tag, and a hash of each other one", async () => {
    await using cache = createTestCache();
    expect(["User:1", "x".repeat(512)].map(tagOf)).toEqual(["User:1", "x".repeat(512)]);
    expect(HASHED.map(tagOf)).toEqual([
      "#47DEQpj8HBSa-_TImW-5JC",
      "#yPI6FOOxXZLDmhktWawgR9",
      "#UdJ3UQukv5eyXxLThRPBti",
    ]);
    await cache.invalidateTags(HASHED.map(tagOf));
  });

  it("is the same in a worker, which has no modules of Node", () => {
    const here = HASHED.map(tagOf);
    vi.stubGlobal("process", undefined);
    expect(HASHED.map(tagOf)).toEqual(here);
  });
});

it("knows an error by its code, of any copy of the package", () => {
  expect(hasCode({ code: "OVERLOADED" }, "CACHE_CLOSED", "OVERLOADED")).toBe(true);
  for (const other of [new Error("OVERLOADED"), { code: "ENOENT" }, undefined, null, "OVERLOADED"])
    expect(hasCode(other, "OVERLOADED")).toBe(false);
});

it("warns once of each thing that fails, in a worker too", () => {
  const said: unknown[] = [];
  vi.stubGlobal("process", undefined);
  vi.stubGlobal("console", { warn: (text: string) => said.push(text) });
  const warn = warnOnce("shop");
  warn("a value is not cached", new Error("down"));
  warn("a value is not cached", new Error("again"));
  warn("a tag is not invalidated", "no error");
  expect(said).toEqual(["shop: a value is not cached: down", "shop: a tag is not invalidated: no error"]);
});
