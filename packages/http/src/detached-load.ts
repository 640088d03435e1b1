import { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { FieldLine, OriginContext, PlainRequest, PlainResponse } from "./index.ts";

const LOADS = new WeakSet<IncomingMessage>();

/** Whether this is the request of a load: the middleware lets it through. */
export const isLoad = (request: IncomingMessage): boolean => LOADS.has(request);

/**
 * Runs `load` with a request and a response whose socket is ours: Node itself writes what the handler says, in all its
 * forms, and the head is read from those bytes.
 */
export function loadDetached(
  load: (request: IncomingMessage, response: ServerResponse) => void,
  asked: PlainRequest,
  context: OriginContext,
): Promise<PlainResponse> {
  const { pathname, search } = new URL(asked.url);
  const wire = new Wire(context);
  const request = new IncomingMessage(wire as unknown as Socket);
  const rawHeaders = asked.fields.flat();
  Object.assign(request, {
    method: asked.method,
    url: rawPath(asked.url) ?? `${pathname}${search}`,
    rawHeaders,
    complete: true,
  });
  request.headers = Object.fromEntries(
    [...new Set(asked.fields.map(([name]) => name))].map((name) => [
      name,
      asked.fields
        .filter((line) => line[0] === name)
        .map((line) => line[1])
        .join(name === "cookie" ? "; " : ", "),
    ]),
  );
  request.httpVersion = "1.0";
  request.httpVersionMajor = 1;
  request.httpVersionMinor = 0;
  request.push(null);
  LOADS.add(request);
  // A client of HTTP/1.0 gets no chunks, so bytes after the head are those of the body.
  const response = new ServerResponse(request);
  Object.assign(request, { httpVersion: "1.1", httpVersionMinor: 1 });
  response.assignSocket(wire as unknown as Socket);
  response.once("finish", () => {
    // As a server does: a request that no handler reads ends with its response.
    request.resume();
    wire.finish();
  });
  wire.once("close", () => request.destroy());
  wire.on("drain", () => drained(response));
  context.signal.addEventListener("abort", () => wire.destroy(context.signal.reason as Error), { once: true });
  try {
    load(request, response);
  } catch (error) {
    wire.destroy(error as Error);
  }
  return wire.head;
}

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
  #settle!: { resolve(response: PlainResponse): void; reject(error: unknown): void };
  #text: Buffer = Buffer.alloc(0);
  #control: ReadableStreamDefaultController<Uint8Array> | undefined;
  #taken: ((error?: Error) => void) | undefined;
  #hasHead = false;
  readonly #context: OriginContext;

  constructor(context: OriginContext) {
    super();
    this.#context = context;
    this.head = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.head.catch(() => undefined);
  }

  /** Node asks it of a socket. */
  setTimeout(): this {
    return this;
  }

  override _read(): void {
    // Nothing comes from a client.
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    if (this.#hasHead) {
      this.#give(chunk, done);
      return;
    }
    this.#text = Buffer.concat([this.#text, chunk]);
    for (;;) {
      const end = this.#text.indexOf("\r\n\r\n");
      if (end < 0) break;
      const { status, statusText, fields } = headOf(this.#text.toString("latin1", 0, end));
      const rest = this.#text.subarray(end + 4);
      this.#text = rest;
      if (status < 200) {
        this.#context.onInformation?.(status, fields);
        continue;
      }
      this.#hasHead = true;
      this.#settle.resolve({ status, statusText, fields, body: this.#body() });
      if (rest.byteLength > 0) {
        this.#give(rest, done);
        return;
      }
      break;
    }
    done();
  }

  #body(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (this.#control = controller),
        pull: () => this.#taken?.(),
        cancel: () => {
          this.#control = undefined;
          this.destroy(new Error("no reader is left"));
        },
      },
      { highWaterMark: 65_536, size: (chunk) => chunk?.byteLength ?? 0 },
    );
  }

  /** The handler waits where the reader is behind. */
  #give(chunk: Buffer, done: (error?: Error) => void): void {
    const control = this.#control;
    control?.enqueue(new Uint8Array(chunk));
    if (control === undefined || control.desiredSize! > 0) done();
    else
      this.#taken = (error) => {
        this.#taken = undefined;
        done(error);
      };
  }

  finish(): void {
    // Bytes that were written are passed on first.
    this.end(() => {
      this.#stop((control) => control.close());
      // A response is closed with its socket.
      this.destroy();
    });
  }

  /** Unless the reader has left. */
  #stop(by: (control: ReadableStreamDefaultController<Uint8Array>) => void): void {
    const control = this.#control;
    this.#control = undefined;
    if (control !== undefined) by(control);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const reason = error ?? new Error("the handler destroyed its response before the end");
    this.#settle.reject(reason);
    this.#stop((control) => control.error(reason));
    this.#taken?.(reason);
    done(null);
  }
}

function headOf(text: string): Omit<PlainResponse, "body"> {
  const [first = "", ...lines] = text.split("\r\n");
  const [, status = "0", statusText = ""] = /^HTTP\/\d\.\d (\d{3}) ?(.*)$/.exec(first) ?? [];
  const fields = lines.map((line): FieldLine => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return { status: Number(status), statusText, fields };
}
