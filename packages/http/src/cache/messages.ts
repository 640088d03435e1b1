import type { Awaitable } from "@hotset/core";
import type { FieldLines, Head } from "../semantics/fields.ts";

/** A request as plain data. */
export interface PlainRequest {
  /** In upper case. */
  readonly method: string;
  /** Absolute. */
  readonly url: string;
  /** Names and values, in their order. */
  readonly fields: FieldLines;
  /** Whether a body follows: such a request is forwarded. */
  readonly hasBody: boolean;
  /**
   * Whether a handler could see more of its client than these fields, such as its address: a load has none of that, and
   * what it gives may not be what its client would get. @default false
   */
  readonly hasConnection?: boolean | undefined;
  /** The mode of a client whose responses depend on it, if not the usual one: they are stored apart. */
  readonly credentials?: "omit" | "include" | undefined;
  /** As `cache` of `fetch`: what the program itself demands counts without `requestDirectives` too. */
  readonly cache?: "no-store" | "no-cache" | "reload" | "force-cache" | "only-if-cached" | undefined;
}

/** Bytes that are there already, or that still come. */
export type Body = Uint8Array | ReadableStream<Uint8Array> | null;

/** A response as plain data. */
export interface PlainResponse extends Head {
  /** Empty where the protocol has none. */
  readonly statusText: string;
  /** `null` for none. */
  readonly body: Body;
}

/**
 * The source of responses: a handler of this application, or another server. Rejects when it cannot be
 * reached; a response of any status is an answer.
 */
export type PlainOrigin = (request: PlainRequest, context: OriginContext) => Awaitable<PlainResponse>;

/** The circumstances of one request to the origin. */
export interface OriginContext {
  /** Whether no caller waits for the answer, and there is no connection to a client. */
  readonly background: boolean;
  /** Whether others may get the answer, too: then the request has no fields that name one client. */
  readonly shared: boolean;
  /** Aborts when the head takes longer than `loadTimeout`, when the cache closes, and as `onAbort` says. */
  readonly signal: AbortSignal;
  /** Takes interim answers (1xx): they go to the caller whose load this is, and are never stored. */
  readonly onInformation?: ((status: number, fields: FieldLines) => void) | undefined;
  /**
   * There if nothing has to wait for the cache: the answer may go to its client as it comes. With its head it gives what
   * to send along. An origin that calls it answers with {@link PASSED}.
   */
  readonly onHead?: ((head: Head) => SentAlong) | undefined;
  /**
   * What is sent along with this head, for an origin that sends it to its client once the cache has changed what is
   * stored. Throws nothing.
   */
  readonly statusOf?: ((head: Head) => SentAlong) | undefined;
}

/** The Cache-Status of an answer, if any; or all fields, in place of those of its head: with tags, or with a CDN. */
export type SentAlong = string | FieldLines | undefined;

/** The answer of an origin that goes to its client by itself, known by its status: each bundle has its own copy. */
export const PASSED: PlainResponse = { status: 0, statusText: "", fields: [], body: null };

/** Options of one call of `answer`. */
export interface AnswerOptions {
  /** Ends the wait of this caller, which rejects with its reason. A function is called once there is one. */
  readonly signal?: AbortSignal | (() => AbortSignal) | undefined;
  /** Receives the interim answers (1xx) of a load that this call began. */
  readonly onInformation?: ((status: number, fields: FieldLines) => void) | undefined;
  /** Receives a promise that resolves with the end of a load that this call began, for its host to wait for. */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined;
}

/** The signal of a call that waits. */
export const signalOf = ({ signal }: AnswerOptions): AbortSignal | undefined =>
  typeof signal === "function" ? signal() : signal;

/** Cancels a body without a reader: its source may hold a connection until then. */
export function discard(body: Body | undefined): void {
  if (body instanceof ReadableStream) void body.cancel().catch(ignore);
}

/** As {@link discard}, for an answer that may still come, without a caller that waits. */
export const discardLate = (answer: Promise<PlainResponse>): void =>
  void answer.then(({ body }) => discard(body), ignore);

/** The answer, unless its caller leaves first. */
export async function untilAborted(answer: Promise<PlainResponse>, call: AnswerOptions): Promise<PlainResponse> {
  const signal = signalOf(call);
  if (signal === undefined) return answer;
  if (signal.aborted) discardLate(answer);
  signal.throwIfAborted();
  let leave = (): void => undefined;
  const left = new Promise<never>((_, reject) => {
    leave = () => {
      discardLate(answer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
  });
  try {
    return await Promise.race([answer, left]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

/** A listener or handler of a user that fails changes nothing here. */
export const ignore = (): void => undefined;
