import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { HttpCacheOptions } from "@hotset/http";
import { cachedFetch, cachedHandler } from "@hotset/http/fetch";
import { cachedListener, expressCache } from "@hotset/http/node";
import { describe, expect, it } from "vitest";
import { ADAPTERS, BASE, listen, open, type Ask, type Pages } from "./every-adapter.ts";

const CLIENTS = ["undici interceptor", "caching fetch"];
const FRESH = { "cache-control": "max-age=60", etag: '"a"', "content-type": "text/plain" };
const statusOf = (response: Response): string | null => response.headers.get("cache-status");

describe.each(Object.keys(ADAPTERS))("H87 %s", (name) => {
  const site = async (pages: Pages, options?: HttpCacheOptions): Promise<Ask> => ADAPTERS[name]!(pages, open(options));

  it("H40 H41 H42 answers GET, HEAD, conditions and ranges from one load", async () => {
    let loads = 0;
    const ask = await site(() => ({ fields: FRESH, body: `page ${++loads}` }));
    const first = await ask("/page");
    expect([first.status, await first.text(), statusOf(first)]).toEqual([
      200,
      "page 1",
      "hotset; fwd=uri-miss; fwd-status=200; stored",
    ]);
    await expect.poll(async () => statusOf(await ask("/page"))).toMatch(/^hotset; hit; ttl=\d+$/);
    const hit = await ask("/page");
    expect([await hit.text(), hit.headers.get("age"), hit.headers.get("content-type")]).toEqual([
      "page 1",
      "0",
      "text/plain",
    ]);
    const head = await ask("/page", { method: "HEAD" });
    expect([head.status, await head.text(), head.headers.get("content-length")]).toEqual([200, "", "6"]);
    const same = await ask("/page", { headers: { "if-none-match": '"a"' } });
    expect([same.status, await same.text(), same.headers.get("etag")]).toEqual([304, "", '"a"']);
    const part = await ask("/page", { headers: { range: "bytes=0-3" } });
    expect([part.status, await part.text(), part.headers.get("content-range")]).toEqual([206, "page", "bytes 0-3/6"]);
    expect(loads).toBe(1);
  });

  it("H72 H73 invalidates before an unsafe method is answered", async () => {
    let loads = 0;
    const ask = await site(({ method }) =>
      method === "GET" ? { fields: FRESH, body: `page ${++loads}` } : { status: 204 },
    );
    await (await ask("/page")).text();
    const posted = await ask("/page", { method: "POST" });
    expect([posted.status, await posted.text(), statusOf(posted)]).toEqual([
      204,
      "",
      "hotset; fwd=method; fwd-status=204",
    ]);
    expect(await (await ask("/page")).text()).toBe("page 2");
  });

  it("H62 H80 gives each of many users its own page, and stores none", async () => {
    const ask = await site(({ field }) => ({
      fields: { "cache-control": "private, max-age=60" },
      body: `hello ${field("cookie") ?? "stranger"}`,
    }));
    for (const round of [1, 2]) {
      const users = Array.from({ length: 20 }, (_, i) => `user=${round}-${i}`);
      const pages = await Promise.all(users.map(async (cookie) => (await ask("/me", { headers: { cookie } })).text()));
      expect(pages).toEqual(users.map((cookie) => `hello ${cookie}`));
    }
  });

  it("H94 runs the handler once for each request that is not stored, from the second on", async () => {
    let runs = 0;
    const ask = await site(() => ({ fields: { "cache-control": "private" }, body: `run ${++runs}` }));
    await (await ask("/me")).text();
    const first = runs;
    for (let i = 0; i < 9; i++) await (await ask("/me")).text();
    expect(runs - first).toBe(9);
  });

  it("H45 H46 refreshes behind a stale answer, with a request and a response of its own", async () => {
    let loads = 0;
    const ask = await site(() => ({
      fields: { "cache-control": "max-age=0, stale-while-revalidate=60" },
      body: `page ${++loads}`,
    }));
    expect(await (await ask("/news")).text()).toBe("page 1");
    await expect.poll(async () => (await ask("/news")).text()).toBe("page 2");
    expect(loads).toBeGreaterThan(1);
  });

  it("H33 keeps variants apart", async () => {
    let loads = 0;
    const ask = await site(({ field }) => ({
      fields: { ...FRESH, vary: "accept-language" },
      body: `${field("accept-language")} ${++loads}`,
    }));
    const page = async (language: string): Promise<string> =>
      (await ask("/", { headers: { "accept-language": language } })).text();
    // The first was asked for without the field, until Vary named it.
    expect([await page("de"), await page("en")]).toEqual(["de 2", "en 3"]);
    await expect.poll(() => page("de")).toBe("de 2");
  });

  it.runIf(!CLIENTS.includes(name)).each(["accept", "accept-language", "accept-encoding"])(
    "H101 H102 a handler that throws on %s harms its client alone",
    async (field) => {
      let loads = 0;
      const ask = await site((request) => {
        loads++;
        if (request.field(field) === "x-bomb") throw new Error("no such value");
        return { fields: { ...FRESH, ...(request.path === "/varies" && { vary: field }) }, body: "page" };
      });
      const askFor = async (path: string, value: string): Promise<string> => {
        const answer = await ask(path, { headers: { [field]: value } }).catch(() => undefined);
        await answer?.text();
        return answer?.status === 200 ? statusOf(answer)!.replace(/hit.*/, "hit") : "failed";
      };
      // A load has nothing but what Vary names.
      expect(await askFor("/", "x-bomb")).toMatch(/; stored$/);
      await expect.poll(() => askFor("/", "br")).toBe("hotset; hit");
      expect(await askFor("/varies", "br")).toMatch(/; stored$/);
      await expect.poll(() => askFor("/varies", "br")).toBe("hotset; hit");
      expect(await askFor("/varies", "x-bomb")).toBe("failed");
      const before = loads;
      expect([await askFor("/varies", "br"), await askFor("/", "x-bomb")]).toEqual(["hotset; hit", "hotset; hit"]);
      expect(loads).toBe(before);
    },
  );

  it("H65 H88 passes on a body that is written in parts", async () => {
    const ask = await site(() => ({ fields: FRESH, body: ["one ", "two ", "three"] }));
    expect(await (await ask("/stream")).text()).toBe("one two three");
    await expect.poll(async () => statusOf(await ask("/stream"))).toMatch(/hit/);
    expect(await (await ask("/stream")).text()).toBe("one two three");
  });

  it("H88 answers 204 and errors, and stores no failure", async () => {
    const ask = await site(({ path }) => ({
      status: path === "/empty" ? 204 : 503,
      fields: path === "/empty" ? FRESH : {},
    }));
    const empty = await ask("/empty");
    expect([empty.status, await empty.text()]).toEqual([204, ""]);
    const failed = await ask("/failed");
    expect([failed.status, statusOf(failed)]).toEqual([503, "hotset; fwd=uri-miss; fwd-status=503; detail=status"]);
    await failed.text();
  });
});

