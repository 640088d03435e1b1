// Revalidating with the origin's ETag: if nothing has changed, a 304 without a body renews the cached value.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createCache, keyOf, memory } from "hotset";

// An origin whose feed has a version.
const feed = { etag: '"v1"', body: "first news" };
const statuses: number[] = [];
const origin = createServer((request, response) => {
  const isKnown = request.headers["if-none-match"] === feed.etag;
  statuses.push(isKnown ? 304 : 200);
  response.writeHead(isKnown ? 304 : 200, { etag: feed.etag }).end(isKnown ? undefined : feed.body);
}).listen(0, "127.0.0.1");
await once(origin, "listening");
const url = `http://127.0.0.1:${(origin.address() as AddressInfo).port}/feed`;

await using cache = createCache({ name: "reader" }).tier(memory()).defaults({ ttl: "5m", staleIfError: "1d" }).build();

const readFeed = (address: string): Promise<string> =>
  cache.getOrSet(keyOf("feed", address), async ({ signal, stale, setOptions }) => {
    const headers = stale?.etag === undefined ? {} : { "if-none-match": stale.etag };
    const response = await fetch(address, { signal, headers });
    if (response.status === 304 && stale !== undefined) return stale.notModified();
    if (!response.ok) throw new Error(`feed: ${response.status}`);
    const etag = response.headers.get("etag");
    if (etag !== null) setOptions({ etag });
    return response.text();
  });

assert.equal(await readFeed(url), "first news"); // 200
assert.equal(await readFeed(url), "first news"); // from memory: no request to the origin

await cache.markStale(keyOf("feed", url)); // as if five minutes had passed
assert.equal(await readFeed(url), "first news"); // 304
assert.equal((await cache.inspect(keyOf("feed", url)))?.state, "fresh");

feed.etag = '"v2"';
feed.body = "second news";
await cache.markStale(keyOf("feed", url));
assert.equal(await readFeed(url), "second news"); // 200

console.log(statuses.join(" "));
origin.close();
origin.closeAllConnections();
