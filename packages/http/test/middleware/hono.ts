import type { RequestListener } from "node:http";
import { setTimeout } from "node:timers/promises";
import type { HttpCache } from "@hotset/http";
import { honoCache } from "@hotset/http/fetch";
import { Hono, type Context, type MiddlewareHandler } from "hono";
import { compress } from "hono/compress";
import { getSignedCookie, setSignedCookie } from "hono/cookie";
import { cors } from "hono/cors";
import { etag } from "hono/etag";
import { logger } from "hono/logger";
import { proxy } from "hono/proxy";
import { secureHeaders } from "hono/secure-headers";
import { FRESH, LARGE, pieces, TEXT, type Place } from "./apps.ts";
import { clientReads } from "./client.ts";
import type { Kit, Surroundings } from "./parts.ts";

/** The kinds that Hono has of them. */
export const HONO_PARTS: Readonly<Record<string, (kit: Kit, surroundings: Surroundings) => MiddlewareHandler>> = {
  compress: () => compress(),
  cors: () => cors({ origin: ["https://a.example", "https://b.example"], credentials: true }),
  "secure headers": () => secureHeaders(),
  // It reads a body to its end.
  etag: () => {
    const tags = etag();
    return (context, next) => (context.req.path === "/endless" ? next() : tags(context, next));
  },
  logger: () => logger(() => undefined),
  "a session in a signed cookie": () => async (context, next) => {
    const user = await getSignedCookie(context, "secret", "user");
    context.set("user" as never, user as never);
    await next();
    if (context.req.path === "/login") await setSignedCookie(context, "user", "ann", "secret");
  },
  proxy:
    (_, { upstream }) =>
    async (context, next) => {
      if (!context.req.path.startsWith("/via/")) return next();
      return proxy(new URL(context.req.path.slice("/via".length), upstream), context.req);
    },
  static: (kit, { files }) => kit("@hono/node-server/serve-static").serveStatic({ root: files }) as MiddlewareHandler,
};

/** The same site, by the means of Hono. */
export function honoApp(
  part: MiddlewareHandler,
  place: Place,
  cache: HttpCache | undefined,
  kit: Kit,
): RequestListener {
  const app = new Hono();
  const layers = cache === undefined ? [] : [honoCache(cache, () => app) as MiddlewareHandler];
  for (const layer of place === "in front" ? [part, ...layers] : [...layers, part]) app.use(layer);
  const text = (context: Context, cacheControl: string | undefined, body: string): Response =>
    context.text(body, 200, cacheControl === undefined ? {} : { "cache-control": cacheControl });
  const stream = (cacheControl: string, from: AsyncIterable<Uint8Array>): Response =>
    new Response(ReadableStream.from(from), {
      headers: { "cache-control": cacheControl, "content-type": "text/plain" },
    });
  const encoder = new TextEncoder();
  async function* late(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    yield encoder.encode("part ");
    await clientReads();
    throw new Error("late");
  }
  async function* endless(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    for (;;) {
      yield encoder.encode(TEXT);
      await setTimeout(1);
    }
  }
  const fresh = FRESH["cache-control"];
  app.get("/stored", (context) => text(context, fresh, TEXT));
  app.get("/stored-large", () => stream(fresh, pieces(LARGE)));
  app.get("/own", (context) => text(context, "private", `hello ${String(context.get("user" as never))}`));
  app.get("/plain", (context) => text(context, undefined, TEXT));
  app.post("/login", (context) => text(context, undefined, "welcome"));
  app.post("/logout", (context) => text(context, undefined, "bye"));
  app.get("/large", () => stream("private", pieces(LARGE)));
  app.post("/upload", async (context) => {
    const { file } = await context.req.parseBody();
    return text(context, undefined, `got ${(file as File).size}`);
  });
  app.on(["GET", "POST"], "/error", () => {
    throw new Error("broken");
  });
  app.on(["GET", "POST"], "/late", () => stream("private", late()));
  app.get("/stored-late", () => stream(fresh, late()));
  app.get("/endless", () => stream("private", endless()));
  app.onError((_, context) => context.text("failed", 500));
  return kit("@hono/node-server").getRequestListener(app.fetch) as RequestListener;
}
