import { Agent, request as send, type IncomingMessage, type ServerResponse } from "node:http";
import { getRequestListener } from "@hono/node-server";
import type { HttpCache } from "@hotset/http";
import { cachedFetch, cachedHandler, honoCache } from "@hotset/http/fetch";
import { cachedListener, expressCache, fastifyCache } from "@hotset/http/node";
import { httpInterceptor } from "@hotset/http/undici";
import express from "express";
import express4 from "express4";
import fastify from "fastify";
import { Hono } from "hono";
import { Agent as UndiciAgent } from "undici";
import { begin, forward, writeInformation } from "./forward.ts";

export type Proxy = (request: IncomingMessage, response: ServerResponse) => unknown;

/** A caching reverse proxy to one server, by each of the adapters that the package has. */
export const ADAPTERS: Readonly<Record<string, (cache: HttpCache, origin: string) => Promise<Proxy>>> = {
  "node:http": async (cache, origin) => cachedListener(cache, proxyTo(origin)),
  "express 5": async (cache, origin) =>
    express()
      .use(expressCache(cache))
      .use((request, response) => proxyTo(origin)(request, response)),
  "express 4": async (cache, origin) =>
    express4()
      .use(expressCache(cache))
      .use((request, response, next) => void proxyTo(origin)(request, response).catch(next)),
  fastify: async (cache, origin) => {
    const app = fastify();
    fastifyCache(app, cache);
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", (_request, _payload, done) => done(null));
    app.all("*", (request, reply) => proxyTo(origin)(request.raw, reply.raw, () => reply.hijack()));
    await app.ready();
    return (...both) => app.routing(...both);
  },
  "fetch handler": async (cache, origin) => getRequestListener(cachedHandler(cache, fetchFrom(origin))),
  hono: async (cache, origin) => {
    const app = new Hono();
    app.use(honoCache(cache, () => app));
    app.all("*", (context) => fetchFrom(origin)(context.req.raw));
    return getRequestListener(app.fetch);
  },
  interceptor: async (cache, origin) => {
    const dispatcher = new UndiciAgent().compose(httpInterceptor(cache));
    return (request, response) => {
      forward(dispatcher, origin, request, request.headers, response)
        .then(async ({ statusCode, statusText, headers, body }) => {
          begin(response, statusCode, statusText, headers);
          body.on("error", () => response.destroy()).pipe(response);
        })
        .catch((error: unknown) => fail(response, error));
    };
  },
  cachedFetch: async (cache, origin) => {
    const get = cachedFetch(cache);
    return getRequestListener(async (request) => get(...asked(request, origin)));
  },
};

const agent = new Agent({ keepAlive: true });

/** As an application would write it with `node:http` alone. Rejects while there is no answer. */
const proxyTo =
  (origin: string) =>
  (request: IncomingMessage, response: ServerResponse, onHead: () => unknown = () => undefined): Promise<void> =>
    new Promise((resolve, reject) => {
      const { method, rawHeaders, headers } = request;
      const hasBody = headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined;
      const attempt = (isSecond: boolean): void => {
        const options = { agent: hasBody ? false : agent, method, headers: rawHeaders };
        const asking = send(new URL(request.url!, origin), options);
        asking.on("information", ({ statusCode, rawHeaders: info }) =>
          writeInformation(response, statusCode, pairs(info)),
        );
        asking.on("response", (from) => {
          onHead();
          resolve();
          response.sendDate = false;
          response.writeHead(from.statusCode!, from.statusMessage, from.rawHeaders);
          from.on("error", () => response.destroy()).pipe(response);
        });
        // A kept connection that the origin has just closed.
        asking.on("error", (error) => {
          if (response.headersSent) return;
          if (!isSecond && asking.reusedSocket && method === "GET") attempt(true);
          else reject(error);
        });
        if (hasBody) request.pipe(asking);
        else asking.end();
      };
      attempt(false);
    });

const asked = (request: Request, origin: string): readonly [string, RequestInit] => {
  const { pathname, search } = new URL(request.url);
  const { method, headers, body, signal } = request;
  const sent = new Headers(headers);
  for (const name of ["connection", "host"]) sent.delete(name);
  return [
    `${origin}${pathname}${search}`,
    {
      method,
      headers: sent,
      body,
      signal,
      redirect: "manual",
      ...(body !== null && { duplex: "half" }),
    },
  ];
};

const fetchFrom =
  (origin: string) =>
  async (request: Request): Promise<Response> => {
    const { status, statusText, headers, body } = await fetch(...asked(request, origin));
    return new Response(body, { status, statusText, headers });
  };

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) response.destroy();
  else response.writeHead((error as { code?: string }).code === "LOAD_TIMEOUT" ? 504 : 502).end();
}

function pairs(raw: readonly string[]): readonly (readonly [string, string])[] {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i]!, raw[2 * i + 1]!] as const);
}
