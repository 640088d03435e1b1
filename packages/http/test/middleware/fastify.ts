import type { RequestListener } from "node:http";
import { PassThrough } from "node:stream";
import { constants } from "node:zlib";
import type { HttpCache } from "@hotset/http";
import { fastifyCache } from "@hotset/http/node";
import fastify, { type FastifyInstance, type FastifyReply } from "fastify";
import { FRESH, LARGE, pieces, TEXT, type Place } from "./apps.ts";
import { clientReads } from "./client.ts";
import type { Kit, Surroundings } from "./parts.ts";

type Plugin = (app: FastifyInstance, kit: Kit, surroundings: Surroundings) => unknown;

/** The kinds that Fastify has of them. */
export const FASTIFY_PARTS: Readonly<Record<string, Plugin>> = {
  // What is written is sent. Otherwise an answer that is cut off late has not begun: then it is an error, for which the
  // cache runs the handler again without what it has lent of the client, such as its codings.
  compress: (app, kit) =>
    app.register(kit("@fastify/compress"), { encodings: ["gzip"], zlibOptions: { flush: constants.Z_SYNC_FLUSH } }),
  cors: (app, kit) =>
    app.register(kit("@fastify/cors"), { origin: ["https://a.example", "https://b.example"], credentials: true }),
  helmet: (app, kit) => app.register(kit("@fastify/helmet")),
  session: (app, kit) => {
    app.register(kit("@fastify/cookie"));
    app.register(kit("@fastify/session"), {
      secret: "a secret of thirty-two characters, or more",
      saveUninitialized: false,
      // A hit has no onSend, in which a cookie would be sent again.
      rolling: false,
      cookie: { secure: false },
    });
  },
  // It counts runs of handlers wherever it is registered: its hooks are those of routes.
  "rate-limit": (app, kit) =>
    app.register(kit("@fastify/rate-limit"), { max: 1_000, addHeaders: NO_HEADERS, addHeadersOnExceeding: NO_HEADERS }),
  static: (app, kit, { files }) =>
    app.register(kit("@fastify/static"), { root: files, maxAge: 60_000, wildcard: false }),
  "http-proxy": (app, kit, { upstream }) => app.register(kit("@fastify/http-proxy"), { upstream, prefix: "/via" }),
  multipart: (app, kit) => app.register(kit("@fastify/multipart")),
};

const NO_HEADERS = Object.fromEntries(["limit", "remaining", "reset"].map((name) => [`x-ratelimit-${name}`, false]));

type Session = { session?: { user?: string } };

/** The same site, by the means of Fastify. */
export async function fastifyApp(
  plugin: (app: FastifyInstance) => unknown,
  place: Place,
  cache: HttpCache | undefined,
): Promise<RequestListener> {
  const app = fastify();
  if (place === "in front") await plugin(app);
  if (cache !== undefined) fastifyCache(app, cache);
  if (place === "behind") await plugin(app);
  app.addContentTypeParser("*", (_request, payload, done) => {
    payload.resume();
    done(null);
  });
  const text = (reply: FastifyReply, cacheControl: string | undefined, body: unknown): FastifyReply => {
    if (cacheControl !== undefined) reply.header("cache-control", cacheControl);
    return reply.type("text/plain; charset=utf-8").send(body);
  };
  const late = (reply: FastifyReply, cacheControl: string): FastifyReply => {
    const body = new PassThrough();
    // @fastify/compress waits for ten bytes.
    body.write("the first part ");
    void clientReads().then(() => body.destroy(new Error("late")));
    return text(reply, cacheControl, body);
  };
  const fresh = FRESH["cache-control"];
  app.get("/stored", (_, reply) => text(reply, fresh, TEXT));
  app.get("/stored-large", (_, reply) => text(reply, fresh, pieces(LARGE)));
  app.get("/own", (request, reply) => text(reply, "private", `hello ${String((request as Session).session?.user)}`));
  app.get("/plain", (_, reply) => text(reply, undefined, TEXT));
  app.post("/login", (request, reply) => {
    const { session } = request as Session;
    if (session !== undefined) session.user = "ann";
    return text(reply, undefined, "welcome");
  });
  app.post("/logout", (request, reply) => {
    const { session } = request as Session;
    if (session !== undefined) delete session.user;
    return text(reply, undefined, "bye");
  });
  app.get("/large", (_, reply) => text(reply, "private", pieces(LARGE)));
  app.post("/upload", async (request, reply) => {
    const { file } = request as { file?: () => Promise<{ toBuffer(): Promise<Buffer> }> };
    const part = typeof file === "function" ? await file.call(request) : undefined;
    return text(reply, undefined, `got ${(await part?.toBuffer())?.length}`);
  });
  app.route({
    method: ["GET", "POST"],
    url: "/error",
    handler: () => {
      throw new Error("broken");
    },
  });
  app.route({ method: ["GET", "POST"], url: "/late", handler: (_, reply) => late(reply, "private") });
  app.get("/stored-late", (_, reply) => late(reply, fresh));
  app.get("/endless", (_, reply) => {
    const body = new PassThrough();
    const timer = setInterval(() => body.write(TEXT), 1);
    body.once("close", () => clearInterval(timer));
    return text(reply, "private", body);
  });
  await app.ready();
  return (...both) => app.routing(...both);
}
