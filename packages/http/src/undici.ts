import { stringify } from "node:querystring";
import type {
  AnswerOptions,
  FieldLine,
  FieldLines,
  HttpCache,
  OriginContext,
  PlainOrigin,
  PlainRequest,
  PlainResponse,
} from "./index.ts";

/** Headers as undici takes them. */
type UndiciHeaders =
  | Readonly<Record<string, string | readonly string[] | undefined>>
  | readonly string[]
  | Iterable<readonly [string, string | readonly string[] | undefined]>
  | null
  | undefined;

/** Options of a request, as far as the interceptor reads them. */
interface DispatchOptions {
  readonly origin?: string | URL | undefined;
  readonly path: string;
  readonly method: string;
  readonly query?: Readonly<Record<string, unknown>> | null | undefined;
  readonly headers?: UndiciHeaders;
  readonly body?: unknown;
  readonly upgrade?: unknown;
}

/** undici's control over a request that runs. */
interface DispatchController {
  readonly aborted: boolean;
  readonly paused: boolean;
  readonly reason: Error | null;
  readonly rawHeaders?: unknown;
  abort(reason: Error): void;
  pause(): void;
  resume(): void;
}

type IncomingHeaders = Record<string, string | string[] | undefined>;

/** A handler of undici 7 or later. */
interface DispatchHandler {
  onRequestStart?(controller: DispatchController, context: unknown): void;
  onRequestUpgrade?(controller: DispatchController, status: number, headers: IncomingHeaders, socket: unknown): void;
  onResponseStart?(controller: DispatchController, status: number, headers: IncomingHeaders, statusText?: string): void;
  onResponseData?(controller: DispatchController, chunk: Buffer): void;
  onResponseEnd?(controller: DispatchController, trailers: IncomingHeaders): void;
  onResponseError?(controller: DispatchController, error: Error): void;
}

type Dispatch = (options: DispatchOptions, handler: DispatchHandler) => boolean;

/** The shape of `dispatch` in each version of undici. */
type AnyDispatch = (options: never, handler: never) => boolean;

/**
 * An interceptor of undici 8 that answers through the cache: `new Agent().compose(httpInterceptor(cache))`.
 * Interceptors below it, such as one that retries, see the requests of loads alone.
 */
export function httpInterceptor(cache: HttpCache): <D extends AnyDispatch>(dispatch: D) => D {
  const intercept =
    (dispatch: Dispatch): Dispatch =>
    (options, handler) => {
      const { origin, upgrade, method } = options;
      const named = originOf(origin);
      if (named === undefined || hasValue(upgrade) || method === "CONNECT") return dispatch(options, handler);
      void new Exchange(cache, dispatch, options, handler).run(`${named}${pathOf(options)}`);
      return true;
    };
  return intercept as unknown as <D extends AnyDispatch>(dispatch: D) => D;
}

/** A `Client` has its own origin, and takes any name of it: `localhost`. */
function originOf(origin: DispatchOptions["origin"]): string | undefined {
  const text = String(origin ?? "");
  const url = text.includes("://") ? text : `http://${text}`;
  return URL.canParse(url) ? new URL(url).origin : undefined;
}

const hasValue = (value: unknown): boolean => value !== undefined && value !== null && value !== false;

function pathOf({ path, query }: DispatchOptions): string {
  return query === undefined || query === null ? path : `${path}?${stringify(query as Record<string, string>)}`;
}

/** One request of a client, and the control that its handler has over it. */
class Exchange implements DispatchController {
  rawHeaders: Buffer[] = [];
  readonly rawTrailers: Buffer[] = [];
  paused = false;
  reason: Error | null = null;
  readonly #cache: HttpCache;
  readonly #dispatch: Dispatch;
  readonly #options: DispatchOptions;
  readonly #handler: DispatchHandler;
  readonly #leaving = new AbortController();
  #wake: () => void = nothing;

  constructor(cache: HttpCache, dispatch: Dispatch, options: DispatchOptions, handler: DispatchHandler) {
    this.#cache = cache;
    this.#dispatch = dispatch;
    const { headers } = options;
    // As undici's own interceptor takes them; below it they are a flat list.
    this.#options =
      Array.isArray(headers) && Array.isArray(headers[0]) ? { ...options, headers: headers.flat() } : options;
    this.#handler = handler;
  }

  get aborted(): boolean {
    return this.#leaving.signal.aborted;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.#wake();
  }

  abort(reason: Error): void {
    if (this.aborted) return;
    this.reason = reason;
    this.#leaving.abort(reason);
    this.#wake();
  }

