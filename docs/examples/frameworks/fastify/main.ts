import fastify from "fastify";
import { createCache, memory, redis } from "hotset";
import { findProduct, setPrice } from "../products.ts";

const cache = createCache({ name: "shop" })
  .tier(memory())
  .tier(redis(process.env["REDIS_URL"] ?? "redis://localhost:6379").build())
  .defaults({ ttl: "1m", staleWhileRevalidate: "5m", staleIfError: "1h", negativeTtl: "10s", hardTimeout: "5s" })
  .build();

const app = fastify();

app.get<{ Params: { sku: string } }>("/products/:sku", async (request, reply) => {
  const { sku } = request.params;
  const product = await cache.getOrSet(`product:${sku}`, ({ signal }) => findProduct(sku, signal), {
    onServed: ({ status, ageMs }) => {
      reply.header("Cache-Status", status === "miss" ? "shop; fwd=miss" : "shop; hit");
      reply.header("Age", Math.floor(ageMs / 1_000));
    },
  });
  return product ?? reply.code(404).send();
});

app.put<{ Params: { sku: string; cents: string } }>("/products/:sku/price/:cents", async (request, reply) => {
  const { sku, cents } = request.params;
  await setPrice(sku, Number(cents));
  await cache.delete(`product:${sku}`); // the source first, then the cache
  return reply.code(204).send();
});

// Fastify calls this after the last request has been answered.
app.addHook("onClose", () => cache.close());

process.once("SIGTERM", () => void app.close().then(() => process.exit(0)));

await app.listen({ port: Number(process.env["PORT"] ?? 3000) });
