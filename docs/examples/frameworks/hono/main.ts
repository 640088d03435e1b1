/**
 * A shop in Hono: products from a cache, carts in sessions, limited logins, and probes. Without Redis products are
 * served on, and what needs a session is answered by 503.
 */
import { serve } from "@hono/node-server";
import { createRedis } from "@hotset/redis-toolkit";
import { health } from "@hotset/redis-toolkit/health";
import { honoRateLimit, rateLimit, slidingLog } from "@hotset/redis-toolkit/rate-limit";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { honoSessions } from "@hotset/redis-toolkit/sessions/hono";
import { type Context, Hono } from "hono";
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
const session = honoSessions(sessions<{ cart: readonly string[] }>(toolkit, { secret }));
const logins = rateLimit(toolkit, { name: "logins", deadline: "1s", rules: [slidingLog({ limit: 5, window: "1m" })] });
const { readiness, liveness } = health(toolkit);

interface Login {
  readonly name: string;
  readonly password: string;
}

/** A body that is not JSON is a login without a name. */
const loginOf = ({ req }: Context): Promise<Partial<Login>> => req.json<Login>().catch(() => ({}));

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

// Only these routes have a session, so products do not wait for it.
app.use("/login", honoRateLimit(logins, { key: async (context: Context) => `${(await loginOf(context)).name}` }));
app.use("/login", session.middleware);
app.use("/cart/*", session.middleware);

app.post("/login", async (context) => {
  const { name, password } = await loginOf(context);
  if (name === undefined || !hasPassword(name, password)) return context.body(null, 401);
  // A new id: one that another person has given to the visitor is worth nothing.
  await session.of(context).regenerate({ userId: name });
  return context.body(null, 204);
});

app.get("/cart", (context) => {
  const { userId: user = null, data } = session.of(context);
  return context.json({ user, cart: data.cart ?? [] });
});

app.put("/cart/:sku", (context) => {
  const { data } = session.of(context);
  data.cart = [...(data.cart ?? []), context.req.param("sku")];
  return context.json({ cart: data.cart });
});

app.get("/live", (context) => context.json(liveness()));
app.get("/ready", async (context) => {
  const report = await readiness();
  return context.json(report, report.status === "unready" ? 503 : 200);
});

app.onError((error: Error & { readonly retryable?: boolean }, context) => {
  // Redis is away, or starts: trying again later may help.
  if (error.retryable === true) return context.body(null, 503, { "Retry-After": "1" });
  console.error(error);
  return context.body(null, 500);
});

const server = serve({ fetch: app.fetch, port: Number(process.env["PORT"] ?? 3000) });

process.once("SIGTERM", () => {
  // Requests end first, then the cache and the toolkit, then the process.
  server.close(() => void Promise.all([cache.close(), toolkit.disconnect()]).then(() => process.exit(0)));
});
