import type { Cache, LoadContext, Namespace } from "@hotset/core";
import { getOrRun } from "@hotset/core/adapter";
import {
  Inject,
  Injectable,
  StreamableFile,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from "@nestjs/common";
import { HttpAdapterHost, ModuleRef, Reflector } from "@nestjs/core";
import { from, lastValueFrom, type Observable } from "rxjs";
import { KEY_METADATA, TAGS_METADATA, TTL_METADATA } from "./metadata.ts";
import { changesOf, headOf, type Changes, type Reply } from "./reply.ts";
import { routeKey, type Request } from "./route-key.ts";
import { getCacheToken } from "./tokens.ts";

/** The stored part of an answer. */
interface Answer extends Changes {
  readonly body: unknown;
}

/**
 * Caches the answers of handlers, in place of `CacheInterceptor` of @nestjs/cache-manager: by handler, version, host and
 * URL, for GET alone, or by `@CacheKey`. A handler runs once for all requests that wait for its answer, in all processes. A hit has the status
 * and the header fields that the handler set; `X-Cache` says `HIT`, `STALE` or `MISS`.
 *
 * Not stored, and shared with no other request: an answer with a `Set-Cookie` or a `Cache-Control` of `private` or
 * `no-store`, a stream, and `undefined`, as of a handler that sends its answer. Not stored: a status of 400 or more,
 * and errors. Server-sent events pass through.
 *
 * Where an answer depends on more, on the user say, override {@link trackBy}. A request with `Authorization` is answered
 * by its handler alone, unless `trackBy` or `@CacheKey` gives its key.
 *
 * Two interceptors around one handler, as a global one and one of the controller, are one visit of the cache. If they
 * have different keys, the inner one answers, by both keys.
 */
export class HotsetInterceptor implements NestInterceptor {
  /** Methods of HTTP whose answers are cached. */
  protected allowedMethods: string[] = ["GET"];
  /** Set by Nest. */
  protected readonly moduleRef: ModuleRef | undefined;
  readonly #answers: Namespace<Answer>;
  readonly #reflector: Reflector;
  readonly #adapters: HttpAdapterHost;
  /** Handlers that write to their response: without a request that waits, they fail. */
  readonly #writers = new WeakSet<object>();

  constructor(cache: Cache, reflector: Reflector, adapters: HttpAdapterHost) {
    this.#answers = cache.namespace<Answer>("nest");
    this.#reflector = reflector;
    this.#adapters = adapters;
  }

  /** Answers a call from the cache, or runs the handler; rejects with what the handler throws. */
  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const isEvents = this.#reflector.get(SSE_METADATA, context.getHandler()) === true;
    const key = isEvents ? undefined : await this.trackBy(context);
    const outer = visits.get(context);
    if (!key || outer?.key === key) return next.handle();
    if (outer !== undefined) outer.isOfInner = true;
    // Requests with different keys outside must have different keys inside.
    const visit: Visit = { key: outer === undefined ? key : `${outer.key} ${key}`, isOfInner: false };
    visits.set(context, visit);
    return from(this.#answer(visit, context, next));
  }

  /**
   * The key of a call: what `@CacheKey` says, else that of the handler, the version, the host and the URL of a request
   * that {@link isRequestCacheable} allows. A call without a key is not cached.
   */
  protected trackBy(context: ExecutionContext): string | undefined | Promise<string | undefined> {
    const given: unknown = this.#reflector.get(KEY_METADATA, context.getHandler());
    if (given) return typeof given === "function" ? (given(context) as string | undefined) : String(given);
    if (context.getType() !== "http" || !this.isRequestCacheable(context)) return undefined;
    const { httpAdapter: adapter } = this.#adapters;
    return routeKey(context, { reflector: this.#reflector, adapter, moduleRef: this.moduleRef });
  }

  /** Whether a request without `@CacheKey` has a key: by its method, and if it names no user by `Authorization`. */
  protected isRequestCacheable(context: ExecutionContext): boolean {
    const { method, headers } = context.switchToHttp().getRequest<Request>();
    return this.allowedMethods.includes(method) && headers["authorization"] === undefined;
  }

  async #answer(visit: Visit, context: ExecutionContext, next: CallHandler): Promise<unknown> {
    const reply = context.getType() === "http" ? context.switchToHttp().getResponse<Reply>() : undefined;
    const { httpAdapter } = this.#adapters;
    const handler = context.getHandler();
    const run = (): Promise<unknown> => lastValueFrom(next.handle(), { defaultValue: undefined });
    let made: Answer | undefined;
    const load = async (call: LoadContext): Promise<Answer> => {
      const before = headOf(reply);
      const body = await run().catch((error: unknown) => {
        // A stale answer has gone out over this response. The next request waits for another run.
        if (call.background && (error as { readonly code?: unknown } | undefined)?.code === HEADERS_SENT) {
          this.#writers.add(handler);
          call.setOptions({ coversError: () => false });
        }
        throw error;
      });
      const changes = changesOf(before, headOf(reply));
      made = { body, ...changes };
      // A timeout in front, say, has answered this request: its head is not that of the handler.
      const isAnswered = reply !== undefined && !call.background && httpAdapter.isHeadersSent(reply) === true;
      if (isAnswered || visit.isOfInner || !isForAll(body, headOf(reply))) return call.notShared(made);
      return (changes.status ?? 200) >= 400 ? call.noStore(made) : made;
    };
    const onServed = ({ status }: { readonly status: string }): void => {
      if (reply !== undefined) httpAdapter.setHeader(reply, "X-Cache", status.toUpperCase());
    };
    const waits = this.#writers.has(handler) ? { staleWhileRevalidate: 0 } : undefined;
    const answer = await getOrRun(this.#answers, visit.key, load, {
      ...(await this.#policy(context)),
      ...waits,
      // A handler belongs to its request, and may do more than read.
      verify: false,
      onServed,
    });
    if (reply !== undefined && answer !== made) this.#apply(answer, reply);
    return answer.body;
  }

  #apply({ status, headers = {} }: Answer, reply: Reply): void {
    const { httpAdapter } = this.#adapters;
    if (status !== undefined) httpAdapter.status(reply, status);
    for (const [name, value] of Object.entries(headers)) httpAdapter.setHeader(reply, name, value as string);
  }

  async #policy(
    context: ExecutionContext,
  ): Promise<{ readonly ttl: number | undefined; readonly tags: readonly string[] }> {
    const places = [context.getHandler(), context.getClass()];
    const given: unknown = this.#reflector.getAllAndOverride(TTL_METADATA, places);
    const ttl = (typeof given === "function" ? await given(context) : given) as number | null | undefined;
    const tags = places.flatMap(
      (place) => this.#reflector.get<readonly unknown[] | undefined>(TAGS_METADATA, place) ?? [],
    );
    return {
      ttl: ttl === 0 ? Infinity : (ttl ?? undefined),
      tags: tags.flatMap((tag) => (typeof tag === "function" ? (tag(context) as readonly string[]) : (tag as string))),
    };
  }
}
Injectable()(HotsetInterceptor);
Inject(getCacheToken())(HotsetInterceptor, undefined, 0);
Inject(Reflector)(HotsetInterceptor, undefined, 1);
Inject(HttpAdapterHost)(HotsetInterceptor, undefined, 2);
// Not by the constructor, which subclasses may call.
Inject(ModuleRef)(HotsetInterceptor.prototype, "moduleRef");

/** One call of a handler, around which there may be several interceptors. */
interface Visit {
  readonly key: string;
  /** Whether an inner interceptor has another key: its answer is not stored by this one. */
  isOfInner: boolean;
}

/** The innermost so far. Nest makes one context for all interceptors of a call. */
const visits = new WeakMap<ExecutionContext, Visit>();

const HEADERS_SENT = "ERR_HTTP_HEADERS_SENT";
/** Metadata of `@Sse()`, whose answer has no end. */
const SSE_METADATA = "__sse__";

function isForAll(body: unknown, head: ReturnType<typeof headOf>): boolean {
  if (body === undefined || body instanceof StreamableFile || isReadOnce(body)) return false;
  const { "set-cookie": cookie, "cache-control": control } = head.headers;
  return cookie === undefined && !/\b(?:private|no-store)\b/i.test(String(control ?? ""));
}

const isReadOnce = (body: unknown): boolean =>
  typeof body === "object" &&
  body !== null &&
  ("pipe" in body || "getReader" in body || Symbol.asyncIterator in body || body instanceof Response);
