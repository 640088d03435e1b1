import type { IncomingHttpHeaders, IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import CachePolicy from "http-cache-semantics";
import { Agent, cacheStores, interceptors } from "undici";
import { begin, forward } from "./forward.ts";

/** Other caches of JavaScript in the place of this one, by their names. Each is in front of the origin at this URL. */
export const PEERS: Readonly<Record<string, (origin: string) => RequestListener>> = {
  undici: behind(undici),
  "http-cache-semantics": behind(semantics),
};

type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

function behind(peer: (origin: string) => Answer): (origin: string) => RequestListener {
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
