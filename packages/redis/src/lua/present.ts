import { readAny } from "./script.ts";

/**
 * How a placeholder begins, the lease of a missing entry in its key, in both layouts. An entry of the string layout
 * begins with {@link ENTRY}, and strings of other programs with neither: no UTF-8 and no msgpack begins with `C1`.
 */
export const PLACEHOLDER = "'\\193\\000'";
export const ENTRY = "'\\193\\001'";

/** The bytes of a string that hold the version of an entry, or the token of a placeholder. */
export const HEAD_BYTES = 67;

/** The length of a placeholder, at most: that of its mark and of the id of a write, its token. */
export const PLACEHOLDER_BYTES = 18;

/** Whether an entry with a version is there. */
export const HAS_VERSION = "was ~= '' and was ~= '-' and was ~= '!'";

/** The questions that a script asks first. */
export interface Present {
  /**
   * Sets `was` to the version of the entry: `-` where it has none, or an invalid one; `''` without an entry; `!` where
   * the key is of another type, which cannot be read. Sets `holder` to the token of a placeholder, and `head` to the
   * beginning of any string.
   *
   * @param seen the version that the caller has seen, `''` for none. It shows what to expect: a command over another
   *   type counts in the error statistics of Redis.
   */
  readonly present: (seen: string) => string;
  /** Sets `isMine`: whether the placeholder of the token ARGV[1] is there. */
  readonly isMine: string;
}

/**
 * @param read reads the beginning of a string.
 * @param head sets `head` to that, to a table where the key holds no string, and to `false` without one.
 * @param ofEmpty sets `was`, where that is empty.
 * @param ofString sets `was`, where the key holds another string than a placeholder.
 * @param ofOther sets `was`, where it holds another type.
 */
function present(read: string, head: Present["present"], ofEmpty: string, ofString: string, ofOther: string): Present {
  return {
    present: (seen) => `local was, holder = '', nil
${head(seen)}
if type(head) == 'table' then
  ${ofOther}
elseif head == '' then
  ${ofEmpty}
elseif head and string.sub(head, 1, 2) == ${PLACEHOLDER} then
  holder = string.sub(head, 3)
elseif head then
  ${ofString}
end`,
    isMine: `${readAny("head", read)}
local isMine = head == ${PLACEHOLDER} .. ARGV[1]`,
  };
}

/** The version of an entry in a hash, in its `s`. */
export const versionOf = (s: string): string => `string.match(${s}, '^[%d-]+ ([%w_-]+)[;,.]')`;

/** Entries are hashes. In the plain layout all of them are `-`. */
export const IN_HASH: Present = present(
  "'GET', KEYS[1]",
  (seen) => `local head = ${seen} ~= '' and redis.pcall('HLEN', KEYS[1])
if type(head) == 'number' then
  head = head > 0 and {}
else
  ${readAny("text", "'GET', KEYS[1]")}
  head = text
end`,
  "was = '!'",
  "was = '!'",
  `${readAny("s", "'HGET', KEYS[1], 's'")}
  local version = type(s) == 'string' and ${versionOf("s")}
  was = type(s) == 'table' and '!' or version and #version <= 32 and version or '-'`,
);

const HEAD = `'GETRANGE', KEYS[1], 0, ${HEAD_BYTES - 1}`;

/** Entries are strings. */
export const IN_STRING: Present = present(
  HEAD,
  () => readAny("head", HEAD),
  "if redis.call('EXISTS', KEYS[1]) == 1 then was = '!' end",
  `was = '-'
  local bytes = string.byte(head, 3)
  if string.sub(head, 1, 2) == ${ENTRY} and bytes and bytes > 0 and bytes <= 32 then
    local version = string.sub(head, 4, 3 + bytes)
    if #version == bytes and string.find(version, '^[%w_-]+$') then was = version end
  end`,
  "was = '!'",
);
