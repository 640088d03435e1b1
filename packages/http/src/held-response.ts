import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import type { Body, FieldLine, FieldLines, OriginContext, PlainResponse } from "./index.ts";
import { headAt, withCacheStatus, type RawHead } from "./raw-head.ts";

/** A response of which nothing goes to its client yet. */
export interface HeldResponse {
  /** The answer of the handler, even if its client left before. */
  readonly head: Promise<PlainResponse>;
  /** Rejects it, if it has not come. */
  readonly fail: (error: unknown) => void;
  /** Sends what was held, with the Cache-Status of these fields. All that is written later is sent as ever. */
  release(fields: FieldLines): void;
}

/**
 * Holds what a handler writes to the response of its client until the cache has seen the head. It holds between the
 * connection and the system, as a slow network does: the response, and all that wraps its methods, is left to Node.
 */
export function hold(response: ServerResponse): HeldResponse {
  const { stream } = response as { readonly stream?: ServerHttp2Stream };
  const { promise: head, resolve: see, reject: fail } = Promise.withResolvers<PlainResponse>();
  response.once("close", () => seeEnd(response, see));
  return { head, fail, release: stream === undefined ? holdSocket(response, see) : holdStream(stream, see) };
}

/** Lets all through that a handler writes, and adds the Cache-Status that its head gives. */
export function stamp(response: ServerResponse, onHead: NonNullable<OriginContext["onHead"]>): void {
  const writeHead = response.writeHead as (...parameters: readonly unknown[]) => ServerResponse;
  let isStamped = false;
  const stamped = (status: number, ...rest: unknown[]): ServerResponse => {
    if (!isStamped) {
      isStamped = true;
      const at = rest.findIndex((each) => typeof each === "object" && each !== null);
      const given = pairsOf(rest[at] as OutgoingHttpHeaders | undefined);
      const names = new Set(given.map(([name]) => name.toLowerCase()));
      const before = pairsOf(response.getHeaders()).filter(([name]) => !names.has(name));
      const line = onHead({ status, fields: linesOf([...before, ...given]) });
      if (line !== undefined && at < 0) response.setHeader("cache-status", line);
      else if (line !== undefined)
        rest[at] = [...given.filter(([name]) => name.toLowerCase() !== "cache-status"), ["cache-status", line]].flat();
    }
    return writeHead.call(response, status, ...rest);
  };
  response.writeHead = stamped;
}

type See = (head: PlainResponse) => void;
type Release = HeldResponse["release"];
type Done = (error?: Error | null) => void;
interface Chunk {
  readonly chunk: Buffer | string;
  readonly encoding: BufferEncoding;
}

/** A response that was closed sends nothing. How it ends still says what the handler changed. */
function seeEnd(response: ServerResponse, see: See): void {
  const { end } = response;
  response.end = (...parameters: unknown[]) => {
    Reflect.apply(end, response, parameters);
    see({
      status: response.statusCode,
      statusText: "",
      fields: linesOf(pairsOf(response.getHeaders())),
      body: ELSEWHERE,
    });
    return response;
  };
}

/** The write that has the head waits: a stream has no other before that is done. */
function holdSocket(response: ServerResponse, see: See): Release {
  const socket: Duplex = response.socket!;
  const { _write: write, _writev: writev, _destroy: destroy } = socket;
  let send: Release | undefined;
  let end: (() => void) | undefined;
  const take = (bytes: Buffer, done: Done): void => {
    const pass = (each: Buffer): void => write.call(socket, each, "buffer" as BufferEncoding, done);
    let head = headAt(bytes, 0);
    // Interim answers.
    while (head !== undefined && head.status < 200) head = headAt(bytes, head.end);
    // The server itself answers an upload that breaks off.
    if (head === undefined || !response.headersSent) {
      pass(bytes);
      return;
    }
    const { status, statusText, fields } = head;
    send = (told) => pass(withCacheStatus(bytes, head, told));
    see({ status, statusText, fields, body: bodyOf(head, bytes) });
  };
  // Assigned and never deleted: a socket that lost a property is slow from then on.
  socket._write = (chunk: Chunk["chunk"], encoding, done) => take(bytesOf({ chunk, encoding }), done);
  socket._writev = (chunks, done) => take(Buffer.concat(chunks.map(bytesOf)), done);
  // By now the system would have had what waits here.
  socket._destroy = (error, done) => {
    end = () => destroy.call(socket, error, done);
    if (send === undefined) end();
  };
  return (fields) => {
    Object.assign(socket, { _write: write, _writev: writev, _destroy: destroy });
    if (send === undefined) return;
    send(fields);
    end?.();
  };
}

