import { once } from "node:events";
import { createServer, get, type IncomingMessage, type RequestListener } from "node:http";
import { createServer as createHttp2, connect as connectHttp2 } from "node:http2";
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { createCache, LoadTimeoutError } from "@hotset/core";
import { httpCache, type HttpCache, type HttpCacheOptions } from "@hotset/http";
import { cachedHandler, honoCache } from "@hotset/http/fetch";
import { cachedListener, expressCache, fastifyCache } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import { TestClock } from "@hotset/testing";
import express from "express";
import express4 from "express4";
import fastify from "fastify";
import { Hono } from "hono";
import { describe, expect, it, onTestFinished } from "vitest";

function open(options: HttpCacheOptions = {}): HttpCache {
  const clock = options.clock as TestClock | undefined;
  const cache = createCache({ name: "shop", ...(clock && { clock }) })
    .tier(memory())
    .build();
  onTestFinished(() => cache.close());
  return httpCache(cache.namespace("http"), { base: "https://shop.example", ...options });
}

async function listen(listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => (server.closeAllConnections(), void server.close()));
  return (server.address() as AddressInfo).port;
}

interface Got {
  readonly status: number;
  readonly cacheStatus: string;
  readonly body: string;
}

async function ask(port: number, path: string, headers: Record<string, string> = {}): Promise<Got> {
  const [response] = (await once(get({ host: "127.0.0.1", port, path, headers }), "response")) as [IncomingMessage];
  const cacheStatus = String(response.headers["cache-status"]);
  return { status: response.statusCode!, cacheStatus, body: await text(response) };
}

/** The bytes with which a server answers these. */
async function exchange(port: number, bytes: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(bytes);
  return text(socket);
}

const EXPRESSES = { "Express 5": express, "Express 4": express4 } as const;

