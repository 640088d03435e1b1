import { ConfigurationError, createCache, type Cache } from "@hotset/core";
import { httpCache } from "@hotset/http";
import { inspector, type Client, type Inspector, type InspectorOptions } from "@hotset/inspector";
import { memory } from "@hotset/memory";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";

afterEach(() => vi.unstubAllEnvs());

const LOCAL: Client = { address: "127.0.0.1" };
const HOST = "http://localhost:8080";

function opened(options: InspectorOptions = {}): { readonly cache: Cache; readonly inspect: Inspector } {
  const cache = createCache({ name: "shop" }).tier(memory()).build();
  const inspect = inspector(cache, options);
  onTestFinished(() => inspect.close());
  onTestFinished(() => cache.close());
  return { cache, inspect };
}

const get = (path: string, headers: Readonly<Record<string, string>> = {}, host = HOST): Request =>
  new Request(`${host}${path}`, { headers });

const asking = (name: string, question: unknown, headers: Readonly<Record<string, string>> = {}): Request =>
  new Request(`${HOST}/hotset/api/${name}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-hotset-inspector": "1",
      origin: HOST,
      "sec-fetch-site": "same-origin",
      ...headers,
    },
    body: typeof question === "string" ? question : JSON.stringify(question),
  });

const place = { cache: "shop", namespace: [], key: "user:1" };

describe("who is answered without authorize", () => {
  it.for<[client: Client, request: Request, status: number]>([
    [LOCAL, get("/hotset/"), 200],
    [{ address: "::1" }, get("/hotset/", {}, "http://[::1]:8080"), 200],
    [{ address: "::ffff:127.0.0.1" }, get("/hotset/", {}, "http://127.0.0.1:8080"), 200],
    // Beyond this machine, or at an unknown address.
    [{ address: "10.0.0.7" }, get("/hotset/"), 403],
    [{}, get("/hotset/"), 403],
    // A name of another host that was made to point here.
    [LOCAL, get("/hotset/", {}, "http://evil.example:8080"), 403],
    // A proxy on this machine.
    [LOCAL, get("/hotset/", { "x-forwarded-for": "10.0.0.7" }), 403],
    [LOCAL, get("/hotset/", { forwarded: "for=10.0.0.7" }), 403],
    [LOCAL, get("/hotset/", { via: "1.1 proxy" }), 403],
    // Every file and question alike.
    [{}, get("/hotset/page.js"), 403],
    [{}, get("/hotset/api/live?page=overview"), 403],
    [{}, asking("keys", { cache: "shop", source: "memory" }), 403],
  ])("%o", async ([client, request, status]) => {
    const response = await opened().inspect(request, client);
    expect(response.status).toBe(status);
    if (status === 403) expect(await response.text()).toMatch(/pass inspector\(caches, \{ authorize \}\)/);
    else await response.body?.cancel();
  });

  it("does not start in production", () => {
    vi.stubEnv("NODE_ENV", "production");
    const cache = createCache({ name: "shop" }).tier(memory()).build();
    onTestFinished(() => cache.close());
    expect(() => inspector(cache)).toThrow(/authorize must be given with NODE_ENV=production/);
  });
});

describe("authorize", () => {
  it("is asked about each request, and about values and changes once more", async () => {
    const asked: string[] = [];
    const { cache, inspect } = opened({
      write: true,
      authorize: (request, access) => {
        asked.push(`${access} ${new URL(request.url).pathname}`);
        return access !== "write";
      },
    });
    await cache.set("user:1", { name: "Ada" });
    expect((await inspect(get("/hotset/"))).status).toBe(200);
    expect((await inspect(asking("value", place))).status).toBe(200);
    const refusal = await inspect(asking("delete", place));
    expect([refusal.status, await refusal.json()]).toEqual([403, { error: "authorize refused access to changes" }]);
    expect(await cache.has("user:1")).toBe(true);
    expect(asked).toEqual([
      "read /hotset/",
      "read /hotset/api/value",
      "value /hotset/api/value",
      "read /hotset/api/delete",
      "write /hotset/api/delete",
    ]);
  });

  it.for<[name: string, authorize: InspectorOptions["authorize"], status: number, text: string]>([
    ["false", () => false, 403, "authorize refused access to the inspector\n"],
    ["a promise of false", async () => false, 403, "authorize refused access to the inspector\n"],
    ["something that is not true", () => 1 as never, 403, "authorize refused access to the inspector\n"],
    [
      "a call that throws a secret",
      () => {
        throw new Error("token hunter2");
      },
      403,
      "authorize failed\n",
    ],
    ["a response", () => new Response("log in", { status: 401 }), 401, "log in"],
  ])("%s refuses", async ([, authorize, status, text]) => {
    const { inspect } = opened({ authorize });
    const response = await inspect(get("/hotset/"), LOCAL);
    expect([response.status, await response.text()]).toEqual([status, text]);
  });
});

describe("changes", () => {
  it("are refused without write, even if authorize agrees", async () => {
    const { cache, inspect } = opened({ authorize: () => true });
    await cache.set("user:1", "Ada");
    for (const name of ["delete", "mark-stale", "invalidate-tag", "bypass"]) {
      const response = await inspect(asking(name, { ...place, tag: "a", tiers: ["memory"] }), LOCAL);
      expect([response.status, await response.json()]).toEqual([
        403,
        { error: "read-only: pass inspector(caches, { write: true })" },
      ]);
    }
    expect([await cache.get("user:1"), cache.stats().tiers[0]?.state]).toEqual(["Ada", "up"]);
  });

  it("delete, mark stale, invalidate a tag and bypass a tier", async () => {
    const { cache, inspect } = opened({ write: true });
    const ask = async (name: string, question: object): Promise<unknown> =>
      (await inspect(asking(name, { ...place, ...question }), LOCAL)).json();
    await cache.namespace("users").set("user:1", "Ada", { staleIfError: "1h" });
    await cache.set("user:1", "Ada", { tags: ["team"] });
    expect(await ask("mark-stale", { namespace: ["users"] })).toEqual({ status: "stale" });
    expect(await ask("delete", { namespace: ["users"] })).toEqual({ status: "deleted" });
    expect(await ask("delete", { namespace: ["users"] })).toEqual({ status: "missing" });
    expect(await ask("invalidate-tag", { tag: "team" })).toEqual({ status: "done" });
    expect(await cache.get("user:1")).toBe(undefined);
    expect(await ask("bypass", { tiers: ["memory"] })).toEqual({ tiers: [{ label: "memory", state: "bypassed" }] });
    expect(await ask("bypass", { tiers: [] })).toEqual({ tiers: [{ label: "memory", state: "up" }] });
  });
});

describe("a foreign page", () => {
  it.for<[name: string, request: Request]>([
    ["its origin", asking("delete", place, { origin: "http://evil.example", "sec-fetch-site": "cross-site" })],
    ["another port", asking("delete", place, { origin: "http://localhost:3000", "sec-fetch-site": "same-site" })],
    ["an opaque origin", asking("delete", place, { origin: "null", "sec-fetch-site": "cross-site" })],
    ["an origin alone, of an old browser", asking("delete", place, { origin: "https://evil.example" })],
    ["a stream", get("/hotset/api/live?page=overview", { "sec-fetch-site": "cross-site" })],
  ])("%s is refused", async ([, request]) => {
    const { cache, inspect } = opened({ write: true });
    await cache.set("user:1", "Ada");
    const response = await inspect(request, LOCAL);
    expect([response.status, await response.json()]).toEqual([403, { error: "a page of another origin asked" }]);
    expect(await cache.has("user:1")).toBe(true);
  });

  it("is refused without the header that no form can send", async () => {
    const { cache, inspect } = opened({ write: true });
    await cache.set("user:1", "Ada");
    const form = asking("delete", place);
    form.headers.delete("x-hotset-inspector");
    form.headers.delete("origin");
    form.headers.delete("sec-fetch-site");
    expect((await inspect(form, LOCAL)).status).toBe(403);
    expect((await inspect(asking("delete", place, { "content-type": "text/plain" }), LOCAL)).status).toBe(415);
    expect((await inspect(get("/hotset/api/delete"), LOCAL)).status).toBe(405);
    expect(await cache.has("user:1")).toBe(true);
  });

  it("may not frame, run or load anything, and no answer is kept", async () => {
    const { inspect } = opened();
    for (const path of ["/hotset/", "/hotset/page.js", "/hotset/none", "/elsewhere"]) {
      const { headers } = await inspect(get(path), LOCAL);
      const policy = headers.get("content-security-policy");
      expect(policy).toMatch(/default-src 'none'.*frame-ancestors 'none'.*require-trusted-types-for 'script'/);
      expect(policy).not.toMatch(/unsafe|http|\*/);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("referrer-policy")).toBe("no-referrer");
      expect(headers.get("cache-control")).toMatch(/^no-store$|^private, no-cache$/);
      expect(headers.get("access-control-allow-origin")).toBe(null);
    }
    const html = await (await inspect(get("/hotset/"), LOCAL)).text();
    expect(html).not.toMatch(/<script>|style=|\son\w+=|https?:/);
  });
});

describe("questions", () => {
  it.for<[name: string, question: unknown, status: number, error: string]>([
    ["keys", "no json", 400, "the body must be JSON"],
    ["keys", "[]", 400, "the body must be a JSON object"],
    ["keys", { cache: "none", source: "memory" }, 404, 'no cache of this inspector has the name "none"'],
    ["keys", { cache: "shop", source: "disk" }, 400, "source must be one of memory, backend"],
    ["keys", { cache: "shop", source: "backend" }, 409, "the backend of this cache cannot list its keys"],
    ["keys", { cache: "shop", source: "memory", limit: 2_000 }, 400, "limit must be a whole number from 0 to 1000"],
    ["rows", { list: "x", offset: -1 }, 400, "offset must be a whole number from 0 to 9007199254740991"],
    ["rows", { list: "x" }, 404, "this list of keys is no longer kept; search again"],
    ["entry", { cache: "shop", namespace: "users", key: "a" }, 400, "namespace must be a list of at most 100 texts"],
    ["entry", { cache: "shop", key: 1 }, 400, "key must be text"],
    ["entry", { cache: "shop", key: "k".repeat(70_000) }, 413, "the body must have at most 64 KiB"],
    ["toString", {}, 404, "the inspector has no such question"],
    ["__proto__", {}, 404, "the inspector has no such question"],
  ])("%s %j", async ([name, question, status, error]) => {
    const response = await opened().inspect(asking(name, question), LOCAL);
    expect([response.status, await response.json()]).toEqual([status, { error }]);
  });

  it("a key that no cache accepts is an error in words", async () => {
    const response = await opened().inspect(asking("entry", { cache: "shop", key: "" }), LOCAL);
    expect(response.status).toBe(502);
    expect(await response.json()).toEqual({ error: expect.stringMatching(/^INVALID_ARGUMENT: .*key/) });
  });

  it("an error that is not of hotset is not shown", async () => {
    const redact = (): never => {
      throw new Error("hunter2");
    };
    const { cache, inspect } = opened({ redact });
    await cache.set("user:1", "Ada");
    const response = await inspect(asking("value", place), LOCAL);
    expect([response.status, await response.json()]).toEqual([500, { error: "the inspector failed" }]);
  });
});

describe("values", () => {
  const valueOf = async (inspect: Inspector): Promise<unknown> => (await inspect(asking("value", place), LOCAL)).json();

  it("are shown without what names of fields call a secret", async () => {
    const { cache, inspect } = opened();
    await cache.set("user:1", {
      name: "Ada",
      password: "a",
      nested: [{ apiToken: "b", "set-cookie": ["c"], isTokenOk: true }],
    });
    expect(JSON.parse(((await valueOf(inspect)) as { text: string }).text)).toEqual({
      name: "Ada",
      password: "[redacted]",
      nested: [{ apiToken: "[redacted]", "set-cookie": "[redacted]", isTokenOk: true }],
    });
    expect(await cache.get("user:1")).toMatchObject({ password: "a" });
  });

  it("are what redact returns, which gets a copy", async () => {
    const { cache, inspect } = opened({
      redact: (value, { key }) => Object.assign(value as object, { name: `of ${key}` }),
    });
    await cache.set("user:1", { name: "Ada" });
    expect(JSON.parse(((await valueOf(inspect)) as { text: string }).text)).toEqual({ name: "of user:1" });
    expect(await cache.get("user:1")).toEqual({ name: "Ada" });
  });

  it("are printed as Node does where they are no JSON, and cut after 64 KiB", async () => {
    const { cache, inspect } = opened();
    await cache.set("user:1", new Map([["token", 1n]]));
    expect(await valueOf(inspect)).toEqual({ kind: "text", text: "Map(1) { 'token' => '[redacted]' }", isCut: false });
    await cache.set("user:1", "x".repeat(100_000));
    expect(await valueOf(inspect)).toEqual({ kind: "json", text: `"${"x".repeat(65_535)}`, isCut: true });
    await cache.delete("user:1");
    expect(await valueOf(inspect)).toEqual({ kind: "missing", text: "", isCut: false });
  });
});

