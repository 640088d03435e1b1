import { InvalidArgumentError, type Awaitable } from "@hotset/core";
import { checkNames, kindOf, readOption, readOptions, refuse, text, wholeNumber } from "@hotset/core/internal";
import type { Address } from "./connection/session.ts";
import { checkTls, type TlsSource } from "./connection/tls.ts";
import { PASSWORD } from "./primitives/option-rules.ts";

/** Where one server is, in parts: nothing has to be encoded as in a URL. */
export interface ServerAddress {
  /** A name or an IP address. */
  readonly host: string;
  /** @default 6379 */
  readonly port?: number | undefined;
  /** Needs `password`. */
  readonly username?: string | undefined;
  /** A function is called at each connection attempt: for tokens that expire. */
  readonly password?: string | (() => Awaitable<string>) | undefined;
  /** @default 0 */
  readonly database?: number | undefined;
  /** `true`, or how: speaks TLS, as a `rediss:` URL does. @default false */
  readonly tls?: boolean | TlsSource | undefined;
}

/** A parsed Redis URL. Never print it: it may hold a password. */
export interface RedisUrl {
  readonly address: Address;
  readonly isTls: boolean;
  readonly username?: string;
  readonly password?: string;
  readonly database: number;
}

/** A {@link ServerAddress}, checked. */
export interface ParsedAddress extends Omit<RedisUrl, "isTls" | "password"> {
  readonly password?: string | (() => Awaitable<string>);
  readonly tls: TlsSource | undefined;
}

const ACCEPTED =
  "give redis://host:port/db, rediss://host:port/db or unix:///path/to/socket?db=n, with user:password@ in front of the host if needed";

const OVER_HTTP = "; for Redis over HTTP give http({ url, token }), of @hotset/redis/http";

/** Any other word may be a secret. */
const HOST_ALONE = /^(?:[a-z\d.-]+:\d{1,5}|localhost)$/i;

export const REDIS_PORT = 6_379;
export const SENTINEL_PORT = 26_379;

/**
 * @param option names the setting in errors, which never quote the URL.
 * @throws {InvalidArgumentError} for anything but a Redis URL.
 * @see https://www.iana.org/assignments/uri-schemes/prov/redis
 */
export function parseUrl(option: string, given: string | URL, defaultPort: number = REDIS_PORT): RedisUrl {
  const fail = (problem: string): never => {
    const meant = typeof given === "string" && HOST_ALONE.test(given) ? `; did you mean redis://${given}?` : "";
    throw new InvalidArgumentError(`${option}: ${problem}${meant}; ${ACCEPTED}`);
  };
  const text =
    typeof given === "string" ? given : given instanceof URL ? given.href : fail(`must be a URL, got ${kindOf(given)}`);
  const decode = (part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      return fail("a % in user, password or path is not followed by two hexadecimal digits");
    }
  };
  const credentials = (username: string, password: string) => ({
    ...(username === "" ? undefined : { username: decode(username) }),
    // The URL class drops an empty password, which is that of a user with `nopass`.
    ...(password === "" && !/^[a-z]+:\/\/[^:@/?#]+:@/i.test(text) ? undefined : { password: decode(password) }),
  });
  const database = (digits: string): number =>
    digits === "" ? 0 : /^\d{1,9}$/.test(digits) ? Number(digits) : fail("the database must be a whole number");

  if (/^unix:/i.test(text)) {
    // The URL class refuses credentials without a host.
    const match =
      /^unix:\/\/(?:([^:@/?#]*)(?::([^@/?#]*))?@)?(\/[^?#]+)(?:\?db=([^&#]*))?$/i.exec(text) ??
      fail("not a valid unix: URL");
    return {
      address: { path: decode(match[3]!) },
      isTls: false,
      ...credentials(match[1] ?? "", match[2] ?? ""),
      database: database(match[4] ?? ""),
    };
  }
  if (!URL.canParse(text)) return fail("not a valid URL");
  const url = new URL(text);
  if (url.protocol !== "redis:" && url.protocol !== "rediss:")
    // Not quoted: in a URL with a mistake it may be a user or a password.
    return fail(`the scheme must be redis:, rediss: or unix:${/^https?:$/.test(url.protocol) ? OVER_HTTP : ""}`);
  if (url.hostname === "") return fail("it has no host");
  if (url.search !== "" || url.hash !== "") return fail("it must have neither a query nor a fragment");
  return {
    address: { host: decode(withoutBrackets(url.hostname)), port: url.port === "" ? defaultPort : Number(url.port) },
    isTls: url.protocol === "rediss:",
    ...credentials(url.username, url.password),
    database: database(url.pathname.replace(/^\//, "")),
  };
}

/** An address of IPv6, as a socket takes it. */
const withoutBrackets = (host: string): string => host.replace(/^\[(.*)\]$/, "$1");

const HOST = text("");
const PARTS = {
  port: wholeNumber(REDIS_PORT, 1, 65_535),
  username: text(undefined),
  password: PASSWORD,
  database: wholeNumber(0, 0),
};
const ADDRESS_PARTS = ["host", "port", "username", "password", "database", "tls"];

/** Whether it is an address in parts: a plain object, which neither a client nor a connection is. */
export const isServerAddress = (given: unknown): given is ServerAddress =>
  typeof given === "object" && given !== null && [Object.prototype, null].includes(Object.getPrototypeOf(given));

/**
 * @throws {ConfigurationError} for an unknown part.
 * @throws {InvalidArgumentError} for a part that is missing or of a wrong kind; it shows no password.
 */
export function parseAddress(option: string, given: ServerAddress): ParsedAddress {
  checkNames(given, ADDRESS_PARTS, { place: option });
  const { tls = false } = given;
  const { port, username, password, database } = readOptions(given, PARTS, `${option}: `);
  const host = withoutBrackets(readOption(given.host, `${option}: host`, HOST));
  if (/[/@\s]/.test(host))
    throw new InvalidArgumentError(`${option}: host must be a name or an IP address alone; give a URL as text`);
  if (tls === null || Array.isArray(tls) || !["boolean", "function", "object"].includes(typeof tls))
    refuse(`${option}: tls`, tls, "true, false, an object of TLS options, or a function that returns one");
  if (typeof tls === "object") checkTls(option, tls);
  return {
    address: { host, port },
    ...(username === undefined ? undefined : { username }),
    ...(password === undefined ? undefined : { password }),
    database,
    tls: tls === true ? {} : tls === false ? undefined : tls,
  };
}
