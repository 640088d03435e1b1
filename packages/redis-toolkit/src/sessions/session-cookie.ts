import { InvalidArgumentError } from "@hotset/core";
import { checkOptions } from "../module/module.ts";

/** How the cookie of a session is written. */
export interface SessionCookieOptions {
  /** @default 'sid' */
  readonly name?: string | undefined;
  /** @default '/' */
  readonly path?: string | undefined;
  /** @default none: the host that answers */
  readonly domain?: string | undefined;
  /** `false` for plain HTTP beyond localhost. @default true */
  readonly secure?: boolean | undefined;
  /** @default 'lax' */
  readonly sameSite?: "strict" | "lax" | "none" | undefined;
}

const OPTIONS = ["name", "path", "domain", "secure", "sameSite"];
const SAME_SITE = { strict: "Strict", lax: "Lax", none: "None" } as const;
/** RFC 6265: a token, and attributes without separators. */
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
const ATTRIBUTE = /^[^\p{Cc};]*$/u;

/** The cookie that carries an id: only HTTP may read it, and it ends with its session. */
export class SessionCookie {
  readonly #name: string;
  readonly #attributes: string;

  /** @throws {InvalidArgumentError} for options that can never work. */
  constructor(options: SessionCookieOptions = {}) {
    checkOptions("the options of the cookie", options, OPTIONS);
    const { name = "sid", path = "/", domain, secure = true, sameSite = "lax" } = options;
    if (typeof name !== "string" || !TOKEN.test(name))
      throw new InvalidArgumentError("name must be letters, digits and characters of a token, as RFC 6265 has it");
    if (typeof sameSite !== "string" || !Object.hasOwn(SAME_SITE, sameSite))
      throw new InvalidArgumentError('sameSite must be "strict", "lax" or "none"');
    if (typeof secure !== "boolean") throw new InvalidArgumentError("secure must be true or false");
    if (sameSite === "none" && !secure)
      throw new InvalidArgumentError('sameSite: "none" needs secure: browsers refuse such a cookie');
    for (const [option, value] of Object.entries({ path, domain }))
      if (value !== undefined && (typeof value !== "string" || !ATTRIBUTE.test(value)))
        throw new InvalidArgumentError(`${option} must be text without control characters and semicolons`);
    this.#name = name;
    this.#attributes = [
      `Path=${path}`,
      ...(domain === undefined ? [] : [`Domain=${domain}`]),
      "HttpOnly",
      ...(secure ? ["Secure"] : []),
      `SameSite=${SAME_SITE[sameSite]}`,
    ].join("; ");
  }

  /** The id in the header `Cookie`: the first of its name. */
  read(header: string | undefined): string | undefined {
    for (const pair of header?.split(";") ?? []) {
      const equals = pair.indexOf("=");
      if (pair.slice(0, equals).trim() === this.#name) return pair.slice(equals + 1).trim();
    }
    return undefined;
  }

  /** The header `Set-Cookie`; a life of 0 removes the cookie. */
  write(id: string, lifeMs: number): string {
    return `${this.#name}=${id}; Max-Age=${Math.round(lifeMs / 1_000)}; ${this.#attributes}`;
  }
}
