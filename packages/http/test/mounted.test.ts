import { createServer as createPlain, get, type RequestListener, type ServerResponse } from "node:http";
import { connect, createServer as createHttp2 } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { createCache, json } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { httpCache, type HttpCache, type HttpCacheOptions } from "@hotset/http";
import { cachedFetch, honoCache, purgeHandler } from "@hotset/http/fetch";
import { cachedListener } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import { scriptedBackend, TestClock } from "@hotset/testing";
import { Hono } from "hono";
import { afterEach, describe, expect, it } from "vitest";
import { Site, valueOf } from "./site.ts";

const SHOP = "https://shop.example";
const FRESH = { "cache-control": "max-age=60" };
const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

function pages(options: HttpCacheOptions = { base: SHOP }): HttpCache {
  const cache = createCache({ name: "mounted" }).tier(memory()).build();
  closing.push(() => cache.close());
  return httpCache(cache.namespace("pages"), options);
}

async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  return (server.address() as AddressInfo).port;
}

/** Status, fields as bytes, and body. */
async function ask(listener: RequestListener, path: string, headers: Record<string, string> = {}): Promise<Asked> {
  const server = createPlain(listener);
  const port = await portOf(server);
  return new Promise((resolve, reject) => {
    get({ port, path, headers, agent: false }, (response) => {
      response.setEncoding("utf8");
      let body = "";
      response.on("data", (chunk: string) => (body += chunk));
      response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, body }));
    }).on("error", reject);
  });
}

