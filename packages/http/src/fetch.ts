import { ConfigurationError, type InvalidateResult } from "@hotset/core";
import { discard, ignore, type AnswerOptions } from "./cache/messages.ts";
import type { Body, FieldLine, FieldLines, HttpCache, PlainOrigin, PlainRequest, PlainResponse } from "./index.ts";
import { ofNoClient } from "./platform.ts";
import { cacheMode, DIRECTIVES } from "./semantics/cache-modes.ts";
import { answerInTime, requireOrigin } from "./server.ts";

/** A handler of fetch requests: of a worker, of Bun or Deno, or `app.fetch` of Hono. */
export type FetchHandler<A extends readonly unknown[]> = (request: Request, ...rest: A) => Response | Promise<Response>;

/**
 * `handler`, answered through the cache. A load gives the handler a request without the conditions and ranges of one
 * client, and without the fields that shape a page for one client: see `safeHeaders`. Its `signal` aborts as `onAbort`
 * and `loadTimeout` say; a body that is not stored is cancelled as its last reader leaves.
 *
 * @throws {ConfigurationError} when the cache has neither `base` nor `hosts`: any client can send any Host.
 */
export function cachedHandler<A extends readonly unknown[]>(
  cache: HttpCache,
  handler: FetchHandler<A>,
): (request: Request, ...rest: A) => Promise<Response> {
  requireOrigin(cache, "cachedHandler");
  return async (request, ...rest) => {
    const origin: PlainOrigin = async (asked, { shared, signal }) => {
      if (!shared) return plainResponse(await handler(request, ...rest));
      return plainResponse(await handler(sharedRequest(asked, signal), ...(rest.map(ofNoClient) as unknown as A)));
    };
    const asked = { ...plainRequest(request), hasConnection: true };
    return toResponse(await answerInTime(cache, asked, origin, callOf(request, rest.at(-1))));
  };
}

/** @param context of a worker, or of a function of Vercel or Netlify: it waits for loads. */
const callOf = ({ signal }: Request, context: unknown): AnswerOptions => ({
  signal,
  waitUntil: (work) => (context as AnswerOptions | null | undefined)?.waitUntil?.(work),
});

/** Middleware of Hono, for routes behind it. `app` runs the loads: each is a separate request. */
export function honoCache(
  cache: HttpCache,
  app: () => { fetch(request: Request, env?: never, executionCtx?: never): Response | Promise<Response> },
): (context: HonoContextLike, next: () => Promise<void>) => Promise<void> {
  requireOrigin(cache, "honoCache");
  const running = runningLoads();
  const byRequest = new WeakMap<Request, Running>();
  return async (context, next) => {
    const { raw } = context.req;
    const own = running?.getStore() ?? byRequest.get(raw);
    if (own?.load !== undefined) {
      const { load } = own;
      own.load = undefined;
      await next();
      load.isFailure = context.error !== undefined;
      return;
    }
    const origin: PlainOrigin = async (asked, { shared, signal }) => {
      if (!shared) {
        await next();
        return plainResponse(context.res);
      }
      const request = sharedRequest(asked, signal);
      const load = { isFailure: false };
      byRequest.set(request, { load });
      const run = (): Response | Promise<Response> =>
        app().fetch(request, ofNoClient(context.env) as never, ofNoClient(executionOf(context)) as never);
      const response = plainResponse(await (running === undefined ? run() : running.run({ load }, run)));
      return { ...response, ...load };
    };
    const call = callOf(raw, executionOf(context));
    const asked = { ...plainRequest(raw), hasConnection: true };
    const response = toResponse(await answerInTime(cache, asked, origin, call));
    // Hono adds the fields of the former response to a new one, unless there is none.
    (context as { res: Response | undefined }).res = undefined;
    context.res = response;
  };
}

interface Running {
  /** Until the load reaches the middleware: what its handler asks of the app is another request. */
  load: { isFailure: boolean } | undefined;
}

interface Context {
  getStore(): Running | undefined;
  run<T>(running: Running, body: () => T): T;
}

/** The async context of loads: middleware in front may replace their request. A worker has none. */
function runningLoads(): Context | undefined {
  const { process: node } = globalThis as { readonly process?: Partial<NodeJS.Process> };
  const hooks = node?.getBuiltinModule?.("node:async_hooks");
  return hooks && new hooks.AsyncLocalStorage<Running>();
}

