import type { ServerResponse } from "node:http";
import { InvalidArgumentError, type Awaitable } from "@hotset/core";
import { checkFunction, checkOptions, shown } from "../module/module.ts";
import type { RateLimitResult } from "./result.ts";
import { releaseBehind, type RateLimit } from "./limiter.ts";

/** Text is sent as it is, anything else as JSON. */
export type RefusalMessage<Request> =
  | string
  | object
  | ((request: Request, result: RateLimitResult) => Awaitable<string | object>);

export interface RequestLimitOptions<Request> {
  /** The one that is limited, such as the id of a user. `undefined` is an error. */
  readonly key: (request: Request) => Awaitable<string | undefined>;
  /** @default 1 for each request */
  readonly cost?: ((request: Request) => Awaitable<number>) | undefined;
  /** Requests that are neither limited nor counted. @default none */
  readonly skip?: ((request: Request) => Awaitable<boolean>) | undefined;
  /** The body of a refusal. @default 'Too many requests' */
  readonly message?: RefusalMessage<Request> | undefined;
  /** @default 429; 403 for a key of `deny`, 503 where `whenAway: "closed"` refuses */
  readonly status?: number | undefined;
}

/**
 * Express, and all that takes `(request, response, next)`. Slots of `concurrency` are given back when the response
 * ends. An error of the limit, or of `key`, goes to `next`.
 */
export function expressRateLimit<Request>(
  limit: RateLimit,
  options: RequestLimitOptions<Request>,
): (request: Request, response: ServerResponse, next: (error?: unknown) => void) => void {
  const gate = new RequestGate(limit, options);
  return (request, response, next) => {
    const pass = async (): Promise<boolean> => {
      const passage = await gate.ask(request);
      if (passage === undefined) return true;
      // First: a response that was sent meanwhile, by a timeout say, takes no header.
      releaseAtEnd(response, passage);
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
  readonly raw: ServerResponse;
  code(status: number): unknown;
  header(name: string, value: string): unknown;
  send(body: string): unknown;
}

/** A hook for Fastify: `app.addHook("onRequest", fastifyRateLimit(limit, { key }))`, or of one route. */
export function fastifyRateLimit<Request>(
  limit: RateLimit,
  options: RequestLimitOptions<Request>,
): (request: Request, reply: FastifyReplyLike) => Promise<unknown> {
  const gate = new RequestGate(limit, options);
  return async (request, reply) => {
    const passage = await gate.ask(request);
    if (passage === undefined) return undefined;
    releaseAtEnd(reply.raw, passage);
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
  header(name: string, value: string): void;
}

/** Middleware for Hono. Slots of `concurrency` are given back when the handlers after it have returned. */
export function honoRateLimit<Context extends HonoContextLike>(
  limit: RateLimit,
  options: RequestLimitOptions<Context>,
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
    try {
      await next();
    } finally {
      passage.release();
    }
    // Afterwards: a handler may return a response of its own.
    for (const [name, value] of Object.entries(headers)) context.header(name, value);
    return undefined;
  };
}

/** One request at the limit. */
interface Passage {
  readonly result: RateLimitResult;
  /** How it is answered if it may not pass. */
  readonly refusal: { readonly status: number; readonly type: string; readonly body: string } | undefined;
  release(): void;
}

const OPTIONS: readonly (keyof RequestLimitOptions<unknown>)[] = ["key", "cost", "skip", "message", "status"];

class RequestGate<Request> {
  readonly #limit: RateLimit;
  readonly #options: RequestLimitOptions<Request>;

  constructor(limit: RateLimit, options: RequestLimitOptions<Request>) {
    checkOptions("rate limit of requests", options ?? null, OPTIONS);
    for (const name of ["key", "cost", "skip"] as const)
      if (typeof options[name] !== "function" && (name === "key" || options[name] !== undefined))
        throw new InvalidArgumentError(`rate limit of requests: ${name} must be a function of the request`);
    checkFunction("rate limit of requests: consume of the limit", (limit as Partial<RateLimit> | null)?.consume);
    const { status = 429, message = "" } = options;
    if (!Number.isInteger(status) || status < 400 || status > 599)
      throw new InvalidArgumentError(`rate limit of requests: status must be from 400 to 599, got ${shown(status)}`);
    if (!["string", "object", "function"].includes(typeof message) || message === null)
      throw new InvalidArgumentError(
        `rate limit of requests: message must be text, an object or a function of the request, got ${shown(message)}`,
      );
    this.#limit = limit;
    this.#options = options;
  }

  /** @returns `undefined` for a request that is skipped */
  async ask(request: Request): Promise<Passage | undefined> {
    const { key: keyOf, cost, skip } = this.#options;
    if ((await skip?.(request)) === true) return undefined;
    const key = await keyOf(request);
    if (key === undefined)
      throw new InvalidArgumentError("rate limit of requests: key(request) must be text, got undefined");
    const result = await this.#limit.consume(key, await cost?.(request));
    return {
      result,
      refusal: result.allowed ? undefined : await this.#refuse(request, result),
      release: () => {
        if (result.lease !== undefined) releaseBehind(this.#limit, key, result.lease);
      },
    };
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

function releaseAtEnd(response: ServerResponse, passage: Passage): void {
  // A client that has gone meanwhile: its response has ended already.
  if (response.destroyed) passage.release();
  else response.once("close", () => passage.release());
}
