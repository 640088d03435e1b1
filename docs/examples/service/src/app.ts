import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { BackendUnavailableError } from "@hotset/core";
import { PATHS } from "./settings.ts";
import { findProduct, type Order, type Shop } from "./shop.ts";

const MAX_BODY_BYTES = 10_000;

/** An HTTP server over the shop, which does not listen yet. `isDraining` is asked at each request. */
export function createApp(shop: Shop, isDraining: () => boolean): Server {
  const server = createServer((request, response) => {
    // A connection that is kept would bring the next request here.
    if (isDraining()) response.setHeader("connection", "close");
    answer(shop, request, response, isDraining).catch((error: unknown) => fail(response, error));
  });
  // Longer than balancers keep an idle connection (60 s): else they send a request while it is closed here.
  server.keepAliveTimeout = 65_000;
  server.headersTimeout = 10_000;
  server.requestTimeout = 30_000;
  return server;
}

async function answer(
  shop: Shop,
  request: IncomingMessage,
  response: ServerResponse,
  isDraining: () => boolean,
): Promise<void> {
  const [path = "/"] = (request.url ?? "/").split("?");
  const [, place, id] = path.split("/");
  const route = `${request.method} /${place}${id === undefined ? "" : "/:id"}`;
  switch (route) {
    case `GET ${PATHS.live}`:
      return shop.health.handler(request, response);
    case `GET ${PATHS.ready}`:
      return isDraining() ? send(response, 503, { status: "draining" }) : shop.health.handler(request, response);
    case `GET ${PATHS.metrics}`:
      response.setHeader("content-type", shop.register.contentType);
      response.end(await shop.register.metrics());
      return;
    case "GET /products/:id":
      return (await isAllowed(shop, request, response)) ? sendProduct(shop, id!, response) : undefined;
    case "POST /orders":
      return (await isAllowed(shop, request, response)) ? takeOrder(shop, request, response) : undefined;
    case "GET /orders/:id":
      return sendOrder(shop, id!, response);
    default:
      return send(response, 404, { error: "not found" });
  }
}

/** By address: behind a proxy, take the field that the proxy sets, and no other. */
async function isAllowed(shop: Shop, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
  const { allowed, headers } = await shop.limit.consume(request.socket.remoteAddress ?? "unknown");
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (!allowed) send(response, 429, { error: "too many requests" });
  return allowed;
}

async function sendProduct(shop: Shop, sku: string, response: ServerResponse): Promise<void> {
  const product = await shop.cache.getOrSet(`product:${sku}`, async () => (await findProduct(sku)) ?? null);
  send(response, product === null ? 404 : 200, product ?? { error: "not found" });
}

/** A client that repeats an order after a lost answer sends the same `Idempotency-Key`, and it is taken once. */
async function takeOrder(shop: Shop, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const key = request.headers["idempotency-key"];
  if (typeof key !== "string" || !/^[\w-]{8,64}$/.test(key))
    return send(response, 400, { error: "Idempotency-Key must be 8 to 64 letters, digits, - or _" });
  const order = orderIn(await bodyOf(request));
  if (order === undefined) return send(response, 400, { error: "the body must be JSON: sku, and quantity above 0" });
  send(response, 202, await shop.orders.add(order, { dedupId: key, dedupFor: "1d" }));
}

async function sendOrder(shop: Shop, id: string, response: ServerResponse): Promise<void> {
  const job = await shop.orders.get(id);
  if (job === undefined) send(response, 404, { error: "not found" });
  else send(response, 200, { state: job.state, result: job.result });
}

async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function orderIn(body: string | undefined): Order | undefined {
  try {
    const { sku, quantity } = JSON.parse(body ?? "") as Partial<Order>;
    const isOrder = typeof sku === "string" && sku.length <= 64 && Number.isSafeInteger(quantity) && quantity! > 0;
    return isOrder ? { sku, quantity: quantity! } : undefined;
  } catch {
    return undefined;
  }
}

/** An unreachable Redis isn't the fault of the request: the client may repeat it. */
function fail(response: ServerResponse, error: unknown): void {
  const isAway = error instanceof BackendUnavailableError;
  if (!isAway) console.error(error);
  if (response.headersSent) return void response.destroy();
  if (isAway) response.setHeader("retry-after", "5");
  send(response, isAway ? 503 : 500, { error: isAway ? "unavailable" : "internal error" });
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
