import { LoadTimeoutError, type Clock, type LoadContext } from "@hotset/core";
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
 * Asks the origin on behalf of all callers. The signal that it gets aborts when the head takes too long while others
 * wait. Once that is there, it aborts only as the load itself is aborted.
 *
 * @param isAlone whether no other client waits: then this one decides how long.
 */
export async function askForAll(
  visit: Visit,
  ctx: Pick<LoadContext, "signal" | "background">,
  request: PlainRequest,
  { clock, loadTimeoutMs }: { readonly clock: Clock; readonly loadTimeoutMs: number },
  isAlone: () => boolean,
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
  let cancel = (): void => undefined;
  const late = new Promise<never>((_, reject) => {
    const wait = (): void => {
      cancel = clock.schedule(() => {
        if (isAlone()) return wait();
        discardLate(answer);
        const error = new LoadTimeoutError(`no response within loadTimeout, ${loadTimeoutMs} ms`, {
          operation: "load",
        });
        controller.abort(error);
        reject(error);
      }, loadTimeoutMs);
    };
    wait();
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    cancel();
  }
}

/** Asks the origin for its own caller alone, with the request as it came. */
export async function askAlone(
  { origin, request, call }: Pick<Visit, "origin" | "request" | "call">,
  signal: AbortSignal = signalOf(call) ?? new AbortController().signal,
): Promise<PlainResponse> {
  return origin(request, { background: false, shared: false, signal, onInformation: call.onInformation });
}
