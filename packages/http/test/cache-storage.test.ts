import { cacheStorage, type CacheStorageOptions, type WebCache, type WebCacheStorage } from "@hotset/http/fetch";
import { createTestCache } from "@hotset/testing";
import { describe, expect, it, onTestFinished } from "vitest";

function storage(options: CacheStorageOptions = {}): WebCacheStorage {
  const cache = createTestCache();
  onTestFinished(() => cache.close());
  return cacheStorage(cache.namespace("caches"), { base: "https://shop.example/app/", ...options });
}
const open = (options?: CacheStorageOptions): Promise<WebCache> => storage(options).open("v1");
const textOf = async (response: Response | undefined): Promise<string | undefined> => response?.text();
const asked = (url: string, fields: Record<string, string> = {}): Request =>
  new Request(new URL(url, "https://shop.example/"), { headers: fields });

describe("C506: match", () => {
  it("finds what was put, with status, fields, bytes and URL, and nothing else", async () => {
    const cache = await open();
    const bytes = new Uint8Array(1_000).map((_, i) => i);
    await cache.put("a", new Response(bytes, { status: 404, statusText: "No", headers: { "x-a": "1" } }));
    const found = (await cache.match("https://shop.example/app/a#part"))!;
    expect([found.status, found.statusText, found.headers.get("x-a")]).toEqual([404, "No", "1"]);
    expect(new Uint8Array(await found.arrayBuffer())).toEqual(bytes);
    expect(await cache.match("b")).toBe(undefined);
    expect((await (await cache.match("a"))!.arrayBuffer()).byteLength).toBe(1_000);
    await cache.put("none", new Response(null, { status: 204 }));
    expect((await cache.match("none"))!.body).toBe(null);
  });

  it("ignoreSearch: any query; ignoreMethod: a HEAD or POST as well", async () => {
    const cache = await open();
    await cache.put("/list?page=1", new Response("1"));
    await cache.put("/list?page=2", new Response("2"));
    expect(await textOf(await cache.match("/list?page=2"))).toBe("2");
    expect(await cache.match("/list")).toBe(undefined);
    expect(await textOf(await cache.match("/list", { ignoreSearch: true }))).toBe("1");
    expect(await cache.matchAll("/list", { ignoreSearch: true })).toHaveLength(2);
    const post = new Request("https://shop.example/list?page=1", { method: "POST" });
    expect(await cache.match(post)).toBe(undefined);
    expect(await textOf(await cache.match(post, { ignoreMethod: true }))).toBe("1");
  });

  it("compares the fields that Vary names, absent and empty ones too, unless ignoreVary", async () => {
    const cache = await open();
    const vary = { vary: "Cookies, X-A" };
    await cache.put(asked("/", { cookies: "one" }), new Response("one", { headers: vary }));
    await cache.put(asked("/", { cookies: "two" }), new Response("two", { headers: vary }));
    await cache.put(asked("/", { cookies: "" }), new Response("empty", { headers: vary }));
    const match = async (fields: Record<string, string>): Promise<string | undefined> =>
      textOf(await cache.match(asked("/", fields)));
    expect([await match({ cookies: "two" }), await match({ cookies: "one", "x-b": "1" })]).toEqual(["two", "one"]);
    expect([await match({}), await match({ cookies: "" }), await match({ cookies: "one", "x-a": "1" })]).toEqual([
      undefined,
      "empty",
      undefined,
    ]);
    expect(await textOf(await cache.match("/", { ignoreVary: true }))).toBe("one");
  });
});

describe("C507: put", () => {
  it.each<[string, Request | string, () => Response, string]>([
    ["a POST", new Request("https://shop.example/", { method: "POST" }), () => new Response(), "no request of POST"],
    ["another scheme", "data:text/plain,a", () => new Response(), "http and https alone"],
    ["a part", "/", () => new Response("a", { status: 206 }), "206"],
    ["Vary: *", "/", () => new Response("a", { headers: { vary: "*" } }), "Vary: *"],
    ["Vary: *, among others", "/", () => new Response("a", { headers: { vary: "accept, *" } }), "Vary: *"],
    ["a network error", "/", () => Response.error(), "network error"],
  ])("refuses %s", async (_, request, response, message) => {
    const cache = await open();
    await expect(cache.put(request, response())).rejects.toThrow(new RegExp(message.replace("*", "\\*")));
    expect(await cache.keys()).toEqual([]);
  });

  it("refuses a body that is used or locked, uses the body that it stores, and stores none that breaks off", async () => {
    const cache = await open();
    const used = new Response("a");
    await used.text();
    await expect(cache.put("/", used)).rejects.toThrow(TypeError);
    const locked = new Response("a");
    locked.body!.getReader();
    await expect(cache.put("/", locked)).rejects.toThrow(TypeError);
    const fine = new Response("a");
    await cache.put("/fine", fine);
    expect(fine.bodyUsed).toBe(true);
    const broken = new ReadableStream({ pull: (controller) => controller.error(new Error("broke off")) });
    await expect(cache.put("/", new Response(broken))).rejects.toThrow("broke off");
    expect((await cache.keys()).map(({ url }) => url)).toEqual(["https://shop.example/fine"]);
  });

  it("replaces what the request matches, and keeps other variants", async () => {
    const cache = await open();
    const vary = { headers: { vary: "accept" } };
    await cache.put(asked("/", { accept: "a" }), new Response("a1", vary));
    await cache.put(asked("/", { accept: "b" }), new Response("b1", vary));
    await cache.put(asked("/", { accept: "a" }), new Response("a2", vary));
    const bodies = await Promise.all((await cache.matchAll("/", { ignoreVary: true })).map(textOf));
    expect(bodies).toEqual(["b1", "a2"]);
  });

  it("loses none of many at the same time", async () => {
    const caches = storage();
    const cache = await caches.open("v1");
    const paths = Array.from({ length: 50 }, (_, i) => `/list?page=${i}`);
    await Promise.all(paths.map((path) => cache.put(path, new Response(path))));
    expect(await cache.keys()).toHaveLength(50);
    await Promise.all(paths.slice(1).map((path) => cache.delete(path)));
    expect((await cache.keys()).map(({ url }) => url)).toEqual(["https://shop.example/list?page=0"]);
  });
});