describe("options", () => {
  const cache = createCache({ name: "shop" }).tier(memory()).build();
  it.for<[caches: unknown, options: unknown, message: RegExp]>([
    [cache, { path: "hotset" }, /path must be a path that begins with a slash.*got "hotset"/],
    [cache, { path: "/" }, /path must be a path that begins with a slash.*got "\/"/],
    [cache, { write: "yes" }, /write must be true or false, got "yes"/],
    [cache, { authorize: true }, /authorize must be a function, got a boolean/],
    [cache, { autorize: () => true }, /unknown option "autorize"; did you mean authorize/],
    [cache, { followers: { shop: {} } }, /followers must be an object of followers by name/],
    [cache, { http: [] }, /http must be an object of HTTP caches by name/],
    [
      cache,
      { http: httpCache(cache, { base: "http://shop.example" }) },
      /http must be an object of HTTP caches by name/,
    ],
    [
      cache,
      { toolkit: "redis://localhost" },
      /toolkit must be createRedis\(\.\.\.\) or a tenant of it, got text of 17 characters/,
    ],
    [cache, { redis: {} }, /unknown option "redis"; did you mean toolkit/],
    [cache, cache, /give several caches as a list: inspector\(\[a, b\]\)/],
    [[], {}, /caches must be a cache/],
    [{}, {}, /caches must be a cache/],
    [[cache, cache], {}, /two caches have the name "shop"/],
  ])("%o, %o", ([caches, options, message]) => {
    expect(() => inspector(caches as Cache, options as InspectorOptions)).toThrow(ConfigurationError);
    expect(() => inspector(caches as Cache, options as InspectorOptions)).toThrow(message);
  });
});