/** In HTTP/2 the head is an object, and writes come after it. */
function holdStream(stream: ServerHttp2Stream, see: See): Release {
  const { respond, _write, _writev, _final, _destroy } = stream;
  const waiting: Release[] = [];
  const later = (method: (...parameters: never) => unknown): PropertyDescriptor =>
    value((...parameters: never): void => {
      const pass = (): unknown => Reflect.apply(method, stream, parameters);
      // Without a head it is closed: its client left.
      if (waiting.length === 0) pass();
      else waiting.push(pass);
    });
  const restore = shadow(stream, {
    headersSent: { configurable: true, get: () => waiting.length > 0 },
    respond: value((headers: Readonly<Record<string, number | string | string[]>>, options: object) => {
      waiting.push((fields) => {
        if (stream.destroyed || stream.closed) return;
        const status = fields.find(([name]) => name === "cache-status");
        respond.call(stream, status === undefined ? headers : { ...headers, "cache-status": status[1] }, options);
      });
      const { ":status": status = 200, ...named } = headers;
      see({ status: Number(status), statusText: "", fields: linesOf(pairsOf(named)), body: ELSEWHERE });
    }),
    _write: later(_write),
    _writev: later(_writev!),
    _final: later(_final),
    _destroy: later(_destroy),
  });
  return (fields) => {
    restore();
    for (const each of waiting) each(fields);
  };
}

/** Puts properties in front of those of `object`; returns a function that removes them. */
function shadow(object: object, properties: PropertyDescriptorMap): () => void {
  const former: PropertyDescriptorMap = Object.getOwnPropertyDescriptors(object);
  Object.defineProperties(object, properties);
  return () => {
    for (const name of Object.keys(properties)) {
      if (former[name] === undefined) Reflect.deleteProperty(object, name);
      else Object.defineProperty(object, name, former[name]);
    }
  };
}

const value = (method: unknown): PropertyDescriptor => ({ configurable: true, writable: true, value: method });

type Pair = readonly [name: string, value: OutgoingHttpHeaders[string]];

/** In any form that `writeHead` takes: an object, a flat list, or one of pairs. */
function pairsOf(headers: OutgoingHttpHeaders | readonly unknown[] = {}): readonly Pair[] {
  if (!Array.isArray(headers)) return Object.entries(headers as OutgoingHttpHeaders);
  const flat = headers.flat() as readonly string[];
  return Array.from({ length: flat.length / 2 }, (_, i): Pair => [flat[2 * i]!, flat[2 * i + 1]]);
}

const linesOf = (pairs: readonly Pair[]): FieldLines =>
  pairs.flatMap(([name, each]) => [each].flat().map((text): FieldLine => [name.toLowerCase(), String(text)]));

const bytesOf = ({ chunk, encoding }: Chunk): Buffer =>
  typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk;

/** The body, where all of it was written with its head. */
function bodyOf({ fields, end }: RawHead, bytes: Buffer): Body {
  const length = fields.find(([name]) => name === "content-length");
  return length?.[1] === `${bytes.length - end}` ? new Uint8Array(bytes.subarray(end)) : ELSEWHERE;
}

/**
 * Marks a body that goes to its client alone: such a response is passed on, and not stored. One object for all, since
 * it is never read.
 */
const ELSEWHERE: Body = new ReadableStream<Uint8Array>();
ELSEWHERE.getReader();