describe("C508: add and addAll", () => {
  const site = (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (pathname === "/down") return Promise.reject(new TypeError("fetch failed"));
    const status = pathname === "/missing" ? 404 : pathname === "/part" ? 206 : 200;
    return Promise.resolve(new Response(pathname, { status, headers: { vary: pathname === "/any" ? "*" : "accept" } }));
  };

  it("store all", async () => {
    const cache = await open({ fetch: site });
    await cache.add("/a");
    await cache.addAll(["/b", asked("/c"), new URL("https://other.example/d")]);
    expect((await cache.keys()).map(({ url }) => new URL(url).pathname)).toEqual(["/a", "/b", "/c", "/d"]);
    expect(await textOf(await cache.match("/c"))).toBe("/c");
  });

  it.each([
    ["a status that is not 2xx", "/missing", "404"],
    ["a part", "/part", "206"],
    ["Vary: *", "/any", "Vary"],
    ["a failed fetch", "/down", "fetch failed"],
    ["another scheme", "data:,a", "http and https alone"],
    ["the same request twice", "/a", "is there twice"],
  ])("store none for %s", async (_, other, message) => {
    const cache = await open({ fetch: site });
    const failed = cache.addAll(["/a", "/b", other]);
    await expect(failed).rejects.toThrow(message);
    await expect(failed).rejects.toHaveProperty(
      "name",
      message === "is there twice" ? "InvalidStateError" : "TypeError",
    );
    expect(await cache.keys()).toEqual([]);
  });
});

describe("C509: keys and delete", () => {
  it("give requests with their fields, in the order of putting", async () => {
    const cache = await open();
    for (const path of ["/b?1", "/a", "/b?2"]) await cache.put(asked(path, { "x-a": path }), new Response());
    const keys = await cache.keys();
    expect(keys.map(({ url }) => url.slice(20))).toEqual(["/b?1", "/a", "/b?2"]);
    expect(keys[2]!.headers.get("x-a")).toBe("/b?2");
    expect((await cache.keys("/b", { ignoreSearch: true })).map(({ url }) => url.slice(20))).toEqual(["/b?1", "/b?2"]);
    expect(await cache.keys(new Request("https://shop.example/a", { method: "HEAD" }))).toEqual([]);
  });

  it("delete what matches, by the options of match", async () => {
    const cache = await open();
    await cache.put("/b?1", new Response());
    await cache.put("/b?2", new Response());
    await cache.put(asked("/c", { accept: "a" }), new Response("c", { headers: { vary: "accept" } }));
    expect([await cache.delete("/b"), await cache.delete("/c")]).toEqual([false, false]);
    expect(await cache.delete("/c", { ignoreVary: true })).toBe(true);
    expect(await cache.delete("/b", { ignoreSearch: true })).toBe(true);
    expect([await cache.keys(), await cache.match("/b?1")]).toEqual([[], undefined]);
  });
});

describe("C510: caches by name", () => {
  it("are apart, in the order of opening, and go with all that they hold", async () => {
    const caches = storage();
    const [b, a] = [await caches.open("b"), await caches.open("a")];
    await b.put("/", new Response("of b"));
    await a.put("/", new Response("of a"));
    expect([await caches.keys(), await caches.has("a"), await caches.has("c")]).toEqual([["b", "a"], true, false]);
    expect(await textOf(await caches.match("/"))).toBe("of b");
    expect(await textOf(await caches.match("/", { cacheName: "a" }))).toBe("of a");
    expect(await caches.match("/", { cacheName: "c" })).toBe(undefined);
    expect([await caches.delete("b"), await caches.delete("b"), await caches.keys()]).toEqual([true, false, ["a"]]);
    expect(await textOf(await caches.match("/"))).toBe("of a");
    expect(await (await caches.open("b")).match("/")).toBe(undefined);
  });

  it("a base that cannot be read as a URL is refused", () => {
    expect(() => storage({ base: "/app" })).toThrow("base must be a URL");
  });
});

it("C511: an entry that someone else wrote is a miss", async () => {
  const cache = createTestCache();
  onTestFinished(() => cache.close());
  const namespace = cache.namespace("caches");
  const pages = await cacheStorage(namespace).open("v1");
  const url = "https://shop.example/";
  const within = namespace.namespace("cache v1");
  await pages.put(url, new Response("page"));
  const [{ id }] = (await within.get(`at ${url}`)) as [{ id: string }];
  const entry = (await within.get(`response ${id}`)) as object;
  for (const change of [
    { fields: [["x\r\ny", "1"]] },
    { status: 99 },
    { format: 2 },
    { fields: 1 },
    { body: { evil: 1 } },
  ]) {
    await within.set(`response ${id}`, { ...entry, ...change }, { ttl: "1h" });
    expect(await pages.match(url)).toBe(undefined);
  }
  for (const list of ["evil", [1, null, { id: 1 }], { evil: 1 }]) {
    await within.set(`at ${url}`, list, { ttl: "1h" });
    expect([await pages.match(url), await pages.keys()]).toEqual([undefined, []]);
  }
});
