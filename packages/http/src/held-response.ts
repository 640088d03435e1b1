import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { ignore } from "./cache/messages.ts";
import type { Body, FieldLine, FieldLines, Head, OriginContext, PlainResponse, SentAlong } from "./index.ts";
import { headAt } from "./raw-head.ts";
import { announcedBytes } from "./semantics/directives.ts";
import { firstOf, without } from "./semantics/fields.ts";

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
    const forwarded: PlainResponse = { ...head, statusText: "", body: ELSEWHERE };
    const copy = socket !== null && mayBeStored(response, head) ? new Copy(response, forwarded, see) : undefined;
    if (socket !== null) held = new HeldWrites(socket, { copy });
    // A copy sees the head that is written, which Node may do together with the first bytes of the body.
    if (copy === undefined) process.nextTick(see, forwarded);
    return statusOf(head);
  });
  return () => {
    isReleased = true;
    held?.release();
  };
}

/** An answer to a POST that says that it is what a GET gives. */
const mayBeStored = ({ req }: ServerResponse, { fields }: Head): boolean =>
  req.method === "POST" && fields.some(([name]) => name === "content-location");

/**
 * A response as it goes to its client, read from the bytes: middleware in front of the cache may have changed both head
 * and body. Its body is a stream for one reader; nothing is copied once it is cancelled.
 */
class Copy {
  readonly #forwarded: PlainResponse;
  readonly #see: See;
  #body: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Bytes of the body that have not come. */
  #left = 0;
  isOver = false;
  /** Called when nothing more is copied. */
  onOver: () => void = ignore;

  /** @param forwarded what is seen of a response that is not copied. */
  constructor(response: ServerResponse, forwarded: PlainResponse, see: See) {
    this.#forwarded = forwarded;
    this.#see = see;
    const end = (): void => this.#break("ended before its Content-Length");
    // Before the listener of Node, which gives the connection to another response.
    response.prependOnceListener("finish", end).once("close", end);
  }

  take([chunk, encoding]: Written): void {
    const bytes = typeof chunk === "string" ? Buffer.from(chunk, encoding as BufferEncoding) : chunk;
    this.#takeBody(this.#body === undefined ? this.#takeHead(bytes) : bytes);
  }

  /** Returns the bytes behind it. */
  #takeHead(bytes: Buffer): Buffer {
    const head = headAt(bytes, 0);
    const length = head && announcedBytes(head.fields);
    if (head === undefined || length === undefined) {
      this.#stop();
      return NO_BYTES;
    }
    this.#left = length;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => void (this.#body = controller),
      cancel: () => this.#stop(),
    });
    // Our own member is there already.
    const fields = head.fields.filter(([name]) => name !== "cache-status");
    this.#see({ status: head.status, statusText: head.statusText, fields, body });
    return bytes.subarray(head.end);
  }

  #takeBody(bytes: Buffer): void {
    if (this.isOver) return;
    this.#left -= bytes.byteLength;
    if (this.#left < 0) return this.#break("is longer than its Content-Length");
    // Its writer may use the buffer again.
    if (bytes.byteLength > 0) this.#body!.enqueue(new Uint8Array(bytes));
    if (this.#left > 0) return;
    this.#body!.close();
    this.#stop();
  }

  #break(how: string): void {
    if (this.isOver) return;
    this.#body?.error(new Error(`the response ${how}`));
    this.#stop();
  }

  #stop(): void {
    if (this.#body === undefined) this.#see(this.#forwarded);
    this.isOver = true;
    this.onOver();
  }
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
    held = new HeldWrites(stream, { first: sendHead });
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
 * Calls `take` with each head that is given to `stream`: by its response, or by a handler, which may send a file.
 *
 * @returns a function that ends this.
 */
