import { InvalidArgumentError } from "@hotset/core";
import { kindOf } from "@hotset/core/internal";

/** Text, sent as UTF-8, or bytes. */
export type RedisArgument = string | Buffer;

const MAX_ID_LENGTH = 256;

/**
 * The keys and channels of one tenant, below `<id>:`; those of the root have no prefix.
 *
 * An id is written so that no other id can lead into its keys: all but letters, digits, `_`, `.` and `-` become `%` and
 * two hexadecimal digits for each byte of UTF-8. Methods other than `tenant` and `beside` throw nothing.
 */
export class KeySpace {
  /** All keys and channels. */
  static readonly root: KeySpace = new KeySpace("");

  /** Empty for the root. */
  readonly prefix: string;

  private constructor(prefix: string) {
    this.prefix = prefix;
  }

  /** A space inside this one. @throws {InvalidArgumentError} for an id that is not well-formed, empty, or too long. */
  tenant(id: string): KeySpace {
    if (typeof id !== "string" || id === "" || id.length > MAX_ID_LENGTH)
      throw new InvalidArgumentError(
        `tenant(id): the id must be text of 1 to ${MAX_ID_LENGTH} characters, got ${kindOf(id)}`,
      );
    // UTF-8 has no bytes for it: two tenants would be one.
    if (!id.isWellFormed())
      throw new InvalidArgumentError("tenant(id): the id must be well-formed text, got half of a surrogate pair");
    return new KeySpace(`${this.prefix}${encode(id)}:`);
  }

  /** Whether this is the key space of a tenant. */
  get isTenant(): boolean {
    return this.prefix !== "";
  }

  /** A key or channel of this space, as Redis has it. */
  inside<T extends RedisArgument>(name: T): T {
    if (this.prefix === "") return name;
    return (typeof name === "string" ? this.prefix + name : Buffer.concat([Buffer.from(this.prefix), name])) as T;
  }

  /** A key or channel of Redis as this space names it. */
  outside<T extends RedisArgument>(name: T): T {
    if (this.prefix === "") return name;
    if (typeof name === "string") return (name.startsWith(this.prefix) ? name.slice(this.prefix.length) : name) as T;
    const length = Buffer.byteLength(this.prefix);
    return (name.subarray(0, length).equals(Buffer.from(this.prefix)) ? name.subarray(length) : name) as T;
  }

  /**
   * A name in braces, below the tenant: keys with it lie in one slot of a cluster, another one for each tenant. Braces
   * in the name, and `%`, are written as `%XX`, so different names stay different and none ends the braces early.
   */
  hashTagged(name: string): string {
    if (!RESERVED.test(name)) return `{${this.prefix}${name}}`;
    const escaped = name.replace(/[%{}]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
    return `{${this.prefix}${escaped}}`;
  }

  /**
   * As {@link hashTagged}, but a name that begins with a hash tag and continues after it, such as `{order:7}:stock`,
   * keeps that tag: names of one tag lie in one slot. The two kinds never meet.
   */
  tagged(name: string): string {
    return /^\{[^}]+\}./s.test(name) ? name : this.hashTagged(name);
  }

  /**
   * A further key in the slot of `key`, which keeps the name that it was given.
   *
   * @throws {InvalidArgumentError} for a key with braces that are not a hash tag.
   */
  beside(key: string, part: string): string {
    // The prefix of a tenant counts for the slot.
    const whole = this.inside(key);
    if (hasTag(whole)) return `${key}:${part}`;
    if (!whole.includes("}")) return `{${whole}}:${part}`;
    throw new InvalidArgumentError(
      "a key with braces must have a hash tag, such as {eu}orders: what belongs to it needs the same slot",
    );
  }

  /** A glob that matches `pattern` inside this space alone. */
  pattern(pattern: string): string {
    return escapeGlob(this.prefix) + pattern;
  }
}

/** @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags */
function hasTag(key: string): boolean {
  const open = key.indexOf("{");
  return open !== -1 && key.indexOf("}", open) > open + 1;
}

/** What a name may not have inside the braces of a hash tag. */
const RESERVED = /[%{}]/;

/** If two ids differ, neither begins with the other one's prefix: the colon at its end is encoded in ids. */
const encode = (id: string): string =>
  Array.from(Buffer.from(id), (byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9_.-]/.test(character) ? character : `%${byte.toString(16).padStart(2, "0").toUpperCase()}`;
  }).join("");

/** Text as a glob that matches it alone. */
export const escapeGlob = (text: string): string => text.replace(/[\\*?[\]^]/g, String.raw`\$&`);

/** @throws {InvalidArgumentError} for what is neither text nor a Buffer, and for an empty key. */
export function checkKey(operation: string, key: RedisArgument): RedisArgument {
  if (typeof key === "string" ? key !== "" : Buffer.isBuffer(key) && key.length > 0)
    return checkWellFormed(operation, key);
  const given = typeof key === "string" || Buffer.isBuffer(key) ? "an empty one" : key === null ? "null" : typeof key;
  throw new InvalidArgumentError(`${operation}: a key must be text or a Buffer that is not empty, got ${given}`);
}

/**
 * @throws {InvalidArgumentError} for half of a surrogate pair: UTF-8 has no bytes for it, so two texts would be one.
 */
export function checkWellFormed<T extends RedisArgument>(operation: string, given: T): T {
  if (typeof given !== "string" || given.isWellFormed()) return given;
  throw new InvalidArgumentError(`${operation}: text must be well-formed, got half of a surrogate pair`);
}
