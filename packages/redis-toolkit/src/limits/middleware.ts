import type { ServerResponse } from "node:http";
import { InvalidArgumentError, type Awaitable } from "@hotset/core";
import { checkFlag, checkFunction, checkOptions, shown } from "../module/module.ts";
import { ipKey, subnetBits } from "./ip-key.ts";
import { behind, keepSlots, type RateLimit } from "./limiter.ts";
import type { RateLimitResult } from "./result.ts";

/** Text is sent as it is, anything else as JSON. */
export type RefusalMessage<Request> =
  | string
  | object
  | ((request: Request, result: RateLimitResult) => Awaitable<string | object>);

/** The limit, or the one for a request. Limits of one name whose rules have one window share their counts. */
export type RequestLimit<Request> = RateLimit | ((request: Request) => Awaitable<RateLimit>);

/**
 * Options of a limit of requests. The functions may be async. An error of theirs is one of the request, as is a cost
 * above the limit: nothing is served.
 */
export interface RequestLimitOptions<Request> {
  /**
   * The one that is limited, such as the id of a user. `undefined` is an error.
   *
   * @default the address of the client, `ipKey(request.ip)`; Hono has none, so it is required there
   */
  readonly key?: ((request: Request) => Awaitable<string | undefined>) | undefined;
  /** Without `key`: how many bits of an IPv6 address are one client, 32 to 128. @default 56 */
  readonly ipv6Subnet?: number | undefined;
  /** @default 1 for each request */
  readonly cost?: ((request: Request) => Awaitable<number>) | undefined;
  /** Requests that are neither limited nor counted. @default none */
  readonly skip?: ((request: Request) => Awaitable<boolean>) | undefined;
  /**
   * Requests that are answered with a status from 400 on count only until then. One that was refused, or whose client
   * left before the response, counts; Hono does not report that a client has left, so there the status decides.
   *
   * @default false
   */
  readonly skipFailedRequests?: boolean | undefined;
  /** Whether requests that are answered with a status below 400 count only until then. @default false */
  readonly skipSuccessfulRequests?: boolean | undefined;
  /** The body of a refusal. @default 'Too many requests' */
  readonly message?: RefusalMessage<Request> | undefined;
  /** The status of a refusal, 400 to 599. @default 429; 403 for a key of `deny`, 503 where `whenAway: "closed"` refuses */
  readonly status?: number | undefined;
}

/**
 * Express, and all that takes `(request, response, next)`. Slots of `concurrency` are renewed at each third of `hold`,
 * and given back when the response ends or its client leaves. An error of the limit, or of `key`, goes to `next`.
 *
 * @throws {InvalidArgumentError} for options that can never work.
 */
export function expressRateLimit<Request>(
  limit: RequestLimit<Request>,
  options: RequestLimitOptions<Request> = {},
): (request: Request, response: ServerResponse, next: (error?: unknown) => void) => void {
  const gate = new RequestGate(limit, options, addressOf);
  return (request, response, next) => {
    const pass = async (): Promise<boolean> => {
      const passage = await gate.ask(request);
      if (passage === undefined) return true;
      // First: a response that was sent meanwhile, by a timeout say, takes no header.
      endWith(response, passage);
      for (const [name, value] of Object.entries(passage.result.headers)) response.setHeader(name, value);
      if (passage.refusal === undefined) return true;
      const { status, type, body } = passage.refusal;
      response.statusCode = status;
      response.setHeader("Content-Type", type);
      response.end(body);
      return false;
    };
    void pass().then((isAllowed) => (isAllowed ? next() : undefined), next);
  };
}

/** The part of Fastify's reply that is used. */
export interface FastifyReplyLike {
  /** Node's response: slots are given back when it ends. */
  readonly raw: ServerResponse;
  /** Sets the status. */
  code(status: number): unknown;
  /** Sets a header. */
  header(name: string, value: string): unknown;
  /** Sends the body. */
  send(body: string): unknown;
}

/**
 * A hook for Fastify: `app.addHook("onRequest", fastifyRateLimit(limit, { key }))`, or of one route. An error of the
 * limit, or of `key`, rejects the hook.
 *
 * @throws {InvalidArgumentError} for options that can never work.
 */
export function fastifyRateLimit<Request>(
  limit: RequestLimit<Request>,
  options: RequestLimitOptions<Request> = {},
): (request: Request, reply: FastifyReplyLike) => Promise<unknown> {
  const gate = new RequestGate(limit, options, addressOf);
  return async (request, reply) => {
    const passage = await gate.ask(request);
    if (passage === undefined) return undefined;
    endWith(reply.raw, passage);
    for (const [name, value] of Object.entries(passage.result.headers)) reply.header(name, value);
    if (passage.refusal === undefined) return undefined;
    const { status, type, body } = passage.refusal;
    reply.code(status);
    reply.header("content-type", type);
    reply.send(body);
    // Fastify waits for nothing more then.
    return reply;
  };
}

/** The part of Hono's context that is used. */
export interface HonoContextLike {
  /** The response: its status decides whether the request counts. */
  readonly res: { readonly status: number };
  /** Sets a header of the response. */
  header(name: string, value: string): void;
}

/**
 * Middleware for Hono. Slots of `concurrency` are given back when the handlers after it have returned. An error of the
 * limit, or of `key`, rejects the middleware.
 *
 * @throws {InvalidArgumentError} for options that can never work.
 */
