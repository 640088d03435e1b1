import type { CdnField } from "./cdn-keys.ts";

/** A CDN in front of this cache: the field with the keys of a page, and how those are purged. */
export interface Cdn {
  /** Names it in events and errors. */
  readonly name: string;
  /** Where it finds the keys of a page. */
  readonly field: CdnField;
  /** Fields that tell it how long to keep a response, with `ttlMs`. */
  readonly controls: readonly string[];
  /** How long it may keep a response that is stored here; `undefined`: as the response says. */
  readonly ttlMs: number | undefined;
  /** After this time each purge is sent again, for responses that were on their way to the CDN; 0: it is not. */
  readonly settleMs: number;
  /** How long the caller of a purge waits for the CDN. Then the purge is pending. */
  readonly timeoutMs: number;
  /** The most keys of one call. */
  readonly keysPerCall: number;
  /** The most bytes of all keys of one call. */
  readonly bytesPerCall: number;
  /**
   * Purges the responses with any of these keys, in one call.
   *
   * @throws where the CDN has not confirmed it. A `retryAfterMs` of the error is respected.
   */
  readonly purge: (
    keys: readonly string[],
    options: { readonly soft: boolean; readonly signal: AbortSignal },
  ) => Promise<void>;
}
