import { LoadTimeoutError, type Clock, type LoadContext } from "@hotset/core";
import { without, type FieldLines } from "../semantics/fields.ts";
import { CONDITIONAL_FIELDS } from "../semantics/validators.ts";
import type { PlainResponse } from "./messages.ts";
import type { Visit } from "./visit.ts";

/** The origin answered with an error of its own: its caller gets that response where nothing stored may answer. */
export class OriginAnsweredError extends Error {
  override readonly name = "OriginAnsweredError";
  readonly response: PlainResponse;
  /** Whether a caller has it: its body can be read once. */
  isTaken = false;

  constructor(response: PlainResponse) {
    super(`the origin answered with ${response.status}`);
    this.response = response;
  }
}

/**
 * Asks the origin on behalf of all callers: a GET with `conditions` in place of the client's own conditions and ranges.
 * Its signal aborts when the head takes too long. Once that is there, it aborts only as the load itself is aborted.
 */
export async function ask(
  visit: Visit,
  ctx: Pick<LoadContext, "signal" | "background">,
  conditions: FieldLines,
  { clock, loadTimeoutMs }: { readonly clock: Clock; readonly loadTimeoutMs: number },
): Promise<PlainResponse> {
  const { request, origin } = visit;
  const controller = new AbortController();
  const abort = (): void => controller.abort(ctx.signal.reason);
  if (ctx.signal.aborted) abort();
  ctx.signal.addEventListener("abort", abort, { once: true });
  let cancel = (): void => undefined;
  const late = new Promise<never>((_, reject) => {
    cancel = clock.schedule(() => {
      const error = new LoadTimeoutError(`no response within loadTimeout, ${loadTimeoutMs} ms`, { operation: "load" });
      controller.abort(error);
      reject(error);
    }, loadTimeoutMs);
  });
  const fields = [...without(request.fields, CONDITIONAL_FIELDS), ...conditions];
  try {
    const answer = Promise.resolve(
      origin(
        { ...request, method: "GET", fields },
        {
          background: ctx.background,
          signal: controller.signal,
          onInformation: ctx.background ? undefined : visit.call.onInformation,
        },
      ),
    );
    return await Promise.race([answer, late]);
  } finally {
    cancel();
  }
}