/** The context of a request in Hono, as far as the middleware needs it. */
export interface HonoContextLike {
  /** The request of Fetch. */
  readonly req: { readonly raw: Request };
  readonly env: unknown;
  /** Workers have it; elsewhere it throws. */
  readonly executionCtx: unknown;
  /** The error that a handler threw. */
  readonly error: Error | undefined;
  /** The response so far. */
  res: Response;
}

function executionOf(context: HonoContextLike): unknown {
  try {
    return context.executionCtx;
  } catch {
    return undefined;
  }
}

/**
 * `fetch` through the cache. Each redirect is stored under its own URL, and followed here: `Authorization` and cookies
 * do not go along to another origin. Responses to requests with another `credentials` mode are kept apart, the mode
 * `cache` applies even without `requestDirectives`, and a request with `integrity` is left to `base`.
 *
 * @returns 504 where the mode is `only-if-cached`, and nothing is stored.
 */
export function cachedFetch(cache: HttpCache, base: typeof fetch = fetch): typeof fetch {
  return async (input, init) => {
    const first = new Request(input, init);
    const given = init?.signal === undefined && input instanceof Request ? input : undefined;
    const asker = init?.signal ? first : given;
    let request = first;
    // Only fetch itself can check the body. Not all runtimes have the property.
    if (request.integrity) return base(request);
    for (let hop = 0; ; hop++) {
      // For a redirect that asks for the body once more. A stream is sent once, as by fetch.
      const again = request.body === null || init?.body instanceof ReadableStream ? undefined : request.clone();
      const response = await fetchOne(cache, base, request, asker);
      const location = response.headers.get("location");
      if (!REDIRECTS.has(response.status) || location === null || request.redirect === "manual") {
        // Not awaited: one branch of a body ends with the other, which may have no reader.
        discard(again?.body);
        return asFetched(response, request.url, hop > 0);
      }
      discard(response.body);
      if (request.redirect === "error") throw new TypeError('fetch failed: redirected, and redirect is "error"');
      if (hop === MOST_REDIRECTS) throw new TypeError(`fetch failed: more than ${MOST_REDIRECTS} redirects`);
      request = redirected(again ?? request, new URL(location, request.url), response.status);
    }
  };
}

/** A response as `fetch` gives it: with the URL, and whether that is the URL of a redirect. */
function asFetched(response: Response, url: string, redirected: boolean): Response {
  const [address] = url.split("#", 1);
  const clone = (): Response => asFetched(Response.prototype.clone.call(response), url, redirected);
  const properties = { url: address, redirected, type: "basic", clone };
  for (const [name, value] of Object.entries(properties))
    Object.defineProperty(response, name, { value, configurable: true });
  return response;
}

/** @param asker the request with the signal of the caller, if there is one. */
async function fetchOne(
  cache: HttpCache,
  base: typeof fetch,
  request: Request,
  asker: Request | undefined,
): Promise<Response> {
  const { credentials } = request;
  const origin: PlainOrigin = async (asked, { shared, signal }) => {
    const init = { redirect: "manual", signal, credentials } as const;
    const response = await base(shared ? new Request(sharedRequest(asked, signal), init) : new Request(request, init));
    return decoded(plainResponse(response));
  };
  const plain = plainRequest(request);
  const mode = cacheMode(request.cache);
  const asked = {
    ...plain,
    // The origin, and caches on the way to it, get the directive for the mode.
    ...(mode && { cache: mode, fields: [...plain.fields, ["cache-control", DIRECTIVES[mode]] as const] }),
    ...(credentials !== "same-origin" && { credentials }),
  };
  return toResponse(await cache.answer(asked, origin, { signal: asker?.signal }), asker);
}

