import { Duplex } from "node:stream";
import { ignore } from "./cache/messages.ts";
import { ChunkedBytes } from "./chunked-bytes.ts";
import type { OriginContext, PlainResponse } from "./index.ts";
import { headAt } from "./raw-head.ts";
import { announcedBytes } from "./semantics/directives.ts";

/** A handler ended its connection before it answered: its client sees that. */
export class ConnectionEndedError extends Error {
  override readonly name = "ConnectionEndedError";

  constructor(cause?: unknown) {
    super("the handler destroyed its response before the end", { cause });
  }
}

/**
 * The connection of one load over HTTP/1: a server of Node writes the response into it, in whichever way the handler
 * says, and head and body are read from those bytes.
 */
export class LoadSocket extends Duplex {
  readonly head: Promise<PlainResponse>;
  isFailure = false;
  readonly #context: OriginContext;
  readonly #settle: Pick<PromiseWithResolvers<PlainResponse>, "resolve" | "reject">;
  /** Before the end of the head. */
  #text: Buffer = Buffer.alloc(0);
  #phase: "head" | "body" = "head";
  #chunked: ChunkedBytes | undefined;
  /** Written, and not read yet. */
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #end: { readonly error: unknown } | "complete" | undefined;
  /** The writer that waits for room, and the reader that waits for a chunk. */
  #room: ((error?: Error) => void) | undefined;
  #wake: () => void = ignore;

  /** @param tls what the key says of an encrypted connection; nothing for one that is not. */
  constructor(context: OriginContext, tls: object) {
    super();
    this.#context = context;
    const { promise, resolve, reject } = Promise.withResolvers<PlainResponse>();
    this.head = promise;
    this.#settle = { resolve, reject };
    promise.catch(ignore);
    Object.assign(this, tls);
  }

  // Handlers and frameworks ask these of a socket; no client is behind it.
  readonly connecting = false;
  readonly readyState = "open";
  readonly authorized = false;
  readonly setTimeout = itself;
  readonly setKeepAlive = itself;
  readonly setNoDelay = itself;
  readonly ref = itself;
  readonly unref = itself;
  readonly address = (): object => ({});
  readonly getPeerCertificate = (): object => ({});
  readonly getPeerX509Certificate = ignore;

  destroySoon(): void {
    this.end(() => this.destroy());
  }

  override _read(): void {
    // The request is all that comes.
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#written(chunk, done);
  }

  #written(chunk: Buffer, done: (error?: Error) => void): void {
    try {
      this.#take(chunk);
    } catch (error) {
      this.fail(error);
    }
    // The handler waits where the reader is behind.
    if (this.#bytes < MOST_UNREAD || this.#end !== undefined) done();
    else this.#room = done;
  }

  /** A head and its body are written at once, and read so: a response that is whole needs no stream. */
  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: (error?: Error) => void): void {
    this.#written(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  #take(chunk: Buffer): void {
    if (this.#phase === "body") {
      this.#takeBody(chunk);
      return;
    }
    this.#text = this.#text.length === 0 ? chunk : Buffer.concat([this.#text, chunk]);
    for (let head = headAt(this.#text, 0); head !== undefined; head = headAt(this.#text, 0)) {
      const { status, statusText, fields, end } = head;
      const rest = this.#text.subarray(end);
      this.#text = rest;
      if (status < 200) {
        this.#context.onInformation?.(status, fields);
        continue;
      }
      this.#phase = "body";
      const isChunked = fields.some(([name, value]) => name === "transfer-encoding" && /\bchunked\b/i.test(value));
      if (isChunked) this.#chunked = new ChunkedBytes();
      const isWhole = !isChunked && announcedBytes(fields) === rest.byteLength;
      if (!isWhole) this.#takeBody(rest);
      // A copy: Node keeps small buffers together.
      const body = isWhole ? new Uint8Array(rest) : this.#body();
      this.#settle.resolve({ status, statusText, fields, body, isFailure: this.isFailure });
      return;
    }
  }

  #takeBody(bytes: Buffer): void {
    if (this.#end !== undefined) return;
    for (const part of this.#chunked === undefined ? [bytes] : this.#chunked.read(bytes)) {
      if (part.byteLength === 0) continue;
      this.#chunks.push(new Uint8Array(part));
      this.#bytes += part.byteLength;
    }
    this.#wake();
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

  /** All of the response has been written. */
  finish(): void {
    this.#end ??= "complete";
    this.#wake();
    // A response is closed with its connection. Not within the write that ends it: Node would make an error of that.
    process.nextTick(() => this.destroy());
  }

  /** The load ends without an answer, or within its body. */
  fail(error: unknown): void {
    this.#settle.reject(error);
    this.#end ??= { error };
    this.destroy();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.#end === undefined) {
      const reason = new ConnectionEndedError(error);
      this.#settle.reject(reason);
      this.#end = { error: reason };
    } else if (this.#end === "complete" && this.#phase === "head") this.#settle.reject(new ConnectionEndedError(error));
    this.#wake();
    // Its writer waits for room that no reader will make.
    if (this.#room !== undefined) this.#resume(new ConnectionEndedError(error));
    done(null);
  }
}

function itself<T>(this: T): T {
  return this;
}

const MOST_UNREAD = 65_536;
