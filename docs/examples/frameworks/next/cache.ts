import { type Cache, createCache, memory, redis } from "hotset";
import { after } from "next/server";

const build = (): Cache =>
  createCache({
    name: "shop",
    waitUntil: (work) => after(() => work), // Next keeps the process for loads that go on after the answer
  })
    .tier(memory())
    .tier(redis(process.env["REDIS_URL"] ?? "redis://localhost:6379").build())
    .defaults({ ttl: "1m", staleWhileRevalidate: "5m", staleIfError: "1h", negativeTtl: "10s", hardTimeout: "5s" })
    .build();

// `next dev` evaluates modules again after each change, and Next may put this one into the bundles of several routes.
const shared = globalThis as { shopCache?: Cache };
export const cache: Cache = (shared.shopCache ??= build());
