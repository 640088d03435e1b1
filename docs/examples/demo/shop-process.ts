/** One process of the shop. Started by shops.ts, and asked by it for what only the process itself knows. */
import { answerCalls } from "@hotset/test-servers";
import type { CacheStats } from "hotset";
import { Shop, type ShopOptions } from "./shop.ts";

let shop: Shop | undefined;
// Ctrl-C reaches the whole group; the demo ends its processes itself.
process.on("SIGINT", () => undefined);

const handlers = {
  /** @returns where it listens. */
  start: async (options: ShopOptions): Promise<string> => {
    shop = await Shop.start(options);
    return shop.url;
  },
  stats: (): CacheStats => shop!.cache.stats(),
  close: async (): Promise<void> => shop?.close(),
};

export type ShopHandlers = typeof handlers;

answerCalls(handlers);