describe("cachedFetch", () => {
  it("H85 stores redirects as such, and takes no Authorization to another origin", async () => {
    const seen: [string, string | null][] = [];
    const get = cachedFetch(open({ mode: "private" }), async (input) => {
      const request = input as Request;
      seen.push([request.url, request.headers.get("authorization")]);
      return request.url.startsWith("https://a.example/")
        ? new Response(null, { status: 302, headers: { location: "https://b.example/", ...FRESH } })
        : new Response("b", { headers: FRESH });
    });
    const headers = { authorization: "Bearer x" };
    for (const _ of [1, 2]) expect(await (await get("https://a.example/", { headers })).text()).toBe("b");
    expect(seen).toEqual([
      ["https://a.example/", "Bearer x"],
      ["https://b.example/", null],
    ]);
  });

  it("H85 keeps responses by credentials mode apart, asks with that mode, and a PUT ends them all", async () => {
    const seen: string[] = [];
    const get = cachedFetch(open({ mode: "private" }), async (input) => {
      const { method, credentials } = input as Request;
      seen.push(`${method} ${credentials}`);
      return new Response(credentials, { headers: FRESH });
    });
    const all = async (): Promise<readonly string[]> =>
      Promise.all(
        (["same-origin", "include", "omit"] as const).map(async (credentials) =>
          (await get("https://a.example/", { credentials })).text(),
        ),
      );
    for (const _ of [1, 2]) expect(await all()).toEqual(["same-origin", "include", "omit"]);
    expect(seen).toEqual(["GET same-origin", "GET include", "GET omit"]);
    await get("https://a.example/", { method: "PUT" });
    await all();
    expect(seen.slice(4)).toEqual(["GET same-origin", "GET include", "GET omit"]);
  });

  it("H85 leaves a request with integrity to fetch, which alone can check the body", async () => {
    const seen: string[] = [];
    const get = cachedFetch(open({ mode: "private" }), async (input) => {
      seen.push((input as Request).integrity);
      return new Response("a", { headers: FRESH });
    });
    await get("https://a.example/");
    await get("https://a.example/", { integrity: "sha256-AAAA" });
    expect(seen).toEqual(["", "sha256-AAAA"]);
  });
});

it("H30 a server's cache must know its origin", () => {
  for (const make of [
    () => cachedHandler(open({}), () => new Response()),
    () => cachedListener(open({}), () => undefined),
    () => expressCache(open({})),
  ])
    expect(make).toThrow("say which origin this is");
});

describe("a listener of node:http that fails", () => {
  const serve = (fail: Parameters<typeof cachedListener>[1]): Promise<Ask> =>
    listen(createServer(cachedListener(open({ base: BASE, bodyIdleTimeout: "1h" }), fail)));

  it.each(["GET", "POST"])("H88 answers %s with 500 when it throws", async (method) => {
    const ask = await serve(() => {
      throw new Error("broken");
    });
    expect((await ask("/", { method })).status).toBe(500);
  });

  it.each(["GET", "POST"])("H88 the 500 of %s has no field of the answer that was about to be", async (method) => {
    const cached = cachedListener(open({ base: BASE }), (_, response) => {
      response.statusMessage = "Fine";
      for (const [name, value] of Object.entries(FRESH)) response.setHeader(name, value);
      response.setHeader("content-length", "100").setHeader("x-frame-options", "SAMEORIGIN");
      throw new Error("broken");
    });
    const ask = await listen(
      createServer((request, response) => {
        response.setHeader("x-frame-options", "DENY");
        cached(request, response);
      }),
    );
    const answer = await ask("/", { method });
    const fields = [...Object.keys(FRESH), "x-frame-options"].map((name) => answer.headers.get(name));
    expect([answer.status, answer.statusText, await answer.text(), ...fields]).toEqual([
      500,
      "Internal Server Error",
      "",
      ...[null, null, null],
      "DENY",
    ]);
  });

  it.each<[string, (request: IncomingMessage, response: ServerResponse) => void]>([
    ["the response", (_, response) => response.destroy()],
    ["the socket of the request", ({ socket }) => socket.destroy()],
  ])("H69 H88 a body ends for its client when the handler destroys %s after the first byte", async (_, destroy) => {
    let fail = (): void => undefined;
    const ask = await serve((request, response) => {
      response.writeHead(200, FRESH);
      response.write("half");
      fail = () => destroy(request, response);
    });
    const answer = await ask("/");
    fail();
    await expect(answer.text()).rejects.toThrow("terminated");
  });
});
