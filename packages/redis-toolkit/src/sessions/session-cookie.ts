import { InvalidArgumentError } from "@hotset/core";
import { flag, oneOf, option, type Option } from "@hotset/core/internal";
import { optionsOf } from "../module/module.ts";

/** How the cookie of a session is written. */
export interface SessionCookieOptions {
  /** Name of the cookie. @default 'sid' */
  readonly name?: string | undefined;
  /** Attribute `Path`. @default '/' */
  readonly path?: string | undefined;
  /** Attribute `Domain`. @default none: the host that answers */
  readonly domain?: string | undefined;
  /** Attribute `Secure`: `false` for plain HTTP beyond localhost. @default true */
  readonly secure?: boolean | undefined;
  /** Attribute `SameSite`; `"none"` needs `secure`. @default 'lax' */
  readonly sameSite?: "strict" | "lax" | "none" | undefined;
}

const SAME_SITE = { strict: "Strict", lax: "Lax", none: "None" } as const;
/** RFC 6265: a token, and attributes without separators. */
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
const ATTRIBUTE = /^[^\p{Cc};]*$/u;

const matching = <Default extends string | undefined>(byDefault: Default, pattern: RegExp, accepts: string) =>
  option(accepts, (given) => typeof given === "string" && pattern.test(given), byDefault as string | Default);
const PLAIN = "text without control characters and semicolons";

const TABLE = {
  name: matching("sid", TOKEN, "letters, digits and characters of a token, as RFC 6265 has it"),
  path: matching("/", ATTRIBUTE, PLAIN),
  domain: matching(undefined, ATTRIBUTE, PLAIN),
  secure: flag(true),
  sameSite: oneOf("lax", "strict", "none"),
} satisfies Record<keyof SessionCookieOptions, Option>;

/** How many cookies of one name are looked at. */
const MAX_COOKIES = 8;

/** The cookie that carries an id: only HTTP may read it, and it ends with its session. */
export class SessionCookie {
  readonly #name: string;
  readonly #attributes: string;

  /** @throws {InvalidArgumentError} for options that can never work. */
  constructor(options: SessionCookieOptions = {}) {
    const { name, path, domain, secure, sameSite } = optionsOf("the options of the cookie", options, TABLE);
    if (sameSite === "none" && !secure)
      throw new InvalidArgumentError('sameSite: "none" needs secure: browsers refuse such a cookie');
    this.#name = name;
    this.#attributes = [
      `Path=${path}`,
      ...(domain === undefined ? [] : [`Domain=${domain}`]),
      "HttpOnly",
      ...(secure ? ["Secure"] : []),
      `SameSite=${SAME_SITE[sameSite]}`,
    ].join("; ");
  }

  /**
   * The ids in the header `Cookie`: after a change of `domain` or `path`, browsers send the former cookie too, and
   * first. Only the first few, as each costs a command.
   */
  read(header: string | undefined): readonly string[] {
    const ids = new Set<string>();
    for (const pair of header?.split(";") ?? []) {
      const equals = pair.indexOf("=");
      if (pair.slice(0, equals).trim() !== this.#name) continue;
      const id = pair.slice(equals + 1).trim();
      if (id !== "") ids.add(id);
      if (ids.size === MAX_COOKIES) break;
    }
    return [...ids];
  }

  /** The header `Set-Cookie`; a life of 0 removes the cookie. */
  write(id: string, lifeMs: number): string {
    return `${this.#name}=${id}; Max-Age=${Math.round(lifeMs / 1_000)}; ${this.#attributes}`;
  }
}
