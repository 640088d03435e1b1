import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createCache, type Cache } from "@hotset/core";
import { httpCache, type HttpCache, type HttpCacheOptions } from "@hotset/http";
import { cachedFetch, cachedHandler, honoCache } from "@hotset/http/fetch";
import { cachedListener, expressCache, fastifyCache } from "@hotset/http/node";
import { httpInterceptor } from "@hotset/http/undici";
import { memory } from "@hotset/memory";
import express from "express";
import express4 from "express4";
import fastify from "fastify";
import { Hono } from "hono";
import { Agent, fetch as undiciFetch } from "undici";
import { onTestFinished } from "vitest";

/** An answer of the application under test. */
export interface Page {
  readonly status?: number;
  readonly fields?: Record<string, string>;
  readonly body?: string | readonly string[];
}
export type Pages = (request: { method: string; path: string; field(name: string): string | undefined }) => Page;
export type Ask = (path: string, init?: RequestInit) => Promise<Response>;

export const BASE = "https://shop.example";

export function open(options: HttpCacheOptions = { base: BASE }): HttpCache {
  const cache: Cache = createCache({ name: "shop" })
    .tier(memory({ maxEntries: 1_000 }))
    .build();
  onTestFinished(() => cache.close());
  return httpCache(cache.namespace("http"), options);
}

export async function listen(server: Server): Promise<Ask> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init);
}

const fetchHandler =
  (pages: Pages) =>
  (request: Request): Response => {
    const {
      status = 200,
      fields = {},
      body = "",
    } = pages({
      method: request.method,
      path: new URL(request.url).pathname,
      field: (name) => request.headers.get(name) ?? undefined,
    });
    return new Response(
      typeof body === "string"
        ? status === 204
          ? null
          : body
        : ReadableStream.from(body.map((part) => new TextEncoder().encode(part))),
      {
        status,
        headers: fields,
      },
    );
  };

const listener =
  (pages: Pages) =>
  (request: IncomingMessage, response: ServerResponse): void => {
    const {
      status = 200,
      fields = {},
      body = "",
    } = pages({
      method: request.method!,
      path: new URL(request.url!, BASE).pathname,
      field: (name) => request.headers[name] as string | undefined,
    });
    response.writeHead(status, fields);
    if (typeof body === "string") response.end(body);
    else {
      for (const part of body) response.write(part);
      response.end();
    }
  };

/** Each way to put the cache in front of pages, as a function that asks for one. */
export const ADAPTERS: Readonly<Record<string, (pages: Pages, cache: HttpCache) => Promise<Ask>>> = {
  "fetch handler": async (pages, cache) => {
    const handler = cachedHandler(cache, fetchHandler(pages));
    return (path, init) => handler(new Request(`${BASE}${path}`, init));
  },
  hono: async (pages, cache) => {
    const app = new Hono();
    app.use(honoCache(cache, () => app));
    app.all("*", (context) => fetchHandler(pages)(context.req.raw));
    return async (path, init) => app.fetch(new Request(`${BASE}${path}`, init));
  },
  "node:http": async (pages, cache) => listen(createServer(cachedListener(cache, listener(pages)))),
  "express 5": async (pages, cache) => {
    const app = express();
    app.use(expressCache(cache));
    app.use(listener(pages));
    return listen(createServer(app));
  },
  "express 4": async (pages, cache) => {
    const app = express4();
    app.use(expressCache(cache));
    app.use(listener(pages));
    return listen(createServer(app));
  },
  "fastify 5": async (pages, cache) => {
    const app = fastify();
    fastifyCache(app, cache);
    app.all("*", (request, reply) => {
      listener(pages)(request.raw, reply.raw);
      reply.hijack();
    });
    await app.ready();
    onTestFinished(() => app.close());
    await app.listen({ port: 0, host: "127.0.0.1" });
    const { port } = app.server.address() as AddressInfo;
    return (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init);
  },
  "undici interceptor": async (pages, cache) => {
    const server = createServer(listener(pages)).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => (server.closeAllConnections(), void server.close()));
    const agent = new Agent();
    onTestFinished(() => agent.close());
    const dispatcher = agent.compose(httpInterceptor(cache));
    const { port } = server.address() as AddressInfo;
    return (path, init) =>
      undiciFetch(`http://127.0.0.1:${port}${path}`, {
        ...(init as object),
        dispatcher,
      }) as unknown as Promise<Response>;
  },
  "caching fetch": async (pages, cache) => {
    const get = cachedFetch(cache, async (input) => fetchHandler(pages)(input as Request));
    return (path, init) => get(`${BASE}${path}`, init);
  },
};