function onRespond(stream: ServerHttp2Stream, take: (head: Head, send: (sent: SentAlong) => void) => void): () => void {
  const taking = (name: keyof typeof RESPONDS): PropertyDescriptor => {
    const respond = stream[name] as (...parameters: readonly unknown[]) => void;
    const at = RESPONDS[name];
    return value((...parameters: readonly unknown[]) => {
      const given = (parameters[at] ?? {}) as GivenHeaders;
      const lines = linesOf(pairsOf(given));
      const head = { status: Number(firstOf(lines, ":status") ?? 200), fields: without(lines, STATUS) };
      take(head, (sent) => {
        const headers = sent === undefined ? given : headersWith(given, head, sent);
        respond.apply(stream, Object.assign([...parameters], { [at]: headers }));
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

/** In any form that Node takes. A symbol in it names the fields that are sensitive. */
type GivenHeaders = OutgoingHttpHeaders | readonly unknown[];

function headersWith(given: GivenHeaders, { status, fields }: Head, sent: string | FieldLines): OutgoingHttpHeaders {
  const lines = typeof sent === "string" ? [...without(fields, CACHE_STATUS), ["cache-status", sent] as const] : sent;
  const symbols = Object.getOwnPropertySymbols(given).map((each) => [each, given[each as never]]);
  return { ":status": status, ...headersOf(lines), ...Object.fromEntries(symbols) };
}

const STATUS: ReadonlySet<string> = new Set([":status"]);
const CACHE_STATUS: ReadonlySet<string> = new Set(["cache-status"]);

/** The parameters of a write. */
type Written = readonly [chunk: Buffer | string, ...rest: unknown[]];

/**
 * A stream whose `write`, `end` and `destroy` wait, each with its parameters: calls of the public methods, as any program
 * may make them.
 *
 *   held ─release: the calls are made─▶ copied ─the copy is over─▶ as it was
 *
 * Without a copy it is as it was from its release on.
 */
class HeldWrites {
  readonly #target: Duplex;
  readonly #methods: Pick<Duplex, "write" | "end" | "destroy">;
  readonly #copy: Copy | undefined;
  readonly #calls: (() => unknown)[];
  readonly #released = Promise.withResolvers<void>();
  #waitingBytes = 0;
  #isFull = false;

  /**
   * @param on.first called before all that is held.
   * @param on.copy gets what is written, while it is held and after.
   */
  constructor(target: Duplex, { first, copy }: { readonly first?: () => void; readonly copy?: Copy | undefined }) {
    const { write, end, destroy } = target;
    this.#target = target;
    this.#methods = { write, end, destroy };
    this.#copy = copy;
    this.#calls = first === undefined ? [] : [first];
    const held = {
      write: (...written: Written): boolean => this.#hold(written),
      // By now the system would have had what waits here.
      end: this.#later(end),
      destroy: this.#later(destroy),
    };
    Object.assign(target, held);
    RELEASES.set(target, this.#released.promise);
  }

  #hold(written: Written): boolean {
    this.#calls.push(() => Reflect.apply(this.#methods.write, this.#target, written));
    this.#waitingBytes += written[0].length;
    this.#isFull ||= this.#waitingBytes >= this.#target.writableHighWaterMark;
    if (this.#copy?.isOver === false) this.#copy.take(written);
    return !this.#isFull;
  }

  #later(method: (...parameters: never) => Duplex): (...parameters: never) => Duplex {
    return (...parameters) => {
      this.#calls.push(() => {
        this.#target.uncork();
        Reflect.apply(method, this.#target, parameters);
      });
      return this.#target;
    };
  }

  release(): void {
    const target = this.#target;
    // Not deleted: a socket that lost a property is slow from then on.
    Object.assign(target, this.#methods);
    RELEASES.delete(target);
    if (this.#copy?.isOver === false) this.#copyOn(this.#copy);
    // Head and body go out in one write.
    target.cork();
    for (const call of this.#calls) call();
    target.uncork();
    if (this.#isFull && !target.destroyed && !target.writableNeedDrain) target.emit("drain");
    this.#released.resolve();
  }

  #copyOn(copy: Copy): void {
    const { write } = this.#methods;
    const copied = (...written: Written): boolean => {
      copy.take(written);
      return Reflect.apply(write, this.#target, written);
    };
    copy.onOver = () => Object.assign(this.#target, { write });
    Object.assign(this.#target, { write: copied });
  }
}

/** Connections that are held. */
const RELEASES = new WeakMap<Duplex, Promise<void>>();

/**
 * Resolves once nothing of an earlier response is held on this connection; `undefined` if nothing is. Node gives it to
 * the next response when all is written, which is before it is sent.
 */
export const released = ({ socket, stream }: MaybeHttp2): Promise<void> | undefined =>
  stream === undefined && socket !== null ? RELEASES.get(socket) : undefined;

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

/** In any form that `writeHead` takes: an object, a flat list, or one of pairs. A value may be a list in each. */
function pairsOf(headers: GivenHeaders = {}): readonly Pair[] {
  if (!Array.isArray(headers)) return Object.entries(headers as OutgoingHttpHeaders);
  const flat = (Array.isArray(headers[0]) ? headers.flat() : headers) as readonly string[];
  return Array.from({ length: flat.length / 2 }, (_, i): Pair => [flat[2 * i]!, flat[2 * i + 1]]);
}

/** Node sends no field whose value is `undefined`. */
const linesOf = (pairs: readonly Pair[]): FieldLines =>
  pairs.flatMap(([name, each = []]) => [each].flat().map((text): FieldLine => [name.toLowerCase(), String(text)]));

const headersOf = (lines: FieldLines): OutgoingHttpHeaders =>
  Object.fromEntries(
    [...Map.groupBy(lines, ([name]) => name)].map(([name, each]) => {
      const texts = each.map(([, text]) => text);
      return [name, texts.length === 1 ? texts[0] : texts];
    }),
  );

/**
 * Marks a body that goes to its client alone: such a response is passed on, and not stored. One object for all, since
 * it is never read.
 */
const ELSEWHERE: Body = new ReadableStream<Uint8Array>();
ELSEWHERE.getReader();
const NO_BYTES = Buffer.alloc(0);
