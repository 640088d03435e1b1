import { once } from "node:events";
import { createServer, get, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createCache, type Namespace } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { httpCache, type HttpCache, type HttpCacheOptions } from "@hotset/http";
import { cachedFetch } from "@hotset/http/fetch";
import { cachedListener } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { startOwnRedis } from "@hotset/test-servers";
import { gate } from "@hotset/testing";
import { describe, expect, it, onTestFinished } from "vitest";

async function listen(listener: RequestListener): Promise<{ server: Server; url: string; close(): Promise<unknown> }> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  onTestFinished(close);
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close };
}

function pages(url?: string): Namespace {
  const near = createCache({ name: "shop" }).tier(memory({ maxEntries: 1_000 }));
  const cache = (url === undefined ? near : near.tier(redis(url).valueFormat(v8()).build())).build();
  onTestFinished(() => cache.close());
  return cache.namespace("http");
}

const open = (options: HttpCacheOptions = {}, url?: string): HttpCache => httpCache(pages(url), options);

const statusOf = (response: Response): string => response.headers.get("cache-status") ?? "";

describe("an origin that fails", () => {
  const FAULTS: Readonly<Record<string, (server: Server, close: () => Promise<unknown>) => unknown>> = {
    "answers 503": (server) =>
      server.removeAllListeners("request").on("request", (_, response) => response.writeHead(503).end("down")),
    "refuses connections": (_, close) => close(),
    "resets connections": (server) =>
      server.removeAllListeners("request").on("request", ({ socket }) => socket.resetAndDestroy()),
    "does not answer": (server) => server.removeAllListeners("request").on("request", () => undefined),
  };
  const visit = async (fault: string, cacheControl: string): Promise<readonly [string, string]> => {
    const { server, url, close } = await listen((_, response) => {
      response.writeHead(200, { "cache-control": cacheControl, etag: '"a"' }).end("page");
    });
    const http = pages();
    await (await cachedFetch(httpCache(http, { mode: "private" }))(url)).text();
    await FAULTS[fault]!(server, close);
    const loadTimeout = fault === "does not answer" ? "1s" : "30s";
    try {
      const response = await cachedFetch(httpCache(http, { mode: "private", loadTimeout }))(url);
      return [`${response.status} ${await response.text()}`, statusOf(response).replace(/ttl=-?\d+; /, "")];
    } catch (error) {
      return ["failed", (error as Error).message];
    }
  };

  it.each(Object.keys(FAULTS))("H47 %s: the stale response within stale-if-error", async (fault) => {
    expect(await visit(fault, "max-age=0, stale-if-error=60")).toEqual(["200 page", "hotset; hit; detail=error"]);
  });

  it.each([
    ["answers 503", "503 down"],
    ["refuses connections", "200 page"],
    ["resets connections", "200 page"],
    ["does not answer", "200 page"],
  ])("H48 %s: %s without that directive", async (fault, expected) => {
    expect((await visit(fault, "max-age=0"))[0]).toBe(expected);
  });

  it.each(Object.keys(FAULTS))("H48 %s: nothing stale against must-revalidate", async (fault) => {
    const [answer] = await visit(fault, "max-age=0, must-revalidate");
    expect(answer).toBe(fault === "answers 503" ? "503 down" : "failed");
  });

  it("H69 breaks off: so does the stream of the client, and nothing is stored", async () => {
    let isWhole = false;
    const { url } = await listen((_, response) => {
      response.writeHead(200, { "cache-control": "max-age=60", "content-length": "8" });
      if (isWhole) response.end("two half");
      else response.write("half", () => response.destroy());
    });
    const get = cachedFetch(open({ mode: "private" }));
    await expect((await get(url)).text()).rejects.toThrow();
    isWhole = true;
    const answer = await get(url);
    expect([await answer.text(), statusOf(answer)]).toEqual([
      "two half",
      "hotset; fwd=uri-miss; fwd-status=200; stored",
    ]);
  });
});

describe("a client", () => {
  it("H67 that leaves ends nothing: its load is stored for the next one", async () => {
    const loading = gate();
    let loads = 0;
    const listener = cachedListener(open({ base: "https://shop.example" }), (_, response) => {
      loads++;
      void loading.pass().then(() => response.writeHead(200, { "cache-control": "max-age=60" }).end("page"));
    });
    const { url } = await listen(listener);
    const leaving = new AbortController();
    const left = fetch(url, { signal: leaving.signal });
    await loading.arrived();
    leaving.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    loading.open();
    await expect.poll(async () => statusOf(await fetch(url))).toMatch(/hit/);
    expect(loads).toBe(1);
  });

  it("H50 gets the early hints of a handler that it runs", async () => {
    const listener = cachedListener(open({ base: "https://shop.example" }), (_, response) => {
      response.writeEarlyHints({ link: "</a.css>; rel=preload; as=style" });
      response.writeHead(200, { "cache-control": "max-age=60" }).end("page");
    });
    const { url } = await listen(listener);
    const ask = async (): Promise<readonly unknown[]> => {
      const hints: unknown[] = [];
      const request = get(url, (response) => response.resume());
      request.on("information", ({ statusCode, headers }) => hints.push([statusCode, headers["link"]]));
      const [response] = (await once(request, "response")) as [{ headers: Record<string, string> }];
      return [...hints, response.headers["cache-status"]];
    };
    expect(await ask()).toEqual([
      [103, "</a.css>; rel=preload; as=style"],
      "hotset; fwd=uri-miss; fwd-status=200; stored",
    ]);
    expect(await ask()).toEqual([expect.stringMatching(/hit/)]);
  });
});

describe("two processes while Redis fails", () => {
  it.each(["is killed", "is frozen", "is full"])(
    "H71 H62 no request fails, and each user gets its page: Redis %s",
    async (fault) => {
      await using server = await startOwnRedis();
      const version = { now: 1 };
      const listener = cachedListener;
      const processes = await Promise.all(
        [1, 2].map(() =>
          listen(
            listener(open({ base: "https://shop.example" }, server.url), ({ url, headers }, response) => {
              const isPrivate = url === "/me";
              response.writeHead(200, {
                "cache-control": isPrivate ? "private" : "max-age=1, stale-while-revalidate=1",
              });
              response.end(isPrivate ? `${headers.cookie}` : `${version.now}`);
            }),
          ),
        ),
      );
      const visit = async (round: number): Promise<void> => {
        const all = Array.from({ length: 20 }, async (_, i) => {
          const { url } = processes[i % 2]!;
          const cookie = `user=${round}-${i}`;
          const [page, own] = await Promise.all([
            fetch(`${url}page-${i % 3}`),
            fetch(`${url}me`, { headers: { cookie } }),
          ]);
          expect([page.status, own.status, await own.text()]).toEqual([200, 200, cookie]);
          expect(Number(await page.text())).toBeLessThanOrEqual(version.now);
        });
        await Promise.all(all);
      };
      await visit(0);
      if (fault === "is killed") await server.kill();
      if (fault === "is frozen") server.pause();
      if (fault === "is full") await server.command("CONFIG", "SET", "maxmemory", "1");
      version.now = 2;
      for (const round of [1, 2]) await visit(round);
      // By then its windows have passed, in Redis too.
      await new Promise((resolve) => setTimeout(resolve, 2_100));
      const answers = await Promise.all(processes.map(async ({ url }) => (await fetch(`${url}page-0`)).text()));
      expect(answers).toEqual(["2", "2"]);
      if (fault === "is frozen") server.resume();
      if (fault === "is killed") await server.start();
      await visit(3);
    },
  );
});
