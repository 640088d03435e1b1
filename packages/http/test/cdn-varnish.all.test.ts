import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { createCache, type Cache } from "@hotset/core";
import { httpCache, type HttpCache, type HttpCacheOptions } from "@hotset/http";
import { varnish } from "@hotset/http/cdn";
import { cachedListener } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import { forkScript, startOwnRedis } from "@hotset/test-servers";
import { gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import type { CdnProcess } from "./cdn-process.ts";
import { startNginx } from "./nginx.ts";
import { startVarnish } from "./varnish.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A server with a cache of its own in memory, and its CDN. */
async function shop(
  listener: (...given: Parameters<RequestListener>) => unknown,
  front: (port: number) => Promise<AsyncDisposable & { url: string }>,
) {
  let pages: HttpCache | undefined;
  const cached: RequestListener = (request, response) => handle(request, response);
  const server = createServer(cached).listen(0, "127.0.0.1");
  await once(server, "listening");
  let handle: RequestListener = (_, response) => void response.end();
  const edge = await front((server.address() as AddressInfo).port);
  const cache: Cache = createCache({ name: "shop" }).tier(memory()).build();
  return {
    edge,
    begin(options: HttpCacheOptions): HttpCache {
      pages = httpCache(cache.namespace("pages"), { base: "http://shop.example", ...options });
      handle = cachedListener(pages, (request, response) => void listener(request, response));
      return pages;
    },
    get: async (path: string) => {
      const answer = await fetch(`${edge.url}${path}`);
      return { body: await answer.text(), fields: answer.headers };
    },
    async [Symbol.asyncDispose]() {
      await edge[Symbol.asyncDispose]();
      server.closeAllConnections();
      server.close();
      await cache.close();
    },
  };
}

describe("a real Varnish with xkey", () => {
  it("H108 keeps a page until it is purged by tag, by URL, with all others, or softly", async () => {
    let version = 0;
    let loads = 0;
    await using site = await shop(
      ({ url }, response) => {
        loads += 1;
        const fields = {
          "cache-control": "no-cache",
          "cdn-cache-control": "max-age=600",
          "cache-tag": `books, path:${url!.slice(1)}`,
        };
        response.writeHead(200, fields).end(`${version}`);
      },
      (port) => startVarnish([port]),
    );
    const pages = site.begin({ cdn: varnish({ urls: [site.edge.url], settle: 0 }) });
    const get = async (path: string): Promise<string> => (await site.get(path)).body;
    expect([await get("/a"), await get("/b"), await get("/a?x")]).toEqual(["0", "0", "0"]);
    const { fields } = await site.get("/a");
    expect([
      fields.get("xkey"),
      fields.get("cache-tag"),
      fields.get("cdn-cache-control"),
      fields.get("cache-control"),
    ]).toEqual([null, null, null, "no-cache"]);
    expect(loads).toBe(3);
    version = 1;
    expect([await get("/a"), await get("/b")]).toEqual(["0", "0"]);
    expect(await pages.purgeTags(["path:a"])).toEqual({ status: "done" });
    expect([await get("/a"), await get("/b"), await get("/a?x")]).toEqual(["1", "0", "0"]);
    version = 2;
    await pages.purge("http://shop.example/a");
    expect([await get("/a"), await get("/b")]).toEqual(["2", "0"]);
    version = 3;
    await pages.clear();
    expect([await get("/a"), await get("/b")]).toEqual(["3", "3"]);
    version = 4;
    // What it has may answer while it is fetched anew, and what is stale here is kept by no CDN.
    await pages.purgeTags(["books"], { soft: true });
    for (let i = 0; i < 100 && (await get("/b")) !== "4"; i += 1) await sleep(20);
    expect([await get("/b"), await get("/b")]).toEqual(["4", "4"]);
  });

  it("H108 does not keep a page that it asked for before an invalidation, and got after the purge", async () => {
    const loading = gate();
    let version = 0;
    await using site = await shop(
      async (_, response) => {
        const read = version;
        if (read === 0) await loading.pass();
        response.writeHead(200, { "cdn-cache-control": "max-age=600", "cache-tag": "books" }).end(`${read}`);
      },
      (port) => startVarnish([port]),
    );
    const pages = site.begin({ cdn: varnish({ urls: [site.edge.url], settle: 0 }) });
    const early = site.get("/a");
    await loading.arrived();
    version = 1;
    expect(await pages.purgeTags(["books"])).toEqual({ status: "done" });
    loading.open();
    expect([(await early).body, (await site.get("/a")).body, (await site.get("/a")).body]).toEqual(["0", "1", "1"]);
  });

  it("H108 a history: no reader gets an older page through it once a purge has settled; a process dies in between", async () => {
    await using server = await startOwnRedis();
    const rows = new Map<number, number>();
    const ROWS = 4;
    const database = createServer(({ url }, response) => {
      const version = rows.get(Number(url!.slice(1))) ?? 0;
      // Read before the delay, as a slow query is.
      setTimeout(() => response.end(`${version}`), Math.random() * 20);
    }).listen(0, "127.0.0.1");
    await once(database, "listening");
    const databaseUrl = `http://127.0.0.1:${(database.address() as AddressInfo).port}`;
    const script = new URL("cdn-process.ts", import.meta.url);
    const processes = [0, 1, 2].map(() => forkScript<CdnProcess>(script));
    const ports = await Promise.all(processes.map((each) => each.call("start", server.url, databaseUrl)));
    await using edge = await startVarnish(ports);
    await Promise.all(processes.map((each) => each.call("front", edge.url)));

    const settled = new Map<number, number>();
    const returned = new Map<number, number>();
    const older: string[] = [];
    let [reads, hits, early, writes] = [0, 0, 0, 0];
    let isOver = false;
    const reader = async (): Promise<void> => {
      while (!isOver) {
        const row = Math.floor(Math.random() * ROWS);
        const [floor, firstFloor] = [settled.get(row) ?? 0, returned.get(row) ?? 0];
        const answer = await fetch(`${edge.url}/${row}`);
        const version = Number(await answer.text());
        if (answer.status !== 200) continue;
        reads += 1;
        if ((answer.headers.get("x-varnish") ?? "").includes(" ")) hits += 1;
        if (version < floor) older.push(`row ${row}: ${version} after ${floor}`);
        else if (version < firstFloor) early += 1;
      }
    };
    const writer = async (row: number): Promise<void> => {
      while (!isOver) {
        const version = (rows.get(row) ?? 0) + 1;
        rows.set(row, version);
        const by = processes[(row + version) % processes.length]!;
        const first = await by.call("purge", row).catch(() => "dead");
        if (first !== "done") continue;
        returned.set(row, version);
        writes += 1;
        const isSettled = await by.call("settled").then(
          () => true,
          () => false,
        );
        if (isSettled) settled.set(row, version);
        // Often while a page is still being loaded for the purge before.
        await sleep(Math.random() * 40);
      }
    };
    const all = [...Array.from({ length: 6 }, reader), ...Array.from({ length: ROWS }, (_, row) => writer(row))];
    await sleep(2_500);
    // Between the acknowledgement of the store and the purge: its writer gets no answer, and purges by another process.
    await processes[0]!.call("dieInPurge");
    await sleep(3_500);
    isOver = true;
    await Promise.all(all);
    expect(older).toEqual([]);
    expect({ reads: reads > 500, hits: hits > 100, writes: writes > 20 }).toEqual({
      reads: true,
      hits: true,
      writes: true,
    });
    // Before it has settled, a page that was on its way is seen now and then.
    expect(early).toBeLessThan(reads / 20);
    await Promise.all(processes.map((each) => each[Symbol.asyncDispose]()));
    database.closeAllConnections();
    database.close();
  });
});

it("H108 a real nginx that gets no purges keeps no page which a purge could not reach, and others for their lifetime", async () => {
  let tags = 1;
  await using site = await shop(
    (_, response) => {
      const all = Array.from({ length: tags }, (_, i) => `tag:${i}`).join(",");
      response.writeHead(200, { "cache-control": "max-age=600", "cache-tag": all }).end("page");
    },
    (port) => startNginx([port], true),
  );
  site.begin({ cdn: varnish({ urls: [site.edge.url], settle: 0 }) });
  const asked = async (path: string): Promise<unknown> => (await site.get(path)).fields.get("x-nginx");
  expect([await asked("/a"), await asked("/a")]).toEqual(["MISS", "HIT"]);
  tags = 2_000;
  expect([await asked("/b"), await asked("/b")]).toEqual(["MISS", "MISS"]);
});
