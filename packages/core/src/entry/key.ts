import { InvalidArgumentError } from "../contracts/errors.ts";
import type { KeyEvent } from "../contracts/events.ts";
import { kindOf } from "../primitives/duration.ts";
import { keyedHash, type HashSecret } from "../primitives/keyed-hash.ts";
import { byteLength } from "../primitives/platform.ts";
import type { Terms } from "./entry.ts";

const MAX_KEY_BYTES = 64 * 1024;
const MAX_TAG_LENGTH = 1_024;
/** Tags of one entry: room for a list of some hundred rows, and for the tags that an adapter adds. */
const MAX_TAGS = 2_048;
/** Longer tag names are replaced by a hash, so that an entry has room for all of its tags. */
const MAX_NAME_LENGTH = 512;

/**
 * @throws {InvalidArgumentError} unless `key` is a non-empty, well-formed string of at most 64 KiB in UTF-8.
 *   UTF-8 encodes every lone surrogate as the same bytes, so two keys with one would collide.
 */
export function checkKey(key: unknown): asserts key is string {
  if (typeof key !== "string" || key === "")
    throw new InvalidArgumentError(`key must be a non-empty string like "user:42", got ${kindOf(key)}`);
  if (!key.isWellFormed()) throw new InvalidArgumentError("key must be well-formed text, got a lone surrogate");
  if (key.length > MAX_KEY_BYTES / 3 && byteLength(key) > MAX_KEY_BYTES)
    throw new InvalidArgumentError(
      `key must be at most ${MAX_KEY_BYTES} bytes in UTF-8, got a longer one; hash the data it is made of`,
    );
}

/**
 * @param of tags of an entry, or of a call that invalidates any number.
 * @throws {InvalidArgumentError} unless `tags` is an array of non-empty, well-formed strings of at most 1,024
 *   characters; and where an entry has no room for them.
 */
export function checkTags(tags: unknown, of: "call" | "entry" = "entry"): asserts tags is readonly string[] {
  if (!Array.isArray(tags)) throw new InvalidArgumentError(`tags must be an array like ["users"], got ${kindOf(tags)}`);
  for (const tag of tags as unknown[])
    if (typeof tag !== "string" || tag === "" || tag.length > MAX_TAG_LENGTH || !tag.isWellFormed())
      throw new InvalidArgumentError(
        `tags must be non-empty, well-formed strings of at most ${MAX_TAG_LENGTH} characters, got ${kindOf(tag)}`,
      );
  if (of === "entry") checkRoomForTags(tags);
}

/** @throws {InvalidArgumentError} where these are more than 2,048 different tags: all that an entry would have. */
export function checkRoomForTags(tags: readonly string[]): void {
  const count = tags.length > MAX_TAGS ? new Set(tags).size : 0;
  if (count > MAX_TAGS)
    throw new InvalidArgumentError(`an entry may have at most ${MAX_TAGS} tags, got ${count}; give it fewer`);
}

/** Names of tags in entries and keys, each once: a long tag becomes `~` and a hash. Equal names end together. */
export const tagNames = (tags: readonly string[]): string[] => [...new Set(tags.map(tagName))];

const tagName = (tag: string): string =>
  tag.length <= MAX_NAME_LENGTH ? tag : `~${NAME_SECRETS.map((secret) => hex(keyedHash(secret, tag))).join("")}`;

/** Public: all processes give a tag the same name. */
const NAME_SECRETS: readonly HashSecret[] = [
  [0, 0],
  [1, 1],
];
const hex = (hash: number): string => (hash >>> 0).toString(16).padStart(8, "0");

/**
 * Where the keys of one namespace live.
 *
 * In a backend: `<name>[@version]:<namespace>...::<key>`. Segments are percent-encoded so that they contain no
 * `:` and no brace, and the first `::` ends them, so `('a', 'b:c')` and `('a:b', 'c')` never collide. A cache without a
 * name adds no segment: its keys are `::<key>`. It has no namespaces, whose keys would be those of a cache named so.
 *
 * In the local tier: in the root namespace just the key, because building a key is the largest cost of a hit.
 */
export interface KeySpace {
  /** Names from the root to here, as given. */
  readonly path: readonly string[];
  readonly backendPrefix: string;
  readonly localPrefix: string;
  /** Prefixes of tag keys, the root's first. Each prefix alone is also the key of its namespace's own version. */
  readonly tagPrefixes: readonly string[];
  /** Local keys of copies that are hit often, by name; `JoinedKeys` fills it. */
  joined: ReadonlyMap<string, string> | undefined;
  /** The terms of the last entry that was made here; `termsIn` replaces them. */
  lastTerms: Terms | undefined;
}

export function rootKeySpace(name: string, version?: string | number): KeySpace {
  const segment = encodeSegment(name) + (version === undefined ? "" : `@${encodeSegment(String(version))}`);
  return {
    path: [],
    backendPrefix: `${segment}::`,
    localPrefix: "",
    tagPrefixes: [`{~${segment}}::`],
    joined: undefined,
    lastTerms: undefined,
  };
}

