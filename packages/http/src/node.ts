import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { LoadTimeoutError } from "@hotset/core";
import { isLoad, loadDetached } from "./detached-load.ts";
import type {
  AnswerOptions,
  FieldLine,
  FieldLines,
  HttpCache,
  PlainOrigin,
  PlainRequest,
  PlainResponse,
} from "./index.ts";
import { requireOrigin } from "./require-origin.ts";

/** A listener of `node:http`. */
export type Listener = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * `listener`, answered through the cache. A load that is shared runs it with a separate request and response: no socket
 * of a client, and no field that shapes a page for one client. An answer that is not shared is made with the
 * pair of its client.
 *
 * @throws {ConfigurationError} when the cache has neither `base` nor `hosts`: any client can send any Host.
 */
export function cachedListener(cache: HttpCache, listener: Listener): Listener {
  requireOrigin(cache, "cachedListener");
  return (request, response) => {
    const run = (): void => listener(request, response);
    serve(cache, { request, response, run, load: listener }).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else response.writeHead(error instanceof LoadTimeoutError ? 504 : 500).end();
    });
  };
}

/** Middleware of Express 4 and 5, mounted on the app before its routes. Loads run the whole app. */
export function expressCache(
  cache: HttpCache,
): (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void {
  requireOrigin(cache, "expressCache");
  return (request, response, next) => {
    if (isLoad(request)) {
      next();
      return;
    }
    const { app } = request as unknown as { app: { handle(request: IncomingMessage, response: ServerResponse): void } };
    const load: Listener = (other, answer) => app.handle(other, answer);
    serve(cache, { request, response, run: () => next(), load }).catch(next);
  };
}

/** An instance of Fastify, as far as the plugin needs it. */
export interface FastifyLike {
  addHook(
    name: "onRequest",
    hook: (
      request: { readonly raw: IncomingMessage },
      reply: { readonly raw: ServerResponse; hijack(): unknown },
      done: (error?: Error) => void,
    ) => void,
  ): unknown;
  routing(request: IncomingMessage, response: ServerResponse): void;
}

/** Puts the cache in front of all routes of this instance: call it before they are added. Loads use its router. */
export function fastifyCache(instance: FastifyLike, cache: HttpCache): void {
  requireOrigin(cache, "fastifyCache");
  instance.addHook("onRequest", (request, reply, done) => {
    if (isLoad(request.raw)) {
      done();
      return;
    }
    const load: Listener = (other, answer) => instance.routing(other, answer);
    const parties = { request: request.raw, response: reply.raw, run: () => done(), load };
    serve(cache, parties, () => void reply.hijack()).catch((error: unknown) => done(error as Error));
  });
}

interface Parties {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Runs the handler with the pair of the client. */
  readonly run: () => void;
  /** Runs it with another pair. */
  readonly load: Listener;
}

async function serve(cache: HttpCache, parties: Parties, takeOver: () => void = nothing): Promise<void> {
  const { request, response, run, load } = parties;
  const path = pathOf(request);
  // `*` and whole URLs are for proxies: no key is made of them.
  if (!path.startsWith("/")) {
    run();
    return;
  }
  const leaving = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) leaving.abort(new Error("the client left"));
  });
  let held: HeldResponse | undefined;
  const origin: PlainOrigin = (asked, context) => {
    if (context.shared) return loadDetached(load, asked, context);
    held = new HeldResponse(response);
    run();
    return held.head;
  };
  try {
    const onInformation: AnswerOptions["onInformation"] = (status, fields) => inform(response, status, fields);
    const answer = await cache.answer(plainRequest(request, path), origin, { signal: leaving.signal, onInformation });
    if (held !== undefined) {
      held.release(answer.fields);
      return;
    }
    takeOver();
    await write(response, answer);
  } catch (error) {
    held?.release([]);
    if (!leaving.signal.aborted) throw error;
  }
}

function plainRequest(request: IncomingMessage, path: string): PlainRequest {
  const { method = "GET", headers, rawHeaders } = request;
  const scheme = "encrypted" in request.socket ? "https" : "http";
  const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  return { method, url: `${scheme}://${headers.host ?? "localhost"}${path}`, fields: linesOf(rawHeaders), hasBody };
}