/** RFC 9110, section 15.4: 303 is a GET, and so is a POST after 301 or 302. */
function redirected(request: Request, url: URL, status: number): Request {
  const isGet = status === 303 ? request.method !== "HEAD" : status < 303 && request.method === "POST";
  const headers = new Headers(request.headers);
  if (url.origin !== new URL(request.url).origin) for (const name of OF_ONE_ORIGIN) headers.delete(name);
  if (isGet) for (const name of OF_BODY) headers.delete(name);
  const isSent = !isGet && request.body !== null;
  if (isSent && request.bodyUsed) throw new TypeError("fetch failed: a redirect asks for a body that was sent already");
  const init = {
    method: isGet ? "GET" : request.method,
    headers,
    ...(isSent && { body: request.body, duplex: "half" as const }),
    redirect: request.redirect,
    credentials: request.credentials,
    cache: request.cache,
    // This mode of the cache is for one origin alone.
    ...(request.cache === "only-if-cached" && { mode: "same-origin" as const }),
  };
  return new Request(url, init);
}

const plainRequest = (request: Request): PlainRequest => ({
  method: request.method,
  url: request.url,
  fields: linesOf(request.headers),
  hasBody: request.body !== null,
});

function sharedRequest({ method, url, fields }: PlainRequest, signal: AbortSignal): Request {
  const request = new Request(url, { method, headers: headersOf(fields), signal });
  // Holds it: the signal of a Request that was collected aborts no more.
  signal.addEventListener("abort", () => request);
  return request;
}

const plainResponse = ({ status, statusText, headers, body }: Response): PlainResponse => ({
  status,
  statusText,
  fields: linesOf(headers),
  body,
});

/** `fetch` has decoded the body: its length and coding are those of other bytes. */
const decoded = (response: PlainResponse): PlainResponse =>
  response.body !== null && response.fields.some(([name]) => name === "content-encoding")
    ? { ...response, fields: response.fields.filter(([name]) => !OF_CODING.has(name)) }
    : response;

function toResponse({ status, statusText, fields, body }: PlainResponse, asker?: Request): Response {
  const sent = WITHOUT_BODY.has(status) ? null : asker === undefined || body === null ? body : endedBy(asker, body);
  const init = { status, statusText, headers: headersOf(fields) };
  return new Response(sent as ReadableStream<Uint8Array<ArrayBuffer>> | null, init);
}

/**
 * The body for one caller: as by `fetch`, an abort ends it with its reason, read or not. They hold `asker` whole: the
 * signal of a Request that was collected aborts no more.
 */
function endedBy(asker: Request, body: NonNullable<Body>): ReadableStream<Uint8Array> {
  if (!(body instanceof ReadableStream)) {
    const pull = (controller: ReadableByteStreamController): void => {
      asker.signal.throwIfAborted();
      // The stream takes the bytes away from their owner.
      if (body.byteLength > 0) controller.enqueue(new Uint8Array(body));
      controller.close();
      (controller.byobRequest as { respond(bytes: number): void } | undefined)?.respond(0);
    };
    return new ReadableStream({ type: "bytes", pull }, { highWaterMark: 0 });
  }
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const { signal } = asker;
        const leave = (): void => {
          controller.error(signal.reason);
          reader.cancel(signal.reason).catch(ignore);
        };
        const end = (): void => signal.removeEventListener("abort", leave);
        if (signal.aborted) return leave();
        signal.addEventListener("abort", leave, { once: true });
        reader.closed.then(end, end);
      },
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

const linesOf = (headers: Headers): FieldLines => [...headers] as FieldLine[];

