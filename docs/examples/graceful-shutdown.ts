// An HTTP service that ends without a failed request: first the server, then the cache. Here the program is its own
// client, and sends the signal to itself. REDIS_URL is the address of Redis.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createCache, memory, redis } from "hotset";

const cache = createCache({ name: "shop" })
  .tier(memory())
  .tier(
    redis(process.env["REDIS_URL"] ?? "redis://localhost:6379")
      .keyPrefix(process.env["KEY_PREFIX"] ?? "hotset-examples")
      .build(),
  )
  .build();

const slowly = async (value: string): Promise<string> => {
  await sleep(50);
  return value;
};

const server = createServer(({ url }, response) => void answer(url!, response));

async function answer(url: string, response: ServerResponse): Promise<void> {
  // The connection would otherwise stay open for a next request that must go elsewhere.
  if (!server.listening) response.setHeader("connection", "close");
  try {
    const user = await cache.getOrSet(`user:${url}`, () => slowly("Ada"));
    const page = await cache.getOrSet(`page:${url}`, () => slowly(`Hello ${user}`));
    response.end(page);
  } catch {
    response.writeHead(500).end();
  }
}

let isReady = true; // the answer to the readiness probe of the load balancer
async function shutDown(): Promise<void> {
  isReady = false;
  // The kernel resets connections that come after `close`. So wait for longer than the balancer takes to notice, and
  // here for the clients below, too: in your service only the time counts.
  await Promise.all([sleep(3_000), clients]);
  server.close(); // no new connections; idle ones are closed
  await once(server, "close"); // every request that was accepted has been answered
  await cache.close(); // replays what Redis has missed, frees leases, closes the connection
  const { pending } = cache.stats();
  if (pending > 0) console.error(`${pending} changes are not in Redis`);
}
process.once("SIGTERM", () => void shutDown());

// ---- the traffic: new requests until the signal, as from a load balancer that sees it

server.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;

const statuses: number[] = [];
async function client(number: number): Promise<void> {
  for (let i = 0; isReady; i += 1) {
    const response = await fetch(`http://127.0.0.1:${port}/${number}/${i}`, { headers: { connection: "close" } });
    statuses.push(response.status);
    assert.equal(await response.text(), "Hello Ada");
  }
}
const clients = Promise.all(Array.from({ length: 20 }, (_, number) => client(number)));

await sleep(500);
const closed = once(server, "close");
process.kill(process.pid, "SIGTERM");
await clients;
await closed;
assert(statuses.length >= 20);
console.log(`${statuses.filter((status) => status !== 200).length} failed requests`);
