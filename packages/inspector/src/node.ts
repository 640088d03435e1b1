import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { Inspector } from "./index.ts";

/**
 * A listener of `node:http`, and a handler of Express: `app.use("/hotset", inspectorListener(inspect))`. In Fastify it
 * is called in an `onRequest` hook, before bodies are parsed. Never throws: a request that cannot be answered gets 500.
 */
export function inspectorListener(inspect: Inspector): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    serve(inspect, request, response).catch(() => {
      if (response.headersSent) response.destroy();
      else response.writeHead(500).end();
    });
  };
}

async function serve(inspect: Inspector, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const answer = await inspect(requestOf(request), { address: request.socket.remoteAddress });
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  if (answer.body === null || request.method === "HEAD") {
    await answer.body?.cancel();
    response.end();
    return;
  }
  const reader = answer.body.getReader();
  response.once("close", () => void reader.cancel().catch(() => undefined));
  for (;;) {
    const { done, value } = await reader.read();
    if (done || response.destroyed) break;
    if (!response.write(value)) await Promise.race([once(response, "drain"), once(response, "close")]);
  }
  response.end();
}

function requestOf(request: IncomingMessage): Request {
  const { method = "GET", headers, rawHeaders } = request;
  const fields = new Headers();
  for (let i = 0; i < rawHeaders.length; i += 2)
    // Fields of HTTP/2 such as `:path` are none of a Request.
    if (!rawHeaders[i]!.startsWith(":")) fields.append(rawHeaders[i]!, rawHeaders[i + 1]!);
  const scheme = "encrypted" in request.socket ? "https" : "http";
  const host = headers.host ?? (headers[":authority"] as string | undefined) ?? "";
  const base = URL.canParse(`${scheme}://${host}`) ? `${scheme}://${host}` : `${scheme}://invalid.`;
  // Routers of Express shorten `url`. A path never names another host: `//host/path`.
  const path = (request as { readonly originalUrl?: string }).originalUrl ?? request.url ?? "/";
  const url = new URL(base);
  const [pathname = "", query = ""] = path.split(/\?(.*)/s);
  url.pathname = pathname.startsWith("/") ? pathname : "/";
  url.search = query;
  const isBodiless = method === "GET" || method === "HEAD";
  return new Request(url, { method, headers: fields, ...(!isBodiless && { body: bodyOf(request), duplex: "half" }) });
}

/** `express.json()` in front has read the body already. */
function bodyOf(request: IncomingMessage): string | ReadableStream<Uint8Array> {
  const { body } = request as { readonly body?: unknown };
  if (body !== undefined && request.readableEnded) return JSON.stringify(body);
  return Readable.toWeb(request) as ReadableStream<Uint8Array>;
}
