/**
 * Counts what a hit in memory costs, and a page that may not be shared, in a process that does nothing else: `node
 * hit-costs.ts` prints promises, streams of the web, allocated bytes and calls of functions in `packages`, as JSON. A
 * client on a connection counts one promise.
 */
import { createHook } from "node:async_hooks";
import { Agent, createServer, get, type RequestListener } from "node:http";
import { Session } from "node:inspector/promises";
import type { AddressInfo } from "node:net";
import { createCache } from "@hotset/core";
import { httpCache, type HttpCache, type PlainOrigin, type PlainRequest } from "@hotset/http";
import { cachedHandler, honoCache } from "@hotset/http/fetch";
import { cachedListener, expressCache } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import express from "express";
import { Hono } from "hono";

const URL_OF_PAGE = "https://shop.example/page";
const FIELDS = { "cache-control": "max-age=3600", etag: '"a"', "content-type": "text/plain", "content-length": "5" };
const cache = createCache({ name: "counts" }).tier(memory()).build();
const pages = (name: string): HttpCache => httpCache(cache.namespace(name), { base: "https://shop.example" });

const request: PlainRequest = { method: "GET", url: URL_OF_PAGE, fields: [["accept-encoding", "br"]], hasBody: false };
const origin =
  (fields: Readonly<Record<string, string>>): PlainOrigin =>
  () => ({ status: 200, statusText: "", fields: Object.entries(fields), body: new TextEncoder().encode("hello") });
const varying = origin({ ...FIELDS, vary: "accept-encoding" });
const listener: RequestListener = (_, response) => void response.writeHead(200, FIELDS).end("hello");
const app = express().use(expressCache(pages("Express")));
app.get("/page", listener);
const PRIVATE = { ...FIELDS, "cache-control": "private" };
const unshared: RequestListener = (_, response) => void response.writeHead(200, PRIVATE).end("hello");
const handler = cachedHandler(pages("fetch"), () => new Response("hello", { headers: FIELDS }));
const hono = new Hono();
hono.use(honoCache(pages("Hono"), () => hono)).get("/page", (context) => context.body("hello", 200, FIELDS));
const [core, variant] = [pages("core"), pages("variant")];

const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const servers: (() => void)[] = [];
async function overConnection(serve: RequestListener): Promise<() => Promise<unknown>> {
  const server = createServer(serve).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  servers.push(() => server.close());
  const { port } = server.address() as AddressInfo;
  return () =>
    new Promise((resolve, reject) => {
      get({ port, agent, path: "/page", headers: { cookie: "sid=1" } }, (response) =>
        response.resume().on("end", resolve),
      ).on("error", reject);
    });
}

const calls: Readonly<Record<string, () => Promise<unknown>>> = {
  "plain data": () => core.answer(request, origin(FIELDS)),
  "plain data, a variant": () => variant.answer(request, varying),
  "fetch handler": () => handler(new Request(URL_OF_PAGE)),
  Hono: async () => hono.fetch(new Request(URL_OF_PAGE)),
  "node:http": await overConnection(cachedListener(pages("node"), listener)),
  Express: await overConnection(app),
  "node:http, not cacheable": await overConnection(cachedListener(pages("private"), unshared)),
  "node:http, bare": await overConnection(unshared),
};

let streams = 0;
globalThis.ReadableStream = new Proxy(ReadableStream, {
  construct(target, given) {
    streams += 1;
    return Reflect.construct(target, given) as ReadableStream;
  },
});

const session = new Session();
session.connect();
await session.post("Profiler.enable");
await session.post("HeapProfiler.enable");
const costs: Record<string, { promises: number; entries: number; bytes: number; streams: number }> = {};
for (const [name, call] of Object.entries(calls)) {
  for (let i = 0; i < 50; i += 1) await call();
  const before = streams;
  await call();
  costs[name] = {
    streams: streams - before,
    promises: await promises(call),
    entries: await entries(call),
    bytes: Math.min(await bytes(call), await bytes(call), await bytes(call)),
  };
}
console.log(JSON.stringify(costs));
agent.destroy();
for (const close of servers) close();

async function promises(call: () => Promise<unknown>): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < 40; i += 1) {
    let count = 0;
    const hook = createHook({ init: (_, type) => void (type === "PROMISE" && (count += 1)) }).enable();
    await call();
    hook.disable();
    least = Math.min(least, count);
  }
  return least;
}

async function entries(call: () => Promise<unknown>): Promise<number> {
  let least = Infinity;
  await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
  for (let i = 0; i < 40; i += 1) {
    await session.post("Profiler.takePreciseCoverage");
    await call();
    const { result } = await session.post("Profiler.takePreciseCoverage");
    const ours = result.filter(({ url }) => /packages\/[^/]+\/src\//.test(url));
    const count = ours.flatMap(({ functions }) => functions.map(({ ranges }) => ranges[0]!.count));
    least = Math.min(
      least,
      count.reduce((sum, each) => sum + each, 0),
    );
  }
  await session.post("Profiler.stopPreciseCoverage");
  return least;
}

/** Allocated by a call. */
async function bytes(call: () => Promise<unknown>): Promise<number> {
  const times = 1_000;
  await session.post("HeapProfiler.startSampling", {
    samplingInterval: 4_096,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
  for (let i = 0; i < times; i += 1) await call();
  const { profile } = await session.post("HeapProfiler.stopSampling");
  const sum = ({ selfSize, children }: typeof profile.head): number =>
    children.reduce((total, child) => total + sum(child), selfSize);
  return Math.round(sum(profile.head) / times);
}
