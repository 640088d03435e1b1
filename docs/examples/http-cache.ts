// A server whose responses are cached by their Cache-Control, revalidated by their ETag, and purged by tag.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { httpCache } from "@hotset/http";
import { cachedListener } from "@hotset/http/node";
import { createCache, memory } from "hotset";

await using cache = createCache({ name: "shop" }).tier(memory()).build();
const pages = httpCache(cache.namespace("pages"), { base: "https://shop.example" });

let renders = 0;
const server = createServer(
  cachedListener(pages, (request, response) => {
    renders += 1;
    response.writeHead(200, {
      "Content-Type": "application/json",
      "Cache-Control": "max-age=60, stale-while-revalidate=600",
      "Cache-Tag": "books",
      ETag: '"7"',
    });
    response.end(JSON.stringify({ path: request.url }));
  }),
);
server.listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/books/1`;

async function ask(headers: Record<string, string> = {}): Promise<void> {
  const answer = await fetch(url, { headers });
  await answer.arrayBuffer();
  console.log(answer.status, answer.headers.get("cache-status")?.replace(/ttl=\d+/, "ttl=59"));
}

await ask();
await ask();
await ask({ range: "bytes=2-5" });
await ask({ "if-none-match": '"7"' }); // Node's fetch shows the 304 as it is
await pages.purgeTags(["books"]);
await ask();
assert.equal(renders, 2);

server.close();
