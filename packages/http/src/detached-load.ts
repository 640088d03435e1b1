import { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { OriginContext, PlainRequest, PlainResponse } from "./index.ts";
import { headAt } from "./raw-head.ts";

const LOADS = new WeakSet<IncomingMessage>();

/** Whether this is the request of a load: the middleware lets it through. */
export const isLoad = (request: IncomingMessage): boolean => LOADS.has(request);

/** A handler ended its connection before it answered: its client sees that. */
export class ConnectionEndedError extends Error {
  override readonly name = "ConnectionEndedError";
}

/** A listener of `node:http` for loads; `failed` says that its answer is made of an error. */
export type LoadListener = (request: IncomingMessage, response: ServerResponse, failed: () => void) => unknown;

/**
 * Runs `load` with a request and a response whose socket is ours: Node itself writes what the handler says, in all its
 * forms, and the head is read from those bytes. The handler sees the scheme of the URL, and of the connection of
 * `client` its addresses and its cipher, and no certificate.
 */
export function loadDetached(
  load: LoadListener,
  asked: PlainRequest,
  context: OriginContext,
  client: Socket,
): Promise<PlainResponse> {
  const wire = new Wire(context);
  for (const name of OF_CONNECTION) {
    const found: unknown = Reflect.get(client, name);
    if (found !== undefined) Reflect.set(wire, name, typeof found === "function" ? found.bind(client) : found);
  }
  if (asked.url.startsWith("https:")) Object.assign(wire, { encrypted: true });
  const request = requestOf(asked, wire);
  LOADS.add(request);
  const response = new ServerResponse(request);
  // Node takes `Trailer` with chunks alone. Bytes after the head are those of the body, even so.
  let isChunked = false;
  const set = (value: boolean): void => void (isChunked = value);
  Object.defineProperty(response, "chunkedEncoding", { get: () => isChunked && !response.headersSent, set });
  response.assignSocket(wire as unknown as Socket);
  response.once("finish", () => {
    // As a server does: a request that no handler reads ends with its response.
    request.resume();
    wire.finish();
  });
  wire.once("close", () => request.destroy());
  wire.on("drain", () => drained(response));
  context.signal.addEventListener("abort", () => wire.fail(context.signal.reason as Error), { once: true });
  likeServer(() => load(request, response, () => (wire.isFailure = true))).catch((error: unknown) => wire.fail(error));
  return wire.head;
}

/**
 * Runs a handler as a server does: what it writes is sent before promises that it made are settled.
 *
 * @returns what it returns; rejects when it throws.
 */
export const likeServer = (run: () => unknown): Promise<unknown> =>
  new Promise((resolve, reject) => {
    process.nextTick(() => {
      try {
        resolve(run());
      } catch (error) {
        reject(error);
      }
    });
  });

function requestOf(asked: PlainRequest, wire: Wire): IncomingMessage {
  const { method, url, fields } = asked;
  const { pathname, search } = new URL(url);
  const request = new IncomingMessage(wire as unknown as Socket);
  const lines = fields.flat();
  // As the parser of a server does: then `headers` and `headersDistinct` are Node's.
  (request as unknown as Parsed)._addHeaderLines(lines, lines.length);
  Object.assign(request, {
    method,
    url: rawPath(url) ?? `${pathname}${search}`,
    httpVersion: "1.1",
    httpVersionMajor: 1,
    httpVersionMinor: 1,
    complete: true,
  });
  request.push(null);
  return request;
}

interface Parsed {
  _addHeaderLines(lines: readonly string[], count: number): void;
}

/** No certificate of a client is among them: a page that it shapes is that of one client. */
const OF_CONNECTION: readonly string[] = [
  ...["remoteAddress", "remoteFamily", "remotePort", "localAddress", "localFamily", "localPort", "address", "server"],
  ...["servername", "alpnProtocol", "getCipher", "getProtocol", "getCertificate", "isSessionReused"],
];

/** A server does this for the responses of its connections: a handler that pipes waits for it. */
function drained(response: ServerResponse): void {
  if (!response.writableNeedDrain) return;
  const waits = Object.getOwnPropertySymbols(response).find(({ description }) => description === "kNeedDrain");
  if (waits !== undefined) Object.assign(response, { [waits]: false });
  response.emit("drain");
}

/** As it came, nothing resolved or decoded. */
const rawPath = (url: string): string | undefined => /^[^:]+:\/\/[^/?#]*([^#]*)/.exec(url)?.[1];

/** The far end of a response: its head, and its body as it is written. */
class Wire extends Duplex {
  readonly head: Promise<PlainResponse>;
  isFailure = false;
  readonly #context: OriginContext;
  #settle!: { resolve(response: PlainResponse): void; reject(error: unknown): void };
  #text: Buffer = Buffer.alloc(0);
  #hasHead = false;
  /** Written, and not read yet. */
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #end: { readonly error: unknown } | "complete" | undefined;
  /** The writer that waits for room, and the reader that waits for a chunk. */
  #room: ((error?: Error) => void) | undefined;
  #wake: () => void = nothing;

  constructor(context: OriginContext) {
    super();
    this.#context = context;
    this.head = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.head.catch(nothing);
  }

  // Handlers, frameworks and Node itself ask these of a socket.
  readonly connecting = false;
  readonly readyState = "open";
  readonly authorized = false;
  readonly setTimeout = itself;
  readonly setKeepAlive = itself;
  readonly setNoDelay = itself;
  readonly ref = itself;
  readonly unref = itself;
  readonly getPeerCertificate = (): object => ({});
  readonly getPeerX509Certificate = nothing;

  destroySoon(): void {
    this.end(() => this.destroy());
  }

  override _read(): void {
    // Nothing comes from a client.
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    if (this.#hasHead) {
      this.#take(chunk, done);
      return;
    }
    this.#text = Buffer.concat([this.#text, chunk]);
    for (;;) {
      const head = headAt(this.#text, 0);
      if (head === undefined) break;
      const { status, statusText, fields, end } = head;
      const rest = this.#text.subarray(end);
      this.#text = rest;
      if (status < 200) {
        this.#context.onInformation?.(status, fields);
        continue;
      }
      this.#hasHead = true;
      this.#settle.resolve({ status, statusText, fields, body: this.#body(), isFailure: this.isFailure });
      this.#take(rest, done);
      return;
    }
    done();
  }

  /** The handler waits where the reader is behind. */
  #take(chunk: Buffer, done: (error?: Error) => void): void {
    if (this.#end === undefined && chunk.byteLength > 0) {
      this.#chunks.push(new Uint8Array(chunk));
      this.#bytes += chunk.byteLength;
      this.#wake();
    }
    if (this.#bytes < MOST_UNREAD) done();
    else this.#room = done;
  }

  #body(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: (controller) => this.#give(controller),
        cancel: () => this.fail(new Error("no reader is left")),
      },
      { highWaterMark: 0 },
    );
  }

  async #give(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        controller.enqueue(chunk);
        this.#bytes -= chunk.byteLength;
        if (this.#bytes < MOST_UNREAD) this.#resume();
        return;
      }
      if (this.#end === "complete") return controller.close();
      if (this.#end !== undefined) throw this.#end.error;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #resume(error?: Error): void {
    const done = this.#room;
    this.#room = undefined;
    done?.(error);
  }

  finish(): void {
    // Bytes that were written are passed on first.
    this.end(() => {
      this.#end ??= "complete";
      this.#wake();
      // A response is closed with its socket.
      this.destroy();
    });
  }

  /** The load ends without an answer, or within its body. */
  fail(error: unknown): void {
    this.#settle.reject(error);
    this.#end ??= { error };
    this.destroy();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const reason = new ConnectionEndedError("the handler destroyed its response before the end", { cause: error });
    this.#settle.reject(reason);
    this.#end ??= { error: reason };
    this.#wake();
    this.#resume(reason);
    done(null);
  }
}

function itself<T>(this: T): T {
  return this;
}

const MOST_UNREAD = 65_536;
const nothing = (): void => undefined;
