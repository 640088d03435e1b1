import { describe } from "../primitives/duration.ts";
import { InvalidArgumentError } from "../contracts/errors.ts";

const MAX_KEY_BYTES = 64 * 1024;
const MAX_TAG_LENGTH = 512;

/**
 * @throws {InvalidArgumentError} for anything but a non-empty, well-formed string of at most 64 KiB in UTF-8.
 *   A lone surrogate is refused because UTF-8 writes all of them alike: two keys would meet.
 */
export function checkKey(key: unknown): asserts key is string {
  if (typeof key !== "string" || key === "")
    throw new InvalidArgumentError(`key: ${describe(key)} is no key; give a non-empty string`);
  if (!key.isWellFormed()) throw new InvalidArgumentError("key: has a lone surrogate; give well-formed text");
  if (key.length > MAX_KEY_BYTES / 3 && Buffer.byteLength(key) > MAX_KEY_BYTES)
    throw new InvalidArgumentError(`key: is longer than ${MAX_KEY_BYTES} bytes in UTF-8; hash what it is made of`);
}

/** @throws {InvalidArgumentError} for anything but a list of non-empty, well-formed strings of at most 512 characters. */
export function checkTags(tags: unknown): asserts tags is readonly string[] {
  if (!Array.isArray(tags))
    throw new InvalidArgumentError(`tags: ${describe(tags)} is no list; give an array of strings`);
  for (const tag of tags as unknown[])
    if (typeof tag !== "string" || tag === "" || tag.length > MAX_TAG_LENGTH || !tag.isWellFormed())
      throw new InvalidArgumentError(
        `tags: ${describe(tag)} is no tag; give a non-empty, well-formed string of at most ${MAX_TAG_LENGTH} characters`,
      );
}

/**
 * Where the keys of one namespace live.
 *
 * In a backend: `<name>[@version]:<namespace>...::<key>`. Segments are percent-encoded so that they contain no
 * `:` and no brace, and the first `::` ends them: `('a', 'b:c')` and `('a:b', 'c')` never meet. A cache without a
 * name adds no segment: its root keys are `::<key>`.
 *
 * In the local tier: the key alone in the root, since building a key is what a hit costs most.
 */
export interface KeySpace {
  /** Names from the root to here, as given. */
  readonly path: readonly string[];
  readonly backendPrefix: string;
  readonly localPrefix: string;
  /** Prefixes of tag keys, the root's first; with nothing behind it each is the key of its namespace's own version. */
  readonly tagPrefixes: readonly string[];
  /** Values below it never leave the process. */
  readonly isLocalOnly: boolean;
}

export function rootKeySpace(name: string, version?: string | number): KeySpace {
  const segment = encodeSegment(name) + (version === undefined ? "" : `@${encodeSegment(String(version))}`);
  return {
    path: [],
    backendPrefix: `${segment}::`,
    localPrefix: "",
    tagPrefixes: [`{~${segment}}::`],
    isLocalOnly: false,
  };
}

/** @throws {InvalidArgumentError} for an empty name or one with a lone surrogate. */
export function keySpaceBelow(parent: KeySpace, name: string, localOnly: boolean): KeySpace {
  if (typeof name !== "string" || name === "" || !name.isWellFormed())
    throw new InvalidArgumentError(`namespace: ${describe(name)} is no name; give a non-empty, well-formed string`);
  const segment = encodeSegment(name);
  const below = (prefix: string): string => (prefix === "::" ? `${segment}::` : `${prefix.slice(0, -1)}${segment}::`);
  const isLocalOnly = parent.isLocalOnly || localOnly;
  const path = [...parent.path, name];
  return {
    path,
    backendPrefix: below(parent.backendPrefix),
    localPrefix: `${isLocalOnly ? LOCAL_ONLY : BELOW_ROOT}${path.map(encodeSegment).join(":")}${BELOW_ROOT}`,
    tagPrefixes: [...parent.tagPrefixes, below(parent.tagPrefixes.at(-1)!)],
    isLocalOnly,
  };
}

/** The key of one entry, in each of the forms that the cache needs. Made once for a call. */
export interface EntryKey {
  readonly space: KeySpace;
  /** As the caller gave it. */
  readonly name: string;
  /** In the local tier. */
  readonly local: string;
  /** In a backend. */
  readonly backend: string;
}

export function entryKey(space: KeySpace, name: string): EntryKey {
  return { space, name, local: localKey(space, name), backend: space.backendPrefix + name };
}

/** The key of `key` in the local tier. */
export function localKey(keySpace: KeySpace, key: string): string {
  if (keySpace.localPrefix !== "") return keySpace.localPrefix + key;
  return key.charCodeAt(0) > 1 ? key : BELOW_ROOT + key;
}

/** What {@link localKey} was given. */
export function parseLocalKey(at: string): { readonly path: readonly string[]; readonly key: string } {
  if (at.charCodeAt(0) > 1) return { path: [], key: at };
  if (at.charCodeAt(0) === 0 && at.charCodeAt(1) <= 1) return { path: [], key: at.slice(1) };
  const end = at.indexOf(BELOW_ROOT, 1);
  return { path: at.slice(1, end).split(":").map(decodeURIComponent), key: at.slice(end + 1) };
}

/** The local key of what a backend calls `key`; `undefined` for keys of other caches. */
export function localKeyOf(root: KeySpace, key: string): string | undefined {
  const end = key.indexOf("::");
  const name = root.backendPrefix.slice(0, -2);
  if (end < 0) return undefined;
  if (end === name.length) return key.startsWith(name) ? localKey(root, key.slice(end + 2)) : undefined;
  // A cache without a name has namespaces at the top.
  const from = name === "" ? 0 : name.length + 1;
  if (name !== "" && !key.startsWith(`${name}:`)) return undefined;
  return end < from ? undefined : BELOW_ROOT + key.slice(from, end) + BELOW_ROOT + key.slice(end + 2);
}

/** The tag whose version a backend keeps under this key, hard or soft; `undefined` for an entry, and for what issues versions. */
export function tagKeyOf(key: string): string | undefined {
  if (!key.startsWith("{~") || (key.startsWith("{~~") && key.indexOf("::") === key.length - 2)) return undefined;
  return key.startsWith("{~~") ? `{~${key.slice(3)}` : key;
}

/**
 * Keys of the tag versions that an entry depends on: the versions of its namespaces, the root's first, then each tag
 * at every level, since an invalidation reaches the namespaces below. The order is part of what backends store.
 */
export function dependencies(keySpace: KeySpace, tags: readonly string[]): readonly string[] {
  if (tags.length === 0) return keySpace.tagPrefixes;
  return [...keySpace.tagPrefixes, ...tags.flatMap((tag) => keySpace.tagPrefixes.map((prefix) => prefix + tag))];
}

/** Local keys below the root begin with one of these; a root key that does so is escaped with the first. */
const BELOW_ROOT = "\u0000";
const LOCAL_ONLY = "\u0001";

// oxlint-disable-next-line no-control-regex -- segments keep these out of local keys, whose delimiters they are
const SPECIAL = /[\u0000-\u001f%:@#{}~]/g;

function encodeSegment(name: string): string {
  return name.replace(SPECIAL, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
}
