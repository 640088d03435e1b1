import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import type { Body, FieldLine, FieldLines, Head, OriginContext, PlainResponse, SentAlong } from "./index.ts";
import { headAt, type RawHead } from "./raw-head.ts";

/** A response of which nothing goes to its client yet. */
export interface HeldResponse {
  /** The answer of the handler, even if its client left before. */
  readonly head: Promise<PlainResponse>;
  /** Rejects it, if it has not come. */
  readonly fail: (error: unknown) => void;
  /** Sends what was held. All that is written later is sent as ever. */
  release(): void;
}

type Status = NonNullable<OriginContext["statusOf"]>;

/**
 * Holds what a handler writes to the response of its client, from its head on, until the cache has done what it says.
 * The connection is held, as by a slow network: the response, and all that wraps its methods, is left to Node.
 *
 * @param statusOf what to send along with a head.
 */
export function hold(response: ServerResponse, statusOf: Status): HeldResponse {
  const { stream } = response as MaybeHttp2;
  const { promise: head, resolve: see, reject: fail } = Promise.withResolvers<PlainResponse>();
  response.once("close", () => seeEnd(response, see));
  const release = stream === undefined ? holdResponse(response, see, statusOf) : holdStream(stream, see, statusOf);
  return { head, fail, release };
}

/** Lets all through that a handler writes, and adds to its head what is sent along. */
export function stamp(response: ServerResponse, onHead: Status): void {
  const { stream } = response as MaybeHttp2;
  if (stream === undefined) stampResponse(response, onHead);
  else onRespond(stream, (head, send) => send(onHead(head)));
}

type MaybeHttp2 = ServerResponse & { readonly stream?: ServerHttp2Stream };

function stampResponse(response: ServerResponse, onHead: Status): void {
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
      if (typeof line === "object") {
        for (const name of response.getHeaderNames()) response.removeHeader(name);
        for (const [name, text] of line) response.appendHeader(name, text);
        return writeHead.call(response, status, ...rest.filter((_, i) => i !== at));
      }
      if (line !== undefined && at < 0) response.setHeader("cache-status", line);
      else if (line !== undefined)
        rest[at] = [...given.filter(([name]) => name.toLowerCase() !== "cache-status"), ["cache-status", line]].flat();
    }
    return writeHead.call(response, status, ...rest);
  };
  response.writeHead = stamped;
}

type See = (head: PlainResponse) => void;

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

/** From its head on, what Node writes into the connection waits there. */
function holdResponse(response: ServerResponse, see: See, statusOf: Status): () => void {
  let held: HeldWrites | undefined;
  let isReleased = false;
  stampResponse(response, (head) => {
    // The handler failed before it said anything: what answers for it is not held.
    if (isReleased) return statusOf(head);
    const { socket } = response;
    if (socket !== null) held = new HeldWrites(socket);
    const tell = (): void => see(headOf(response, head, held));
    // A handler that ends its response together with the head has written all of it by then.
    if (held === undefined || !isWholeSoon(head, held)) process.nextTick(tell);
    else tellOnceWritten(response, held, tell);
    return statusOf(head);
  });
  return () => {
    isReleased = true;
    held?.release();
  };
}

/**
 * Whether the head waits for its body, which may be stored: the answer of a proxy, say, whose body comes after it. A
 * client gets both together.
 */
function isWholeSoon({ fields }: Head, { room }: HeldWrites): boolean {
  const length = Number(fields.find(([name]) => name === "content-length")?.[1]);
  return length < room && fields.some(([name]) => name === "content-location");
}

/** Once the handler has written all, or cannot write more before what is held has gone. */
function tellOnceWritten(response: ServerResponse, held: HeldWrites, tell: () => void): void {
  held.onWrite = () => {
    if (response.writableEnded || held.isFull || held.isEnded) tell();
  };
  response.once("close", tell);
}

/** The bytes count where the body may be stored: middleware in front of the cache may have changed both. */
function headOf(response: ServerResponse, head: Head, held: HeldWrites | undefined): PlainResponse {
  const isNamed = head.fields.some(([name]) => name === "content-location");
  const bytes = isNamed && response.writableEnded ? held?.bytes() : undefined;
  const raw = bytes === undefined ? undefined : headAt(bytes, 0);
  if (raw === undefined) return { ...head, statusText: "", body: ELSEWHERE };
  // Our own member is there already.
  const fields = raw.fields.filter(([name]) => name !== "cache-status");
  return { status: raw.status, statusText: raw.statusText, fields, body: bodyOf(raw, bytes!) };
}

/** From its head on, what goes into a stream of HTTP/2 waits there, and the head itself. */
function holdStream(stream: ServerHttp2Stream, see: See, statusOf: Status): () => void {
  let held: HeldWrites | undefined;
  let isHeadSent = false;
  let isReleased = false;
  const restore = shadow(stream, { headersSent: { configurable: true, get: () => isHeadSent } });
  const restoreHead = onRespond(stream, (head, send) => {
    isHeadSent = true;
    const line = statusOf(head);
    const sendHead = (): void => {
      if (!stream.destroyed && !stream.closed) send(line);
    };
    // As in HTTP/1: what answers for a handler that failed is not held.
    if (isReleased) {
      restore();
      sendHead();
      return;
    }
    held = new HeldWrites(stream, sendHead);
    see({ ...head, statusText: "", body: ELSEWHERE });
  });
  return () => {
    isReleased = true;
    if (held === undefined) return;
    restore();
    restoreHead();
    held.release();
  };
}

