// Serves one request of a client by each adapter, in the version of Node that runs this, and prints as JSON: the names
// that a handler finds on what it is given, and each way by which a load reaches something of that client.

import { once } from "node:events";
import http, { request as send } from "node:http";
import http2 from "node:http2";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { createCache } from "@hotset/core";
import { httpCache } from "@hotset/http";
import { cachedHandler, honoCache } from "@hotset/http/fetch";
import { cachedListener, expressCache, fastifyCache, isLoad } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import { createAuthority } from "@hotset/test-servers";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import { waysTo } from "./ways.ts";

/** In everything that the client chooses: its fields, its query, the name that it asks of TLS. */
const MARK = "of-one-client";
const SNI = `${MARK}.example`;
const CONTROL = "max-age=60";

/** Names on real objects, by kind of object. */
const names: Record<string, readonly string[]> = {};
/** By adapter: what a load can reach of its client. */
const leaks: Record<string, readonly string[]> = {};
let runs: string[] = [];

/** Names that are no secret of a runtime: those with an underscore in front are. */
function namesOn(object: object): readonly string[] {
  const found = new Set<string>();
  for (let each: object | null = object; each !== null && each !== Object.prototype; each = Object.getPrototypeOf(each))
    for (const name of Object.getOwnPropertyNames(each))
      if (!name.startsWith("_") && !/^\d+$/.test(name)) found.add(name);
  found.delete("constructor");
  return [...found].toSorted();
}

/** What the client has that a load must not reach: the objects of its connection, and its addresses. */
const ofClient = new Set<object>();
const ports = new Set<number>();

function note(kinds: Readonly<Record<string, object | undefined | null>>): void {
  for (const [kind, object] of Object.entries(kinds))
    if (object !== undefined && object !== null)
      names[kind] = [...new Set([...(names[kind] ?? []), ...namesOn(object)])].toSorted();
}

/** Called by each handler with what it was given: in a load it is searched, else it is noted. */
function judge(adapter: string, isInLoad: boolean, given: Readonly<Record<string, object>>): void {
  runs.push(`${adapter} ${isInLoad ? "load" : "own"}`);
  if (!isInLoad) note(given);
  else
    leaks[adapter] = [...(leaks[adapter] ?? []), ...waysTo(given, { objects: ofClient, numbers: ports, text: MARK })];
}

const cache = createCache({ name: "shop" }).tier(memory()).build();
let pages = 0;
const open = () => httpCache(cache.namespace(`pages-${pages++}`), { base: "https://shop.example", key: { query: [] } });

/** The objects of the client, of its own request: those of the server before any cache. */
function seen(request: http.IncomingMessage, response: http.ServerResponse): void {
  const { stream } = response as { stream?: http2.ServerHttp2Stream };
  for (const each of [request, response, request.socket, stream, stream?.session]) if (each) ofClient.add(each);
  const { remotePort, localPort } = request.socket;
  for (const port of [remotePort, localPort]) if (port !== undefined) ports.add(port);
}

const fields = { "user-agent": MARK, cookie: `sid=${MARK}`, authorization: "", "x-any": MARK, "x-forwarded-for": MARK };
const { authorization: _, ...headers } = fields;

