import { joinedOf, type FieldLines } from "./fields.ts";
import type { Settings } from "./settings.ts";
import { parseStrings } from "./structured.ts";

/**
 * The tags of a response: of its tag fields, and of its Cache-Groups, which are kept apart by origin. `undefined` when
 * there are more than may be, or one is too long: such a response could not be purged by all of them.
 */
export function tagsOf(
  response: FieldLines,
  origin: string,
  { tagFields, maxTags, maxTagBytes }: Settings,
): readonly string[] | undefined {
  const tags = new Set<string>();
  for (const [name, separator] of tagFields) {
    const text = joinedOf(response, name);
    if (text === undefined) continue;
    // Lines of a field that is separated by spaces are joined by commas.
    for (const part of text.split(separator === "," ? "," : /[\s,]+/)) {
      const tag = part.trim();
      if (tag !== "") tags.add(tag);
      if (tag.length > maxTagBytes || tags.size > maxTags) return undefined;
    }
  }
  const groups = groupsIn(response, "cache-groups");
  for (const group of groups) tags.add(groupTag(origin, group));
  const isTooMuch =
    tags.size > maxTags || groups.length > MAX_GROUPS || groups.some((group) => group.length > maxTagBytes);
  return isTooMuch ? undefined : [...tags];
}

/** The tags of the groups that an answer to an unsafe method invalidates (RFC 9875, section 3). */
export const invalidatedGroups = (response: FieldLines, origin: string): readonly string[] =>
  groupsIn(response, "cache-group-invalidation").map((group) => groupTag(origin, group));

/** A field that does not parse, or has anything but strings, is absent. */
const groupsIn = (response: FieldLines, name: string): readonly string[] =>
  parseStrings(joinedOf(response, name)) ?? [];

/** No tag field can name it: a comma ends each tag of those, or a space does. */
const groupTag = (origin: string, group: string): string => `group, ${origin} ${group}`;

const MAX_GROUPS = 32;
