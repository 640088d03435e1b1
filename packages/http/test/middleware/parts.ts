import { request as send, type IncomingMessage, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { isLoad } from "@hotset/http/node";
import type { Connect, Place, Request } from "./apps.ts";

/** Gives a package of the folder in which the middlewares are installed. */
export type Kit = (name: string) => any; // eslint-disable-line typescript/no-explicit-any -- packages of many kinds

export function kitOf(folder: string): Kit {
  const require = createRequire(folder);
  return (name) => {
    const found = require(name) as { default?: unknown };
    return typeof found === "function" ? found : (found.default ?? found);
  };
}

/** Where the application of a cell finds what it needs. */
export interface Surroundings {
  /** A server that the proxies ask. */
  readonly upstream: string;
  /** A folder with `file.txt`. */
  readonly files: string;
}

type Part = (kit: Kit, surroundings: Surroundings, place: Place) => readonly Connect[];

/** A store of sessions that answers later, as one over a network does. */
function slowStore(kit: Kit): unknown {
  const { MemoryStore } = kit("express-session");
  const store = new MemoryStore();
  for (const name of ["get", "set", "touch", "destroy"]) {
    const now = store[name].bind(store);
    store[name] = (...parameters: unknown[]) => setTimeout(() => now(...parameters), 5);
  }
  return store;
}

const session = (kit: Kit): Connect =>
  kit("express-session")({ secret: "s", resave: false, saveUninitialized: false, store: slowStore(kit) });

/** Only what is below /via/ is for the upstream. */
const below = (proxy: (request: IncomingMessage, response: ServerResponse) => unknown): Connect => {
  return (request, response, next) => {
    if (!request.url!.startsWith("/via/")) return next();
    request.url = request.url!.slice("/via".length);
    return proxy(request, response);
  };
};

/** Middlewares for Express 4 and 5. */
export const PARTS: Readonly<Record<string, Part>> = {
  "express-session": (kit) => [session(kit)],
  "cookie-session": (kit) => [kit("cookie-session")({ name: "sid", keys: ["k"] })],
  compression: (kit) => [kit("compression")()],
  morgan: (kit) => [kit("morgan")("combined", { stream: { write: () => undefined } })],
  helmet: (kit) => [kit("helmet")()],
  cors: (kit) => [kit("cors")({ origin: ["https://a.example", "https://b.example"], credentials: true })],
  "a proxy that copies fields": (_, { upstream }) => [
    below((request, response) => {
      const { method, url, headers } = request;
      const asked = send(new URL(url!, upstream), { method, headers }, (from) => {
        response.writeHead(from.statusCode!, from.headers);
        from.once("error", () => response.destroy());
        from.pipe(response);
      });
      request.pipe(asked);
    }),
  ],
  "http-proxy": (kit, { upstream }) => {
    const proxy = kit("http-proxy").createProxyServer({ target: upstream });
    proxy.on("error", (_: unknown, request: Request) => request.socket.destroy());
    // It does not see that the upstream breaks off.
    proxy.on("proxyRes", (from: IncomingMessage, _: unknown, response: ServerResponse) =>
      from.once("error", () => response.destroy()),
    );
    return [below((request, response) => proxy.web(request, response))];
  },
  "http-proxy-middleware": (kit, { upstream }) => [
    below(kit("http-proxy-middleware").createProxyMiddleware({ target: upstream })),
  ],
  // In front of the cache it counts requests, and loads would count twice. Behind, it counts runs of handlers.
  "express-rate-limit": (kit, _, place) => [
    kit("express-rate-limit")(
      place === "in front" ? { limit: 1_000, skip: isLoad } : { limit: 1_000, legacyHeaders: false },
    ),
  ],
  "serve-static": (kit, { files }) => [kit("serve-static")(files, { maxAge: 60_000 })],
  multer: (kit) => [kit("multer")().single("file")],
  passport: (kit) => {
    const passport = new (kit("passport").Passport)();
    class ByField {
      readonly name = "field";
      authenticate(this: { success(user: object): void; pass(): void }, { headers }: IncomingMessage): void {
        const name = headers["x-user"];
        if (name === undefined) this.pass();
        else this.success({ name });
      }
    }
    passport.use(new ByField());
    passport.serializeUser((user: object, done: (error: unknown, user: object) => void) => done(null, user));
    passport.deserializeUser((user: object, done: (error: unknown, user: object) => void) => done(null, user));
    return [session(kit), passport.initialize(), passport.session(), passport.authenticate("field")];
  },
};

/** Middlewares that need nothing of Express. */
export const OF_NODE: readonly string[] = [
  "a proxy that copies fields",
  ...["express-session", "cookie-session", "compression", "morgan", "helmet", "cors"],
  ...["http-proxy", "http-proxy-middleware", "serve-static", "multer"],
];
