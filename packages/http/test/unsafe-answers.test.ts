import { once } from "node:events";
import { createServer, request as send, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, createServer as createServer2 } from "node:http2";
import { connect as connectTo, type AddressInfo, type Server } from "node:net";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { createCache, type Backend } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { httpCache, type HttpCache, type HttpCacheOptions } from "@hotset/http";
import { cachedListener, expressCache, fastifyCache } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import { gate, scriptedBackend, TestClock } from "@hotset/testing";
import express from "express";
import express4 from "express4";
import fastify from "fastify";
import { describe, expect, it, onTestFinished } from "vitest";

const BASE = "https://shop.example";

function open(options: HttpCacheOptions = { base: BASE }, backend?: Backend): HttpCache {
  const near = createCache({ name: "shop" }).tier(memory());
  const cache = (backend === undefined ? near : near.tier(backend)).build();
  onTestFinished(() => cache.close());
  return httpCache(cache.namespace("http"), options);
}

async function portOf(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** An answer whose head has come. */
interface Answer {
  readonly status: unknown;
  readonly cacheStatus: unknown;
  readonly body: Readable;
}
type Ask = (method: string, path: string, host?: string) => Promise<Answer>;

const over1 =
  (port: number): Ask =>
  async (method, path, host = "shop.example") => {
    const asked = send({ port, host: "127.0.0.1", method, path, headers: { host }, agent: false }).end();
    onTestFinished(() => void asked.destroy());
    const [body] = (await once(asked, "response")) as [IncomingMessage];
    return { status: body.statusCode, cacheStatus: body.headers["cache-status"], body };
  };

function over2(port: number): Ask {
  const session = connect(`http://127.0.0.1:${port}`);
  onTestFinished(() => session.destroy());
  return async (method, path, host = "shop.example") => {
    const body = session.request({ ":method": method, ":path": path, ":authority": host }).end();
    const [head] = (await once(body, "response")) as [Record<string, unknown>];
    return { status: head[":status"], cacheStatus: head["cache-status"], body };
  };
}

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;
const FASTIFY = "fastify 5";

const SERVERS: Readonly<Record<string, (cache: HttpCache, handler: Handler) => Promise<number>>> = {
  "node:http": (cache, handler) => portOf(createServer(cachedListener(cache, handler))),
  "express 5": (cache, handler) =>
    portOf(
      createServer(
        express()
          .use(expressCache(cache))
          .use(handler as never),
      ),
    ),
  "express 4": (cache, handler) =>
    portOf(
      createServer(
        express4()
          .use(expressCache(cache))
          .use(handler as never),
      ),
    ),
  [FASTIFY]: async (cache, handler) => {
    const app = fastify();
    fastifyCache(app, cache);
    app.all("*", (request, reply) => {
      reply.hijack();
      void handler(request.raw, reply.raw);
    });
    await app.ready();
    onTestFinished(() => app.close());
    return portOf(app.server);
  },
};
const HTTP2 = "node:http2";
const ALL = [...Object.keys(SERVERS), HTTP2];

async function serve(name: string, cache: HttpCache, handler: Handler): Promise<Ask> {
  if (name !== HTTP2) return over1(await SERVERS[name]!(cache, handler));
  return over2(await portOf(createServer2(cachedListener(cache, handler) as never)));
}

const FRESH = { "cache-control": "max-age=60" };
const bodyOf = async (answer: Promise<Answer>): Promise<string> => text((await answer).body);

describe.each(ALL)("an answer of %s to an unsafe method", (name) => {
  it.each(["POST", "PUT", "DELETE"])("H88 leaves with its head, before its body is written: %s", async (method) => {
    const [writing, written] = [gate(), gate()];
    let version = 1;
    const ask = await serve(name, open(), async (request, response) => {
      const { url } = request;
      if (request.method === "GET") return response.writeHead(200, FRESH).end(`version ${version}`);
      version += 1;
      response.writeHead(200, { ...FRESH, "content-location": url!, "content-length": "10" });
      response.write("hello");
      await writing.pass();
      await new Promise((resolve) => response.write("wor", resolve));
      written.open();
      return response.end("ld");
    });
    expect(await bodyOf(ask("GET", "/a"))).toBe("version 1");
    const { status, cacheStatus, body } = await ask(method, "/a");
    expect([status, cacheStatus]).toEqual([200, "hotset; fwd=method; fwd-status=200"]);
    // What it changed is gone by then, for others too.
    expect(await bodyOf(ask("GET", "/a"))).toBe("version 2");
    writing.open();
    await written.opened;
    expect(await text(body)).toBe("helloworld");
  });

  it.each<[string, (response: ServerResponse) => unknown]>([
    ["the callback of its first write", (response) => response.write("hello", () => response.end("world"))],
    ["the callback of all of it", (response) => response.write("helloworld", () => response.end())],
  ])("H88 ends in %s", async (_, write) => {
    const ask = await serve(name, open(), ({ url }, response) => {
      response.writeHead(200, { ...FRESH, "content-location": url!, "content-length": "10" });
      return write(response);
    });
    expect(await bodyOf(ask("POST", "/a"))).toBe("helloworld");
  });

  it.each([
    ["whose body comes later", "body"],
    ["whose head comes later", "head"],
  ])("H59 %s replaces none that a later request got", async (_, late) => {
    let stock = 0;
    const answering = gate();
    const ask = await serve(name, open(), async ({ method, url }, response) => {
      if (method === "POST") stock += 1;
      const body = `stock ${stock}`;
      const isLate = method === "POST" && stock === 1;
      if (isLate && late === "head") await answering.pass();
      response.writeHead(200, { ...FRESH, "content-location": url!, "content-length": `${body.length}` });
      if (isLate && late === "body") {
        response.flushHeaders();
        await answering.pass();
      }
      return response.end(body);
    });
    const first = bodyOf(ask("POST", "/stock"));
    await answering.arrived();
    expect(await bodyOf(ask("POST", "/stock"))).toBe("stock 2");
    expect(await bodyOf(ask("GET", "/stock"))).toBe("stock 2");
    answering.open();
    expect(await first).toBe("stock 1");
    for (const _ of [1, 2, 3]) expect(await bodyOf(ask("GET", "/stock"))).toBe("stock 2");
  });

  it.each([
    ["whose body comes later", "body"],
    ["whose head comes later", "head"],
  ])("H59 %s is not stored if the head of a later GET has come: its body may be on its way", async (_, late) => {
    const [answering, ending] = [gate(), gate()];
    let stock = 1;
    const ask = await serve(name, open(), async ({ method, url }, response) => {
      const body = `stock ${stock}`;
      if (method === "POST" && late === "head") await answering.pass();
      response.writeHead(200, { ...FRESH, "content-location": url!, "content-length": `${body.length}` });
      response.write(body.slice(0, 3));
      await (method === "GET" ? ending.pass() : late === "body" && answering.pass());
      return response.end(body.slice(3));
    });
    const posted = bodyOf(ask("POST", "/stock"));
    await answering.arrived();
    stock = 2;
    const got = await ask("GET", "/stock");
    answering.open();
    expect(await posted).toBe("stock 1");
    ending.open();
    expect(await text(got.body)).toBe("stock 2");
    for (const _ of [1, 2, 3]) expect(await bodyOf(ask("GET", "/stock"))).toBe("stock 2");
  });
});

describe.each(Object.keys(SERVERS))("a request to %s that names a whole URL", (name) => {
  it.each([
    ["with base", { base: BASE }, `${BASE}/a`, "127.0.0.1"],
    ["with base of another scheme", { base: BASE }, "http://shop.example/a", "shop.example"],
    ["of a host that is listed", { hosts: ["shop.example"] }, "http://shop.example/a", "127.0.0.1"],
  ])("H72 invalidates what is stored of it: %s", async (_, options, url, host) => {
    let price = 1;
    const ask = await serve(name, open(options), ({ method }, response) => {
      if (method === "PUT") price += 1;
      return response.writeHead(200, FRESH).end(`${price}`);
    });
    expect([await bodyOf(ask("GET", "/a")), await bodyOf(ask("GET", "/a"))]).toEqual(["1", "1"]);
    await bodyOf(ask("PUT", url, host));
    expect(await bodyOf(ask("GET", "/a"))).toBe("2");
    const { cacheStatus, body } = await ask("GET", url);
    expect([cacheStatus, await text(body)]).toEqual(["hotset; fwd=bypass; fwd-status=200; detail=host", "2"]);
  });

  it("H72 invalidates nothing of a host that is not listed", async () => {
    let price = 1;
    const ask = await serve(name, open({ hosts: ["shop.example"] }), ({ method }, response) => {
      if (method === "PUT") price += 1;
      return response.writeHead(200, FRESH).end(`${price}`);
    });
    expect(await bodyOf(ask("GET", "/a"))).toBe("1");
    await bodyOf(ask("PUT", "http://other.example/a"));
    expect(await bodyOf(ask("GET", "/a"))).toBe("1");
  });
});

describe.each(Object.keys(SERVERS))("pipelined requests to %s", (name) => {
  it.each<[string, (response: ServerResponse, body: string) => unknown]>([
    ["ends with its head", (response, body) => response.end(body)],
    [
      "is written whole, and ends later",
      (response, body) => {
        response.write(body);
        setImmediate(() => response.end());
      },
    ],
    [
      "has fewer bytes than its head says",
      (response, body) => {
        response.write(body.slice(0, 5));
        response.end();
      },
    ],
  ])("H88 each get their own answer, in order, where each %s", async (how, write) => {
    const backend = scriptedBackend({ clock: new TestClock(), format: v8() });
    const removing = gate();
    backend.script("*", { before: removing, times: Infinity });
    const runs: string[] = [];
    const port = await SERVERS[name]!(open({ base: BASE }, backend), ({ method, url }, response) => {
      if (method === "GET") return response.writeHead(200, FRESH).end("a page");
      runs.push(url!);
      const body = `answer of ${url}`;
      response.writeHead(200, { ...FRESH, "content-location": url!, "content-length": `${body.length}` });
      return write(response, body);
    });
    const socket = connectTo(port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    let got = "";
    socket.on("data", (data: Buffer) => (got += data.toString()));
    const asked = ["/a", "/b", "/c", "/d"].map((path) => `POST ${path} HTTP/1.1\r\nHost: shop.example\r\n\r\n`);
    socket.write(asked.join(""));
    await removing.arrived();
    // The rest of a turn, in which the first one ends.
    await new Promise((resolve) => setTimeout(resolve, 20));
    removing.open();
    const whole = how.startsWith("has fewer") ? /\r\n\r\nanswe/g : /answer of \/[a-d]/g;
    await expect.poll(() => got.match(whole)?.length).toBe(4);
    if (!how.startsWith("has fewer"))
      expect(got.match(whole)).toEqual(["/a", "/b", "/c", "/d"].map((path) => `answer of ${path}`));
    expect(runs).toEqual(["/a", "/b", "/c", "/d"]);
    // The next response is no part of the one before.
    if (how.startsWith("has fewer")) expect(await bodyOf(over1(port)("GET", "/a"))).toBe("a page");
  });
});
