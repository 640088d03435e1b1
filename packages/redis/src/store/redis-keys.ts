import { InvalidArgumentError } from "@hotset/core";
import { crypto } from "../primitives/crypto.ts";
import { hasHashTag } from "../primitives/hash-slots.ts";
import { HashedKeys } from "./hashed-keys.ts";

/**
 * The keys of an entry, of its lease, and of a value that is being written. docs/reference/redis-layout.md describes
 * them byte by byte.
 *
 *   entry   <prefix>:<name>:<namespace>...::<key>       lease   <prefix>~lease:{<key of the entry>}
 *                                                       freed   <prefix>:~freed:{<key of the entry>}
 *                                                       staged  <prefix>~staged:{<key of the entry>}:<id of a write>
 */

export interface KeySettings {
  /** Prefix of every key, without `:` and `~`, which end it; `''` stores keys of a cache without a name as they are. */
  readonly prefix: string;
  readonly format: "readable" | "hashed";
}

/** Turns canonical keys of the cache (`<segments>::<user key>`) into those of Redis. */
export class RedisKeys {
  readonly #prefix: string;
  readonly #lease: string;
  readonly #freed: string;
  readonly #issuer: string;
  readonly #isHashed: boolean;
  #hashed: HashedKeys | undefined;

  constructor(settings: KeySettings) {
    this.#prefix = settings.prefix;
    this.#lease = `${settings.prefix}~lease:`;
    this.#freed = `${settings.prefix}:~freed:`;
    this.#issuer = `${settings.prefix}~issuer:`;
    this.#isHashed = settings.format === "hashed";
  }

  /** Whether keys are those of other programs, too. */
  get isBare(): boolean {
    return this.#prefix === "";
  }

