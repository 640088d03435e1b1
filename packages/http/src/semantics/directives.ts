import { endOfQuoted, joinedOf, namesIn, type FieldLines } from "./fields.ts";
import { parseDictionary, type Member } from "./structured.ts";

/** Cache directives by their names in lower case; `true` for one without an argument. */
export type Directives = ReadonlyMap<string, string | true>;

/** Larger numbers count as this one (RFC 9111, section 1.2.2). */
const MAX_SECONDS = 2_147_483_648;
const DIGITS = /^\d+$/;
const NAME = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;

/** Seconds of text that is digits and nothing else. */
export const parseSeconds = (text: string): number | undefined =>
  DIGITS.test(text) ? Math.min(Number(text), MAX_SECONDS) : undefined;

/** The Content-Length, if it is one. */
export const announcedBytes = (fields: FieldLines): number | undefined =>
  parseSeconds(joinedOf(fields, "content-length")?.trim() ?? "");

/**
 * The directives of a Cache-Control field. The first of two with the same name counts; other text is skipped.
 * A quote that is never closed hides no directive that forbids, and what follows it allows nothing.
 */
export function parseDirectives(text: string | undefined): Directives {
  if (text === undefined || text === "") return NONE;
  const directives = new Map<string, string | true>();
  let isOpen = false;
  for (let at = 0; at < text.length;) {
    const { name, argument, end, opens = false } = directiveAt(text, at);
    if (name !== undefined && !directives.has(name))
      directives.set(name, isOpen && ALLOWING.has(name) ? MALFORMED : argument);
    isOpen ||= opens;
    at = end + 1;
  }
  return directives;
}

interface Directive {
  readonly name: string | undefined;
  readonly argument: string | true;
  /** Index of the comma behind it, or of the end of the text. */
  readonly end: number;
  /** Whether the value has a quote that is never closed. */
  readonly opens?: boolean;
}

function directiveAt(text: string, from: number): Directive {
  let at = from;
  while (text[at] === " " || text[at] === "\t") at++;
  NAME.lastIndex = at;
  const name = NAME.exec(text)?.[0];
  if (name === undefined) return { name, argument: true, end: commaFrom(text, at) };
  at += name.length;
  const lower = name.toLowerCase();
  if (text[at] !== "=") {
    const end = commaFrom(text, at);
    const isWhole = !ALLOWING.has(lower) || text.slice(at, end).trim() === "";
    return { name: lower, argument: isWhole || MALFORMED, end };
  }
  const begin = at + 1;
  const closing = text[begin] === '"' ? endOfQuoted(text, begin) : undefined;
  const end = commaFrom(text, closing ?? begin);
  const isQuoted = closing !== undefined && text.slice(closing + 1, end).trim() === "";
  const argument = isQuoted ? text.slice(begin + 1, closing).replace(/\\(.)/g, "$1") : text.slice(begin, end).trimEnd();
  const opens = text[begin] === '"' && closing === undefined;
  return { name: lower, argument: QUALIFIED.has(lower) && !isNames(argument) ? true : argument, end, opens };
}

/** The argument of a directive with text behind its name: it still forbids, and allows nothing. */
const MALFORMED = "?";
/** What allows a response to a request with credentials, or lifts a no-store. */
const ALLOWING: ReadonlySet<string> = new Set(["public", "s-maxage", "must-revalidate", "must-understand"]);

/** Whether a directive that allows something, and has no argument, is there as it must be. */
export const permits = (directives: Directives, name: "public" | "must-revalidate" | "must-understand"): boolean =>
  directives.get(name) === true;

/** Whether an argument of `private` or `no-cache` lists fields: any other one, such as `true`, limits nothing. */
function isNames(argument: string): boolean {
  const names = namesIn(argument);
  return names.length > 0 && names.every((name) => FIELD.test(name) && !SWITCH.test(name));
}

const FIELD = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const SWITCH = /^(?:\d+|true|false|yes|no|on|off)$/;

function commaFrom(text: string, at: number): number {
  const comma = text.indexOf(",", at);
  return comma < 0 ? text.length : comma;
}

/**
 * The directives that govern this cache, and whether a targeted field gave them (RFC 9213, section 2.2): the first of
 * `targetedFields` that is there, parses and is not empty, else Cache-Control.
 */
export function governingDirectives(
  response: FieldLines,
  targetedFields: readonly string[],
): { readonly directives: Directives; readonly isTargeted: boolean } {
  for (const name of targetedFields) {
    const text = joinedOf(response, name);
    const members = text === undefined ? undefined : parseDictionary(text);
    if (members !== undefined && members.size > 0) return { directives: directivesOf(members), isTargeted: true };
  }
  return { directives: parseDirectives(joinedOf(response, "cache-control")), isTargeted: false };
}

/** A member of a type that no directive of its name has is absent. */
function directivesOf(members: ReadonlyMap<string, Member>): Directives {
  const directives = new Map<string, string | true>();
  for (const [name, { type, value }] of members) {
    const isCounted = COUNTED.has(name);
    if (type === "boolean" && value && !isCounted) directives.set(name, value);
    else if (type === "integer" && isCounted) directives.set(name, String(value));
    else if (type === "string" && QUALIFIED.has(name)) directives.set(name, isNames(value) ? value : true);
  }
  return directives;
}

const COUNTED: ReadonlySet<string> = new Set(["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"]);
const QUALIFIED: ReadonlySet<string> = new Set(["no-cache", "private"]);

/** Seconds of a directive; `undefined` where it is absent. An argument that is not a number of seconds counts as 0. */
export function secondsOf(directives: Directives, name: string): number | undefined {
  const argument = directives.get(name);
  if (argument === undefined) return undefined;
  return argument === true ? 0 : (parseSeconds(argument) ?? 0);
}

/** Field names that a qualified `no-cache` or `private` lists: they are left out of what is stored. */
export function fieldsNamedBy(directives: Directives): readonly string[] {
  const names: string[] = [];
  for (const directive of QUALIFIED) {
    const argument = directives.get(directive);
    if (typeof argument === "string") names.push(...namesIn(argument));
  }
  return names;
}

const NONE: Directives = new Map();
