import { keyOf } from "@hotset/core";
import { joinedOf, type FieldLines } from "../semantics/fields.ts";
import type { SearchRule } from "../semantics/no-vary-search.ts";
import type { Demands } from "../semantics/reuse.ts";
import type { StoredRequest } from "../semantics/storing.ts";
import { selectingText, selectingValue, preferredLanguage, type Normaliser } from "../semantics/vary.ts";
import type { AnswerOptions, PlainOrigin, PlainRequest } from "./messages.ts";
import { hasOnlyCookies, type Rule } from "./rules.ts";
import type { StoredIndex } from "./stored.ts";

/** One request on its way through the cache. */
export interface Visit {
  readonly request: PlainRequest;
  readonly origin: PlainOrigin;
  /** The one that matched. */
  readonly rule: Rule;
  readonly demands: Demands;
  readonly target: string;
  /** The No-Vary-Search by which its key was made. */
  readonly search: SearchRule | undefined;
  /** Tags that the rule gives. */
  readonly tags: readonly string[];
  /** Names the responses of its URL where the keys of those are not known by it. */
  readonly family: string | undefined;
  /** The key of the URL. */
  readonly primary: string;
  /** By the clock of the cache. */
  readonly startedAt: number;
  readonly call: AnswerOptions;
  /** The key of the variant, once the index of the URL is known; until then that of the URL. */
  readonly key: string;
  readonly index: StoredIndex | undefined;
  /** The request's values of the fields by which a variant is selected, as one text. */
  readonly selects: string;
  /** Whether the stored response is of no use: it cannot be read, or its body has gone. */
  readonly ignoresStored: boolean;
}

/**
 * As the decision sees it whether a response to this request is stored.
 *
 * @param fields as the origin got them.
 */
export const askedBy = (
  { request, rule, demands, tags, family }: Visit,
  method: string,
  fields: FieldLines = request.fields,
): StoredRequest => ({
  method,
  url: request.url,
  fields: fields.filter(([name, value]) => name !== "cookie" || !hasOnlyCookies(value, rule.cookies)),
  saysNoStore: demands.noStore,
  tags: family === undefined ? tags : [...tags, pageTag(family)],
});

/** Tags of the responses of a family, and of the indexes of its URLs. No tag field can name either. */
export const pageTag = (family: string): string => `page, ${family}`;
export const listTag = (family: string): string => `list, ${family}`;
export const isOfFamily = (tag: string): boolean => tag.startsWith("page, ") || tag.startsWith("list, ");

/** Parts of one key are joined so that different parts never give the same key. */
export const variantKey = (generation: string, selects: string): string =>
  keyOf("variant", generation, digest(selects));

/** With the variant of the URL that its request selects. */
export function select(visit: Visit, index: StoredIndex, normalisers: Readonly<Record<string, Normaliser>>): Visit {
  const selects = selectingText(index.selecting, visit.request.fields, normalisers);
  return { ...visit, index, selects, key: variantKey(index.generation, selects) };
}

/**
 * The values of a variant in the language that the client likes best, where its own variant is not stored. That one may
 * answer while it is fresh. A load for this request is not stored as it: the response could differ.
 */
export function likedSelects(
  { request: { fields }, index, selects, key: own }: Visit,
  normalisers: Readonly<Record<string, Normaliser>>,
): string | undefined {
  if (index?.selecting.includes(LANGUAGE) !== true || index.variants.includes(own)) return undefined;
  const language = preferredLanguage(joinedOf(fields, LANGUAGE));
  const key = language === undefined ? undefined : languageKey(index.selecting, language, fields, normalisers);
  const liked = key !== undefined && Object.hasOwn(index.languages, key) ? index.languages[key] : undefined;
  return liked === selects ? undefined : liked;
}

/** Equal for requests that select the same variant once the language is settled. */
export const languageKey = (
  selecting: readonly string[],
  language: string,
  fields: FieldLines,
  normalisers: Readonly<Record<string, Normaliser>>,
): string =>
  JSON.stringify([
    language,
    ...selecting.filter((name) => name !== LANGUAGE).map((name) => selectingValue(name, fields, normalisers)),
  ]);

export const LANGUAGE = "accept-language";

/**
 * A short name of a text, not safe against a search for two texts with the same name: the entry repeats the text, and
 * is compared with it.
 */
export function digest(text: string): string {
  let [a, b] = [0xdeadbeef, 0x41c6ce57];
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    a = Math.imul(a ^ char, 2_654_435_761);
    b = Math.imul(b ^ char, 1_597_334_677);
  }
  a = Math.imul(a ^ (a >>> 16), 2_246_822_507) ^ Math.imul(b ^ (b >>> 13), 3_266_489_909);
  b = Math.imul(b ^ (b >>> 16), 2_246_822_507) ^ Math.imul(a ^ (a >>> 13), 3_266_489_909);
  return (4_294_967_296 * (2_097_151 & b) + (a >>> 0)).toString(36);
}