  /**
   * @throws {InvalidArgumentError} for a lone surrogate: in UTF-8 all of them are the same three bytes. Without a
   *   prefix also for a key of a cache with a name: it would be the key `name::key` of the cache without one.
   */
  entry(key: string): string {
    if (this.#isHashed || UNUSUAL.test(key)) key = this.#encode(key);
    if (this.#prefix !== "") return key.startsWith("::") ? this.#prefix + key : `${this.#prefix}:${key}`;
    if (key.startsWith("::")) return key.slice(2);
    if (key.startsWith("{~}::")) return key;
    throw new InvalidArgumentError('keyPrefix("") needs a cache without a name and without a version');
  }

  /** The key of an entry, like {@link entry}; `undefined` for a key with which calls are refused. */
  entryIfAny(key: string): string | undefined {
    try {
      return this.entry(key);
    } catch {
      return undefined;
    }
  }

  /** The lease of an entry: in its slot, and outside `<prefix>:`, which is what coherence tracks. */
  lease(entryKey: string): string {
    return this.#lease + inSlotOf(entryKey);
  }

  /**
   * Announces the end of a lease without a store to those that did not read the lease: it is below {@link tracked}.
   * Nothing is kept there. In the slot of the entry.
   */
  freed(entryKey: string): string {
    return this.#freed + inSlotOf(entryKey);
  }

  /** The key of the entry whose {@link lease} this is. `undefined` for other keys. */
  ofLease(redisKey: string): string | undefined {
    return redisKey.startsWith(this.#lease) ? inSlotFrom(redisKey.slice(this.#lease.length)) : undefined;
  }

  /** Decodes a key of {@link freed}, like {@link ofLease} does for leases. */
  ofFreed(redisKey: string): string | undefined {
    return redisKey.startsWith(this.#freed) ? inSlotFrom(redisKey.slice(this.#freed.length)) : undefined;
  }

  /** Where one write puts a large value until its script renames it: as {@link lease}. @param id of that write. */
  staged(entryKey: string, id: string): string {
    return `${this.#prefix}~staged:${inSlotOf(entryKey)}:${id}`;
  }

  /** The issuer of the versions of a tag: in the tag's slot, and outside `<prefix>:`. */
  issuer(tag: string): string {
    return this.#issuer + tag.slice(0, tag.indexOf("}") + 1);
  }

  /** A tag of the issuer with this Redis key: any of those whose versions it issues. `undefined` for other keys. */
  tagOfIssuer(redisKey: string): string | undefined {
    return redisKey.startsWith(this.#issuer) ? `${redisKey.slice(this.#issuer.length)}::~` : undefined;
  }

  /** The prefix that coherence tracks: of the keys of entries and tags, and of no others. */
  get tracked(): string {
    return `${this.#prefix}:`;
  }

  /** The channel on which processes announce changes: outside the tracked prefix. */
  get channel(): string {
    return `${this.#prefix}~changes`;
  }

  /**
   * Remembers from now on the keys behind hashes, for {@link decode}.
   *
   * @param forgotten is called with each key that is forgotten, for lack of room.
   */
  rememberHashed(forgotten: (key: string) => void): void {
    if (this.#isHashed) this.#hashed = new HashedKeys(forgotten);
  }

  /**
   * The inverse of {@link entry}. A hash whose key is not remembered stays a hash: in its namespace, and the name of no
   * copy. `undefined` for keys of other programs.
   */
  decode(redisKey: string): string | undefined {
    if (!redisKey.startsWith(this.#prefix)) return undefined;
    const rest = redisKey.slice(this.#prefix.length);
    const key = rest.startsWith("::") ? rest : rest.startsWith(":") ? rest.slice(1) : undefined;
    if (this.#isHashed) return key && (this.#hashed?.keyOf(key) ?? key);
    const user = key === undefined ? -1 : key.indexOf("::") + 2;
    return user < 2 ? key : key!.slice(0, user) + decodeUserKey(key!.slice(user));
  }

  /**
   * The glob of entries whose keys begin with `start`, and contain a text where that can be said of what Redis has.
   *
   * @param start of keys as {@link entry} gets them, which ends within the segments of their cache.
   */
  globOf(start: string, contains: string = ""): string {
    const from = this.isBare ? "" : `${this.#prefix}:${start}`;
    const isShown = !this.#isHashed && contains !== "" && !UNUSUAL.test(contains);
    return `${escaped(from)}*${isShown ? `${escaped(contains)}*` : ""}`;
  }

  /** Decodes like {@link decode}, even a key without a prefix. */
  keyOf(redisKey: string): string | undefined {
    return this.isBare ? `::${decodeUserKey(redisKey)}` : this.decode(redisKey);
  }

  #encode(key: string): string {
    if (!key.isWellFormed())
      throw new InvalidArgumentError(
        "key must be well-formed text, got half of a surrogate pair, which UTF-8 cannot encode",
      );
    const user = key.indexOf("::") + 2;
    if (!this.#isHashed) return key.slice(0, user) + encodeUserKey(key.slice(user));
    const hashed = `${key.slice(0, user)}#${crypto().hash("sha256", key.slice(user), "base64url")}`;
    this.#hashed?.add(hashed, key);
    return hashed;
  }
}

const escaped = (text: string): string => text.replace(/[*?[\]\\^]/g, String.raw`\$&`);

/** Text that puts a key with it into the slot of an entry. */
const inSlotOf = (entryKey: string): string => (hasHashTag(entryKey) ? entryKey : `{${entryKey}}`);

/** The inverse of {@link inSlotOf}. */
function inSlotFrom(text: string): string {
  const inner = text.slice(1, -1);
  return inSlotOf(inner) === text ? inner : text;
}

/** Characters that {@link encodeUserKey} may have to escape, and those that may be half of a surrogate pair. */
const UNUSUAL = /[#%{}\ud800-\udfff]/;

/**
 * A user's key as part of a Redis key. Readable, injective, and such that an entry and its lease share a slot: braces
 * are percent-encoded unless they form a complete hash tag, and so is a leading `#`, which marks hashed keys; `%` only
 * where it would read as one of these.
 */
export function encodeUserKey(key: string): string {
  if (!hasHashTag(key)) return key.replace(/[{}]|^#|%(?=7B|7D|25)|^%(?=23)/g, (found) => ESCAPES[found]!);
  if (key.startsWith("#")) return `%23${key.slice(1)}`;
  return /^%(?:25)*23/.test(key) ? `%25${key.slice(1)}` : key;
}

/** The inverse of {@link encodeUserKey}. Keys that it never wrote stay as they are. */
export function decodeUserKey(encoded: string): string {
  if (!encoded.includes("%")) return encoded;
  if (!hasHashTag(encoded)) return encoded.replace(/%(?:7B|7D|25)|^%23/g, (found) => UNESCAPES[found]!);
  if (encoded.startsWith("%23")) return `#${encoded.slice(3)}`;
  return /^%25(?:25)*23/.test(encoded) ? `%${encoded.slice(3)}` : encoded;
}

const ESCAPES: Readonly<Record<string, string>> = { "{": "%7B", "}": "%7D", "#": "%23", "%": "%25" };
const UNESCAPES: Readonly<Record<string, string>> = { "%7B": "{", "%7D": "}", "%23": "#", "%25": "%" };
