import { astroCache } from "@hotset/astro";
import { CacheClosedError, createCache, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { gate } from "@hotset/testing";
import { describe, expect, it, onTestFinished, vi } from "vitest";

function newSite(cache: Cache = createCache({ name: "site" }).tier(memory()).build()) {
  onTestFinished(() => cache.close());
  const provider = astroCache(() => cache)(undefined);
  let runs = 0;
  return {
    cache,
    provider,
    /** The answer to a request, whose page has these fields. */
    async get(
      path: string,
      fields: Record<string, string> = {},
      request: Record<string, string> = {},
      cookies?: object,
    ) {
      const asked = new Request(`https://site.example${path}`, { headers: request });
      const next = async (): Promise<Response> => {
        const page = new Response(`${(runs += 1)}`, { headers: { "CDN-Cache-Control": "max-age=60", ...fields } });
        if (cookies !== undefined) Reflect.set(page, COOKIES, cookies);
        return page;
      };
      const answer = await provider.onRequest({ request: asked, url: new URL(asked.url) }, next);
      return { answer, text: await answer.text(), outcome: answer.headers.get("x-astro-cache") };
    },
  };
}
const COOKIES = Symbol.for("astro.cookies");
const texts = async (pages: readonly Promise<{ readonly text: string }>[]): Promise<string[]> =>
  (await Promise.all(pages)).map(({ text }) => text).toSorted();

describe("C579: never shared", () => {
  it("are pages that set a cookie through Astro, whose cookies stay with the answer", async () => {
    const { get } = newSite();
    const cookies = { headers: () => ["visitor=1"].values() };
    for (const text of ["1", "2"]) {
      const page = await get("/", {}, {}, cookies);
      expect([page.text, page.outcome, page.answer.headers.get("set-cookie")]).toEqual([text, null, null]);
      expect(Reflect.get(page.answer, COOKIES)).toBe(cookies);
    }
    const none = { headers: () => [].values() };
    expect((await get("/none", {}, {}, none)).outcome).toBe("MISS");
    expect((await get("/none", {}, {}, none)).text).toBe("3");
  });

  it.each([
    ["that set a cookie", { "Set-Cookie": "visitor=1" }, {}],
    ["that vary by cookie", { Vary: "Cookie" }, {}],
    ["for requests with Authorization", {}, { authorization: "Basic YTpi" }],
    ["that are private", { "CDN-Cache-Control": "private, max-age=60" }, {}],
  ])("are pages %s", async (_what, fields, request) => {
    const { get } = newSite();
    expect(await texts([get("/", fields, request), get("/", fields, request)])).toEqual(["1", "2"]);
    expect(await texts([get("/", fields, request)])).toEqual(["3"]);
  });

  it("are pages without Astro.cache.set, for all that their Cache-Control says", async () => {
    const { cache, provider } = newSite();
    const request = new Request("https://site.example/");
    const next = async () => new Response("page", { headers: { "Cache-Control": "public, max-age=60" } });
    for (let i = 0; i < 2; i += 1) {
      const answer = await provider.onRequest({ request, url: new URL(request.url) }, next);
      expect([await answer.text(), answer.headers.get("x-astro-cache")]).toEqual(["page", null]);
    }
    expect(cache.stats().tiers[0]!.entries).toBe(0);
  });
});

it("a page is the page of visitors with any cookies, and made once for all that wait", async () => {
  const { cache, provider } = newSite();
  const leave = gate();
  let runs = 0;
  const next = async () => {
    runs += 1;
    await leave.pass();
    return new Response("page", { headers: { "CDN-Cache-Control": "max-age=60" } });
  };
  const asked = Array.from({ length: 20 }, (_, i) => {
    const request = new Request("https://site.example/", { headers: { cookie: `visitor=${i}` } });
    return provider.onRequest({ request, url: new URL(request.url) }, next).then((answer) => answer.text());
  });
  await expect.poll(() => cache.stats().waiting).toBe(20);
  leave.open();
  expect(new Set(await Promise.all(asked))).toEqual(new Set(["page"]));
  expect(runs).toBe(1);
});

it("C578: a path ends its pages with any query, a tag those that have it, and nothing else", async () => {
  const { get, provider } = newSite();
  const paths = ["/a", "/a?page=2", "/a/b", `/${"long,".repeat(100)}`];
  const all = async () => {
    const found: string[] = [];
    for (const path of paths) found.push((await get(path, { "Cache-Tag": `tag-${path.length}` })).text);
    return found;
  };
  expect(await all()).toEqual(["1", "2", "3", "4"]);
  await provider.invalidate({ path: "/a?page=3" });
  expect(await all()).toEqual(["5", "6", "3", "4"]);
  await provider.invalidate({ path: paths[3]!, tags: ["tag-4", "none"] });
  expect(await all()).toEqual(["5", "6", "7", "8"]);
  await provider.invalidate({ tags: "tag-2" });
  expect(await all()).toEqual(["9", "6", "7", "8"]);
  await provider.invalidate({});
});

it.each([
  ["", false],
  [" of another copy of the package", true],
])("a cache%s that is closed leaves pages to Astro; an error of a page is its own", async (_, isOther) => {
  if (isOther) vi.resetModules();
  const copy = await import("@hotset/core");
  expect(copy.createCache === createCache).toBe(!isOther);
  const { cache, get, provider } = newSite(copy.createCache({ name: "site" }).tier(memory()).build());
  const request = new Request("https://site.example/");
  // The page has a cache too, which is closed.
  const failing = vi.fn(() => Promise.reject(new CacheClosedError("page")));
  await expect(provider.onRequest({ request, url: new URL(request.url) }, failing)).rejects.toThrow("page");
  expect(failing).toHaveBeenCalledTimes(1);
  await cache.close();
  expect([(await get("/")).text, (await get("/")).text]).toEqual(["1", "2"]);
});

it("refuses unknown names", () => {
  const build = () => createCache({ name: "site" }).tier(memory()).build();
  expect(() => astroCache(build)({ query: { includes: [] } as never })).toThrow("did you mean include");
  expect(() => astroCache(build() as never)).toThrow(
    "astroCache: build must be a function that returns a cache, such as () => cache, got an object",
  );
});
