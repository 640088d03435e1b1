/**
 * The processor time of a request with and without the cache, on the thread of its server: the client is another
 * thread. Bare and cached runs alternate, and the least of all rounds counts.
 *
 *     npm run bench -- http
 *     npm run bench -- http --rounds 15 --requests 3000
 */
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { httpCache, type HttpCache } from "@hotset/http";
import { cachedListener, expressCache, fastifyCache } from "@hotset/http/node";
import express from "express";
import fastify from "fastify";
import { createCache, memory } from "hotset";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "7" }, requests: { type: "string", default: "1500" } },
});
const [rounds, requests] = [Number(values.rounds), Number(values.requests)];

const BODY = "x".repeat(1_800);
/** Beside the page, which is a hit: one that may not be shared, with a cookie as a browser sends it. */
const PATHS = { hit: "/page", "not cacheable": "/private" } as const;
const lifetime = (path: string | undefined): string => (path === "/private" ? "private" : "max-age=3600");

const cache = createCache({ name: "http-cost" }).tier(memory()).build();
const pages = (name: string): HttpCache => httpCache(cache.namespace(name), { base: "http://localhost" });
const listener: RequestListener = (request, response) => {
  response.writeHead(200, { "cache-control": lifetime(request.url), "content-type": "text/plain" }).end(BODY);
};

const KINDS: Readonly<Record<string, (isCached: boolean) => RequestListener | Promise<RequestListener>>> = {
  "node:http": (isCached) => (isCached ? cachedListener(pages("node"), listener) : listener),
  Express: (isCached) => {
    const app = express();
    if (isCached) app.use(expressCache(pages("express")));
    app.get(/.*/, (request, response) => void response.set("cache-control", lifetime(request.path)).send(BODY));
    return app as RequestListener;
  },
  Fastify: async (isCached) => {
    const app = fastify();
    if (isCached) fastifyCache(app, pages("fastify"));
    app.get("/*", async (request, reply) => {
      reply.header("cache-control", lifetime(request.url)).type("text/plain");
      return BODY;
    });
    await app.ready();
    return (...both) => app.routing(...both);
  },
};

const client = new Worker(new URL("client.ts", import.meta.url));
const servers: Server[] = [];
for (const [kind, make] of Object.entries(KINDS)) {
  const ports = { bare: await open(await make(false)), cached: await open(await make(true)) };
  for (const [name, path] of Object.entries(PATHS)) {
    const least = { bare: Infinity, cached: Infinity };
    for (const port of Object.values(ports)) await cost(port, path);
    for (let round = 0; round < rounds; round++)
      for (const which of ["bare", "cached"] as const)
        least[which] = Math.min(least[which], await cost(ports[which], path));
    const ratio = least.cached / least.bare;
    console.log(
      `${kind}, ${name}: ${least.bare.toFixed(0)} us bare, ${least.cached.toFixed(0)} cached, x ${ratio.toFixed(2)}`,
    );
  }
}
await client.terminate();
for (const server of servers) server.close();
await cache.close();

async function open(serve: RequestListener): Promise<number> {
  const server = createServer(serve).listen(0, "127.0.0.1");
  servers.push(server);
  await new Promise((resolve) => server.once("listening", resolve));
  return (server.address() as AddressInfo).port;
}

/** For one request, in microseconds. */
async function cost(port: number, path: string): Promise<number> {
  const before = process.threadCpuUsage();
  await new Promise((resolve) => {
    client.once("message", resolve);
    client.postMessage({ port, path, requests });
  });
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / requests;
}