  async run(url: string): Promise<void> {
    const { method, body, headers } = this.#options;
    const handler = this.#handler;
    try {
      handler.onRequestStart?.(this, {});
      const request: PlainRequest = { method, url, fields: linesOf(headers), hasBody: hasValue(body) };
      const onInformation: AnswerOptions["onInformation"] = (status, fields) =>
        handler.onResponseStart?.(this, status, incoming(fields), "");
      const answer = await this.#cache.answer(request, this.#origin, { signal: this.#leaving.signal, onInformation });
      this.rawHeaders = answer.fields.flat().map((text) => Buffer.from(text, "latin1"));
      handler.onResponseStart?.(this, answer.status, incoming(answer.fields), answer.statusText);
      await this.#pass(answer.body);
      handler.onResponseEnd?.(this, {});
    } catch (error) {
      handler.onResponseError?.(this, error as Error);
    }
  }

  /** At the pace of the handler, which pauses in its own time. */
  async #pass(body: PlainResponse["body"]): Promise<void> {
    if (!(body instanceof ReadableStream)) {
      await this.#room();
      if (body !== null && body.byteLength > 0) this.#handler.onResponseData?.(this, bufferOf(body));
      await this.#room();
      return;
    }
    const reader = body.getReader();
    try {
      for (;;) {
        await this.#room();
        const { done, value } = await reader.read();
        this.#leaving.signal.throwIfAborted();
        if (done) return;
        this.#handler.onResponseData?.(this, bufferOf(value));
      }
    } catch (error) {
      void reader.cancel(error).catch(nothing);
      throw error;
    }
  }

  async #room(): Promise<void> {
    while (this.paused && !this.aborted) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#leaving.signal.throwIfAborted();
  }

  readonly #origin: PlainOrigin = (asked, context) => {
    const { shared } = context;
    const options = shared
      ? { ...this.#options, method: asked.method, headers: asked.fields.flat(), body: null, signal: undefined }
      : this.#options;
    return new Promise((resolve, reject) => {
      this.#dispatch(options, collector(context, resolve, reject));
    });
  };
}

/** Turns the calls of undici into a response: its head, and a body that undici fills no faster than it is read. */
function collector(
  { signal, onInformation }: OriginContext,
  resolve: (response: PlainResponse) => void,
  reject: (error: unknown) => void,
): DispatchHandler {
  let control: ReadableStreamDefaultController<Uint8Array> | undefined;
  const stop = (by: (open: ReadableStreamDefaultController<Uint8Array>) => void): void => {
    const open = control;
    control = undefined;
    if (open !== undefined) by(open);
  };
  return {
    onRequestStart(controller) {
      const abort = (): void => controller.abort(signal.reason as Error);
      if (signal.aborted) abort();
      else signal.addEventListener("abort", abort, { once: true });
    },
    onResponseStart(controller, status, headers, statusText = "") {
      const fields = received(controller.rawHeaders, headers);
      if (status < 200) {
        onInformation?.(status, fields);
        return;
      }
      const body = new ReadableStream<Uint8Array>(
        {
          start: (open) => void (control = open),
          pull: () => controller.resume(),
          cancel: () => {
            control = undefined;
            controller.abort(new Error("its reader left"));
          },
        },
        { highWaterMark: 65_536, size: (chunk) => chunk?.byteLength ?? 0 },
      );
      resolve({ status, statusText, fields, body });
    },
    onResponseData(controller, chunk) {
      control?.enqueue(new Uint8Array(chunk));
      if (control !== undefined && control.desiredSize! <= 0) controller.pause();
    },
    onResponseEnd: () => stop((open) => open.close()),
    onResponseError: (_, error) => {
      reject(error);
      stop((open) => open.error(error));
    },
  };
}

/** The bytes as they came, of the fields that interceptors below have left. */
function received(raw: unknown, headers: IncomingHeaders): FieldLines {
  const lines = Array.isArray(raw) ? rawLines(raw) : [];
  const names = new Set(lines.map(([name]) => name));
  const others = linesOf(headers).filter(([name]) => !names.has(name));
  return [...lines.filter(([name]) => headers[name] !== undefined), ...others];
}

function rawLines(raw: readonly (Buffer | string)[]): readonly FieldLine[] {
  const text = (part: Buffer | string): string => (typeof part === "string" ? part : part.toString("latin1"));
  return Array.from({ length: raw.length / 2 }, (_, i) => [text(raw[2 * i]!).toLowerCase(), text(raw[2 * i + 1]!)]);
}

function linesOf(headers: UndiciHeaders): FieldLines {
  if (headers === null || headers === undefined) return [];
  if (Array.isArray(headers) && typeof headers[0] === "string") return rawLines(headers as string[]);
  const pairs = Symbol.iterator in headers ? [...headers] : Object.entries(headers);
  return (pairs as [string, string | string[] | undefined][]).flatMap(([name, values]) =>
    [values ?? []].flat().map((value): FieldLine => [name.toLowerCase(), String(value)]),
  );
}

/** A field that came once is text, else a list. */
function incoming(fields: FieldLines): IncomingHeaders {
  const headers: IncomingHeaders = {};
  for (const [name, value] of fields) {
    const before = Object.hasOwn(headers, name) ? headers[name] : undefined;
    headers[name] = before === undefined ? value : [before, value].flat();
  }
  return headers;
}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const nothing = (): void => undefined;