function headersOf(fields: FieldLines): Headers {
  const headers = new Headers();
  for (const [name, value] of fields) headers.append(name, value);
  return headers;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const MOST_REDIRECTS = 20;
const OF_ONE_ORIGIN: readonly string[] = ["authorization", "cookie", "host", "proxy-authorization"];
const OF_BODY: readonly string[] = ["content-encoding", "content-language", "content-location", "content-type"];
const OF_CODING: ReadonlySet<string> = new Set(["content-encoding", "content-length"]);
const WITHOUT_BODY: ReadonlySet<number> = new Set([101, 204, 205, 304]);

/** Options of `purgeHandler`. */
export interface PurgeHandlerOptions {
  /** Asked first, with each request: only `true` lets it purge. */
  readonly authorize: (request: Request) => boolean | Promise<boolean>;
}

/**
 * A handler that purges, to be mounted where only some may reach it. Without it no request names what is purged: but
 * one that the app answers without an error may invalidate its own URL, see `invalidatedBy`.
 * `PURGE` of a URL removes its responses, under `base` or the Host; `POST` takes JSON such as `{"tags": ["books"],
 * "urls": [], "prefixes": [], "soft": true}`, and prefixes where the cache has `pathTags`.
 */
export function purgeHandler(
  cache: HttpCache,
  { authorize }: PurgeHandlerOptions,
): (request: Request) => Promise<Response> {
  return async (request) => {
    if ((await authorize(request)) !== true) return said(403, { error: "not authorized" });
    if (request.method === "PURGE") return purged(() => [cache.purge(plainRequest(request))]);
    if (request.method !== "POST") return said(405, { error: "POST or PURGE" }, { allow: "POST, PURGE" });
    const order = await orderOf(request);
    if (typeof order === "string") return said(400, { error: order });
    const { tags, urls, prefixes, soft } = order;
    return purged(() => [
      ...(tags.length > 0 ? [cache.purgeTags(tags, { soft })] : []),
      ...urls.map((url) => cache.purge(url, { soft })),
      ...prefixes.map((prefix) => cache.purgePrefix(prefix, { soft })),
    ]);
  };
}

async function purged(run: () => readonly Promise<InvalidateResult>[]): Promise<Response> {
  try {
    const results = await Promise.all(run());
    return said(200, { status: results.some(({ status }) => status === "pending") ? "pending" : "done" });
  } catch (error) {
    if (error instanceof ConfigurationError || error instanceof TypeError) return said(400, { error: error.message });
    throw error;
  }
}

interface PurgeOrder {
  readonly tags: readonly string[];
  readonly urls: readonly string[];
  readonly prefixes: readonly string[];
  readonly soft: boolean;
}

/** The order, or why it cannot be read. */
async function orderOf(request: Request): Promise<PurgeOrder | string> {
  let order: unknown;
  try {
    const text = await textOf(request);
    if (text === undefined) return `more than ${LONGEST_ORDER} bytes, or slower than ${LONGEST_WAIT_MS} ms`;
    order = JSON.parse(text);
  } catch {
    return "the body must be JSON";
  }
  if (typeof order !== "object" || order === null || Array.isArray(order)) return "the body must be an object";
  const { tags = [], urls = [], prefixes = [], soft = false, ...others } = order as Readonly<Record<string, unknown>>;
  const [other] = Object.keys(others);
  if (other !== undefined)
    return `unknown property ${JSON.stringify(other.slice(0, 40))}; accepted are tags, urls, prefixes, soft`;
  if (!isTexts(tags) || !isTexts(urls) || !isTexts(prefixes))
    return "tags, urls and prefixes must be arrays of non-empty strings";
  if (tags.length + urls.length + prefixes.length > MOST_NAMES)
    return `more than ${MOST_NAMES} tags, urls and prefixes`;
  if (typeof soft !== "boolean") return "soft must be true or false";
  return { tags, urls, prefixes, soft };
}

/** The body, whose sender may never end it; `undefined` where it is too long or takes too long. */
async function textOf({ body }: Request): Promise<string | undefined> {
  const signal = AbortSignal.timeout(LONGEST_WAIT_MS);
  const late = new Promise<undefined>((resolve) => signal.addEventListener("abort", () => resolve(undefined)));
  const reader = body?.getReader();
  const decoder = new TextDecoder();
  let [text, bytes] = ["", 0];
  for (;;) {
    const read = reader === undefined ? { done: true, value: undefined } : await Promise.race([reader.read(), late]);
    if (read?.done === true) return text + decoder.decode();
    bytes += read?.value?.byteLength ?? Infinity;
    if (bytes > LONGEST_ORDER) {
      void reader?.cancel().catch(ignore);
      return undefined;
    }
    text += decoder.decode(read!.value, { stream: true });
  }
}

const isTexts = (given: unknown): given is readonly string[] =>
  Array.isArray(given) && given.every((each) => typeof each === "string" && each !== "");

const said = (status: number, body: object, headers: Record<string, string> = {}): Response =>
  Response.json(body, { status, headers: { "cache-control": "no-store", ...headers } });

const MOST_NAMES = 1_000;
const LONGEST_ORDER = 65_536;
const LONGEST_WAIT_MS = 10_000;
