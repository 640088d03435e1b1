/** One process of the shop. shops.ts starts it, and reads its statistics. */
import { answerCalls } from "@hotset/test-servers";
import type { CacheStats } from "hotset";
import { Shop, type ShopOptions } from "./shop.ts";

let shop: Shop | undefined;
// Ctrl-C reaches the whole group; the demo ends its processes itself.
process.on("SIGINT", () => undefined);

const handlers = {
  /** @returns the URL of the shop. */
  start: async (options: ShopOptions): Promise<string> => {
    shop = await Shop.start(options);
    return shop.url;
  },
  stats: (): CacheStats => shop!.cache.stats(),
  /** The format of each of these prices in the store; `undefined` for one that it does not hold. */
  formats: async (products: readonly string[]): Promise<readonly (string | undefined)[]> =>
    Promise.all(products.map(async (product) => (await shop!.cache.inspect(product))?.encoding?.format)),
  close: async (): Promise<void> => shop?.close(),
};

export type ShopHandlers = typeof handlers;

answerCalls(handlers);
