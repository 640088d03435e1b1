// The suite of Astro for its memory provider, with ours in its place: packages/astro/test/units/cache/
// memory-provider.test.ts of https://github.com/withastro/astro at 99d3d3db, MIT, by Fred K. Schott and contributors.
// Changed here: it is in tables, time is moved, and one page that Astro shares is not; that row is marked.

import { astroCache, type AstroCacheConfig, type AstroCacheProvider } from "@hotset/astro";
import { createCache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";

interface Config extends AstroCacheConfig {
  readonly max?: number;
}
const providerOf = astroCache<Config>((config) =>
  createCache({ name: "suite", clock: new TestClock() })
    .tier(memory({ maxEntries: config?.max ?? 1_000 }))
    .build(),
);

/** A page, and the request for it. A page without `maxAge` is not to be cached. */
interface Visit {
  readonly method?: string;
  readonly request?: Record<string, string>;
  readonly status?: number;
  readonly maxAge?: number;
  readonly swr?: number;
  readonly tags?: readonly string[];
  readonly fields?: Record<string, string>;
}

/** The answer where Astro would make the page `body`. */
async function visit(
  provider: AstroCacheProvider,
  url: string,
  body: string,
  { method = "GET", request = {}, status = 200, maxAge, swr, tags, fields }: Visit = { maxAge: 60 },
) {
  const asked = new Request(new URL(url, "http://localhost"), { method, headers: request });
  const life = [
    ...(maxAge === undefined ? [] : [`max-age=${maxAge}`]),
    ...(swr === undefined ? [] : [`stale-while-revalidate=${swr}`]),
  ].join(", ");
  const headers = {
    ...fields,
    ...(life === "" ? {} : { "CDN-Cache-Control": life }),
    ...(tags === undefined ? {} : { "Cache-Tag": tags.join(", ") }),
  };
  const next = async () => new Response(body, { status, headers });
  const answer = await provider.onRequest({ request: asked, url: new URL(asked.url) }, next);
  return { answer, seen: [answer.headers.get("X-Astro-Cache"), await answer.text()] };
}

/** A visitor sees the header and the page. */
const see = async (...given: Parameters<typeof visit>) => (await visit(...given)).seen;

describe("onRequest", () => {
  it.each<readonly [what: string, page: Visit, outcomes: readonly (string | null)[]]>([
    ["passes a page without cache headers through", {}, [null, null]],
    ["makes a page with cache headers once", { maxAge: 60 }, ["MISS", "HIT"]],
    ["skips a request that is not a GET", { maxAge: 60, method: "POST" }, [null, null]],
    ["does not cache a page with Set-Cookie", { maxAge: 60, fields: { "Set-Cookie": "session=abc" } }, [null, null]],
  ])("%s", async (_, page, [first, second]) => {
    const provider = providerOf(undefined);
    expect(await see(provider, "/page", "first", page)).toEqual([first, "first"]);
    expect(await see(provider, "/page", "second", page)).toEqual([second, second === "HIT" ? "first" : "second"]);
  });
});

describe("the key", () => {
  it.each<[what: string, first: string, second: string, outcome: "HIT" | "MISS", query?: Config["query"]]>([
    ["differs by host", "http://host-a.com/page", "http://host-b.com/page", "MISS"],
    ["has its parameters in order", "/page?b=2&a=1", "/page?a=1&b=2", "HIT"],
    ["is without utm_*", "/page", "/page?utm_source=twitter&utm_medium=social", "HIT"],
    ["is without fbclid", "/page?page=2", "/page?page=2&fbclid=abc123", "HIT"],
    ["is without gclid", "/page?page=3", "/page?page=3&gclid=xyz789", "HIT"],
    ["without all of these is that of no parameters", "/page", "/page?utm_source=twitter&fbclid=abc&gclid=xyz", "HIT"],
    ["differs by other parameters", "/page?id=1", "/page?id=2", "MISS"],
    ["has only included ones", "/list?page=1&sort=name", "/list?page=1&sort=date", "HIT", { include: ["page"] }],
    ["differs by included ones", "/list?page=1", "/list?page=2", "MISS", { include: ["page"] }],
    ["with none included is that of no parameters", "/list", "/list?sort=name&filter=on", "HIT", { include: ["page"] }],
    ["is without excluded ones", "/page?id=1", "/page?id=1&session_id=abc", "HIT", { exclude: ["session_*"] }],
  ])("%s", async (...[, first, second, outcome, query]) => {
    const provider = providerOf({ query });
    expect(await see(provider, first, "first")).toEqual(["MISS", "first"]);
    expect(await see(provider, second, "second")).toEqual([outcome, outcome === "HIT" ? "first" : "second"]);
  });

  it("takes included or excluded parameters, not both", () => {
    expect(() => providerOf({ query: { include: ["a"], exclude: ["b"] } })).toThrow(
      expect.objectContaining({ name: "CacheQueryConfigConflict" }),
    );
  });
});

describe("Vary", () => {
  it.each<readonly [field: string, outcomes: readonly (string | null)[], pages: readonly string[]]>([
    ["Accept-Language", ["MISS", "MISS", "HIT"], ["0", "1", "0"]],
    // Astro leaves Cookie out: it would show one user's page to others.
    ["Cookie", [null, null, null], ["0", "1", "2"]],
  ])("by %s", async (field, outcomes, pages) => {
    const provider = providerOf(undefined);
    for (const [i, value] of ["a=1", "b=2", "a=1"].entries()) {
      const page = { maxAge: 60, request: { [field]: value }, fields: { Vary: field } };
      expect(await see(provider, "/page", `${i}`, page)).toEqual([outcomes[i], pages[i]]);
    }
  });
});

it("evicts the oldest page when there are more than max", async () => {
  const provider = providerOf({ max: 2 });
  for (const path of ["/a", "/b", "/c"]) await see(provider, path, path);
  expect(await see(provider, "/b", "new")).toEqual(["HIT", "/b"]);
  expect(await see(provider, "/c", "new")).toEqual(["HIT", "/c"]);
  expect(await see(provider, "/a", "new", {})).toEqual([null, "new"]);
});

describe("invalidate", () => {
  it.each<readonly [what: string, given: Parameters<AstroCacheProvider["invalidate"]>[0], a: string, b: string]>([
    ["a tag", { tags: ["of /a"] }, "MISS", "HIT"],
    ["a path", { path: "/a" }, "MISS", "HIT"],
    ["a tag that no page has", { tags: ["blog"] }, "HIT", "HIT"],
  ])("%s", async (_, given, ...outcomes) => {
    const provider = providerOf(undefined);
    const all = () =>
      Promise.all(
        ["/a", "/b"].map(async (path) => (await see(provider, path, path, { maxAge: 60, tags: [`of ${path}`] }))[0]),
      );
    expect([await all(), await all()]).toEqual([
      ["MISS", "MISS"],
      ["HIT", "HIT"],
    ]);
    await provider.invalidate(given);
    expect(await all()).toEqual(outcomes);
  });
});

it("serves a stale page, and makes it anew in the background", async () => {
  const clock = new TestClock();
  const cache = createCache({ name: "suite", clock }).tier(memory()).build();
  const provider = astroCache(() => cache)(undefined);
  const page = { maxAge: 1, swr: 60 };
  expect(await see(provider, "/page", "stale", page)).toEqual(["MISS", "stale"]);
  await expect.poll(() => cache.stats().tiers[0]!.entries).toBe(1);
  clock.advance(1_100);
  expect(await see(provider, "/page", "fresh", page)).toEqual(["STALE", "stale"]);
  await expect.poll(() => see(provider, "/page", "later", page)).toEqual(["HIT", "fresh"]);
});

it("a page from the cache has its body, status and headers", async () => {
  const provider = providerOf(undefined);
  const body = JSON.stringify({ data: [1, 2, 3], nested: { key: "value" } });
  const fields = { "Content-Type": "application/json", "X-Custom": "hello" };
  await see(provider, "/page", body, { maxAge: 60, status: 201, fields });
  const { answer, seen } = await visit(provider, "/page", "wrong");
  expect(seen).toEqual(["HIT", body]);
  expect(answer.status).toBe(201);
  expect(Object.fromEntries(answer.headers)).toMatchObject({ "content-type": "application/json", "x-custom": "hello" });
});