/** Interim answers of a load go to the client that began it. Node writes 103 with links, and 102. */
function inform(response: ServerResponse, status: number, fields: FieldLines): void {
  if (response.headersSent || response.destroyed) return;
  if (status === 102) response.writeProcessing();
  if (status !== 103) return;
  const links = fields.filter(([name]) => name === "link").map(([, value]) => value);
  if (links.length > 0) response.writeEarlyHints({ link: links });
}

/** As the server got it: routers of Express shorten `url`. */
const pathOf = (request: IncomingMessage): string =>
  (request as { originalUrl?: string }).originalUrl ?? request.url ?? "/";

function linesOf(raw: readonly string[]): FieldLines {
  const lines: FieldLine[] = [];
  for (let i = 0; i < raw.length; i += 2) lines.push([raw[i]!.toLowerCase(), raw[i + 1]!]);
  return lines;
}

/** A client that leaves ends the body for it alone; one that breaks off at its source breaks off for the client. */
async function write(response: ServerResponse, { status, statusText, fields, body }: PlainResponse): Promise<void> {
  if (response.destroyed) return;
  for (const name of response.getHeaderNames())
    if (fields.some((line) => line[0] === name)) response.removeHeader(name);
  for (const [name, value] of fields) response.appendHeader(name, value);
  response.statusCode = status;
  if (statusText !== "") response.statusMessage = statusText;
  if (!(body instanceof ReadableStream)) {
    response.end(body ?? undefined);
    return;
  }
  response.flushHeaders();
  await pipeline(Readable.fromWeb(body as never), response).catch(() => response.destroy());
}

/** Holds back what a handler writes to the response of its client until the cache has seen the head. */
class HeldResponse {
  readonly head: Promise<PlainResponse>;
  readonly #response: ServerResponse;
  readonly #calls: (() => unknown)[] = [];
  #see!: (response: PlainResponse) => void;
  #isSeen = false;

  constructor(response: ServerResponse) {
    this.#response = response;
    this.head = new Promise((resolve, reject) => {
      this.#see = resolve;
      response.once("close", () => reject(new Error("the response was closed before its head")));
    });
    this.head.catch(nothing);
    for (const method of HELD) {
      const original = response[method] as (...parameters: unknown[]) => unknown;
      Object.defineProperty(response, method, {
        configurable: true,
        writable: true,
        value: (...parameters: unknown[]): unknown => {
          if (method === "writeHead") this.#note(parameters);
          this.#calls.push(() => original.apply(response, parameters));
          if (method !== "writeHead") this.#seen();
          return method === "write" ? false : response;
        },
      });
    }
  }

  /** `writeHead(status, message?, fields?)` sets what the head will say. */
  #note([status, ...rest]: readonly unknown[]): void {
    this.#response.statusCode = status as number;
    const fields = rest.at(-1);
    if (typeof fields !== "object" || fields === null) return;
    const lines = Array.isArray(fields)
      ? Array.isArray(fields[0])
        ? (fields as [string, string][])
        : Array.from({ length: fields.length / 2 }, (_, i) => [fields[2 * i], fields[2 * i + 1]] as [string, string])
      : Object.entries(fields as Record<string, string | string[]>);
    this.#written = lines.map(([name, value]): FieldLine => [name.toLowerCase(), String(value)]);
  }

  #written: readonly FieldLine[] = [];

  #seen(): void {
    if (this.#isSeen) return;
    this.#isSeen = true;
    const { statusCode, statusMessage } = this.#response;
    const set = Object.entries(this.#response.getHeaders()).flatMap(([name, value]) =>
      [value].flat().map((each): FieldLine => [name, String(each)]),
    );
    const names = new Set(this.#written.map(([name]) => name));
    const fields = [...set.filter(([name]) => !names.has(name)), ...this.#written];
    this.#see({ status: statusCode, statusText: statusMessage ?? "", fields, body: null });
  }

  /** From here on the handler writes to the response itself, which says what the cache did. */
  release(fields: FieldLines): void {
    const response = this.#response;
    for (const method of HELD) delete (response as unknown as Record<string, unknown>)[method];
    const status = fields.find(([name]) => name === "cache-status");
    if (status !== undefined && !response.headersSent) response.setHeader("cache-status", status[1]);
    for (const call of this.#calls.splice(0)) call();
    if (!response.writableEnded) response.emit("drain");
  }
}

const HELD = ["writeHead", "write", "end", "flushHeaders"] as const;
const nothing = (): void => undefined;
