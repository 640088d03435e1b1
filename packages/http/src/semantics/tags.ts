import { joinedOf, type FieldLines } from "./fields.ts";
import type { Settings } from "./settings.ts";
import { parseStrings } from "./structured.ts";

/**
 * The tags of a response: of its tag fields, of its Cache-Groups, which are kept apart by origin, and with `tagsPaths`
 * of its path; and the `further` ones. `undefined` when there are more than may be, or one is too long: such a response
 * could not be purged by all of them.
 */
export function tagsOf(
  response: FieldLines,
  url: string,
  { tagFields, tagsPaths, maxTags, maxTagBytes }: Settings,
  further: readonly string[] = [],
): readonly string[] | undefined {
  const tags = new Set<string>(further);
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
  for (const group of groups) tags.add(groupTag(new URL(url).origin, group));
  if (tagsPaths) for (const tag of pathTags(new URL(url), maxTags)) tags.add(tag);
  const isTooMuch =
    tags.size > maxTags || groups.length > MAX_GROUPS || groups.some((group) => group.length > maxTagBytes);
  const all = [...tags];
  return !isTooMuch && all.every(isTag) ? all : undefined;
}

/** The tags of the groups that an answer to an unsafe method invalidates (RFC 9875, section 3), if any has them. */
export const invalidatedGroups = (response: FieldLines, origin: string): readonly string[] =>
  groupsIn(response, "cache-group-invalidation")
    .map((group) => groupTag(origin, group))
    .filter(isTag);

/** One for the path, and one for each path above it; of more than `maxTags` not all. */
function pathTags({ origin, pathname }: URL, maxTags: number): readonly string[] {
  const tags = [pathTag(origin, "")];
  for (let end = pathname.indexOf("/", 1); end > 0 && tags.length <= maxTags; end = pathname.indexOf("/", end + 1))
    tags.push(pathTag(origin, pathname.slice(0, end)));
  if (!pathname.endsWith("/")) tags.push(pathTag(origin, pathname));
  return tags;
}

/** The tag of everything at this path and below it. */
export const prefixTag = ({ origin, pathname }: URL): string => pathTag(origin, pathname.replace(/\/$/, ""));

const pathTag = (origin: string, path: string): string => `path, ${origin}${path}`;

/** A field that does not parse, or has anything but strings, is absent. */
const groupsIn = (response: FieldLines, name: string): readonly string[] =>
  parseStrings(joinedOf(response, name)) ?? [];

/** No tag field can name it: a comma ends each tag of those, or a space does. */
const groupTag = (origin: string, group: string): string => `group, ${origin} ${group}`;

const MAX_GROUPS = 32;
/** The cache takes no longer ones. */
export const isTag = (tag: string): boolean => tag.length <= 1_024;