/** @throws {InvalidArgumentError} for an empty name, one with a lone surrogate, and below a cache without a name. */
export function keySpaceBelow(parent: KeySpace, name: string): KeySpace {
  if (typeof name !== "string" || name === "" || !name.isWellFormed())
    throw new InvalidArgumentError(`namespace must be a non-empty, well-formed string, got ${kindOf(name)}`);
  if (isNameless(parent))
    throw new InvalidArgumentError(
      'namespace needs a cache with a name, got createCache({ name: "" }); give the cache a non-empty name',
    );
  const segment = encodeSegment(name);
  const below = (prefix: string): string => `${prefix.slice(0, -1)}${segment}::`;
  const path = [...parent.path, name];
  return {
    path,
    backendPrefix: below(parent.backendPrefix),
    localPrefix: `${BELOW_ROOT}${path.map(encodeSegment).join(":")}${BELOW_ROOT}`,
    tagPrefixes: [...parent.tagPrefixes, below(parent.tagPrefixes.at(-1)!)],
    joined: undefined,
    lastTerms: undefined,
  };
}

/** Segments are encoded, so only a missing name begins with a delimiter. */
const isNameless = ({ backendPrefix }: KeySpace): boolean => /^[:@]/.test(backendPrefix);

/** The key of one entry, in each of the forms that the cache needs. Made once for a call. */
export interface EntryKey {
  readonly space: KeySpace;
  /** The key as the caller gave it. */
  readonly name: string;
  /** The key in the local tier. */
  readonly local: string;
  /** The key in a backend. */
  readonly backend: string;
}

/** The part that all events of one key share. */
export function keyEvent(cache: string, key: Pick<EntryKey, "space" | "name">): KeyEvent {
  return { cache, namespace: key.space.path, key: key.name };
}

export const entryKey = (space: KeySpace, name: string): EntryKey => ({
  space,
  name,
  local: localKey(space, name),
  backend: space.backendPrefix + name,
});

/** The key under which the local tier keeps `key`. */
export function localKey(keySpace: KeySpace, key: string): string {
  if (keySpace.localPrefix !== "") return keySpace.localPrefix + key;
  return key.charCodeAt(0) > 0 ? key : BELOW_ROOT + key;
}

/** The inverse of {@link localKey}. */
export function parseLocalKey(local: string): { readonly path: readonly string[]; readonly key: string } {
  if (local.charCodeAt(0) > 0) return { path: [], key: local };
  if (local.charCodeAt(1) === 0) return { path: [], key: local.slice(1) };
  const end = local.indexOf(BELOW_ROOT, 1);
  return { path: local.slice(1, end).split(":").map(decodeURIComponent), key: local.slice(end + 1) };
}

/** The local key of the backend's key `key`; `undefined` for a key of another cache. */
export function localKeyOf(root: KeySpace, key: string): string | undefined {
  const end = key.indexOf("::");
  const name = root.backendPrefix.slice(0, -2);
  if (end < 0) return undefined;
  if (end === name.length) return key.startsWith(name) ? localKey(root, key.slice(end + 2)) : undefined;
  const from = name.length + 1;
  return end < from || !key.startsWith(`${name}:`)
    ? undefined
    : BELOW_ROOT + key.slice(from, end) + BELOW_ROOT + key.slice(end + 2);
}

/** The inverse of {@link localKeyOf}. */
export function backendKeyOf(root: KeySpace, local: string): string {
  if (local.charCodeAt(0) > 0) return root.backendPrefix + local;
  if (local.charCodeAt(1) === 0) return root.backendPrefix + local.slice(1);
  const end = local.indexOf(BELOW_ROOT, 1);
  return `${root.backendPrefix.slice(0, -1)}${local.slice(1, end)}::${local.slice(end + 1)}`;
}

/** The tag whose hard or soft version is kept under `key`; `undefined` for an entry, and the counter of versions. */
export function tagKeyOf(key: string): string | undefined {
  if (!key.startsWith("{~") || (key.startsWith("{~~") && key.indexOf("::") === key.length - 2)) return undefined;
  return key.startsWith("{~~") ? `{~${key.slice(3)}` : key;
}

/** The namespace and the name of a tag of this cache, `""` for the version of the namespace itself. */
export function parseTagKey(
  root: KeySpace,
  tagKey: string,
): { readonly path: readonly string[]; readonly tag: string } {
  const end = tagKey.indexOf("::");
  const below = tagKey.slice(root.tagPrefixes[0]!.length - 1, end);
  return { path: below === "" ? [] : below.split(":").map(decodeURIComponent), tag: tagKey.slice(end + 2) };
}

/**
 * Keys of the tag versions that an entry depends on: the versions of its namespaces, the root's first, then each tag
 * at every level, because an invalidation also applies to the namespaces below. Backends store versions in this order.
 */
export function dependencies(keySpace: KeySpace, tags: readonly string[]): readonly string[] {
  if (tags.length === 0) return keySpace.tagPrefixes;
  return [...keySpace.tagPrefixes, ...tags.flatMap((tag) => keySpace.tagPrefixes.map((prefix) => prefix + tag))];
}

/** One array for all entries, calls and policies without tags. */
export const NO_TAGS: readonly string[] = Object.freeze([]);

/** Local keys of namespaces begin with it, and a root key that does is escaped with a second one. */
const BELOW_ROOT = "\u0000";

// oxlint-disable-next-line no-control-regex -- control characters delimit local keys, so segments must not contain them
const SPECIAL = /[\u0000-\u001f%:@#{}~]/g;

const encodeSegment = (name: string): string =>
  name.replace(SPECIAL, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
