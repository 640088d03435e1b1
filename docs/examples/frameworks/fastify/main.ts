/**
 * A shop in Fastify: products from a cache, carts in sessions, limited logins, and probes. Without Redis products are
 * served on, and what needs a session is answered by 503.
 */
import { createRedis } from "@hotset/redis-toolkit";
import { health } from "@hotset/redis-toolkit/health";
import { fastifyRateLimit, rateLimit, slidingLog } from "@hotset/redis-toolkit/rate-limit";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { fastifySessions } from "@hotset/redis-toolkit/sessions/fastify";
import fastify, { type FastifyRequest } from "fastify";
import { createCache, memory, redis } from "hotset";
import { findProduct, hasPassword, setPrice } from "../products.ts";

const url = process.env["REDIS_URL"] ?? "redis://localhost:6379";
const cache = createCache({ name: "shop" })
  .tier(memory())
  .tier(redis(url).build())
  .defaults({ ttl: "1m", staleWhileRevalidate: "5m", staleIfError: "1h", negativeTtl: "10s", hardTimeout: "5s" })
  .build();

const toolkit = createRedis({ url, commandTimeout: "1s" });
const secret = process.env["SESSION_SECRET"] ?? "keep it in your vault";
const session = fastifySessions(sessions<{ cart: readonly string[] }>(toolkit, { secret }));
const logins = rateLimit(toolkit, { name: "logins", deadline: "1s", rules: [slidingLog({ limit: 5, window: "1m" })] });
const { readiness, liveness } = health(toolkit);

interface Login {
  readonly name: string;
  readonly password: string;
}

const LOGIN = {
  type: "object",
  required: ["name", "password"],
  properties: { name: { type: "string", minLength: 1, maxLength: 256 }, password: { type: "string" } },
};

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

// Only these routes have a session, so products do not wait for it.
app.register(async (shop) => {
  await shop.register(session.plugin);

  const key = ({ body }: FastifyRequest): string => (body as Login).name;
  const limited = { preHandler: fastifyRateLimit(logins, { key }) };
  shop.post<{ Body: Login }>("/login", { ...limited, schema: { body: LOGIN } }, async (request, reply) => {
    const { name, password } = request.body;
    if (!hasPassword(name, password)) return reply.code(401).send();
    // A new id: one that another person has given to the visitor is worth nothing.
    await session.of(request).regenerate({ userId: name });
    return reply.code(204).send();
  });

  shop.get("/cart", async (request) => {
    const { userId: user = null, data } = session.of(request);
    return { user, cart: data.cart ?? [] };
  });

  shop.put<{ Params: { sku: string } }>("/cart/:sku", async (request) => {
    const { data } = session.of(request);
    data.cart = [...(data.cart ?? []), request.params.sku];
    return { cart: data.cart };
  });
});

app.get("/live", async () => liveness());
app.get("/ready", async (_request, reply) => {
  const report = await readiness();
  return reply.code(report.status === "unready" ? 503 : 200).send(report);
});

app.setErrorHandler((error: Error & { readonly retryable?: boolean }, _request, reply) =>
  // Redis is away, or starts: trying again later may help.
  error.retryable === true ? reply.code(503).header("Retry-After", "1").send() : reply.send(error),
);

// Fastify calls this after the last request has been answered.
app.addHook("onClose", async () => void (await Promise.all([cache.close(), toolkit.disconnect()])));

process.once("SIGTERM", () => void app.close().then(() => process.exit(0)));

await app.listen({ port: Number(process.env["PORT"] ?? 3000) });
