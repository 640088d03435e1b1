/** Run by shutdown.integration.test.ts: an HTTP service that closes its cache while it still serves. */
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createCache } from "@hotset/core";
import { msgpack } from "@hotset/formats/msgpack";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { answerCalls } from "@hotset/test-servers";
import { LAYOUT } from "./layout.ts";

const cache = createCache({ name: "shop" })
  .tier(memory())
  .tier(
    redis(process.env["REDIS_URL"]!)
      .layout(LAYOUT)
      .keyPrefix(process.env["KEY_PREFIX"]!)
      .valueFormat(msgpack())
      .coherence("tracking")
      .build(),
  )
  .build();

let hasSlowLoad = false;
const slowLoad = Promise.withResolvers<void>();
const server = createServer(({ url }, response) => void answer(url!, response));

async function answer(url: string, response: ServerResponse): Promise<void> {
  try {
    const isSlow = url === "/slow";
    const user = await cache.getOrSet(`user:${url}`, async () => {
      hasSlowLoad ||= isSlow;
      await (isSlow ? slowLoad.promise : sleep(10));
      return "Ada";
    });
    const page = isSlow ? user : await cache.getOrSet(`page:${url}`, () => sleep(10, `Hello ${user}`));
    response.end(page);
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
}

process.once("SIGTERM", () => {
  void cache.close({ timeout: "30s" }).then(() => {
    server.close();
    server.closeAllConnections();
    process.disconnect?.();
  });
});

const handlers = {
  listen: async (): Promise<number> => {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  },
  hasSlowLoad: (): boolean => hasSlowLoad,
  endSlowLoad: (): void => slowLoad.resolve(),
};

export type HttpService = typeof handlers;

answerCalls(handlers);