interface Asked {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

describe("HTTP/2", () => {
  it.each<[string, HttpCacheOptions]>([
    ["base", { base: "http://shop.example" }],
    ["hosts", { hosts: ["shop.example"] }],
  ])("H30 H101 :authority is the host, and no pseudo field is withheld: with %s", async (_, options) => {
    let runs = 0;
    const server = createHttp2(
      cachedListener(pages(options), (request, response) => {
        runs++;
        const isPrivate = request.url === "/private";
        response.setHeader("cache-control", isPrivate ? "private" : "max-age=60");
        response.end(`${request.headers.host}`);
      }) as never,
    );
    const session = connect(`http://127.0.0.1:${await portOf(server)}`);
    closing.push(() => session.close());
    const answer = (path: string): Promise<string> =>
      new Promise((resolve, reject) => {
        let [status, body] = ["", ""];
        const stream = session.request({ ":path": path, ":authority": "shop.example" }).setEncoding("utf8");
        stream.on("response", (headers) => (status = String(headers["cache-status"]).split(";")[1]!.trim()));
        stream.on("data", (chunk: string) => (body += chunk));
        stream.on("end", () => resolve(`${status} ${body}`)).on("error", reject);
      });
    expect([await answer("/"), await answer("/")]).toEqual(["fwd=uri-miss shop.example", "hit shop.example"]);
    // Once more with the connection of its client.
    await answer("/private");
    expect(runs).toBe(3);
  });
});

describe("node:http", () => {
  it("H16 a byte above 0x7f in a field is the same in a miss and in a hit", async () => {
    const listener = cachedListener(pages(), (_, response) => {
      response.setHeader("x-name", "gr\u00c3\u00b6n");
      response.setHeader("cache-control", "max-age=60");
      response.write(Buffer.from("a"));
      setImmediate(() => response.end());
    });
    const [miss, hit] = [await ask(listener, "/"), await ask(listener, "/")];
    expect([miss.headers["x-name"], hit.headers["x-name"]]).toEqual(["gr\u00c3\u00b6n", "gr\u00c3\u00b6n"]);
    expect(hit.headers["cache-status"]).toMatch(/^hotset; hit/);
  });

  it("H98 H102 H104 a load has the headers in each form, and a socket of no client that can be asked", async () => {
    const seen: unknown[] = [];
    const listener = cachedListener(pages({ base: SHOP, safeHeaders: ["x-a"] }), (request, response) => {
      const { socket } = request;
      const asked = socket as unknown as Record<string, () => unknown>;
      seen.push(
        [request.headersDistinct["x-a"], request.rawHeaders, request.headers["x-a"]],
        [asked["getPeerCertificate"]!(), asked["ref"]!() === socket, asked["unref"]!() === socket],
        [socket.connecting, socket.readyState, (socket.address() as AddressInfo).address],
        [typeof asked["destroySoon"], (socket as unknown as { server: Server }).server.listening],
      );
      response.writeHead(200, FRESH).end("page");
    });
    expect((await ask(listener, "/", { "x-a": "1", host: "shop.example" })).status).toBe(200);
    expect(seen).toEqual([
      [["1"], ["x-a", "1", "host", "shop.example"], "1"],
      [{}, true, true],
      [false, "open", undefined],
      ["function", false],
    ]);
  });

  it("H100 a listener that calls an optional third argument has not failed", async () => {
    const connect = (_: unknown, response: ServerResponse, next?: () => void): void => {
      next?.();
      response.writeHead(200, FRESH).end("page");
    };
    const listener = cachedListener(pages(), connect);
    await ask(listener, "/");
    expect((await ask(listener, "/")).headers["cache-status"]).toMatch(/^hotset; hit/);
  });

  it("H102 a handler that reads a header of its client serves each of them", async () => {
    const listener = cachedListener(pages(), (request, response) => {
      response.writeHead(200, FRESH).end(`mobile ${request.headers["user-agent"]!.includes("Mobile")}`);
    });
    for (const agent of ["Mobile Safari", "Firefox", "Firefox"])
      expect((await ask(listener, "/", { "user-agent": agent })).body).toBe(`mobile ${agent.startsWith("Mobile")}`);
  });

  it.each<[string, (response: ServerResponse) => ServerResponse]>([
    ["an object", (response) => response.writeHead(200, { "Cache-Status": "origin; hit", "x-a": ["1", "2"] })],
    ["a list", (response) => response.writeHead(200, "Fine", ["Cache-Status", "origin; hit", "x-a", "1", "x-a", "2"])],
    ["nothing", (response) => response.setHeader("x-a", ["1", "2"]).setHeader("cache-status", "origin; hit")],
    [
      "a list over others",
      (response) =>
        response
          .setHeader("x-a", "0")
          .appendHeader("cache-status", "origin; hit")
          .writeHead(200, ["x-a", "1", "x-a", "2"]),
    ],
  ])("H88 what is passed on has the Cache-Status in its head: %s", async (_, write) => {
    const listener = cachedListener(pages({ base: SHOP, rules: [{ pass: true }] }), (_request, response) => {
      write(response).end("page");
    });
    const { headers, body } = await ask(listener, "/");
    expect([headers["x-a"], body]).toEqual(["1, 2", "page"]);
    expect(headers["cache-status"]).toBe("origin; hit, hotset; fwd=bypass; fwd-status=200; detail=rule");
  });

  it("H101 a site with a login: users run the handler, all others share one page", async () => {
    const rules = [{ match: { header: { cookie: { regex: "(^|; )sid=" } } }, pass: true }, {}];
    let runs = 0;
    const listener = cachedListener(pages({ base: SHOP, rules }), (request, response) => {
      runs++;
      const user = /sid=(\w+)/.exec(request.headers.cookie ?? "")?.[1];
      response.setHeader("cache-control", user === undefined ? "max-age=60" : "private");
      response.end(user === undefined ? "please log in" : `hello ${user}`);
    });
    const as = async (cookie: string): Promise<string> => (await ask(listener, "/", { cookie })).body;
    expect([await as("sid=ann"), await as("theme=dark"), await as("a=b; sid=bob"), await as("theme=light")]).toEqual([
      "hello ann",
      "please log in",
      "hello bob",
      "please log in",
    ]);
    expect(runs).toBe(3);
  });
});

describe("fetch", () => {
  it("H87 Hono: middleware in front may replace the request, and a handler may ask the app itself", async () => {
    const app = new Hono();
    let runs = 0;
    app.use(async (context, next) => {
      context.req.raw = new Request(context.req.raw, { headers: { "x-start": "1" } });
      await next();
    });
    app.use(honoCache(pages(), () => app));
    app.get("/part", (context) => context.text(`part ${++runs}`, 200, FRESH));
    app.get("/", async (context) => {
      const part = await app.request("/part");
      return context.text(`${await part.text()}, page ${++runs}`, 200, FRESH);
    });
    const answer = async (path: string): Promise<string> => {
      const response = await app.request(path);
      return `${await response.text()} ${response.headers.get("cache-status")!.split(";")[1]!.trim()}`;
    };
    expect(await answer("/")).toBe("part 1, page 2 fwd=uri-miss");
    await expect.poll(() => answer("/")).toBe("part 1, page 2 hit");
    await expect.poll(() => answer("/part")).toBe("part 1 hit");
  });

  it("H103 cachedFetch answers a POST although the network reads no body", async () => {
    const get = cachedFetch(pages({}), async () => new Response("done"));
    expect(await (await get(`${SHOP}/`, { method: "POST", body: "{}" })).text()).toBe("done");
  });

  it("H103 a purge order that has no end is refused", async () => {
    const purge = purgeHandler(pages(), { authorize: () => true });
    const endless = new ReadableStream<Uint8Array>({ pull: (open) => open.enqueue(new Uint8Array(40_000)) });
    const init = { method: "POST", body: endless, duplex: "half" } as RequestInit;
    const answer = await purge(new Request(`${SHOP}/`, init));
    expect([answer.status, await answer.json()]).toEqual([
      400,
      { error: "more than 65536 bytes, or slower than 10000 ms" },
    ]);
  });
});

describe("what is named", () => {
  it("H75 a purge names a URL as clients send it", async () => {
    const site = new Site({ base: SHOP }).counts(FRESH);
    await site.get({ path: "/caf%C3%A9?q=%C3%A9" });
    await site.http.purge(`${SHOP}/caf\u00e9?q=\u00e9`);
    expect((await site.ask({ path: "/caf%C3%A9?q=%C3%A9" }))[0]).toBe("2");
  });

  it.each(["/me/a", "/ME/a", "//me/a", "/me//a", "/%6De/a", "/me/a/", "/me/%ff", "/m%65/%ff"])(
    "H92 a rule for /me/{rest}* has %s",
    async (path) => {
      const rules = [{ match: { path: "/me/{rest}*" }, pass: true }, { defaults: { ttl: 60_000 } }];
      const site = new Site({ base: SHOP, rules });
      site.page = (request) => ({ body: `${valueOf(request, "cookie")}` });
      for (const cookie of ["ann", "bob"]) expect((await site.ask({ path, fields: { cookie } }))[0]).toBe(cookie);
      expect(site.http.stats().passed).toEqual({ rule: 2 });
    },
  );

  it("H92 and not what is encoded to be another path", async () => {
    const rules = [{ match: { path: "/me/{rest}*" }, pass: true }, { defaults: { ttl: 60_000 } }];
    const site = new Site({ base: SHOP, rules }).counts({ etag: '"a"' });
    for (const path of ["/me%2fa", "/men/a", "/a/me/b"]) await site.get({ path });
    expect(site.http.stats().passed).toEqual({});
  });

  it("H88 a format without bytes is refused when the cache is made", () => {
    const open = (format: ReturnType<typeof json>): HttpCache => {
      const cache = createCache({ name: "formats" })
        .tier(scriptedBackend({ format, clock: new TestClock() }))
        .build();
      closing.push(() => cache.close());
      return httpCache(cache.namespace("pages"), { base: SHOP });
    };
    expect(() => open(json())).toThrow(
      "httpCache: bodies are bytes, which the format json does not keep; use valueFormat(msgpack()) or v8()",
    );
    expect(open(v8()).isServer).toBe(true);
  });
});
