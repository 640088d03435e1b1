import type { Cache } from "@hotset/core";
import {
  httpCache,
  type AnswerEvent,
  type HttpCache,
  type Body,
  type AnswerOptions,
  type HttpCacheOptions,
  type OriginContext,
  type PlainRequest,
  type PlainResponse,
} from "@hotset/http";
import { createTestCache, flush, TestClock, type TestCacheOptions } from "@hotset/testing";

export interface Page {
  readonly status?: number;
  readonly fields?: Record<string, string>;
  readonly body?: Body | string;
  readonly isFailure?: boolean;
}

export interface Seen {
  readonly request: PlainRequest;
  readonly context: OriginContext;
}

export interface Given {
  readonly method?: string;
  readonly path?: string;
  readonly url?: string;
  readonly fields?: Record<string, string>;
  readonly call?: AnswerOptions;
}

export interface Answer {
  readonly status: number;
  readonly fields: Readonly<Record<string, string>>;
  readonly body: Body;
  readonly text: () => Promise<string>;
}

/** An origin that a test scripts, and a cache in front of it. Time stands still unless the test moves `clock`. */
export class Site {
  readonly clock: TestClock;
  readonly cache: Cache;
  readonly http: HttpCache;
  readonly seen: Seen[] = [];
  readonly events: AnswerEvent[] = [];
  page: (request: PlainRequest, context: OriginContext) => Page | Promise<Page> = () => ({});

  constructor(options: HttpCacheOptions = {}, tiers: TestCacheOptions & { readonly clock?: TestClock } = {}) {
    this.clock = tiers.clock ?? new TestClock();
    this.cache = createTestCache({ ...tiers, clock: this.clock });
    this.http = httpCache(this.cache.namespace("http"), { clock: this.clock, ...options });
    this.http.on("answer", (event) => this.events.push(event));
  }

  /** Answers each request with a new body: the number of the request. */
  counts(fields: Record<string, string>, page: Page = {}): this {
    this.page = () => ({ body: `${this.seen.length}`, ...page, fields });
    return this;
  }

  get loads(): number {
    return this.seen.length;
  }

  async get(given: Given = {}): Promise<Answer> {
    const { method = "GET", path = "/", url = `https://shop.example${path}`, fields = {}, call } = given;
    const lines = Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value] as const);
    const answer = await this.http.answer({ method, url, fields: lines, hasBody: false }, this.#origin, call);
    // Answered with its head; what is stored follows.
    await flush();
    return answerOf(answer);
  }

  /** The body, and the member of this cache in Cache-Status. */
  async ask(given: Given = {}): Promise<readonly [body: string, status: string | undefined]> {
    const answer = await this.get(given);
    return [await answer.text(), answer.fields["cache-status"]];
  }

  readonly #origin = async (request: PlainRequest, context: OriginContext): Promise<PlainResponse> => {
    this.seen.push({ request, context });
    const { status = 200, fields = {}, body = null, isFailure } = await this.page(request, context);
    const date = new Date(this.clock.epochMs()).toUTCString();
    return {
      status,
      isFailure,
      statusText: "",
      fields: Object.entries({ date, ...fields }),
      body: typeof body === "string" ? new TextEncoder().encode(body) : body,
    };
  };
}

export const valueOf = ({ fields }: PlainRequest, name: string): string | undefined =>
  fields.find((line) => line[0] === name)?.[1];

function answerOf({ status, fields, body }: PlainResponse): Answer {
  return {
    status,
    fields: Object.fromEntries(fields),
    body,
    text: () => new Response(body as Uint8Array<ArrayBuffer> | null).text(),
  };
}

/** A body that a test feeds. */
export interface Fed {
  readonly body: ReadableStream<Uint8Array>;
  readonly wasCancelled: () => boolean;
  feed(text: string | number): void;
  end(): void;
  fail(error: Error): void;
}

export function fedBody(): Fed {
  let control!: ReadableStreamDefaultController<Uint8Array>;
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => void (control = controller),
    cancel: () => void (isCancelled = true),
  });
  return {
    body,
    wasCancelled: () => isCancelled,
    feed: (text) => control.enqueue(typeof text === "number" ? new Uint8Array(text) : new TextEncoder().encode(text)),
    end: () => control.close(),
    fail: (error) => control.error(error),
  };
}
