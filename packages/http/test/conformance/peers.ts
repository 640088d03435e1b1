import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import CachePolicy from "http-cache-semantics";
import { Agent, cacheStores, interceptors, type Dispatcher } from "undici";
import { writeInformation, type Handler } from "./proxy.ts";

/** Other caches of JavaScript in the place of this one, by their names. Each is in front of the origin at this URL. */
export const PEERS: Readonly<Record<string, (origin: string) => Handler>> = {
  undici: behind(undici),
  "http-cache-semantics": behind(semantics),
};

type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

function behind(peer: (origin: string) => Answer): (origin: string) => Handler {
  return (origin) => {
    const answer = peer(origin);
    return (request, response) => {
      answer(request, response).catch(() => {
        if (response.headersSent) response.destroy();
        else response.writeHead(502).end();
      });
    };
  };
}

/** Its own interceptor and store, as a shared cache. */
function undici(origin: string): Answer {
  const dispatcher = new Agent().compose(
    interceptors.cache({ store: new cacheStores.MemoryCacheStore(), type: "shared" }),
  );
  return async (request, response) => {
    const { statusCode, statusText, headers, body } = await forward(
      dispatcher,
      origin,
      request,
      request.headers,
      response,
    );
    begin(response, statusCode, statusText, headers);
    await pipeline(body, response);
  };
}

interface Variant {
  readonly policy: CachePolicy;
  readonly status: number;
  readonly body: Buffer;
}

/** The rules of http-cache-semantics over a map of variants. It has none for answers to conditions and ranges. */
function semantics(origin: string): Answer {
  const dispatcher = new Agent();
  const stored = new Map<string, Variant[]>();
  return async (request, response) => {
    const { url = "/", method = "GET", headers } = request;
    const asked = { url, method, headers };
    const variants = stored.get(url) ?? [];
    const send = ({ policy, status, body }: Variant): void => {
      begin(response, status, "", policy.responseHeaders());
      response.end(method === "HEAD" ? undefined : body);
    };
    const isRead = method === "GET" || method === "HEAD";
    const fresh = isRead ? variants.find(({ policy }) => policy.satisfiesWithoutRevalidation(asked)) : undefined;
    if (fresh !== undefined) {
      send(fresh);
      return;
    }
    const [old] = isRead ? variants : [];
    const sent = old === undefined ? headers : (old.policy.revalidationHeaders(asked) as IncomingHttpHeaders);
    const answer = await forward(dispatcher, origin, request, sent, response);
    const body = Buffer.from(await answer.body.arrayBuffer());
    const head = { status: answer.statusCode, headers: answer.headers as IncomingHttpHeaders };
    if (!isRead && head.status < 400 && method !== "OPTIONS") stored.delete(url);
    const { policy, modified } = old?.policy.revalidatedPolicy(asked, head) ?? {
      policy: new CachePolicy(asked, head),
      modified: true,
    };
    const next = modified ? { policy, status: head.status, body } : { ...old!, policy };
    if (policy.storable()) stored.set(url, [next, ...variants.filter((each) => each !== old)].slice(0, 16));
    if (!modified) {
      send(next);
      return;
    }
    begin(response, head.status, answer.statusText, answer.headers);
    response.end(body);
  };
}

function forward(
  dispatcher: Dispatcher,
  origin: string,
  request: IncomingMessage,
  headers: IncomingHttpHeaders,
  response: ServerResponse,
): Promise<Dispatcher.ResponseData> {
  const { method = "GET", url = "/" } = request;
  const hasBody = headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined;
  const sent = Object.fromEntries(Object.entries(headers).filter(([name]) => !OF_CONNECTION.has(name)));
  const options = { origin, path: url, method, headers: sent };
  const onInfo: Dispatcher.RequestOptions["onInfo"] = ({ statusCode, headers: info }) =>
    writeInformation(response, statusCode, Object.entries(info) as [string, string][]);
  return dispatcher.request({ ...options, body: hasBody ? request : null, onInfo });
}

function begin(
  response: ServerResponse,
  status: number,
  statusText: string,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): void {
  response.sendDate = false;
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !OF_CONNECTION.has(name)) response.setHeader(name, value);
  if (statusText === "") response.writeHead(status);
  else response.writeHead(status, statusText);
}

/** Fields of one connection are not passed on. */
const OF_CONNECTION: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "host",
  "te",
  "upgrade",
]);
