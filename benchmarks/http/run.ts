/**
 * The processor time of each kind of request with and without the cache, on the thread of its server: the client is another
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
import type { Asked, Order } from "./client.ts";

// Services run so: elsewhere a hit checks the names of its options.
process.env["NODE_ENV"] ??= "production";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "7" }, requests: { type: "string", default: "1500" } },
});
const [rounds, requests] = [Number(values.rounds), Number(values.requests)];

const BODY = Buffer.alloc(2_048, "x");
/** What the client asks for, of `node:http`: of frameworks only the first two. With a cookie, as a browser sends it. */
const ASKED: Readonly<Record<string, Asked>> = {
  hit: { path: "/page" },
  "private page": { path: "/private" },
  "hit that varies": { path: "/vary" },
  "rule with pass": { path: "/pass" },
  miss: { path: "/miss", isNew: true },
  POST: { path: "/form", method: "POST" },
};
const OF_FRAMEWORKS = ["hit", "private page"];
const lifetime = (path: string | undefined): string => (path === "/private" ? "private" : "max-age=3600");

const cache = createCache({ name: "http-cost" }).tier(memory()).build();
const pages = (name: string): HttpCache =>
  httpCache(cache.namespace(name), {
    base: "http://localhost",
    rules: [{ match: { path: "/pass" }, pass: true }, {}],
  });
const listener: RequestListener = (request, response) => {
  if (request.method === "POST") request.resume();
  if (request.url === "/vary") response.setHeader("vary", "Accept-Encoding");
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
  const names = kind === "node:http" ? Object.keys(ASKED) : OF_FRAMEWORKS;
  const least = new Map(names.map((name) => [name, { bare: Infinity, cached: Infinity }]));
  for (let round = -1; round < rounds; round++)
    for (const [name, costs] of least)
      for (const which of ["bare", "cached"] as const) {
        const took = await cost(ports[which], ASKED[name]!);
        // The first round warms up.
        if (round >= 0) costs[which] = Math.min(costs[which], took);
      }
  for (const [name, { bare, cached }] of least)
    console.log(
      `${kind}, ${name}: ${bare.toFixed(1)} us bare, ${cached.toFixed(1)} cached, x ${(cached / bare).toFixed(2)}`,
    );
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
async function cost(port: number, asked: Asked): Promise<number> {
  const before = process.threadCpuUsage();
  await new Promise((resolve) => {
    client.once("message", resolve);
    client.postMessage({ ...asked, port, requests } satisfies Order);
  });
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / requests;
}
