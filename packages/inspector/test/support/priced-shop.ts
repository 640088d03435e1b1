// One process of a shop whose cache verifies its hits, in which a mistake can be made. Driven by tests.

import { DatabaseSync } from "node:sqlite";
import { createCache, keyOf, type Cache, type Namespace } from "@hotset/core";
import { heartbeat } from "@hotset/core/inspect";
import { v8 } from "@hotset/formats";
import { inspector } from "@hotset/inspector";
import { memory } from "@hotset/memory";
import { redis, single } from "@hotset/redis";
import { answerCalls } from "@hotset/test-servers";

/** I01: two namespaces, one deleted. I14: a shared key. I21: a delete before the write. */
export type Mistake = "none" | "two namespaces" | "shared key" | "delete before write";

export interface ShopOptions {
  readonly redisUrl: string;
  readonly prefix: string;
  readonly name: string;
  /** A file of SQLite. */
  readonly database: string;
  /** Whether it changes prices. */
  readonly changes: boolean;
}

const PRODUCTS = 40;
const SILENT = { error: () => {}, warn: () => {}, info: () => {} };
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const anyOf = (most: number): number => 1 + Math.floor(most * Math.random() ** 2);

let cache: Cache;
let mistake: Mistake = "none";
const found: string[] = [];
const timers: NodeJS.Timeout[] = [];

function traffic(database: DatabaseSync, changes: boolean): void {
  const one = database.prepare("SELECT id, cents FROM products WHERE id = ?");
  const put = database.prepare("UPDATE products SET cents = ? WHERE id = ?");
  const [catalog, checkout, users] = ["catalog", "checkout", "users"].map((name) => cache.namespace(name)) as [
    Namespace,
    Namespace,
    Namespace,
  ];
  const product = (namespace: Namespace, id: number): Promise<unknown> =>
    namespace.getOrSet(keyOf("product", id), async () => (await sleep(2), { ...one.get(id) }));
  const cart = (user: number): Promise<unknown> =>
    users.getOrSet(
      mistake === "shared key" ? "cart:current" : keyOf("cart", user),
      async () => (await sleep(2), { user }),
    );
  const change = async (id: number): Promise<void> => {
    const cents = Math.floor(1_000_000 * Math.random());
    const isEarly = mistake === "delete before write";
    if (isEarly) {
      await catalog.delete(keyOf("product", id));
      // The transaction.
      await sleep(150);
    }
    put.run(cents, id);
    if (!isEarly) await catalog.delete(keyOf("product", id));
  };
  const each = (ms: number, work: () => Promise<unknown>): void => {
    timers.push(setInterval(() => void work().catch(() => undefined), ms));
  };
  each(20, () => product(catalog, anyOf(PRODUCTS)));
  each(100, () => cart(anyOf(300)));
  each(50, async () => (mistake === "two namespaces" ? product(checkout, anyOf(PRODUCTS)) : undefined));
  if (changes) each(250, () => change(anyOf(PRODUCTS)));
}

export const handlers = {
  async start({ redisUrl, prefix, name, database, changes }: ShopOptions): Promise<void> {
    cache = createCache({
      name: "shop",
      logger: SILENT,
      keyGroups: [
        { name: "product", match: "product:" },
        { name: "cart", match: "cart:" },
      ],
      // A production of 200 times the calls has as many checks with a share of 0.01.
      verify: { share: 1, maxPerMinute: 1_200, maxConcurrent: 4, settle: 500 },
    })
      .tier(memory())
      .tier(redis(single(redisUrl)).keyPrefix(prefix).valueFormat(v8()).build())
      .defaults({ ttl: "20s", staleIfError: "1h" })
      .build();
    await cache.connect();
    heartbeat(cache, { name, every: "1s" });
    inspector(cache, { onFinding: ({ text, remedy }) => void found.push(`${text} | ${remedy}`) });
    traffic(new DatabaseSync(database), changes);
  },

  err(which: Mistake): void {
    mistake = which;
  },

  /** What `onFinding` has said. */
  found: (): readonly string[] => found,

  stats: () => {
    const { verified, mismatches, hits } = cache.stats();
    return { verified, mismatches, hits };
  },

  async stop(): Promise<void> {
    for (const timer of timers) clearInterval(timer);
    await cache.close({ timeout: "1s" });
  },
};

answerCalls(handlers);
