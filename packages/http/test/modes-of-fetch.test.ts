import { httpCache, type HttpCacheOptions } from "@hotset/http";
import { cachedFetch } from "@hotset/http/fetch";
import { createTestCache, flush, TestClock } from "@hotset/testing";
import { describe, expect, it, onTestFinished } from "vitest";

const PAGE = "https://a.example/page";
const OLD = "https://a.example/old";

/** `/old` redirects to `/page`, which says how often it was asked; a page that has not changed is a 304. */
function open(options: HttpCacheOptions, more: Record<string, string> = {}) {
  const clock = new TestClock();
  const cache = createTestCache({ clock });
  onTestFinished(() => cache.close());
  const seen: string[] = [];
  let isUnchanged = false;
  const get = cachedFetch(httpCache(cache.namespace("http"), { clock, ...options }), async (input) => {
    const request = input as Request;
    const condition = request.headers.get("if-none-match");
    seen.push([new URL(request.url).pathname, ...(condition === null ? [] : [condition])].join(" "));
    const headers = { "cache-control": "max-age=60", date: new Date(clock.epochMs()).toUTCString(), ...more };
    if (request.url === OLD) return new Response(null, { status: 302, headers: { ...headers, location: "/page" } });
    if (isUnchanged && condition !== null) return new Response(null, { status: 304, headers });
    return new Response(`${seen.length}`, { headers: { ...headers, etag: `"${seen.length}"` } });
  });
  const ask = async (mode: string, url = PAGE, headers: Record<string, string> = {}): Promise<string> => {
    const init = { cache: mode, headers, ...(mode === "only-if-cached" && { mode: "same-origin" }) } as RequestInit;
    const response = await get(url, init);
    const text = await response.text();
    // Answered with its head; what is stored follows.
    await flush();
    return response.ok ? text : String(response.status);
  };
  return {
    ask,
    clock,
    /** The requests since the last call. */
    seen: (): readonly string[] => seen.splice(0, seen.length),
    unchanged: (): void => void (isUnchanged = true),
  };
}

describe.each<HttpCacheOptions>([{ mode: "private" }, {}, { requestDirectives: false, mode: "private" }])(
  "H43 cachedFetch with %o does what the mode cache says",
  (options) => {
    it("no-store: asks, and stores nothing", async () => {
      const { ask, seen } = open(options);
      await ask("no-store");
      await ask("no-store");
      expect(seen()).toEqual(["/page", "/page"]);
      await ask("default");
      await ask("default");
      expect(seen()).toEqual(["/page"]);
    });

    it("no-cache asks whether it has changed, and reload asks for all of it", async () => {
      const { ask, seen, unchanged } = open(options);
      expect(await ask("default")).toBe("1");
      unchanged();
      expect(await ask("no-cache")).toBe("1");
      expect(seen()).toEqual(["/page", '/page "1"']);
      expect(await ask("reload")).toBe("1");
      expect(seen()).toEqual(["/page"]);
      expect(await ask("default")).toBe("1");
      expect(seen()).toEqual([]);
    });

    it("force-cache takes a stale response too, and asks when there is none", async () => {
      const { ask, seen, clock } = open(options, { etag: '"0"' });
      expect(await ask("force-cache")).toBe("1");
      clock.advance(61_000);
      expect(await ask("force-cache")).toBe("1");
      expect(seen()).toEqual(["/page"]);
      expect(await ask("default")).toBe("1");
      expect(seen()).toEqual(['/page "1"']);
    });

    it("only-if-cached takes a stale response too, and is 504 when there is none", async () => {
      const { ask, seen, clock } = open(options);
      expect(await ask("only-if-cached")).toBe("504");
      expect(seen()).toEqual([]);
      expect(await ask("default")).toBe("1");
      expect(await ask("only-if-cached")).toBe("1");
      clock.advance(61_000);
      expect(await ask("only-if-cached")).toBe("1");
      expect(seen()).toEqual(["/page"]);
    });

    it("together with Cache-Control of the request", async () => {
      const { ask, seen } = open(options);
      await ask("no-store", PAGE, { "cache-control": "no-transform" });
      await ask("default");
      expect(seen()).toEqual(["/page", "/page"]);
      await ask("reload", PAGE, { "cache-control": "max-age=30" });
      expect(seen()).toEqual(["/page"]);
    });

    it("behind a redirect too", async () => {
      const { ask, seen } = open(options);
      expect(await ask("only-if-cached", OLD)).toBe("504");
      await ask("no-store", OLD);
      await ask("no-store", OLD);
      expect(seen()).toEqual(["/old", "/page", "/old", "/page"]);
      expect(await ask("default", OLD)).toBe("2");
      expect(await ask("only-if-cached", OLD)).toBe("2");
      expect(seen()).toEqual(["/old", "/page"]);
      await ask("reload", OLD);
      expect(seen()).toEqual(["/old", "/page"]);
    });
  },
);

