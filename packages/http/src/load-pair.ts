import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { OriginContext, PlainRequest, PlainResponse } from "./index.ts";
import { LoadSocket } from "./load-socket.ts";

const LOADS = new WeakSet<IncomingMessage>();

/** Whether this is the request of a load: the middleware lets it through. */
export const isLoad = (request: IncomingMessage): boolean => LOADS.has(request);

/** A listener of `node:http` for loads; `failed` says that its answer is made of an error. */
export type LoadListener = (request: IncomingMessage, response: ServerResponse, failed: () => void) => unknown;

/** One load: its handler, the request that it makes, and its circumstances. */
export interface Load {
  readonly listener: LoadListener;
  readonly asked: PlainRequest;
  readonly context: OriginContext;
}

/**
 * Runs the listener with a request and a response that a server of Node makes, over a connection that is of no client:
 * it has the scheme of the URL, and no address, port, cipher, certificate or name.
 */
export function loadOverHttp1(load: Load): Promise<PlainResponse> {
  const { asked, context } = load;
  const socket = new LoadSocket(context, tlsOf(asked.url));
  loads.set(socket, load);
  context.signal.addEventListener("abort", () => socket.fail(context.signal.reason), { once: true });
  const lines = asked.fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  (server ??= serverOfLoads()).emit("connection", socket);
  socket.push(Buffer.from(`${asked.method} ${pathOf(asked.url)} HTTP/1.1\r\n${lines}\r\n`, "latin1"));
  return socket.head;
}

/** The server that runs the handler for loads, made by the first. It has no port: each load is a connection to it. */
let server: Server | undefined;
const loads = new WeakMap<object, Load>();

function serverOfLoads(): Server {
  // The server of the client has let the request through, with its limits.
  const made = createServer({ maxHeaderSize: MOST_HEADER_BYTES, requireHostHeader: false, keepAliveTimeout: 0 });
  made.maxHeadersCount = 0;
  const begin = (request: IncomingMessage, response: ServerResponse): void => {
    const socket = request.socket as unknown as LoadSocket;
    response.once("finish", () => socket.finish());
    run(loads.get(socket)!, { request, response }, () => (socket.isFailure = true)).catch((error: unknown) =>
      socket.fail(error),
    );
  };
  made.on("request", begin).on("checkExpectation", begin);
  return made.on("clientError", (error, socket) => (socket as LoadSocket).fail(error));
}

/** Runs the handler of a load; rejects when it throws. */
export function run(
  { listener }: Load,
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
  failed: () => void,
): Promise<unknown> {
  LOADS.add(request);
  return likeServer(() => listener(request, response, failed));
}

/**
 * Runs a handler as a server does: what it writes is sent before promises that it made are settled.
 *
 * @returns what it returns; rejects when it throws.
 */
export const likeServer = (body: () => unknown): Promise<unknown> =>
  new Promise((resolve, reject) => {
    process.nextTick(() => {
      try {
        resolve(body());
      } catch (error) {
        reject(error);
      }
    });
  });

/** The connection of a load of this URL has its scheme, and the server name that an honest client of its host sends. */
export function tlsOf(url: string): object {
  if (!url.startsWith("https:")) return {};
  const { hostname } = new URL(url);
  // No client sends an address as a name.
  const isAddress = hostname.startsWith("[") || /^[\d.]+$/.test(hostname);
  return { encrypted: true, ...(!isAddress && { servername: hostname }) };
}

/** Path and query of a URL as they came, with nothing resolved or decoded. */
export function pathOf(url: string): string {
  const raw = /^[^:]+:\/\/[^/?#]*([^#]*)/.exec(url)?.[1];
  if (raw?.startsWith("/") === true) return raw;
  const { pathname, search } = new URL(url);
  return `${pathname}${search}`;
}

const MOST_HEADER_BYTES = 1_048_576;
