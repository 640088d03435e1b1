import { astroCache, type AstroCacheConfig } from "@hotset/astro";
import { createCache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";

afterEach(() => vi.unstubAllEnvs());

function open(config?: AstroCacheConfig) {
  const cache = createCache({ name: "site" }).tier(memory()).build();
  onTestFinished(() => cache.close());
  const provider = astroCache(() => cache)(config);
  const warnings: string[] = [];
  let runs = 0;
  const get = async (url: string, read: (request: Request) => unknown, fields: Record<string, string> = {}) => {
    const request = new Request(url, {
      headers: { cookie: "user=ann", "accept-language": "de", "x-forwarded-host": "evil.example" },
    });
    const next = async (): Promise<Response> => {
      const body = JSON.stringify([(runs += 1), read(request)]);
      return new Response(body, { headers: { "CDN-Cache-Control": "max-age=60", ...fields } });
    };
    const logger = { warn: (message: string): void => void warnings.push(message) };
    const answer = await provider.onRequest({ request, url: new URL(url), logger }, next);
    return [
      (await answer.json()) as readonly [run: number, value: unknown],
      answer.headers.get("x-astro-cache"),
    ] as const;
  };
  return { get, warnings };
}

describe("H101 a page of Astro that is cached, and read something of its visitor", () => {
  it.each<[string, (request: Request) => unknown, string]>([
    ["a cookie", ({ headers }) => headers.get("Cookie"), "cookie"],
    ["its language", ({ headers }) => headers.get("accept-language"), "accept-language"],
    ["the forwarded host", ({ headers }) => headers.has("X-Forwarded-Host"), "x-forwarded-host"],
    ["all fields", ({ headers }) => Object.fromEntries(headers), "accept-language, cookie, x-forwarded-host"],
    ["all fields by entries", ({ headers }) => [...headers.entries()], "accept-language, cookie, x-forwarded-host"],
  ])("is named in a warning in development: %s", async (_, read, names) => {
    const { get, warnings } = open();
    const [[run, value], outcome] = await get("https://site.example/page?a=1", read);
    expect([run, outcome]).toEqual([1, "MISS"]);
    expect(value).toEqual(
      JSON.parse(
        JSON.stringify(
          read(
            new Request("https://site.example/", {
              headers: { cookie: "user=ann", "accept-language": "de", "x-forwarded-host": "evil.example" },
            }),
          ),
        ),
      ),
    );
    await get("https://site.example/page?a=2", read);
    expect(warnings).toEqual([
      `/page is cached for everyone, but read ${names} of this visitor's request. Set Vary, or leave out Astro.cache.set.`,
    ]);
  });

  it.each<[string, (request: Request) => unknown, Record<string, string>]>([
    ["reads nothing", () => 1, {}],
    ["names it in Vary", ({ headers }) => headers.get("accept-language"), { Vary: "X-A, Accept-Language" }],
    ["sets a cookie", ({ headers }) => headers.get("cookie"), { "Set-Cookie": "a=1" }],
    ["is private", ({ headers }) => headers.get("cookie"), { "CDN-Cache-Control": "private, max-age=60" }],
  ])("is not named if it %s", async (_, read, fields) => {
    const { get, warnings } = open();
    await get("https://site.example/", read, fields);
    expect(warnings).toEqual([]);
  });

  it("is not looked at in production", async () => {
    vi.stubEnv("NODE_ENV", "production");
    const { get, warnings } = open();
    await get("https://site.example/", ({ headers }) => [headers.get("cookie"), Object.hasOwn(headers, "get")]);
    expect(warnings).toEqual([]);
  });
});

describe("H30 hosts of an Astro site", () => {
  it("pages for other hosts are made, and not cached", async () => {
    const { get } = open({ hosts: ["site.example", "site.example:8443"] });
    const outcomes = async (url: string) => [(await get(url, () => 1))[1], (await get(url, () => 1))[1]];
    expect(await outcomes("https://site.example/")).toEqual(["MISS", "HIT"]);
    expect(await outcomes("https://site.example:8443/")).toEqual(["MISS", "HIT"]);
    for (const host of ["evil.example", "site.example.evil.example", "site.example:444"])
      expect(await outcomes(`https://${host}/`)).toEqual([null, null]);
  });

  it.each([["https://site.example"], [""], ["Site.example"], [7]])("%j is no host", (host) => {
    expect(() => open({ hosts: [host as string] })).toThrow('astroCache: hosts must be names such as "shop.example"');
  });
});
