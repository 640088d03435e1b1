/**
 * A shop in Express: products from a cache, carts in sessions, limited logins, and probes. Without Redis products are
 * served on, and what needs a session is answered by 503.
 */
import { createRedis } from "@hotset/redis-toolkit";
import { health } from "@hotset/redis-toolkit/health";
import { expressRateLimit, rateLimit, slidingLog } from "@hotset/redis-toolkit/rate-limit";
import { SessionStore } from "@hotset/redis-toolkit/sessions/express-session";
import express, { type ErrorRequestHandler, type Request } from "express";
import session from "express-session";
import { createCache, memory, redis } from "hotset";
import { findProduct, hasPassword, setPrice } from "../products.ts";

declare module "express-session" {
  interface SessionData {
    user: string;
    cart: readonly string[];
  }
}

const url = process.env["REDIS_URL"] ?? "redis://localhost:6379";
const cache = createCache({ name: "shop" })
  .tier(memory())
  .tier(redis(url).build())
  .defaults({ ttl: "1m", staleWhileRevalidate: "5m", staleIfError: "1h", negativeTtl: "10s", hardTimeout: "5s" })
  .build();

const toolkit = createRedis({ url, commandTimeout: "1s" });
const secret = process.env["SESSION_SECRET"] ?? "keep it in your vault";
const cookie = { secure: "auto", sameSite: "lax" } as const;
// Only where it is needed, so that products do not wait for it.
const withSession = session({
  store: new SessionStore(toolkit, { userOf: ({ user }) => user }),
  secret,
  cookie,
  resave: false,
  saveUninitialized: false,
});
const logins = rateLimit(toolkit, { name: "logins", deadline: "1s", rules: [slidingLog({ limit: 5, window: "1m" })] });
const limited = expressRateLimit(logins, { key: ({ body }: Request<object, unknown, Login>) => `${body?.name}` });

interface Login {
  readonly name: string;
  readonly password: string;
}

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

app.post("/login", express.json(), limited, withSession, (request, response, next) => {
  const { name, password }: Partial<Login> = request.body ?? {};
  if (!hasPassword(name, password)) return void response.sendStatus(401);
  const { cart = [] } = request.session;
  // A new id: one that another person has given to the visitor is worth nothing.
  return void request.session.regenerate((failure: unknown) => {
    if (failure) return next(failure);
    Object.assign(request.session, { user: name, cart });
    return void request.session.save((error: unknown) => (error ? next(error) : response.sendStatus(204)));
  });
});

app.get(
  "/cart",
  withSession,
  ({ session: { user = null, cart = [] } }, response) => void response.json({ user, cart }),
);

app.put("/cart/:sku", withSession, (request: Request<{ sku: string }>, response) => {
  request.session.cart = [...(request.session.cart ?? []), request.params.sku];
  response.json({ cart: request.session.cart });
});

app.get(["/live", "/ready"], health(toolkit).handler);

const unavailable: ErrorRequestHandler = (error: { readonly retryable?: boolean }, _request, response, next) => {
  // Redis is away, or starts: trying again later may help.
  if (error.retryable !== true || response.headersSent) return next(error);
  response.set("Retry-After", "1").sendStatus(503);
};
app.use(unavailable);

const server = app.listen(Number(process.env["PORT"] ?? 3000));

process.once("SIGTERM", () => {
  // Requests end first, then the cache and the toolkit, then the process.
  server.close(() => void Promise.all([cache.close(), toolkit.disconnect()]).then(() => process.exit(0)));
});
