import { LoadTimeoutError, type Awaitable, type LoadContext } from "@hotset/core";
import { inLoadOfNoCall, within } from "@hotset/core/internal";
import type { CacheStatus } from "../semantics/cache-status.ts";
import { joinedOf, type Head } from "../semantics/fields.ts";
import type { OriginFailure } from "../semantics/reuse.ts";
import { forwarded, outgoing, type Addressee } from "./answer.ts";
import {
  discardLate,
  PASSED,
  signalOf,
  untilAborted,
  type AnswerOptions,
  type OriginContext,
  type PlainRequest,
  type PlainResponse,
} from "./messages.ts";
import type { Plan } from "./options.ts";
import type { Visit } from "./visit.ts";

/** The origin answered with an error: the client it was asked for gets that where nothing stored may answer. */
export class OriginAnsweredError extends Error {
  override readonly name = "OriginAnsweredError";
  readonly failure: OriginFailure;
  readonly #responses: Map<PlainRequest, PlainResponse>;

  constructor(response: PlainResponse, failure: OriginFailure, request: PlainRequest) {
    super(`the origin answered with ${response.status}`);
    this.failure = failure;
    this.#responses = new Map([[request, response]]);
  }

  /** The response, once, for the client of this request: it may be private, and its body can be read once. */
  take(request: PlainRequest): PlainResponse | undefined {
    const response = this.#responses.get(request);
    this.#responses.delete(request);
    return response;
  }
}

/**
 * Asks the origin on behalf of all callers, in the async context of none: a user or a tenant that middleware keeps there
 * must not shape what others get. The signal that it gets aborts when the head takes longer than `loadTimeout`, and as
 * the load itself is aborted.
 *
 * @param whenLate called after `loadTimeout`. The load continues until the signal that it returns aborts; without one
 *   it ends.
 */
export function askForAll(
  visit: Visit,
  ctx: Pick<LoadContext, "signal" | "background">,
  request: PlainRequest,
  { clock, loadTimeoutMs, ofOneClient }: Pick<Plan, "clock" | "loadTimeoutMs" | "ofOneClient">,
  whenLate: () => AbortSignal | undefined,
): Promise<PlainResponse> {
  const controller = new AbortController();
  const abort = (): void => controller.abort(ctx.signal.reason);
  if (ctx.signal.aborted) abort();
  ctx.signal.addEventListener("abort", abort, { once: true });
  const context: OriginContext = {
    background: ctx.background,
    shared: true,
    signal: controller.signal,
    onInformation: ctx.background ? undefined : visit.call.onInformation,
  };
  const answer = (async () => {
    const runAs = ofOneClient?.(visit.request);
    const ask = (): Awaitable<PlainResponse> => visit.origin(request, context);
    return inLoadOfNoCall(() => (runAs === undefined ? ask() : runAs(ask)));
  })();
  return within(clock, loadTimeoutMs, answer, () => {
    const unwanted = whenLate();
    if (unwanted !== undefined) {
      const end = (): void => controller.abort(unwanted.reason);
      if (unwanted.aborted) end();
      unwanted.addEventListener("abort", end, { once: true });
      // With its head they have a response, whose body each of them reads or leaves.
      return untilAborted(answer, { signal: unwanted }).finally(() => unwanted.removeEventListener("abort", end));
    }
    discardLate(answer);
    const error = new LoadTimeoutError(`no response within loadTimeout, ${loadTimeoutMs} ms`, { operation: "load" });
    controller.abort(error);
    throw error;
  });
}

type Alone = Pick<Visit, "origin" | "request" | "call">;

/** One client, whose answer is passed on to it. */
export interface Passing extends Alone, Addressee {}

/** The origin is asked for one client. A class: an accessor of a literal would give each object a hidden class. */
class AloneContext implements OriginContext {
  readonly background = false;
  readonly shared = false;
  readonly onHead: OriginContext["onHead"];
  readonly statusOf: OriginContext["statusOf"];
  readonly #call: AnswerOptions;

  constructor(call: AnswerOptions, { onHead, statusOf }: Pick<OriginContext, "onHead" | "statusOf">) {
    this.#call = call;
    this.onHead = onHead;
    this.statusOf = statusOf;
  }

  /** Made for an origin that asks for it. */
  get signal(): AbortSignal {
    return signalOf(this.#call) ?? new AbortController().signal;
  }

  get onInformation(): OriginContext["onInformation"] {
    return this.#call.onInformation;
  }
}

/** Asks the origin for its own caller alone, with the request as it came. */
export const askAlone = (
  { origin, request, call }: Alone,
  on: Pick<OriginContext, "onHead" | "statusOf">,
): Awaitable<PlainResponse> => origin(request, new AloneContext(call, on));

type Judge = (head: Head) => { readonly status: CacheStatus; readonly ageMs?: number };

/** What is sent along with an answer, by its head. Most heads stay as they are, but for their Cache-Status. */
export const statusBy =
  (to: Addressee, judge: Judge): NonNullable<OriginContext["statusOf"]> =>
  (head) => {
    const fields = outgoing(to, head.fields, undefined, judge(head).status);
    const { cdn, tagFields } = to.rule.settings;
    const isKept = cdn === undefined && !head.fields.some(([name]) => tagFields.has(name));
    return isKept ? joinedOf(fields, "cache-status") : fields;
  };

/**
 * As {@link askAlone}, for an answer of which nothing is stored, however it may be: it need not wait for the cache.
 *
 * @param judge called once, with its head: how it is forwarded.
 */
export async function passOn(to: Passing, judge: Judge): Promise<PlainResponse> {
  const asked = askAlone(to, { onHead: statusBy(to, judge) });
  const response = "status" in asked ? asked : await untilAborted(Promise.resolve(asked), to.call);
  if (response.status === PASSED.status) return response;
  const { status, ageMs = 0 } = judge(response);
  return forwarded(to, response, ageMs, status);
}
