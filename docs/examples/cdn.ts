// Pages in a CDN: it keeps them for a day, and is purged once their tags are invalidated here.

import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { httpCache } from "@hotset/http";
import { fastly } from "@hotset/http/cdn";
import { cachedListener } from "@hotset/http/node";
import { createCache, memory } from "hotset";

/** In place of https://api.fastly.com, the default. */
const api = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk: Buffer) => (body += chunk.toString()));
  request.on("end", () => {
    const kind = request.headers["fastly-soft-purge"] === "1" ? "soft" : "hard";
    console.log(`the CDN purges ${kind}:`, body);
    response.end("{}");
  });
});

async function start(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

await using cache = createCache({ name: "shop" }).tier(memory()).build();
const pages = httpCache(cache.namespace("pages"), {
  base: "https://shop.example",
  // `settle`: the second purge comes soon, as this program ends soon.
  cdn: fastly({ service: "SU1Z0", token: "token", ttl: "1d", settle: "50ms", endpoint: await start(api) }),
});
const site = createServer(
  cachedListener(pages, (_, response) => {
    response.writeHead(200, { "Cache-Control": "max-age=60", "Cache-Tag": "books, book:1" });
    response.end("a page");
  }),
);

const page = await fetch(`${await start(site)}/books/1`);
console.log(
  "the page:",
  page.headers.get("surrogate-control"),
  page.headers.get("surrogate-key")?.replace(/~\w+/g, "~"),
);

console.log(await cache.invalidateTags("book:1"));
await pages.settled(); // sent again, for a page that was on its way
console.log(await pages.purgeTags(["books"], { soft: true }));
await pages.settled();

site.close();
site.closeAllConnections();
api.close();
api.closeAllConnections();
