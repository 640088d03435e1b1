/**
 * The cost of `@hotset/http`: processor time of a hit over plain data, of a variant, and in front of a fetch handler,
 * Hono, node:http and Express, each next to the handler alone; bytes to Redis for a 304 of 1 MB; and memory while a
 * long body passes by a slow reader. Over a connection the client counts too, the same in both lines.
 *
 *     npm run bench -- http                     best of five rounds
 *     npm run bench -- http --rounds 9 --megabytes 1024
 */
import { Agent, createServer, get, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { createCache, memory, redis, v8, type Cache } from "hotset";
import { httpCache, type HttpCache, type PlainOrigin, type PlainRequest } from "@hotset/http";
import { cachedHandler, honoCache } from "@hotset/http/fetch";
import { cachedListener, expressCache } from "@hotset/http/node";
import { startOwnRedis } from "@hotset/test-servers";
import express from "express";
import { Hono } from "hono";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, megabytes: { type: "string", default: "256" } },
});
const rounds = Number(values.rounds);
const URL_OF_PAGE = "https://shop.example/page";
const BODY = new TextEncoder().encode(JSON.stringify({ text: "x".repeat(1_000) }));
const FIELDS = { "cache-control": "max-age=3600", etag: '"a"', "content-type": "application/json" };

const opened: Cache[] = [];
function open(): HttpCache {
  const cache = createCache({ name: "bench" }).tier(memory()).build();
  opened.push(cache);
  return httpCache(cache.namespace("http"), { base: "https://shop.example" });
}

const request: PlainRequest = { method: "GET", url: URL_OF_PAGE, fields: [["accept-language", "de"]], hasBody: false };
const originWith =
  (fields: Record<string, string>, body: Uint8Array = BODY): PlainOrigin =>
  () => ({ status: 200, statusText: "", fields: Object.entries(fields), body });

/** Microseconds of processor time of one call: the best of the rounds. */
async function measured(name: string, call: () => Promise<unknown>, calls = 5_000): Promise<void> {
  for (let i = 0; i < calls; i += 1) await call();
  let best = Infinity;
  for (let round = 0; round < rounds; round += 1) {
    const before = process.cpuUsage();
    for (let i = 0; i < calls; i += 1) await call();
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / calls);
  }
  console.log(`${name.padEnd(44)}${best.toFixed(1).padStart(8)} us`);
}

const plain = open();
await measured("hit, plain data", () => plain.answer(request, originWith(FIELDS)));
const varying = open();
await measured("hit of a variant", () => varying.answer(request, originWith({ ...FIELDS, vary: "accept-language" })));

const bare = (): Response => new Response(BODY, { headers: FIELDS });
const cached = cachedHandler(open(), bare);
const asked = (): Request => new Request(URL_OF_PAGE);
await measured("fetch handler alone", async () => (asked(), bare()));
await measured("fetch handler, hit", () => cached(asked()));

const [alone, behind] = [new Hono(), new Hono()];
behind.use(honoCache(open(), () => behind));
for (const app of [alone, behind]) app.get("/page", (context) => context.body(BODY, 200, FIELDS));
await measured("Hono alone", async () => alone.fetch(asked()));
await measured("Hono, hit", async () => behind.fetch(asked()));

const listener: RequestListener = (_, response) => void response.writeHead(200, FIELDS).end(BODY);
const [expressAlone, expressBehind] = [express(), express()];
expressBehind.use(expressCache(open()));
for (const app of [expressAlone, expressBehind])
  app.get("/page", (_, response) => void response.set(FIELDS).send(Buffer.from(BODY)));
await overConnection("node:http alone", listener);
await overConnection("node:http, hit", cachedListener(open(), listener));
await overConnection("Express alone", expressAlone);
await overConnection("Express, hit", expressBehind);
await Promise.all(opened.map((cache) => cache.close()));

await bytesOf304();
await slowReader(Number(values.megabytes));

/** One request after the other on one connection. */
async function overConnection(name: string, listener: RequestListener): Promise<void> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const { port } = server.address() as AddressInfo;
  const call = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      get({ port, agent, path: "/page" }, (response) => response.resume().on("end", resolve)).on("error", reject);
    });
  await measured(name, call);
  agent.destroy();
  await new Promise((resolve) => server.close(resolve));
}

/** A stale response of 1 MB that its origin says is unchanged. */
async function bytesOf304(): Promise<void> {
  await using server = await startOwnRedis();
  const cache = createCache({ name: "bench" }).tier(redis(server.url).valueFormat(v8()).build()).build();
  const http = httpCache(cache.namespace("http"));
  const fields = { ...FIELDS, "cache-control": "max-age=0" };
  const origin: PlainOrigin = ({ fields: sent }) =>
    sent.some(([name]) => name === "if-none-match")
      ? { status: 304, statusText: "", fields: Object.entries(fields), body: null }
      : { status: 200, statusText: "", fields: Object.entries(fields), body: new Uint8Array(1_048_576) };
  const bytesIn = async (): Promise<number> =>
    Number(/total_net_input_bytes:(\d+)/.exec(String(await server.command("INFO", "stats")))![1]);
  await http.answer(request, origin);
  // It is answered before it is stored.
  while ((await http.explain(request)).outcome === "miss") await new Promise((resolve) => setTimeout(resolve, 10));
  const before = await bytesIn();
  const { status } = await http.answer(request, origin);
  const spent = (await bytesIn()) - before;
  console.log(`${`304 of 1 MB (answered ${status}): bytes to Redis`.padEnd(44)}${String(spent).padStart(8)} B`);
  await cache.close();
}

/** A body far above `maxBodyBytes`, to a reader that takes 64 KB at a time and pauses. */
async function slowReader(megabytes: number): Promise<void> {
  const cache = createCache({ name: "bench" }).tier(memory()).build();
  const http = httpCache(cache.namespace("http"));
  const chunk = 65_536;
  let left = (megabytes * 1_048_576) / chunk;
  const body = new ReadableStream<Uint8Array>(
    { pull: (control) => (left-- > 0 ? control.enqueue(new Uint8Array(chunk)) : control.close()) },
    { highWaterMark: 0 },
  );
  const base = process.memoryUsage();
  const fields = Object.entries(FIELDS);
  const answer = await http.answer(request, () => ({ status: 200, statusText: "", fields, body }));
  let [most, taken] = [0, 0];
  for await (const bytes of answer.body as ReadableStream<Uint8Array>) {
    taken += bytes.byteLength;
    if (taken % (64 * chunk) !== 0) continue;
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, process.memoryUsage().arrayBuffers - base.arrayBuffers);
  }
  const megabytesOf = (bytes: number): string => (bytes / 1_048_576).toFixed(1).padStart(8);
  console.log(
    `${`${megabytesOf(taken).trim()} MB past a slow reader: memory of bodies`.padEnd(44)}${megabytesOf(most)} MB`,
  );
  await cache.close();
}