async function listen(server: http.Server | http2.Http2Server | https.Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

const get = (port: number, path: string, options: https.RequestOptions & { readonly secure?: boolean } = {}) =>
  new Promise<void>((resolve, reject) => {
    const { secure, ...rest } = options;
    const to = secure === true ? https.request : send;
    to({ port, host: "127.0.0.1", path: `${path}?${MARK}`, headers, agent: false, ...rest }, (response) => {
      response.resume().on("end", resolve);
    })
      .on("error", reject)
      .end();
  });

/** A page for all, and one for its client alone: the first is a load, and the second is made of its own pair, too. */
const PATHS = ["/page", "/own"];
const controlOf = (url: string): string => (url.startsWith("/own") ? "private" : CONTROL);

const listenerOf =
  (adapter: string, kinds: (request: never, response: never) => Record<string, object>) =>
  (request: http.IncomingMessage, response: http.ServerResponse): void => {
    judge(adapter, isLoad(request), kinds(request as never, response as never));
    response.setHeader("cache-control", controlOf(request.url!));
    response.end("page");
  };

const ofHttp1 = (kind: string) => (request: http.IncomingMessage, response: http.ServerResponse) => ({
  request,
  response,
  [kind]: request.socket,
});
const ofHttp2 = (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => ({
  "request of HTTP/2": request,
  "response of HTTP/2": response,
  stream: request.stream,
  session: request.stream.session!,
});

/** With the objects of each client noted first. */
const noting =
  (listener: http.RequestListener): http.RequestListener =>
  (request, response) => {
    seen(request, response);
    listener(request, response);
  };

const certificate = createAuthority("authority").issue({ commonName: "shop", names: [SNI] });

async function overHttp1(): Promise<void> {
  const plain = http.createServer(noting(cachedListener(open(), listenerOf("node:http", ofHttp1("socket")))));
  const secure = https.createServer(
    { ...certificate, ALPNProtocols: ["http/1.1"] },
    noting(cachedListener(open(), listenerOf("node:https", ofHttp1("TLS socket")))),
  );
  for (const path of PATHS) {
    await get(await listen(plain), path);
    plain.close();
    await get(await listen(secure), path, { secure: true, servername: SNI, rejectUnauthorized: false });
    secure.close();
  }
}

async function overHttp2(): Promise<void> {
  const listener = (adapter: string) => noting(cachedListener(open(), listenerOf(adapter, ofHttp2))) as never;
  const plain = http2.createServer(listener("HTTP/2"));
  const secure = http2.createSecureServer(certificate, listener("HTTP/2 over TLS"));
  for (const [server, scheme] of [
    [plain, "http"],
    [secure, "https"],
  ] as const) {
    const url = `${scheme}://127.0.0.1:${await listen(server)}`;
    const session = http2.connect(url, { servername: SNI, rejectUnauthorized: false } as never);
    for (const path of PATHS) {
      const stream = session.request({ ...headers, ":path": `${path}?${MARK}`, ":authority": "shop.example" });
      stream.resume().end();
      await once(stream, "end");
    }
    session.close();
    server.close();
  }
}

async function throughExpress(): Promise<void> {
  const app = express();
  // As logins and parsers do.
  app.use((request, response, next) => {
    const decorated = {
      user: request.get("cookie"),
      body: { of: request.get("x-any") },
      session: { id: request.get("cookie") },
    };
    Object.assign(request, decorated);
    response.locals["user"] = request.get("cookie");
    next();
  });
  app.use(expressCache(open()));
  app.use((request, response) => {
    judge("Express", isLoad(request), { "request of Express": request, "response of Express": response });
    response.set("cache-control", controlOf(request.url)).send("page");
  });
  const server = http.createServer(noting(app));
  const port = await listen(server);
  for (const path of PATHS) await get(port, path);
  server.close();
}

async function throughFastify(): Promise<void> {
  const app = fastify();
  app.decorateRequest("user", "");
  app.addHook("onRequest", (request, _reply, done) => {
    Object.assign(request, { user: request.headers.cookie });
    done();
  });
  fastifyCache(app, open());
  app.get("*", (request, reply) => {
    judge("Fastify", isLoad(request.raw), { "request of Fastify": request, reply });
    return reply.header("cache-control", controlOf(request.url)).send("page");
  });
  await app.ready();
  const server = http.createServer(noting((request, response) => app.routing(request, response)));
  const port = await listen(server);
  for (const path of PATHS) await get(port, path);
  server.close();
}

async function throughHono(): Promise<void> {
  const app = new Hono();
  app.use((context, next) => {
    context.set("user" as never, context.req.header("cookie") ?? "none");
    return next();
  });
  app.use(honoCache(open(), () => app));
  app.get("*", (context) => {
    const isInLoad = context.req.header("cookie") === undefined;
    judge("Hono", isInLoad, {
      context,
      "request of Hono": context.req,
      Request: context.req.raw,
      "env of Node": context.env as object,
    });
    return context.text("page", 200, { "cache-control": controlOf(context.req.path) });
  });
  const server = http.createServer(noting(getRequestListener(app.fetch) as never));
  const port = await listen(server);
  for (const path of PATHS) await get(port, path);
  server.close();
}

async function throughFetch(): Promise<void> {
  const handler = cachedHandler(open(), (request: Request, ...rest: readonly object[]) => {
    const isInLoad = request.headers.get("cookie") === null;
    judge("a fetch handler", isInLoad, isInLoad ? { Request: request, rest } : { Request: request });
    const { pathname } = new URL(request.url);
    return new Response("page", { headers: { "cache-control": controlOf(pathname) } });
  });
  for (const path of PATHS) {
    const request = new Request(`https://shop.example${path}?${MARK}`, { headers });
    const cf = { country: MARK };
    Object.assign(request, { cf });
    const address = { hostname: MARK };
    const platform = {
      remoteAddr: address,
      completed: Promise.resolve(),
      event: { body: MARK },
      requestContext: { id: MARK },
    };
    for (const each of [request, cf, address]) ofClient.add(each);
    await (await handler(request, platform, { waitUntil: () => undefined, ip: MARK, geo: { city: MARK } })).text();
  }
}

for (const run of [overHttp1, overHttp2, throughExpress, throughFastify, throughHono, throughFetch]) await run();
await cache.close();
console.log(JSON.stringify({ version: process.versions.node, runs, names, leaks }));
process.exit(0);
