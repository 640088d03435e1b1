import { ConfigurationError, LoadTimeoutError } from "@hotset/core";
import type { AnswerOptions, HttpCache, PlainOrigin, PlainRequest, PlainResponse } from "./index.ts";

/** A server must know its origin: any client can send any Host. */
export function requireOrigin(cache: HttpCache, of: string): void {
  if (cache.isServer) return;
  throw new ConfigurationError(
    `${of}: say which origin this is: httpCache(namespace, { base: "https://shop.example" }), or hosts`,
  );
}

/** As `answer`, and 504 for a handler that takes longer than `loadTimeout` while others wait. */
export const answerInTime = (
  cache: HttpCache,
  request: PlainRequest,
  origin: PlainOrigin,
  call: AnswerOptions,
): Promise<PlainResponse> =>
  cache.answer(request, origin, call).catch((error: unknown) => {
    if (error instanceof LoadTimeoutError) return LATE;
    throw error;
  });

const NO_BODY = [["content-length", "0"]] as const;
const LATE: PlainResponse = { status: 504, statusText: "Gateway Timeout", fields: NO_BODY, body: null };
