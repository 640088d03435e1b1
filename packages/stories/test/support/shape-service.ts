import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
/** One service of a deploy, whose products have the shape of its release. Run by processes/shapes.integration.test.ts. */
import { createCache, json } from "@hotset/core";
import { shaped } from "@hotset/core/shapes";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { answerCalls } from "@hotset/test-servers";
import * as v from "valibot";

export interface ShapeSettings {
  readonly url: string;
  readonly keyPrefix: string;
  readonly release: 1 | 2;
  /** A file with a number: the price in cents, which is the source of all products. */
  readonly source: string;
}

const { url, keyPrefix, release, source } = JSON.parse(process.argv[2]!) as ShapeSettings;
const backend = redis(url)
  .keyPrefix(keyPrefix)
  .valueFormat(json())
  // Deadlines are not the subject, and the machine may be busy.
  .responseTimeout("30s")
  .connectTimeout("30s")
  .build();
const cache = createCache({ name: "shop" }).tier(memory()).tier(backend).defaults({ ttl: "10m" }).build();
await cache.connect();

const ONE = v.object({ id: v.string(), price: v.number() });
const TWO = v.object({ id: v.string(), cost: v.object({ cents: v.number(), currency: v.string() }) });
const products =
  release === 1
    ? shaped<unknown>(cache, "products", { shape: "auto", schema: ONE })
    : shaped<unknown>(cache, "products", { shape: "auto", schema: TWO });
const users = cache.namespace("users");

let undecodable = 0;
cache.on("decode:error", () => (undecodable += 1));
let loads = 0;
let wrong = 0;

const cents = (): number => Number(readFileSync(source, "utf8"));

async function price(id: string): Promise<number> {
  const product = await products.getOrSet(id, async () => {
    loads += 1;
    await sleep(2);
    return release === 1 ? { id, price: cents() } : { id, cost: { cents: cents(), currency: "EUR" } };
  });
  // What an application does: it reads the fields that its release knows.
  const { price: one, cost: two } = product as { readonly price?: number; readonly cost?: { readonly cents: number } };
  const found = release === 1 ? one : two?.cents;
  if (found === undefined) wrong += 1;
  return found ?? NaN;
}

const handlers = {
  price,
  /** Reads products again and again. @returns how many calls got a value of another shape */
  async traffic(keys: number, calls: number): Promise<number> {
    for (let call = 0; call < calls; call += 1) await price(`p${call % keys}`);
    return wrong;
  },
  user: (id: string, name: string): Promise<unknown> => users.getOrSet(id, () => name),
  delete: async (id: string): Promise<string> => (await products.delete(id)).status,
  loads: (): { readonly loads: number; readonly undecodable: number } => ({ loads, undecodable }),
  close: () => cache.close(),
};

export type ShapeService = typeof handlers;

answerCalls(handlers);
