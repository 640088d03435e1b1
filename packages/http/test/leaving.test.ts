import { once } from "node:events";
import {
  createServer,
  request as send,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import {
  connect,
  constants,
  createServer as createServer2,
  type Http2Server,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createCache, type Backend } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { httpCache, type HttpCache } from "@hotset/http";
import { cachedHandler } from "@hotset/http/fetch";
import { cachedListener, expressCache, fastifyCache } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import { createTestCache, flush, gate, scriptedBackend, TestClock } from "@hotset/testing";
import express from "express";
import express4 from "express4";
import fastify from "fastify";
import { describe, expect, it, onTestFinished } from "vitest";

function open(backend?: Backend): HttpCache {
  const near = createCache({ name: "shop" }).tier(memory());
  const cache = (backend === undefined ? near : near.tier(backend)).build();
  onTestFinished(() => cache.close());
  return httpCache(cache.namespace("http"), { base: "https://shop.example" });
}

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** A client that can leave. */
interface Client {
  get(path: string): Promise<string>;
  /** Sends a request; returns a function that leaves. With `upload` its body is half there. */
  begin(method: string, path: string, upload?: "upload"): () => void;
}

function client1(port: number): Client {
  const at = { host: "127.0.0.1", port };
  return {
    get: async (path) => (await fetch(`http://127.0.0.1:${port}${path}`)).text(),
    begin(method, path, upload) {
      const headers = upload === undefined ? {} : { "content-length": 10 };
      const request = send({ ...at, method, path, headers }).on("error", () => undefined);
      if (upload === undefined) request.end();
      else request.write("half");
      return () => request.destroy();
    },
  };
}

function client2(port: number): Client {
  const session = connect(`http://127.0.0.1:${port}`);
  onTestFinished(() => session.destroy());
  return {
    async get(path) {
      const chunks: Buffer[] = [];
      for await (const chunk of session.request({ ":path": path })) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks).toString();
    },
    begin(method, path, upload) {
      const stream = session.request({ ":path": path, ":method": method }).on("error", () => undefined);
      if (upload === undefined) stream.end();
      else stream.write("half");
      return () => stream.close(constants.NGHTTP2_CANCEL);
    },
  };
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const SERVERS: Readonly<Record<string, (cache: HttpCache, handler: Handler) => Promise<Client>>> = {
  "node:http": async (cache, handler) => client1(await listen(createServer(cachedListener(cache, handler)))),
  "node:http2": async (cache, handler) => {
    const server: Http2Server = createServer2(cachedListener(cache, handler) as never);
    return client2(await listen(server));
  },
  "express 5": async (cache, handler) =>
    client1(await listen(createServer(express().use(expressCache(cache)).use(handler) as RequestListener))),
  "express 4": async (cache, handler) =>
    client1(await listen(createServer(express4().use(expressCache(cache)).use(handler) as RequestListener))),
  "fastify 5": async (cache, handler) => {
    const app = fastify();
    fastifyCache(app, cache);
    app.addContentTypeParser("*", (_, __, done) => done(null));
    app.all("*", (request, reply) => {
      reply.hijack();
      handler(request.raw, reply.raw);
    });
    await app.ready();
    onTestFinished(() => app.close());
    return client1(await listen(app.server));
  },
};

describe.each(Object.keys(SERVERS))("a client of %s that leaves", (name) => {
  it.each([undefined, "upload"] as const)("H72 purges what its request changed then (%s)", async (upload) => {
    let version = 1;
    const changing = gate();
    const closed = Promise.withResolvers<void>();
    const client = await SERVERS[name]!(open(), ({ method, url }, response) => {
      if (method === "GET") {
        response.writeHead(200, { "cache-control": "max-age=60" }).end(`${url} ${version}`);
        return;
      }
      response.once("close", closed.resolve);
      void changing.pass().then(() => {
        version = 2;
        response.setHeader("location", "/b");
        response.writeHead(201).end("made");
      });
    });
    const pages = (): Promise<readonly string[]> => Promise.all(["/a", "/b"].map((path) => client.get(path)));
    expect(await pages()).toEqual(["/a 1", "/b 1"]);
    const leave = client.begin("POST", "/a", upload);
    await changing.arrived();
    leave();
    await closed.promise;
    expect(await pages()).toEqual(["/a 1", "/b 1"]);
    changing.open();
    await expect.poll(pages).toEqual(["/a 2", "/b 2"]);
  });

  it("H88 ends its response once what the request changed is purged", async () => {
    const left = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    const backend = scriptedBackend({ clock: new TestClock(), format: v8() });
    const purging = gate();
    backend.script("*", { before: purging, times: Infinity });
    const client = await SERVERS[name]!(open(backend), (request, response) => {
      const { stream } = response as { readonly stream?: ServerHttp2Stream };
      (stream ?? request.socket).once(stream === undefined ? "end" : "aborted", left.resolve);
      (stream ?? response).once("close", closed.resolve);
      response.writeHead(200).write("made");
    });
    const leave = client.begin("POST", "/");
    await purging.arrived();
    leave();
    await left.promise;
    purging.open();
    await expect(closed.promise).resolves.toBeUndefined();
  });
});

it.each(["before", "after"])("H88 a client of node:http2 that leaves %s loadTimeout ends a load", async (when) => {
  const clock = new TestClock();
  const cache = createTestCache({ clock });
  onTestFinished(() => cache.close());
  const pages = httpCache(cache.namespace("http"), { base: "https://shop.example", loadTimeout: 100 });
  const [begun, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const client = await SERVERS["node:http2"]!(pages, ({ url }, response) => {
    if (url === "/next") return void response.end("next");
    response.once("close", closed.resolve);
    begun.resolve();
  });
  const leave = client.begin("GET", "/");
  await begun.promise;
  if (when === "after") clock.advance(100);
  await flush();
  leave();
  // Its session has seen it then.
  expect(await client.get("/next")).toBe("next");
  clock.advance(100);
  await expect(closed.promise).resolves.toBeUndefined();
});

describe("H67: a load of a fetch handler", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: object) => Promise<void>;

  it.each(["finish", "abort"] as const)(
    "with %s, its request aborts or not as its last caller leaves, though nothing holds it",
    async (onAbort) => {
      const clock = new TestClock();
      const cache = createTestCache({ clock });
      onTestFinished(() => {
        // The handler never ends: what is left of its load goes with the time that a load may take.
        clock.advance("1m");
        return cache.close();
      });
      const signals: AbortSignal[] = [];
      const pages = httpCache(cache.namespace("http"), { base: "https://shop.example", onAbort, clock });
      const handler = cachedHandler(pages, ({ signal }) => {
        signals.push(signal);
        return new Promise<never>(() => undefined);
      });
      const callers = [new AbortController(), new AbortController()];
      const requests = callers.map(({ signal }) => new Request("https://shop.example/", { signal }));
      const answers = requests.map((request) => handler(request));
      await flush();
      await collect({ execution: "async" });
      const seen: boolean[] = [];
      for (const [i, caller] of callers.entries()) {
        caller.abort(new Error("left"));
        await expect(answers[i]).rejects.toThrow("left");
        await flush();
        seen.push(signals[0]!.aborted);
      }
      expect([signals.length, ...seen]).toEqual([1, false, onAbort === "abort"]);
      expect(requests).toHaveLength(2);
    },
  );
});