/**
 * Calls `take` with each head that is given to `stream`: by its response, or by a handler, which may send a file. In
 * HTTP/2 a head is an object.
 *
 * @returns a function that ends this.
 */
function onRespond(stream: ServerHttp2Stream, take: (head: Head, send: (sent: SentAlong) => void) => void): () => void {
  const taking = (name: keyof typeof RESPONDS): PropertyDescriptor => {
    const respond = stream[name] as (...parameters: readonly unknown[]) => void;
    const at = RESPONDS[name];
    return value((...parameters: readonly unknown[]) => {
      const headers = (parameters[at] ?? {}) as OutgoingHttpHeaders;
      const { ":status": code = 200, ...named } = headers;
      take({ status: Number(code), fields: linesOf(pairsOf(named)) }, (sent) => {
        respond.apply(stream, Object.assign([...parameters], { [at]: headersWith(headers, code, sent) }));
      });
    });
  };
  return shadow(stream, {
    respond: taking("respond"),
    respondWithFD: taking("respondWithFD"),
    respondWithFile: taking("respondWithFile"),
  });
}

/** The ways to give a head to a stream, each with the place of the head among its parameters. */
const RESPONDS = { respond: 0, respondWithFD: 1, respondWithFile: 1 } as const;

function headersWith(headers: OutgoingHttpHeaders, status: unknown, sent: SentAlong): OutgoingHttpHeaders {
  if (sent === undefined) return headers;
  if (typeof sent === "string") return { ...headers, "cache-status": sent };
  return { ":status": status as number, ...headersOf(sent) };
}

/**
 * A stream whose `write`, `end` and `destroy` wait, each with its parameters: calls of the public methods, as any program
 * may make them.
 */
class HeldWrites {
  readonly #target: Duplex;
  readonly #methods: Pick<Duplex, "write" | "end" | "destroy">;
  readonly #writes: (readonly [chunk: Buffer | string, ...rest: unknown[]])[] = [];
  readonly #calls: (() => unknown)[];
  /** Called after each write. */
  onWrite: () => void = nothing;
  #waitingBytes = 0;
  #isFull = false;
  /** Whether the connection ends with what is held. */
  isEnded = false;

  /** @param first called before all that is held. */
  constructor(target: Duplex, first?: () => void) {
    const { write, end, destroy } = target;
    this.#target = target;
    this.#methods = { write, end, destroy };
    this.#calls = first === undefined ? [] : [first];
    const held = {
      write: (...parameters: readonly [Buffer | string, ...unknown[]]): boolean => this.#hold(parameters),
      // By now the system would have had what waits here.
      end: this.#later(end),
      destroy: this.#later(destroy),
    };
    Object.assign(target, held);
  }

  #hold(parameters: readonly [Buffer | string, ...unknown[]]): boolean {
    this.#writes.push(parameters);
    this.#calls.push(() => Reflect.apply(this.#methods.write, this.#target, parameters));
    this.#waitingBytes += parameters[0].length;
    this.#isFull ||= this.room <= 0;
    // A response has ended once its last write returns.
    process.nextTick(this.onWrite);
    return !this.#isFull;
  }

  /** Whether the writer has to wait. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Bytes until then. */
  get room(): number {
    return this.#target.writableHighWaterMark - this.#waitingBytes;
  }

  #later(method: (...parameters: never) => Duplex): (...parameters: never) => Duplex {
    return (...parameters) => {
      this.isEnded = true;
      process.nextTick(this.onWrite);
      this.#calls.push(() => {
        this.#target.uncork();
        Reflect.apply(method, this.#target, parameters);
      });
      return this.#target;
    };
  }

  /** All that was written so far. */
  bytes(): Buffer {
    return Buffer.concat(
      this.#writes.map(([chunk, encoding]) =>
        typeof chunk === "string" ? Buffer.from(chunk, encoding as BufferEncoding) : chunk,
      ),
    );
  }

  release(): void {
    const target = this.#target;
    // Not deleted: a socket that lost a property is slow from then on.
    Object.assign(target, this.#methods);
    // Head and body go out in one write.
    target.cork();
    for (const call of this.#calls) call();
    target.uncork();
    if (this.#isFull && !target.destroyed && !target.writableNeedDrain) target.emit("drain");
  }
}

const nothing = (): void => undefined;

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

const headersOf = (lines: FieldLines): OutgoingHttpHeaders =>
  Object.fromEntries(
    [...Map.groupBy(lines, ([name]) => name)].map(([name, each]) => {
      const texts = each.map(([, text]) => text);
      return [name, texts.length === 1 ? texts[0] : texts];
    }),
  );

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
