// An HTTP service that reports how each answer was produced: `Age` (RFC 9111) and `Cache-Status` (RFC 9211).

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createCache, memory, type Served } from "hotset";

await using cache = createCache({ name: "shop" })
  .tier(memory())
  .defaults({ ttl: "1m", staleWhileRevalidate: "5m" })
  .build();

const price = async (sku: string): Promise<{ readonly sku: string; readonly cents: number }> => ({ sku, cents: 1_999 });

/** A stale answer is a hit whose `ttl` is negative. */
function cacheStatus({ status, freshForMs, coalesced }: Served): string {
  return status === "miss"
    ? `shop; fwd=miss${coalesced ? "; collapsed" : ""}`
    : `shop; hit; ttl=${Math.floor(freshForMs / 1_000)}`;
}

const server = createServer((request, response) => {
  const sku = new URL(request.url ?? "/", "http://localhost").pathname.slice(1);
  // A client that hangs up stops waiting.
  const hangUp = new AbortController();
  response.once("close", () => hangUp.abort());
  cache
    .getOrSet(`price:${sku}`, () => price(sku), {
      signal: hangUp.signal,
      onServed: (served) => {
        response.setHeader("Cache-Status", cacheStatus(served));
        response.setHeader("Age", Math.floor(served.ageMs / 1_000));
      },
    })
    .then(
      (found) => response.end(JSON.stringify(found)),
      () => response.writeHead(500).end(),
    );
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/A1`;

async function ask(): Promise<void> {
  const answer = await fetch(url);
  assert.deepEqual(await answer.json(), { sku: "A1", cents: 1_999 });
  console.log(answer.headers.get("cache-status"));
}

await ask();
await ask();
await cache.markStale("price:A1"); // as if its minute had passed: served once more, and loaded in the background
await ask();

server.close();
