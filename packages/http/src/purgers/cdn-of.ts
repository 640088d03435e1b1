import { BackendUnavailableError, ConfigurationError, type Duration } from "@hotset/core";
import { checkNames, readOptions, wholeMs } from "@hotset/core/internal";
import type { CdnField } from "../cache/cdn-keys.ts";
import type { Cdn } from "../cache/cdn.ts";

/** Options of each CDN. */
export interface CdnOptions {
  /**
   * How long the CDN may keep a page that is stored here, sent as `CDN-Cache-Control`, and to Fastly as
   * `Surrogate-Control`, unless the response has that itself. @default as the response says
   */
  readonly ttl?: Duration | undefined;
  /**
   * After this time each purge is sent again: a page that was on its way to the CDN may be older than the purge. `0`: it
   * is not sent again. @default '2s'
   */
  readonly settle?: Duration | undefined;
  /** How long a call of the CDN may take, and the caller of a purge waits for it. @default '10s' */
  readonly timeout?: Duration | undefined;
  /** Where its API is, for a proxy or a test. */
  readonly endpoint?: string | undefined;
}

/** One HTTP request that purges. */
export interface PurgeCall {
  /** In upper case. */
  readonly method: string;
  /** Absolute. */
  readonly url: string;
  /** With those that name the caller. */
  readonly headers: Readonly<Record<string, string>>;
  /** @default none */
  readonly body?: string | undefined;
}

/** What differs between CDNs. */
export interface CdnTable {
  /** For events and errors. */
  readonly name: string;
  /** Where it finds the keys of a page. */
  readonly field: CdnField;
  /** Fields that tell it how long to keep a response. @default ['cdn-cache-control'] */
  readonly controls?: readonly string[] | undefined;
  /** The most keys of one call. */
  readonly keysPerCall: number;
  /** The most bytes of the keys of one call. @default 16,000 */
  readonly bytesPerCall?: number | undefined;
  /** The requests that purge these keys; all have to succeed. An error that it throws is one of the purge. */
  readonly calls: (keys: readonly string[], soft: boolean) => readonly PurgeCall[] | Promise<readonly PurgeCall[]>;
  /** Whether the body of an answer with 2xx says that nothing was purged. Throws nothing. @default never */
  readonly refuses?: ((body: string) => boolean) | undefined;
}

/** A CDN that did not confirm a purge. It names the CDN and the status of its answer, and neither keys nor secrets. */
export class CdnError extends BackendUnavailableError {
  /** The status of the answer; absent without one. */
  declare readonly status: number | undefined;
  /** How long the CDN asks to wait, from `Retry-After`. */
  declare readonly retryAfterMs: number | undefined;

  constructor(
    name: string,
    problem: string,
    of: {
      readonly status?: number | undefined;
      readonly retryAfterMs?: number | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(`${name}: ${problem}`, { tier: name, operation: "purge", cause: of.cause });
    if (of.status !== undefined) this.status = of.status;
    if (of.retryAfterMs !== undefined) this.retryAfterMs = of.retryAfterMs;
  }
}

/**
 * A CDN out of its table.
 *
 * @throws {ConfigurationError} for a bad option.
 */
export function cdnOf(table: CdnTable, options: CdnOptions = {}): Cdn {
  const { name, field, controls = ["cdn-cache-control"], keysPerCall, bytesPerCall = 16_000 } = table;
  const { timeout, settle, ttl } = readOptions(options, TIMES, `${name}: `, ConfigurationError);
  return {
    name,
    field,
    controls,
    keysPerCall,
    bytesPerCall,
    timeoutMs: timeout,
    settleMs: settle,
    ttlMs: ttl,
    purge: async (keys, { soft, signal }) => {
      const calls = await table.calls(keys, soft);
      await Promise.all(calls.map((call) => send(table, call, signal)));
    },
  };
}

async function send({ name, refuses }: CdnTable, { url, ...call }: PurgeCall, signal: AbortSignal): Promise<void> {
  let response: Response;
  let body: string;
  try {
    // A redirect would carry the token to another server.
    response = await fetch(url, { ...call, signal, redirect: "manual" } as RequestInit);
    body = await response.text();
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw new CdnError(name, "could not be reached; see cause", { cause: error });
  }
  const { status, ok } = response;
  if (ok && refuses?.(body) !== true) return;
  throw new CdnError(name, ok ? "did not purge" : `answered ${status} to a purge`, {
    status,
    retryAfterMs: retryAfterMs(response.headers.get("retry-after")),
  });
}

/** Seconds, or an instant (RFC 9110, section 10.2.3). */
function retryAfterMs(field: string | null): number | undefined {
  if (field === null) return undefined;
  if (/^\d+$/.test(field.trim())) return Number(field) * 1_000;
  const at = Date.parse(field);
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}

const TIMES = { timeout: wholeMs(10_000, 0), settle: wholeMs(2_000, 0), ttl: wholeMs(undefined, 0) };

/** Checks the names of options, and that each of these texts is there. */
export function checkOptions(name: string, options: object, texts: readonly string[], others: readonly string[]): void {
  checkNames(options, [...texts, ...others, ...COMMON], { place: name });
  for (const each of texts) {
    const text: unknown = (options as Record<string, unknown>)[each];
    if (typeof text !== "string" || !/^[!-~]+$/.test(text))
      throw new ConfigurationError(`${name}: ${each} must be a text without spaces`);
  }
}

/** Without a slash at the end. Credentials in a URL would be in errors. */
export function endpointOf(name: string, given: string): string {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "")
    throw new ConfigurationError(`${name}: endpoint must be an http or https URL without credentials`);
  return given.endsWith("/") ? given.slice(0, -1) : given;
}

const COMMON = [...Object.keys(TIMES), "endpoint"];
