import { LoadTimeoutError, type Clock, type LoadContext } from "@hotset/core";
import type { FieldLines } from "../semantics/fields.ts";
import type { OriginFailure } from "../semantics/reuse.ts";
import { discardLate, type PlainResponse } from "./messages.ts";
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
 * Asks the origin on behalf of all callers: a GET with `fields` in place of those of the client.
 * Its signal aborts when the head takes too long. Once that is there, it aborts only as the load itself is aborted.
 */
export async function ask(
  visit: Visit,
  ctx: Pick<LoadContext, "signal" | "background">,
  fields: FieldLines,
  { clock, loadTimeoutMs }: { readonly clock: Clock; readonly loadTimeoutMs: number },
): Promise<PlainResponse> {
  const { request, origin } = visit;
  const controller = new AbortController();
  const abort = (): void => controller.abort(ctx.signal.reason);
  if (ctx.signal.aborted) abort();
  ctx.signal.addEventListener("abort", abort, { once: true });
  const answer = (async () =>
    origin(
      { ...request, method: "GET", fields },
      {
        background: ctx.background,
        shared: true,
        signal: controller.signal,
        onInformation: ctx.background ? undefined : visit.call.onInformation,
      },
    ))();
  let cancel = (): void => undefined;
  const late = new Promise<never>((_, reject) => {
    cancel = clock.schedule(() => {
      discardLate(answer);
      const error = new LoadTimeoutError(`no response within loadTimeout, ${loadTimeoutMs} ms`, { operation: "load" });
      controller.abort(error);
      reject(error);
    }, loadTimeoutMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    cancel();
  }
}

/** Asks the origin for its own caller alone, with the request as it came. */
export async function askAlone(visit: Visit, { signal }: Pick<LoadContext, "signal">): Promise<PlainResponse> {
  const { onInformation } = visit.call;
  return visit.origin(visit.request, { background: false, shared: false, signal, onInformation });
}
