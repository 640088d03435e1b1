// A serverless platform freezes an invocation when it has answered. Work in the background needs `waitUntil`, or
// `drain` where the platform has none.

import assert from "node:assert/strict";
import { createCache, memory } from "hotset";

let version = 1;
const render = async (): Promise<string> => `page ${version}`;

// ---- with waitUntil, as on Vercel and Cloudflare

/** The platform keeps the invocation alive until these have settled. */
const kept: Promise<void>[] = [];
await using edge = createCache({ name: "edge", waitUntil: (work) => void kept.push(work) })
  .tier(memory())
  .defaults({ ttl: "1m", staleWhileRevalidate: "1h" })
  .build();

assert.equal(await edge.getOrSet("home", render), "page 1");
assert.equal(kept.length, 0); // the caller itself has waited for this load

version = 2;
await edge.markStale("home"); // as if the minute had passed
assert.equal(await edge.getOrSet("home", render), "page 1"); // at once; the load goes on in the background
assert.equal(kept.length, 1);

await Promise.all(kept); // the platform
assert.equal(await edge.getOrSet("home", render), "page 2");

// ---- without, as on AWS Lambda: settle before returning

async function handler(): Promise<string> {
  const page = await edge.getOrSet("home", render);
  await edge.drain();
  return page;
}

version = 3;
await edge.markStale("home");
console.log(await handler(), "then", await handler());
