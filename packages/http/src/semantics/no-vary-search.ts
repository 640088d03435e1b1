import { parseDictionary, stringsOf, type Member } from "./structured.ts";

/** Which parts of the query of a URL count, by a No-Vary-Search field. */
export interface SearchRule {
  /** Equal for rules of equal meaning. */
  readonly text: string;
  readonly ignoresOrder: boolean;
  readonly ignores: (parameter: string) => boolean;
}

/** `undefined` where the whole query counts: no field, one that does not parse, or one that says nothing. */
export function parseSearchRule(field: string | undefined): SearchRule | undefined {
  const members = field === undefined ? undefined : parseDictionary(field);
  if (members === undefined) return undefined;
  const params = members.get("params");
  const excepted = stringsIn(members.get("except"));
  const ignoresOrder = isTrue(members.get("key-order"));
  const ignoresAll = isTrue(params);
  const ignored = stringsIn(params);
  // `except` names what counts although all else does not, so it means nothing without `params`.
  if (members.has("except") && (excepted === undefined || !ignoresAll)) return undefined;
  if (!ignoresAll && !ignoresOrder && (ignored === undefined || ignored.length === 0)) return undefined;
  const named = ignoresAll ? (excepted ?? []) : (ignored ?? []);
  return {
    text: JSON.stringify([ignoresAll ? "except" : "params", named.toSorted(), ignoresOrder]),
    ignoresOrder,
    ignores: ignoresAll ? (parameter) => !named.includes(parameter) : (parameter) => named.includes(parameter),
  };
}

const isTrue = (member: Member | undefined): boolean => member?.type === "boolean" && member.value;

const stringsIn = (member: Member | undefined): readonly string[] | undefined =>
  member?.type === "inner-list" ? stringsOf(member.value) : undefined;
