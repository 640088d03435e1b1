import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { createCache, memory, redis } from "hotset";
import { findProduct, setPrice } from "../products.ts";

const cache = createCache({ name: "shop" })
  .tier(memory())
  .tier(redis(process.env["REDIS_URL"] ?? "redis://localhost:6379").build())
  .defaults({ ttl: "1m", staleWhileRevalidate: "5m", staleIfError: "1h", negativeTtl: "10s", hardTimeout: "5s" })
  .build();

const app = new Hono();

app.get("/products/:sku", async (context) => {
  const sku = context.req.param("sku");
  const product = await cache.getOrSet(`product:${sku}`, ({ signal }) => findProduct(sku, signal), {
    onServed: ({ status, ageMs }) => {
      context.header("Cache-Status", status === "miss" ? "shop; fwd=miss" : "shop; hit");
      context.header("Age", String(Math.floor(ageMs / 1_000)));
    },
  });
  return product === null ? context.notFound() : context.json(product);
});

app.put("/products/:sku/price/:cents", async (context) => {
  const { sku, cents } = context.req.param();
  await setPrice(sku, Number(cents));
  await cache.delete(`product:${sku}`); // the source first, then the cache
  return context.body(null, 204);
});

const server = serve({ fetch: app.fetch, port: Number(process.env["PORT"] ?? 3000) });

process.once("SIGTERM", () => {
  // Requests end first, then the cache, then the process.
  server.close(() => void cache.close().then(() => process.exit(0)));
});