export function honoRateLimit<Context extends HonoContextLike>(
  limit: RequestLimit<Context>,
  options: RequestLimitOptions<Context> & Required<Pick<RequestLimitOptions<Context>, "key">>,
): (context: Context, next: () => Promise<void>) => Promise<Response | undefined> {
  const gate = new RequestGate(limit, options);
  return async (context, next) => {
    const passage = await gate.ask(context);
    if (passage === undefined) {
      await next();
      return undefined;
    }
    const { headers } = passage.result;
    if (passage.refusal !== undefined) {
      const { status, type, body } = passage.refusal;
      return new Response(body, { status, headers: { ...headers, "Content-Type": type } });
    }
    let status = 500;
    try {
      await next();
      ({ status } = context.res);
    } finally {
      passage.end(status);
    }
    // Afterwards: a handler may return another response.
    for (const [name, value] of Object.entries(headers)) context.header(name, value);
    return undefined;
  };
}

/** One request at the limit. */
interface Passage {
  readonly result: RateLimitResult;
  /** How it is answered if it may not pass. */
  readonly refusal: { readonly status: number; readonly type: string; readonly body: string } | undefined;
  /** The request has been answered, with this status if it was. */
  end(status: number | undefined): void;
}

const OPTIONS: readonly (keyof RequestLimitOptions<unknown>)[] = [
  ...(["key", "ipv6Subnet", "cost", "skip", "skipFailedRequests", "skipSuccessfulRequests"] as const),
  ...(["message", "status"] as const),
];

class RequestGate<Request> {
  readonly #limitOf: (request: Request) => Awaitable<RateLimit>;
  readonly #keyOf: (request: Request) => Awaitable<string | undefined>;
  readonly #options: RequestLimitOptions<Request>;

  /** @param addressOf `undefined` where a request has no address */
  constructor(
    limit: RequestLimit<Request>,
    options: RequestLimitOptions<Request>,
    addressOf?: (request: Request) => string | undefined,
  ) {
    checkOptions("rate limit of requests", options ?? null, OPTIONS);
    for (const name of ["key", "cost", "skip"] as const)
      if (options[name] !== undefined || (name === "key" && addressOf === undefined))
        checkOfRequest(name, options[name]);
    checkFlag("rate limit of requests: skipFailedRequests", options.skipFailedRequests);
    checkFlag("rate limit of requests: skipSuccessfulRequests", options.skipSuccessfulRequests);
    if (options.key !== undefined && options.ipv6Subnet !== undefined)
      throw new InvalidArgumentError("rate limit of requests: ipv6Subnet is of the address: leave key out");
    const ipv6Subnet = subnetBits(options);
    if (typeof limit !== "function") checkLimit(limit);
    const { status = 429, message = "" } = options;
    if (!Number.isInteger(status) || status < 400 || status > 599)
      throw new InvalidArgumentError(`rate limit of requests: status must be from 400 to 599, got ${shown(status)}`);
    if (!["string", "object", "function"].includes(typeof message) || message === null)
      throw new InvalidArgumentError(
        `rate limit of requests: message must be text, an object or a function of the request, got ${shown(message)}`,
      );
    this.#limitOf = typeof limit === "function" ? limit : () => limit;
    this.#keyOf =
      options.key ??
      ((request) => {
        const address = addressOf?.(request);
        return address === undefined ? undefined : ipKey(address, { ipv6Subnet });
      });
    this.#options = options;
  }

  /** @returns `undefined` for a request that is skipped */
  async ask(request: Request): Promise<Passage | undefined> {
    const { cost: costOf, skip } = this.#options;
    if ((await skip?.(request)) === true) return undefined;
    const limit = checkLimit(await this.#limitOf(request));
    const key = await this.#keyOf(request);
    if (key === undefined)
      throw new InvalidArgumentError("rate limit of requests: key(request) must be text, got undefined");
    const cost = await costOf?.(request);
    const result = await limit.consume(key, cost);
    const { lease, units } = result;
    const endKeeping = lease === undefined ? undefined : keepSlots(limit, key, lease);
    return {
      result,
      refusal: result.allowed ? undefined : await this.#refuse(request, result),
      end: (status) => {
        endKeeping?.();
        if (lease !== undefined) behind(limit, limit.release(key, lease));
        if (units !== undefined && this.#isSkipped(status)) behind(limit, limit.reward(key, units));
      },
    };
  }

  #isSkipped(status: number | undefined): boolean {
    const { skipFailedRequests = false, skipSuccessfulRequests = false } = this.#options;
    return status !== undefined && (status >= 400 ? skipFailedRequests : skipSuccessfulRequests);
  }

  async #refuse(request: Request, result: RateLimitResult): Promise<NonNullable<Passage["refusal"]>> {
    const { message = "Too many requests", status } = this.#options;
    const body = typeof message === "function" ? await message(request, result) : message;
    const usual = result.reason === "denied" ? 403 : result.reason === "away" ? 503 : 429;
    return typeof body === "string"
      ? { status: status ?? usual, type: "text/plain; charset=utf-8", body }
      : { status: status ?? usual, type: "application/json; charset=utf-8", body: JSON.stringify(body) };
  }
}

function checkLimit(limit: RateLimit): RateLimit {
  checkFunction("rate limit of requests: consume of the limit", (limit as Partial<RateLimit> | null)?.consume);
  return limit;
}

function checkOfRequest(name: string, given: unknown): void {
  if (typeof given !== "function")
    throw new InvalidArgumentError(`rate limit of requests: ${name} must be a function of the request`);
}

/** The address of a client as Express and Fastify know it, which may trust proxies, or else that of the connection. */
const addressOf = (request: unknown): string | undefined => {
  const { ip, socket } = request as { readonly ip?: string; readonly socket?: { readonly remoteAddress?: string } };
  return ip ?? socket?.remoteAddress;
};

function endWith(response: ServerResponse, passage: Passage): void {
  const end = (): void => passage.end(response.writableEnded ? response.statusCode : undefined);
  // A client that has gone meanwhile: its response has ended already.
  if (response.destroyed) end();
  else response.once("close", end);
}
