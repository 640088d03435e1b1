import express from "express";
import { createCache, memory, redis } from "hotset";
import { findProduct, setPrice } from "../products.ts";

const cache = createCache({ name: "shop" })
  .tier(memory())
  .tier(redis(process.env["REDIS_URL"] ?? "redis://localhost:6379").build())
  .defaults({ ttl: "1m", staleWhileRevalidate: "5m", staleIfError: "1h", negativeTtl: "10s", hardTimeout: "5s" })
  .build();

const app = express();

app.get("/products/:sku", async (request, response) => {
  const { sku } = request.params;
  const product = await cache.getOrSet(`product:${sku}`, ({ signal }) => findProduct(sku, signal), {
    onServed: ({ status, ageMs }) => {
      response.set("Cache-Status", status === "miss" ? "shop; fwd=miss" : "shop; hit");
      response.set("Age", String(Math.floor(ageMs / 1_000)));
    },
  });
  if (product === null) response.sendStatus(404);
  else response.json(product);
});

app.put("/products/:sku/price/:cents", async (request, response) => {
  const { sku, cents } = request.params;
  await setPrice(sku, Number(cents));
  await cache.delete(`product:${sku}`); // the source first, then the cache
  response.sendStatus(204);
});

const server = app.listen(Number(process.env["PORT"] ?? 3000));

process.once("SIGTERM", () => {
  // Requests end first, then the cache, then the process.
  server.close(() => void cache.close().then(() => process.exit(0)));
});
