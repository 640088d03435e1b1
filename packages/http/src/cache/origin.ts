import { LoadTimeoutError, type Clock, type LoadContext } from "@hotset/core";
import { within } from "@hotset/core/internal";
import type { OriginFailure } from "../semantics/reuse.ts";
import { discardLate, signalOf, type PlainRequest, type PlainResponse } from "./messages.ts";
import type { Visit } from "./visit.ts";

/** The origin answered with an error: its caller gets that response where nothing stored may answer. */
export class OriginAnsweredError extends Error {
  override readonly name = "OriginAnsweredError";
  readonly failure: OriginFailure;
  #response: PlainResponse | undefined;

  constructor(response: PlainResponse, failure: OriginFailure) {
    super(`the origin answered with ${response.status}`);
    this.failure = failure;
    this.#response = response;
  }

  /** The response for the first that asks: its body can be read once. */
  take(): PlainResponse | undefined {
    const response = this.#response;
    this.#response = undefined;
    return response;
  }
}

/**
 * Asks the origin on behalf of all callers. The signal that it gets aborts when the head takes longer than
 * `loadTimeout`, and as the load itself is aborted.
 *
 * @param endForOthers called after `loadTimeout`: `true` if one client alone waits for the answer. The load has ended
 *   then, and the client decides how long it waits.
 */
export function askForAll(
  visit: Visit,
  ctx: Pick<LoadContext, "signal" | "background">,
  request: PlainRequest,
  { clock, loadTimeoutMs }: { readonly clock: Clock; readonly loadTimeoutMs: number },
  endForOthers: () => boolean,
): Promise<PlainResponse> {
  const controller = new AbortController();
  const abort = (): void => controller.abort(ctx.signal.reason);
  if (ctx.signal.aborted) abort();
  ctx.signal.addEventListener("abort", abort, { once: true });
  const answer = (async () =>
    visit.origin(request, {
      background: ctx.background,
      shared: true,
      signal: controller.signal,
      onInformation: ctx.background ? undefined : visit.call.onInformation,
    }))();
  return within(clock, loadTimeoutMs, answer, () => {
    if (endForOthers()) {
      const signal = signalOf(visit.call);
      signal?.addEventListener("abort", () => controller.abort(signal.reason), { once: true });
      return answer;
    }
    discardLate(answer);
    const error = new LoadTimeoutError(`no response within loadTimeout, ${loadTimeoutMs} ms`, { operation: "load" });
    controller.abort(error);
    throw error;
  });
}

/** Asks the origin for its own caller alone, with the request as it came. */
export async function askAlone({
  origin,
  request,
  call,
}: Pick<Visit, "origin" | "request" | "call">): Promise<PlainResponse> {
  const signal = signalOf(call) ?? new AbortController().signal;
  return origin(request, { background: false, shared: false, signal, onInformation: call.onInformation });
}