describe("H98 H104: a load sees the scheme of its key and the bindings of its platform, and no address", () => {
  it.each(Object.keys(EXPRESSES))("%s: scheme and secure", async (name) => {
    const app = EXPRESSES[name as keyof typeof EXPRESSES]();
    app.use(expressCache(open()));
    app.get("/", (request, response) => {
      const { ip, protocol, secure, hostname } = request;
      response.set("cache-control", "max-age=60").json({ ip, protocol, secure, hostname });
    });
    const { body, cacheStatus } = await ask(await listen(app), "/");
    expect(JSON.parse(body)).toEqual({ protocol: "https", secure: true, hostname: "shop.example" });
    expect(cacheStatus).toContain("stored");
  });

  it.each(Object.keys(EXPRESSES))("%s: an app that is mounted under a path", async (name) => {
    const make = EXPRESSES[name as keyof typeof EXPRESSES];
    const [main, api] = [make(), make()];
    main.use("/api", api);
    api.use(expressCache(open()));
    let runs = 0;
    api.get("/books", ({ originalUrl, baseUrl }, response) => {
      response.set("cache-control", "max-age=60").json([originalUrl, baseUrl, ++runs]);
    });
    const port = await listen(main);
    for (const _ of [1, 2]) expect((await ask(port, "/api/books")).body).toBe('["/api/books","/api",1]');
  });

  it("Fastify: scheme", async () => {
    const app = fastify();
    fastifyCache(app, open());
    app.get("/", ({ ip, protocol }, reply) => reply.header("cache-control", "max-age=60").send({ ip, protocol }));
    await app.ready();
    onTestFinished(() => app.close());
    const { body } = await ask(await listen((...both) => app.routing(...both)), "/");
    expect(JSON.parse(body)).toEqual({ protocol: "https" });
  });

  it("Hono: env and executionCtx", async () => {
    const app = new Hono<{ Bindings: { GREETING: string } }>();
    app.use(honoCache(open(), () => app));
    app.get("/", (context) => {
      context.executionCtx.waitUntil(Promise.resolve());
      return context.text(`${context.env.GREETING} ${context.req.url}`, 200, { "cache-control": "max-age=60" });
    });
    const waited: unknown[] = [];
    const execution = { waitUntil: (each: unknown) => waited.push(each), passThroughOnException: () => undefined };
    const response = await app.fetch(new Request("http://inner/"), { GREETING: "hi" }, execution as never);
    // The load itself is the other one.
    expect([await response.text(), waited.length]).toEqual(["hi https://shop.example/", 2]);
    expect(response.headers.get("cache-status")).toContain("stored");
  });

  it("a Host never becomes part of a URL", async () => {
    const seen: string[] = [];
    const port = await listen(
      cachedListener(open(), ({ url, method }, response) => {
        seen.push(`${method} ${url}`);
        response.writeHead(url === "/public" || url === "/" ? 200 : 404, { "cache-control": "max-age=60" }).end(url);
      }),
    );
    expect(await ask(port, "/any", { host: "x#" })).toMatchObject({ status: 404, body: "/any" });
    expect(await ask(port, "/public", { host: "x/admin?" })).toMatchObject({ status: 200, body: "/public" });
    expect(await ask(port, "/")).toMatchObject({ status: 200, body: "/" });
    await exchange(port, "POST /beacon HTTP/1.1\r\nHost: x/public#\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    expect((await ask(port, "/public")).cacheStatus).toContain("hit");
    expect(seen).toEqual(["GET /any", "GET /public", "GET /", "POST /beacon"]);
  });
});

describe("H48: a handler that throws is as an origin that cannot be reached", () => {
  type Make = (http: HttpCache, page: () => string) => Promise<() => Promise<{ status: number; body: string }>>;
  const fromServer =
    (make: (http: HttpCache, page: () => string) => RequestListener): Make =>
    async (http, page) => {
      const port = await listen(make(http, page));
      return () => ask(port, "/");
    };
  const inExpress = (make: typeof express): Make =>
    fromServer((http, page) => {
      const app = make();
      app.set("env", "test");
      app.use(expressCache(http));
      app.get("/", (_, response) => void response.set("cache-control", "max-age=1").send(page()));
      return app;
    });
  const MAKES: Readonly<Record<string, Make>> = {
    "Express 5": inExpress(express),
    "Express 4": inExpress(express4),
    "node:http": fromServer((http, page) =>
      cachedListener(http, (_, response) => {
        const body = page();
        response.writeHead(200, { "cache-control": "max-age=1" }).end(body);
      }),
    ),
    "an async listener": fromServer((http, page) =>
      cachedListener(http, async (_, response) => {
        const body = await Promise.resolve().then(page);
        response.writeHead(200, { "cache-control": "max-age=1" }).end(body);
      }),
    ),
    Fastify: async (http, page) => {
      const app = fastify();
      fastifyCache(app, http);
      app.get("/", (_, reply) => reply.header("cache-control", "max-age=1").send(page()));
      await app.ready();
      onTestFinished(() => app.close());
      const port = await listen((...both) => app.routing(...both));
      return () => ask(port, "/");
    },
    Hono: async (http, page) => {
      const app = new Hono();
      app.onError((_, context) => context.text("failed", 500));
      app.use(honoCache(http, () => app));
      app.get("/", (context) => context.text(page(), 200, { "cache-control": "max-age=1" }));
      return async () => {
        const response = await app.fetch(new Request("http://inner/"));
        return { status: response.status, body: await response.text() };
      };
    },
    "fetch handler": async (http, page) => {
      const handle = cachedHandler(http, () => new Response(page(), { headers: { "cache-control": "max-age=1" } }));
      return async () => {
        const response = await handle(new Request("http://inner/"));
        return { status: response.status, body: await response.text() };
      };
    },
  };

  it.each(Object.keys(MAKES))("%s", async (name) => {
    const clock = new TestClock();
    let page = (): string => "page";
    const answer = await MAKES[name]!(open({ clock }), () => page());
    expect(await answer()).toMatchObject({ status: 200, body: "page" });
    page = () => {
      throw new Error("database down");
    };
    clock.advance(2_000);
    expect(await answer()).toMatchObject({ status: 200, body: "page" });
  });
});

it.each(["node:http", "Express", "Fastify", "Hono", "fetch handler"])(
  "H68 a load that takes too long while others wait is 504: %s",
  async (name) => {
    const late = new LoadTimeoutError("no response within loadTimeout", { operation: "load" });
    const http = { isServer: true, answer: () => Promise.reject(late) } as unknown as HttpCache;
    const own = (): never => {
      throw new Error("ran");
    };
    const app = fastify();
    fastifyCache(app, http);
    await app.ready();
    const hono = new Hono();
    hono.use(honoCache(http, () => hono));
    const statuses: Readonly<Record<string, () => Promise<number>>> = {
      "node:http": async () => (await ask(await listen(cachedListener(http, own)), "/")).status,
      Express: async () => (await ask(await listen(express().use(expressCache(http))), "/")).status,
      Fastify: async () => (await ask(await listen((...both) => app.routing(...both)), "/")).status,
      Hono: async () => (await hono.fetch(new Request("http://inner/"))).status,
      "fetch handler": async () => (await cachedHandler(http, own)(new Request("http://inner/"))).status,
    };
    expect(await statuses[name]!()).toBe(504);
  },
);

describe("H96: the response of a client is that of Node", () => {
  it("pipelined requests are answered in their order", async () => {
    const later: (() => void)[] = [];
    const port = await listen(
      cachedListener(open(), ({ url }, response) => {
        if (url === "/slow") later.push(() => response.end("slow"));
        else response.setHeader("connection", "close").end("quick");
      }),
    );
    const head = (path: string): string => `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`;
    const answers = exchange(port, head("/slow") + head("/quick"));
    await expect.poll(() => later.length).toBe(1);
    later[0]!();
    expect((await answers).match(/slow|quick/g)).toEqual(["slow", "quick"]);
  });

  it("a handler that answers twice gets Node's error, and its client the first answer", async () => {
    const seen: unknown[] = [];
    const port = await listen(
      cachedListener(open(), (_, response) => {
        response.writeHead(200, { "content-length": 4 }).end("once");
        seen.push(response.headersSent, response.writableEnded);
        try {
          response.setHeader("content-length", 99);
        } catch (error) {
          seen.push((error as { code: string }).code);
        }
      }),
    );
    const answer = await exchange(port, "POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
    expect(answer.split("\r\n\r\n")[1]).toBe("once");
    expect(seen).toEqual([true, true, "ERR_HTTP_HEADERS_SENT"]);
  });

  it("what a handler has written before it ends the connection goes out, as Node sends it", async () => {
    const port = await listen(
      cachedListener(open(), ({ socket }, response) => {
        response.writeHead(200, { "content-length": 9 }).end("once");
        socket.destroy();
      }),
    );
    const answer = await exchange(port, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    expect(answer.split("\r\n\r\n")[1]).toBe("once");
  });

  it.each(["GET", "POST"])(
    "a handler that ends the connection of a %s unanswered: the client sees that",
    async (method) => {
      const port = await listen(cachedListener(open(), ({ socket }) => socket.destroy()));
      expect(await exchange(port, `${method} / HTTP/1.1\r\nHost: a\r\n\r\n`)).toBe("");
    },
  );

  it("interim answers go to the client as the handler wrote them", async () => {
    const port = await listen(
      cachedListener(open(), (_, response) => {
        response.writeProcessing();
        response.writeEarlyHints({ link: "</a.css>; rel=preload", "x-trace": "7" });
        response.writeHead(200, { "cache-control": "max-age=60" }).end("page");
      }),
    );
    for (const method of ["GET", "POST"]) {
      const answer = await exchange(port, `${method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
      const [first, second] = answer.toLowerCase().split("\r\n\r\n");
      expect([first, second?.split("\r\n").toSorted()]).toEqual([
        "http/1.1 102 processing",
        ["http/1.1 103 early hints", "link: </a.css>; rel=preload", "x-trace: 7"],
      ]);
    }
  });

  it("an answer to POST that is what a GET gives is kept with its body", async () => {
    let runs = 0;
    const port = await listen(
      cachedListener(open(), (_, response) => {
        runs++;
        response.setHeaders(new Headers({ "cache-control": "max-age=60", "content-location": "/page" })).end("posted");
      }),
    );
    // A client of its own would add fields.
    const socket = connect(port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    socket.write("POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString()).toContain("posted");
    expect([(await ask(port, "/page")).body, runs]).toEqual(["posted", 1]);
  });

  it("a connection of another kind keeps the methods that it came with", async () => {
    const server = createServer(cachedListener(open(), (_, response) => response.end("page")));
    const outer = createTcpServer((socket: Socket) => {
      const own = socket._write.bind(socket);
      Object.assign(socket, { _write: own });
      server.emit("connection", socket);
      socket.once("end", () => expect(socket._write).toBe(own));
    }).listen(0, "127.0.0.1");
    await once(outer, "listening");
    onTestFinished(() => void outer.close());
    const { port } = outer.address() as AddressInfo;
    expect(await exchange(port, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).toContain("page");
  });

  it("HTTP/2: stored, unstored and without a body", async () => {
    const http = open();
    const listener = cachedListener(http, ({ method, url }, response) => {
      response.setHeader("cache-control", url === "/own" ? "private" : "max-age=60");
      response.statusCode = method === "DELETE" ? 204 : 200;
      response.end(method === "DELETE" ? undefined : `${method} ${url}`);
    });
    const server = createHttp2(listener as never).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    onTestFinished(() => session.close());
    const send = async (method: string, path: string): Promise<readonly unknown[]> => {
      const stream = session.request({ ":method": method, ":path": path }, { endStream: true });
      const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
      return [headers[":status"], String(headers["cache-status"]).split(";")[1], await text(stream)];
    };
    expect(await send("GET", "/page")).toEqual([200, " fwd=uri-miss", "GET /page"]);
    expect(await send("GET", "/page")).toEqual([200, " hit", "GET /page"]);
    expect(await send("GET", "/own")).toEqual([200, " fwd=uri-miss", "GET /own"]);
    expect(await send("POST", "/page")).toEqual([200, " fwd=method", "POST /page"]);
    expect(await send("DELETE", "/page")).toEqual([204, " fwd=method", ""]);
  });
});
