import { type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { PassThrough } from "node:stream";
import type { HttpCache } from "@hotset/http";
import { cachedListener, expressCache } from "@hotset/http/node";
import express from "express";
import express4 from "express4";
import { clientReads } from "./client.ts";

export type Request = IncomingMessage & {
  session?: { user?: unknown } | null;
  user?: { name: string };
  file?: { size: number };
};
export type Connect = (request: Request, response: ServerResponse, next: (error?: unknown) => void) => unknown;
export type Place = "in front" | "behind";

export const FRESH = { "cache-control": "max-age=60", "content-type": "text/plain; charset=utf-8" };
export const TEXT = "some text of a page. ".repeat(100);
export const LARGE = "a large page, ".repeat(20_000);

/** The answers of the application on each path; errors go to its framework. */
export async function site(request: Request, response: ServerResponse): Promise<void> {
  const [path] = request.url!.split("?");
  const say = (fields: Record<string, string>, body: string): void => {
    for (const [name, value] of Object.entries(fields)) response.setHeader(name, value);
    response.end(body);
  };
  const late = async (fields: Record<string, string>): Promise<never> => {
    response.writeHead(200, fields);
    response.write("part ");
    await clientReads();
    throw new Error("late");
  };
  switch (path) {
    case "/stored":
      return say(FRESH, TEXT);
    case "/stored-large":
      response.writeHead(200, FRESH);
      return void pieces(LARGE).pipe(response);
    case "/own":
      return say({ "cache-control": "private" }, `hello ${String(request.session?.user ?? request.user?.name)}`);
    case "/plain":
      return say({ "content-type": "text/plain" }, TEXT);
    case "/login":
      if (request.session) request.session.user = "ann";
      return say({}, "welcome");
    case "/logout":
      request.session = null;
      return say({}, "bye");
    case "/large":
      response.writeHead(200, { "content-type": "text/plain", "cache-control": "private" });
      return void pieces(LARGE).pipe(response);
    case "/upload":
      return say({}, `got ${request.file?.size}`);
    case "/error":
      throw new Error("broken");
    case "/late":
      return late({ "cache-control": "private" });
    case "/stored-late":
      return late(FRESH);
    case "/twice":
      say({ "cache-control": "private" }, "once");
      response.setHeader("x-late", "1");
      return;
    case "/endless": {
      response.writeHead(200, { "content-type": "text/plain", "cache-control": "private" });
      const timer = setInterval(() => response.write(TEXT), 1);
      response.once("close", () => clearInterval(timer));
      return;
    }
    default:
      response.statusCode = 404;
      return say({}, "nothing here");
  }
}

export const pieces = (text: string): PassThrough => {
  const stream = new PassThrough();
  for (let at = 0; at < text.length; at += 10_000) stream.write(text.slice(at, at + 10_000));
  return stream.end();
};

export type App = (parts: readonly Connect[], place: Place, cache: HttpCache | undefined) => RequestListener;

const inExpress =
  (make: typeof express): App =>
  (parts, place, cache) => {
    const app = make();
    // No stack in answers.
    app.set("env", "test");
    const layers = cache === undefined ? [] : [expressCache(cache)];
    for (const layer of place === "in front" ? [...parts, ...layers] : [...layers, ...parts]) app.use(layer as never);
    app.use((request, response, next) => {
      site(request as never, response).catch(next);
    });
    app.use((_error: unknown, _: unknown, response: ServerResponse, next: (error?: unknown) => void) => {
      next(Object.assign(new Error("told"), { stack: "told" }));
    });
    return app as RequestListener;
  };

export const APPS: Readonly<Record<string, App>> = {
  "express 5": inExpress(express),
  "express 4": inExpress(express4),
  "node:http": (parts, place, cache) => {
    const bare: RequestListener = (request, response) => {
      site(request, response).catch(() => {
        if (response.headersSent) request.socket.destroy();
        else response.writeHead(500).end("failed");
      });
    };
    const chain =
      (last: RequestListener): RequestListener =>
      (request, response) => {
        const run = (at: number): void => {
          if (at === parts.length) last(request, response);
          else parts[at]!(request, response, () => run(at + 1));
        };
        run(0);
      };
    if (cache === undefined) return chain(bare);
    return place === "in front" ? chain(cachedListener(cache, bare)) : cachedListener(cache, chain(bare));
  },
};
