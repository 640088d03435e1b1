// A service for incidents: steady traffic of three kinds, and one way each to spoil it. Driven by a test.

import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createCache, json, type Cache, type Format } from "@hotset/core";
import { heartbeat } from "@hotset/core/inspect";
import { v8 } from "@hotset/formats";
import { inspector } from "@hotset/inspector";
import { inspectorListener } from "@hotset/inspector/node";
import { memory } from "@hotset/memory";
import { redis, single } from "@hotset/redis";
import { answerCalls } from "@hotset/test-servers";

const log = (text: string): void => void logged.push(text);
const LOGGER = { error: log, warn: log, info: log };
/** Five times as fast as in production, where it is a minute. */
const WINDOW = "12s";
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

let shop: Cache;
let pictures: Cache;
let urlOfRedis: string;
const said: string[] = [];
const logged: string[] = [];
const incident: NodeJS.Timeout[] = [];
/** As the incident has it. */
let how = { search: (n: number) => `q:${n % 50}`, invoiceMs: 20, tenantFails: false };
const well = how;

const every = (ms: number, call: (n: number) => unknown): NodeJS.Timeout => {
  let n = 0;
  return setInterval(() => void Promise.resolve(call((n += 1))).catch(() => {}), ms);
};

const cacheOf = (name: string, maxEntries: number, format: Format = json()): Cache =>
  createCache({ name, logger: LOGGER })
    .tier(memory({ maxEntries }))
    .tier(redis(single(urlOfRedis)).valueFormat(format).responseTimeout(1_000).build())
    .defaults({ ttl: "10m" })
    .build();

export const handlers = {
  async start(redisUrl: string, name: string): Promise<string> {
    urlOfRedis = redisUrl;
    shop = cacheOf("shop", 20_000);
    pictures = cacheOf("pictures", 50);
    await Promise.all([shop.connect(), pictures.connect()]);
    for (const cache of [shop, pictures]) heartbeat(cache, { name, every: "1s", window: WINDOW });
    const inspect = inspector([shop, pictures], { window: WINDOW, onFinding: ({ text }) => void said.push(text) });
    const server: Server = createServer(inspectorListener(inspect)).listen(0, "127.0.0.1");
    await once(server, "listening");
    every(20, (n) => shop.namespace("search").getOrSet(how.search(n), () => n));
    every(20, (n) => pictures.getOrSet(`small:${n % 10}`, () => n));
    every(150, (n) =>
      shop.namespace("invoice").getOrSet(`${name}:${n}`, async () => {
        await sleep(how.invoiceMs);
        return n;
      }),
    );
    every(200, (n) =>
      shop.namespace("tenant:acme").getOrSet(`${name}:${n}`, () => {
        if (how.tenantFails) throw new Error("db: connection refused");
        return n;
      }),
    );
    return `http://localhost:${(server.address() as AddressInfo).port}/hotset/`;
  },
  /** By `onFinding`. */
  said: () => said.splice(0),
  logged: () => logged.splice(0),
  failTenant: () => void (how = { ...well, tenantFails: true }),
  slowInvoices: () => void (how = { ...well, invoiceMs: 2_500 }),
  stampInSearch: () => void (how = { ...well, search: (n) => `q:${n % 50}:${Date.now()}:${n}` }),
  rewriteKey: () => void incident.push(every(50, (n) => shop.namespace("price").set("EUR", n))),
  loopTag: () => void incident.push(every(50, () => shop.invalidateTags("product:0"))),
  otherFormat(): void {
    const other = cacheOf("shop", 100, v8());
    incident.push(every(20, (n) => other.namespace("search").set(`q:${n % 50}`, { n })));
  },
  manyPictures: () => void incident.push(every(10, (n) => pictures.getOrSet(`large:${n % 500}`, () => n))),
  largeValue: () => shop.namespace("doc").set("1", { text: "x".repeat(5_000_000) }),
  /** Ends before anyone can look. */
  async stampede(): Promise<void> {
    const load = (): Promise<unknown> => shop.namespace("report").getOrSet("daily", () => sleep(900).then(() => 1));
    await Promise.all(Array.from({ length: 150 }, load));
  },
  end(): void {
    how = well;
    for (const timer of incident.splice(0)) clearInterval(timer);
  },
};

answerCalls(handlers);
