/** A shop in a separate process: pages that say when they were made, and a page for each user. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createCache } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { httpCache } from "@hotset/http";
import { cachedListener } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { answerCalls } from "@hotset/test-servers";

export interface ShopProcess {
  [name: string]: (...args: never[]) => unknown;
  /** @returns its port. */
  start(redisUrl: string): Promise<number>;
  /** The loads of pages for all. */
  loads(): number;
}

let loads = 0;
const silent = (): void => undefined;

const handlers: ShopProcess = {
  async start(redisUrl: string): Promise<number> {
    const cache = createCache({ name: "shop", logger: { error: silent, warn: silent, info: silent } })
      .tier(memory({ maxEntries: 1_000 }))
      .tier(redis(redisUrl).valueFormat(v8()).build())
      .build();
    const http = httpCache(cache.namespace("pages"), { base: "http://shop.example" });
    const listener = cachedListener(http, ({ url, headers }, response) => {
      const isOfUser = url === "/me";
      if (!isOfUser) loads += 1;
      response.writeHead(200, {
        "cache-control": isOfUser ? "private" : "max-age=1, stale-while-revalidate=1",
        "content-type": "text/plain",
      });
      response.end(isOfUser ? (headers.cookie ?? "") : `${Date.now()}`);
    });
    const server = createServer(listener).listen(0, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  },
  loads: () => loads,
};
answerCalls(handlers);
