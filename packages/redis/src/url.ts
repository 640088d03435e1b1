import { InvalidArgumentError } from "@hotset/core";
import type { Address } from "./connection/session.ts";

/** What a Redis URL says. Never print it: it may hold a password. */
export interface RedisUrl {
  readonly address: Address;
  readonly isTls: boolean;
  readonly username?: string;
  readonly password?: string;
  readonly database: number;
}

const ACCEPTED =
  "give redis://host:port/db, rediss://host:port/db or unix:///path/to/socket?db=n, with user:password@ in front of the host where needed";

export const REDIS_PORT = 6_379;
export const SENTINEL_PORT = 26_379;

/**
 * @param option names the setting in errors, which never quote the URL.
 * @throws {InvalidArgumentError} for what is no Redis URL.
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
        : fail(`a ${given === null ? "null" : typeof given} is no URL`);
  const decode = (part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      return fail("user, password or path hold a % that is not followed by two hexadecimal digits");
    }
  };
  const credentials = (username: string, password: string) => ({
    ...(username === "" ? undefined : { username: decode(username) }),
    ...(password === "" ? undefined : { password: decode(password) }),
  });
  const database = (digits: string): number =>
    digits === "" ? 0 : /^\d{1,9}$/.test(digits) ? Number(digits) : fail("the database is no whole number");

  if (/^unix:/i.test(text)) {
    // The URL class refuses credentials without a host.
    const match =
      /^unix:\/\/(?:([^:@/?#]*)(?::([^@/?#]*))?@)?(\/[^?#]+)(?:\?db=([^&#]*))?$/i.exec(text) ??
      fail("this is no unix URL");
    return {
      address: { path: decode(match[3]!) },
      isTls: false,
      ...credentials(match[1] ?? "", match[2] ?? ""),
      database: database(match[4] ?? ""),
    };
  }
  if (!URL.canParse(text)) return fail("this is no URL");
  const url = new URL(text);
  if (url.protocol !== "redis:" && url.protocol !== "rediss:")
    return fail(`its scheme is ${JSON.stringify(url.protocol)}`);
  if (url.hostname === "") return fail("it names no host");
  if (url.search !== "" || url.hash !== "") return fail("it has a query or a fragment, which mean nothing here");
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