it("H85 caches where a request has no integrity, cache or credentials: not all runtimes have these", async () => {
  const getters = ["integrity", "cache", "credentials"] as const;
  const had = getters.map((name) => [name, Object.getOwnPropertyDescriptor(Request.prototype, name)!] as const);
  onTestFinished(() => {
    for (const [name, descriptor] of had) Object.defineProperty(Request.prototype, name, descriptor);
  });
  for (const name of getters) delete (Request.prototype as unknown as Record<string, unknown>)[name];
  const { ask, seen } = open({});
  await ask("default");
  await ask("default");
  expect(seen()).toEqual(["/page"]);
});

it("H43 a server obeys no Cache-Control of its clients, and neither does cachedFetch those that a request has", async () => {
  const { ask, seen } = open({});
  await ask("default");
  await ask("default", PAGE, { "cache-control": "no-cache" });
  expect(seen()).toEqual(["/page"]);
});

it.each([
  ["error", '"error"'],
  ["follow", "more than 20 redirects"],
] as const)("H85 a redirect that is not followed, by %s, leaves no body open", async (redirect, message) => {
  const cache = createTestCache();
  onTestFinished(() => cache.close());
  const [opened, cancelled]: string[][] = [[], []];
  const get = cachedFetch(httpCache(cache.namespace("http"), { mode: "private" }), async (input) => {
    const { url } = input as Request;
    opened!.push(url);
    const body = new ReadableStream({ cancel: () => void cancelled!.push(url) });
    const headers = { location: `${PAGE}/${opened!.length}`, "cache-control": "no-store" };
    return new Response(body, { status: 302, headers });
  });
  await expect(get(PAGE, { redirect })).rejects.toThrow(message);
  expect(opened).toHaveLength(redirect === "error" ? 1 : 21);
  await expect.poll(() => cancelled).toEqual(opened);
});

describe("what fetch gives", () => {
  const network = async (request: Request): Promise<Response> => {
    if (request.url.startsWith("https://rates.example/old"))
      return new Response(null, { status: 307, headers: { location: "/new" } });
    const body = `${request.method} ${await request.text()}`;
    return new Response(body, { headers: { "cache-control": "max-age=60" } });
  };
  const open = (): typeof fetch => {
    const cache = createTestCache({ clock: new TestClock() });
    onTestFinished(() => cache.close());
    return cachedFetch(httpCache(cache.namespace("http"), { mode: "private" }), network as typeof fetch);
  };

  it("H85 H87 a response has its URL, its type, and whether it was redirected, stored or not, and so has a clone", async () => {
    const get = open();
    for (const _ of [1, 2]) {
      const { url, redirected, type } = await get("https://rates.example/new#top");
      expect([url, redirected, type]).toEqual(["https://rates.example/new", false, "basic"]);
      const followed = (await get("https://rates.example/old")).clone();
      expect([followed.url, followed.redirected, await followed.text()]).toEqual([
        "https://rates.example/new",
        true,
        "GET ",
      ]);
    }
  });

  it("H85 H87 a redirect that keeps the method sends the body again, but for a stream", async () => {
    const get = open();
    const post = async (body: NonNullable<RequestInit["body"]>): Promise<string> =>
      (await get("https://rates.example/old", { method: "POST", body, duplex: "half" })).text();
    expect(await post("text")).toBe("POST text");
    expect(await post(new URLSearchParams({ a: "1" }))).toBe("POST a=1");
    await expect(post(new Blob(["x"]).stream())).rejects.toThrow(TypeError);
  });
});

it.each(["shared", "private"] as const)(
  "no-store asks the network although a fresh response is stored: %s",
  async (mode) => {
    const cache = createTestCache({ clock: new TestClock() });
    onTestFinished(() => cache.close());
    let runs = 0;
    const network = async (): Promise<Response> =>
      new Response(`${++runs}`, { headers: { "cache-control": "max-age=60" } });
    const get = cachedFetch(httpCache(cache.namespace("http"), { mode }), network);
    const ask = async (init?: RequestInit): Promise<string> => (await get("https://shop.example/", init)).text();
    expect([await ask(), await ask({ cache: "no-store" } as RequestInit), await ask()]).toEqual(["1", "2", "1"]);
  },
);
