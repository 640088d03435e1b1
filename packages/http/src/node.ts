import { STATUS_CODES, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import { discard, ignore, PASSED } from "./cache/messages.ts";
import { hold, released, stamp, type HeldResponse } from "./held-response.ts";
import type {
  AnswerOptions,
  FieldLine,
  FieldLines,
  HttpCache,
  PlainOrigin,
  PlainRequest,
  PlainResponse,
} from "./index.ts";
import { loadOverHttp2 } from "./load-http2.ts";
import { isLoad, likeServer, loadOverHttp1, type LoadListener } from "./load-pair.ts";
import { ConnectionEndedError } from "./load-socket.ts";
import { answerInTime, requireOrigin } from "./server.ts";

export { isLoad } from "./load-pair.ts";

/**
 * A listener of `node:http`. One that throws, or whose promise rejects, has failed: its client gets 500, without the
 * fields that the listener had set.
 */
export type Listener = (request: IncomingMessage, response: ServerResponse) => unknown;

/**
 * `listener`, answered through the cache. A load that is shared runs it with a separate request and response: no socket
 * of a client, and no field that shapes a page for one client. An answer that is not shared is made with the pair of
 * its client.
 *
 * @throws {ConfigurationError} when the cache has neither `base` nor `hosts`: any client can send any Host.
 */
export function cachedListener(cache: HttpCache, listener: Listener): Listener {
  requireOrigin(cache, "cachedListener");
  // Some take a third argument.
  const load: LoadListener = (request, response) => listener(request, response);
  return (request, response) => {
    let before: OutgoingHttpHeaders | undefined;
    const run = (): unknown => {
      before = response.getHeaders();
      return listener(request, response);
    };
    serve(cache, { request, response, run, load }).catch(() => {
      if (response.headersSent) {
        response.destroy();
        return;
      }
      if (before !== undefined) forget(response, before);
      response.writeHead(500).end();
    });
  };
}

/** What a handler said before it failed is of another answer: a Content-Length, or how long it may be cached. */
function forget(response: Reply, before: OutgoingHttpHeaders): void {
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  for (const [name, value] of Object.entries(before)) response.setHeader(name, value!);
  if (response.stream === undefined) response.statusMessage = "";
}

/**
 * Middleware of Express 4 and 5, mounted on the app before its routes. Loads run the whole app.
 *
 * @throws {ConfigurationError} when the cache has neither `base` nor `hosts`.
 */
export function expressCache(
  cache: HttpCache,
): (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void {
  requireOrigin(cache, "expressCache");
  return (request, response, next) => {
    if (isLoad(request)) {
      next();
      return;
    }
    const load = loadOf((request as unknown as { app: ExpressApp }).app);
    serve(cache, { request, response, run: () => next(), load }).catch(next);
  };
}

interface ExpressApp {
  /** The app in which this one is mounted. */
  readonly parent?: ExpressApp | undefined;
  handle(request: IncomingMessage, response: ServerResponse, done?: (error?: unknown) => void): void;
}

function loadOf(mounted: ExpressApp): LoadListener {
  let app = mounted;
  while (app.parent !== undefined) app = app.parent;
  return (request, response, failed) =>
    app.handle(request, response, (error) => {
      // As Express does: an answer that has begun cannot become another.
      if (response.headersSent) {
        request.socket.destroy();
        return;
      }
      // No handler of the app has answered the error.
      if (error != null && !isOfClient(error)) failed();
      // The default answer of the app, with its settings and without its routes.
      const router = { value: { handle: (_: unknown, __: unknown, done: (error?: unknown) => void) => done(error) } };
      (Object.create(app, { router, _router: router }) as ExpressApp).handle(request, response);
    });
}

/** Frameworks answer an error with its status. */
function isOfClient(error: unknown): boolean {
  const { status, statusCode } = error as { readonly status?: unknown; readonly statusCode?: unknown };
  const shown = Number(status ?? statusCode);
  return shown >= 400 && shown < 500;
}

/** An instance of Fastify, as far as the plugin needs it. */
export interface FastifyLike {
  addHook(
    name: "onRequest",
    hook: (
      request: { readonly raw: IncomingMessage },
      reply: {
        readonly raw: ServerResponse;
        hijack(): unknown;
        getHeaders(): Readonly<Record<string, number | string | string[] | undefined>>;
      },
      done: (error?: Error) => void,
    ) => void,
  ): unknown;
  addHook(
    name: "onError",
    hook: (request: { readonly raw: IncomingMessage }, reply: unknown, error: Error, done: () => void) => void,
  ): unknown;
  routing(request: IncomingMessage, response: ServerResponse): void;
}

/**
 * Puts the cache in front of all routes of this instance: call it before they are added. Loads use its router.
 *
 * @throws {ConfigurationError} when the cache has neither `base` nor `hosts`.
 */
export function fastifyCache(instance: FastifyLike, cache: HttpCache): void {
  requireOrigin(cache, "fastifyCache");
  const failing = new WeakMap<IncomingMessage, () => void>();
  const load: LoadListener = (request, response, failed): void => {
    failing.set(request, failed);
    instance.routing(request, response);
  };
  instance.addHook("onRequest", ({ raw: request }, reply, done) => {
    if (isLoad(request)) {
      done();
      return;
    }
    const { raw: response } = reply;
    const takeOver = (): void => {
      reply.hijack();
      // Hooks in front have set them.
      for (const [name, value] of Object.entries(reply.getHeaders())) response.setHeader(name, value ?? "");
    };
    serve(cache, { request, response, run: done, load }, takeOver).catch(done);
  });
  instance.addHook("onError", ({ raw }, _reply, error, done) => {
    if (!isOfClient(error)) failing.get(raw)?.();
    done();
  });
}

/** A response of HTTP/1.1, or of HTTP/2 with its stream: that one has no `destroyed`. */
type Reply = ServerResponse & { readonly stream?: ServerHttp2Stream };

interface Parties {
  readonly request: IncomingMessage;
  readonly response: Reply;
  /** Runs the handler with the pair of the client. */
  readonly run: () => unknown;
  /** Runs it with another pair. */
  readonly load: LoadListener;
}

async function serve(cache: HttpCache, parties: Parties, takeOver?: () => void): Promise<void> {
  const { request, response, run, load: listener } = parties;
  // A pipelined request waits for its turn, or what it holds would wait for the client of another one.
  if (response.socket === null && !isClosed(response)) await assigned(response);
  const earlier = released(response);
  if (earlier !== undefined) await earlier;
  const path = pathOf(request);
  let leaving: AbortController | undefined;
  // Only a request that waits needs one.
  const signal = (): AbortSignal => {
    if (leaving === undefined) {
      const controller = (leaving = new AbortController());
      const leave = (): void => {
        if (isCut(response)) controller.abort(new Error("the client left"));
      };
      if (isClosed(response)) leave();
      else response.once("close", leave);
    }
    return leaving.signal;
  };
  let held: HeldResponse | undefined;
  let isPassed = false;
  const origin: PlainOrigin = (asked, context) => {
    // A handler may read what is in one version of HTTP alone.
    if (context.shared && response.stream !== undefined) return loadOverHttp2({ listener, asked, context });
    if (context.shared) return loadOverHttp1({ listener, asked, context });
    if (context.onHead !== undefined) {
      isPassed = true;
      stamp(response, context.onHead);
      return PASSED;
    }
    held = hold(response, context.statusOf ?? noStatus);
    likeServer(run).catch(held.fail);
    return held.head;
  };
  try {
    const onInformation: AnswerOptions["onInformation"] = (status, fields) => inform(response, status, fields);
    const answering = answerInTime(cache, plainRequest(request, path, response.stream), origin, {
      signal,
      onInformation,
    });
    // As without a cache: the handler runs with the event of its request.
    if (isPassed) return void (await run());
    const answer = await answering;
    if (answer.status === PASSED.status) return void (await likeServer(run));
    if (held !== undefined) {
      // Its client gets it by the response itself.
      discard(answer.body);
      return held.release();
    }
    takeOver?.();
    const pouring = write(response, answer);
    if (pouring !== undefined) await pouring;
  } catch (error) {
    held?.release();
    if (error instanceof ConnectionEndedError) response.destroy();
    else if (leaving?.signal.aborted !== true) throw error;
  }
}

function plainRequest(request: IncomingMessage, path: string, stream: ServerHttp2Stream | undefined): PlainRequest {
  const { method = "GET", rawHeaders } = request;
  const scheme = "encrypted" in request.socket ? "https" : "http";
  const fields: FieldLine[] = [];
  // In HTTP/2 a body needs no field that announces it.
  let hasBody = stream?.endAfterHeaders === false;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    // HTTP/2 says in them what HTTP/1 says in the first line, and in Host.
    const name = rawHeaders[i] === ":authority" ? "host" : rawHeaders[i]!.toLowerCase();
    if (name.startsWith(":")) continue;
    const value = rawHeaders[i + 1]!;
    fields.push([name, value]);
    hasBody ||= name === "transfer-encoding" || (name === "content-length" && Number(value) > 0);
  }
  // The cache knows its origin. A Host is never part of a URL: it may have a path, or a query. `*` and whole URLs are for
  // proxies: no key is made of them.
  const url = path.startsWith("/") ? `${scheme}://localhost${path}` : `//${path}`;
  return { method, url, fields, hasBody, hasConnection: true };
}

/** Interim answers of a load go to the client that began it. */
function inform(response: Reply, status: number, fields: FieldLines): void {
  if (response.headersSent || isClosed(response) || status === 100) return;
  const { stream } = response;
  if (stream !== undefined) {
    stream.additionalHeaders({ ":status": status, ...Object.fromEntries(fields) });
    return;
  }
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  // `writeEarlyHints` writes nothing without a link.
  response.socket?.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines}\r\n`, "latin1");
}

/** Path and query as the server got them: routers of Express shorten `url`. */
const pathOf = (request: IncomingMessage): string =>
  (request as { originalUrl?: string }).originalUrl ?? request.url ?? "/";

/** A client that leaves ends the body for it alone; one that breaks off at its source breaks off for the client. */
function write(response: Reply, { status, statusText, fields, body }: PlainResponse): Promise<void> | undefined {
  if (isClosed(response)) return undefined;
  // Express sets x-powered-by before any middleware, and `helmet` removes it in the load.
  for (const name of response.getHeaderNames())
    if (name === POWERED_BY || fields.some((line) => line[0] === name)) response.removeHeader(name);
  // Not by `writeHead`, after which `getHeader` finds none of them: loggers read it.
  for (const [name, value] of fields)
    if (response.hasHeader(name)) response.appendHeader(name, value);
    else response.setHeader(name, value);
  response.statusCode = status;
  if (statusText !== "") response.statusMessage = statusText;
  if (body instanceof ReadableStream) return pour(body, response);
  // Node writes it together with the head.
  response.end(body === null ? undefined : Buffer.from(body.buffer, body.byteOffset, body.byteLength));
  return undefined;
}

async function pour(body: ReadableStream<Uint8Array>, response: Reply): Promise<void> {
  const reader = body.getReader();
  let wake = ignore;
  response.on("drain", () => wake());
  response.once("close", () => {
    wake();
    reader.cancel().catch(ignore);
  });
  // `flushHeaders` of HTTP/1 writes UTF-8; what follows is written as the bytes that the fields are.
  if (response.stream === undefined) response.write(NO_BYTES);
  else response.flushHeaders();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (isClosed(response)) return;
      if (done) break;
      if (!response.write(value)) await new Promise<void>((resolve) => (wake = resolve));
    }
    response.end();
  } catch {
    // Bytes that were written go out first.
    process.nextTick(() => response.destroy());
  }
}

const isClosed = (response: Reply): boolean => response.stream?.closed ?? response.destroyed;

/** Before its end. A stream of HTTP/2 that its client closes ends itself. */
const isCut = (response: Reply): boolean => response.stream?.aborted ?? !response.writableFinished;

const assigned = (response: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    const { assignSocket } = response;
    response.assignSocket = (socket) => {
      assignSocket.call(response, socket);
      resolve();
    };
  });

const noStatus = (): undefined => undefined;
const NO_BYTES = new Uint8Array(0);
const POWERED_BY = "x-powered-by";
