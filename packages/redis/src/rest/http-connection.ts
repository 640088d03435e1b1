import { ConfigurationError, InvalidArgumentError, MissingConnectionError } from "@hotset/core";
import { checkNames, FUNCTION, readOption, readOptions, text, wholeNumber, type Option } from "@hotset/core/internal";
import { sharedConnection, type HttpConnection } from "../held-connection.ts";
import { RestLink, restServers } from "./rest-link.ts";

/** A Redis that is reached over HTTP. */
export interface HttpOptions {
  /**
   * The address of the service: `https:`, or `http:` for a proxy in your network.
   *
   * @default the environment variable `UPSTASH_REDIS_REST_URL`, else `KV_REST_API_URL`
   */
  readonly url?: string | URL | undefined;
  /**
   * Sent with each request. It must be allowed to write.
   *
   * @default the environment variable `UPSTASH_REDIS_REST_TOKEN`, else `KV_REST_API_TOKEN`
   */
  readonly token?: string | undefined;
  /** Sends the requests. @default the global `fetch` */
  readonly fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
  /**
   * The most bytes that the service takes in one request. Commands are divided accordingly, and an entry has less than
   * half of it.
   *
   * @default 1_000_000
   */
  readonly maxRequestBytes?: number | undefined;
}

/** The least that one script with its arguments takes. */
const LEAST_REQUEST_BYTES = 65_536;

/**
 * Redis over HTTP, as several hosted services and open proxies offer it: a POST of a command as JSON, `/pipeline`, a
 * bearer token, and replies in base64 (`Upstash-Encoding`). Needs web globals alone, and opens nothing.
 *
 * @throws {MissingConnectionError} without a URL or a token.
 * @throws {InvalidArgumentError} for an option that can never work.
 * @throws {ConfigurationError} for an option that does not exist.
 */
export function http(options: HttpOptions = {}): HttpConnection {
  checkNames(options, ["url", "token", ...Object.keys(LIMITS)], { place: "http(options)" });
  const url = urlOf(options.url ?? fromEnvironment("REDIS_REST_URL", "REST_API_URL"));
  const token: unknown = options.token ?? fromEnvironment("REDIS_REST_TOKEN", "REST_API_TOKEN");
  if (token === undefined) throw new MissingConnectionError(`http: no token; ${GIVE}`);
  // Not by a rule: the message must not contain the token.
  if (typeof token !== "string" || !/^[!-~]+$/.test(token))
    throw new InvalidArgumentError(
      "http: token must be a non-empty string of printable ASCII characters without spaces",
    );
  const { maxRequestBytes } = readOptions(options, LIMITS, "http: ");
  const { fetch } = options;
  return sharedConnection("http", (settings) => {
    if (settings.connects.length > 0)
      throw new ConfigurationError(
        `redis: ${settings.connects.join(", ")} cannot be set with http(options): there is no connection to open`,
      );
    const link = new RestLink({ ...settings, url, token, fetch, maxRequestBytes });
    return { link, servers: restServers(link) };
  });
}

const TEXT = text("");
const LIMITS = {
  fetch: FUNCTION,
  maxRequestBytes: wholeNumber(1_000_000, LEAST_REQUEST_BYTES, Infinity),
} satisfies Record<Exclude<keyof HttpOptions, "url" | "token">, Option>;

const GIVE =
  "give http({ url, token }), or set UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN, or KV_REST_API_URL and " +
  "KV_REST_API_TOKEN";

function fromEnvironment(first: string, second: string): string | undefined {
  const env = (globalThis as { readonly process?: { readonly env?: Readonly<Record<string, string | undefined>> } })
    .process?.env;
  return env?.[`UPSTASH_${first}`] ?? env?.[`KV_${second}`];
}

function urlOf(given: string | URL | undefined): string {
  if (given === undefined) throw new MissingConnectionError(`http: no url; ${GIVE}`);
  const url = URL.parse(typeof given === "string" ? readOption(given, "http: url", TEXT) : given.href);
  // Not quoted: it may hold a secret.
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new InvalidArgumentError(
      'http: url must be an https: or http: URL, such as "https://redis.example"; for redis: URLs use redis(url)',
    );
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    throw new InvalidArgumentError("http: url must have no user, no password, no ? and no #: give the secret as token");
  return url.href.replace(/\/+$/, "");
}
