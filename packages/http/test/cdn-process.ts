/** A shop behind Varnish, in a separate process: a page says which row its loader has read. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createCache } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { httpCache, type HttpCache } from "@hotset/http";
import { varnish } from "@hotset/http/cdn";
import { cachedListener } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { answerCalls } from "@hotset/test-servers";

export interface CdnProcess {
  [name: string]: (...args: never[]) => unknown;
  /** @returns its port. */
  start(redisUrl: string, database: string): Promise<number>;
  /** Where the CDN is, which begins after the processes. */
  front(url: string): void;
  purge(row: number): Promise<string>;
  /** Waits for the second purge, too. */
  settled(): Promise<void>;
  /** The next purge ends the process once the store has acknowledged it. */
  dieInPurge(): void;
}

let pages: HttpCache;
let url = "";
let dies = false;
const silent = (): void => undefined;

const handlers: CdnProcess = {
  async start(redisUrl, database) {
    const cache = createCache({ name: "shop", logger: { error: silent, warn: silent, info: silent } })
      .tier(memory({ maxEntries: 1_000 }))
      .tier(redis(redisUrl).valueFormat(v8()).build())
      .build();
    const cdn = varnish({ urls: ["http://127.0.0.1:9"], settle: "150ms", ttl: "1h" });
    const purge: typeof cdn.purge = async (keys, options) => {
      if (dies) process.kill(process.pid, "SIGKILL");
      await varnish({ urls: [url] }).purge(keys, options);
    };
    pages = httpCache(cache.namespace("pages"), { base: "http://shop.example", cdn: { ...cdn, purge } });
    const listener = cachedListener(pages, async (request, response) => {
      const row = /\d+/.exec(request.url ?? "")?.[0] ?? "0";
      const version = await (await fetch(`${database}/${row}`)).text();
      response.writeHead(200, {
        "cache-control": "no-cache",
        "cdn-cache-control": "max-age=600",
        "cache-tag": `row:${row}`,
      });
      response.end(version);
    });
    const server = createServer((request, response) => void listener(request, response)).listen(0, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  },
  front(given) {
    url = given;
  },
  async purge(row) {
    return (await pages.purgeTags([`row:${row}`])).status;
  },
  settled: () => pages.settled(),
  dieInPurge() {
    dies = true;
  },
};
answerCalls(handlers);
