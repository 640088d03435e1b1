import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { createCache } from "@hotset/core";
import { httpCache } from "@hotset/http";
import { cachedListener } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import { forkScript, isNightly, startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import { startNginx } from "./nginx.ts";
import type { ShopProcess } from "./shop-process.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe.skipIf(!isNightly)("nginx in front", () => {
  it("H6 H28 H40 H42 targeted Cache-Control, validators and ranges pass through it, of one load", async () => {
    let loads = 0;
    await using cache = createCache({ name: "shop" }).tier(memory()).build();
    const listener: RequestListener = (_, response) => {
      loads += 1;
      response.writeHead(200, { "cache-control": "no-cache", "cdn-cache-control": "max-age=60", etag: '"a"' });
      response.end("0123456789");
    };
    const http = httpCache(cache.namespace("pages"), { base: "http://shop.example" });
    const server = createServer(cachedListener(http, listener)).listen(0, "127.0.0.1");
    await once(server, "listening");
    await using nginx = await startNginx([(server.address() as AddressInfo).port]);
    const ask = async (headers: Record<string, string> = {}): Promise<readonly unknown[]> => {
      const answer = await fetch(`${nginx.url}/page`, { headers });
      const said = ["cache-control", "cdn-cache-control", "etag", "content-range"].map((each) =>
        answer.headers.get(each),
      );
      return [answer.status, await answer.text(), answer.headers.get("cache-status")?.split(";")[1], ...said];
    };
    const fields = ["no-cache", "max-age=60", '"a"'];
    expect(await ask()).toEqual([200, "0123456789", " fwd=uri-miss", ...fields, null]);
    expect(await ask()).toEqual([200, "0123456789", " hit", ...fields, null]);
    expect(await ask({ "if-none-match": '"a"' })).toEqual([304, "", " hit", ...fields, null]);
    expect(await ask({ range: "bytes=2-4" })).toEqual([206, "234", " hit", ...fields, "bytes 2-4/10"]);
    expect(loads).toBe(2);
    server.closeAllConnections();
    server.close();
  });
});

const FAULTS: Readonly<
  Record<string, readonly [begin: (server: OwnRedis) => unknown, end: (server: OwnRedis) => unknown]>
> = {
  "is killed": [(server) => server.kill(), (server) => server.start()],
  "stands still": [(server) => server.pause(), (server) => server.resume()],
  "is full": [
    (server) => server.command("CONFIG", "SET", "maxmemory", "1"),
    (server) => server.command("CONFIG", "SET", "maxmemory", "0"),
  ],
};

/** Whether a write is answered, and soon. */
const stores = (server: OwnRedis): Promise<boolean> =>
  Promise.race([
    server.command("SET", "probe", "1").then(
      () => true,
      () => false,
    ),
    sleep(500).then(() => false),
  ]);

describe.skipIf(!isNightly)("two processes behind nginx while Redis fails", () => {
  it.each(Object.keys(FAULTS))(
    "H71 H62 H45 no request fails, nothing is stale beyond its windows, and each user gets its page: Redis %s",
    async (fault) => {
      await using server = await startOwnRedis();
      const script = new URL("shop-process.ts", import.meta.url);
      await using first = forkScript<ShopProcess>(script);
      await using second = forkScript<ShopProcess>(script);
      const ports = await Promise.all([first, second].map((each) => each.call("start", server.url)));
      await using nginx = await startNginx(ports);
      const wrong: string[] = [];
      let [pages, answers] = [0, 0];
      let isOver = false;
      const ask = async (path: string, headers: Record<string, string>, isRight: (text: string) => boolean) => {
        const answer = await fetch(`${nginx.url}${path}`, { headers, signal: AbortSignal.timeout(10_000) });
        const text = await answer.text();
        answers += 1;
        if (answer.status !== 200 || !isRight(text)) wrong.push(`${path} ${answer.status} ${text}`);
      };
      const user = async (name: string): Promise<void> => {
        for (let i = 0; !isOver; i += 1) {
          const sentAt = Date.now();
          try {
            // Fresh for a second, and served behind a refresh for another one.
            await ask(`/page-${i % 5}`, {}, (text) => sentAt - Number(text) <= 2_000);
            pages += 1;
            await ask("/me", { cookie: `user=${name}-${i}` }, (text) => text === `user=${name}-${i}`);
          } catch (error) {
            wrong.push(String(error));
          }
          await sleep(20);
        }
      };
      const users = Array.from({ length: 10 }, (_, i) => user(`${i}`));
      await sleep(3_000);
      const wasStoring = [await stores(server)];
      await FAULTS[fault]![0](server);
      await sleep(7_500);
      wasStoring.push(await stores(server));
      await FAULTS[fault]![1](server);
      await sleep(5_000);
      wasStoring.push(await stores(server));
      isOver = true;
      await Promise.all(users);
      expect(wrong).toEqual([]);
      expect(answers).toBeGreaterThan(500);
      expect(wasStoring).toEqual([true, false, true]);
      // Five pages, each once a second in each process at the most: a cache that does nothing loads each answer.
      const loads = await Promise.all([first, second].map((each) => each.call("loads")));
      expect(loads[0]! + loads[1]!).toBeLessThan(pages / 10);
    },
  );
});
