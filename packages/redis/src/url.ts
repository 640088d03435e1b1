import { InvalidArgumentError } from "@hotset/core";
import type { Address } from "./connection/session.ts";

/** A parsed Redis URL. Never print it: it may hold a password. */
export interface RedisUrl {
  readonly address: Address;
  readonly isTls: boolean;
  readonly username?: string;
  readonly password?: string;
  readonly database: number;
}

const ACCEPTED =
  "give redis://host:port/db, rediss://host:port/db or unix:///path/to/socket?db=n, with user:password@ in front of the host if needed";

export const REDIS_PORT = 6_379;
export const SENTINEL_PORT = 26_379;

/**
 * @param option names the setting in errors, which never quote the URL.
 * @throws {InvalidArgumentError} for anything but a Redis URL.
 * @see https://www.iana.org/assignments/uri-schemes/prov/redis
 */
export function parseUrl(option: string, given: string | URL, defaultPort: number = REDIS_PORT): RedisUrl {
  const fail = (problem: string): never => {
    throw new InvalidArgumentError(`${option}: ${problem}; ${ACCEPTED}`);
  };
  const text =
    typeof given === "string"
      ? given
      : given instanceof URL
        ? given.href
        : fail(`must be a URL, got ${given === null ? "null" : `a value of type ${typeof given}`}`);
  const decode = (part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      return fail("a % in user, password or path is not followed by two hexadecimal digits");
    }
  };
  const credentials = (username: string, password: string) => ({
    ...(username === "" ? undefined : { username: decode(username) }),
    ...(password === "" ? undefined : { password: decode(password) }),
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
    return fail("the scheme must be redis:, rediss: or unix:");
  if (url.hostname === "") return fail("it has no host");
  if (url.search !== "" || url.hash !== "") return fail("it must have neither a query nor a fragment");
  return {
    address: {
      host: decode(url.hostname.replace(/^\[(.*)\]$/, "$1")),
      port: url.port === "" ? defaultPort : Number(url.port),
    },
    isTls: url.protocol === "rediss:",
    ...credentials(url.username, url.password),
    database: database(url.pathname.replace(/^\//, "")),
  };
}
