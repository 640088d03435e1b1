import { isValidField, joinedOf, namesIn, type FieldLines } from "./fields.ts";

/** The selecting fields that Vary names, sorted; `undefined` for `*`, and for anything but a list of names. */
export function selectingFields(response: FieldLines): readonly string[] | undefined {
  const names = namesIn(joinedOf(response, "vary"));
  // A list that is not one of field names says nothing of what selects, as `*` does.
  return names.every((name) => name !== "*" && isValidField([name, ""])) ? names.toSorted() : undefined;
}

/** Brings a selecting value into a form that is equal for equal meanings. */
export type Normaliser = (value: string) => string;

/**
 * The values of `names` in this request, one text for those of equal meaning (RFC 9111, section 4.1). An absent field
 * differs from an empty one.
 */
export function selectingText(
  names: readonly string[],
  request: FieldLines,
  normalisers: Readonly<Record<string, Normaliser>> = NO_NORMALISERS,
): string {
  return JSON.stringify(names.map((name) => [name, selectingValue(name, request, normalisers)]));
}

export function selectingValue(
  name: string,
  request: FieldLines,
  normalisers: Readonly<Record<string, Normaliser>> = NO_NORMALISERS,
): string | null {
  const value = joinedOf(request, name);
  if (value === undefined) return null;
  if (Object.hasOwn(normalisers, name)) return normalisers[name]!(value);
  // No browser sends one, and reading its members would cost its client little and this server a lot.
  if (value.length > LONGEST_LIST) return value;
  if (name === "accept-encoding") return acceptedCodings(value);
  return name === "accept-language" ? weighted(value) : squashed(value);
}

/**
 * The codings that a client accepts, of those that servers use. Invented names, weights and order would be variants
 * without end.
 */
const acceptedCodings = remembered((value) => {
  const weights = new Map(preferencesIn(value).map(({ name, weight }) => [name.replace(/^x-/, ""), weight]));
  const accepts = (coding: string, otherwise: number): boolean => (weights.get(coding) ?? otherwise) > 0;
  const others = weights.get("*");
  const accepted = CODINGS.filter((coding) => accepts(coding, others ?? 0));
  return (accepts("identity", others ?? 1) ? [...accepted, "identity"] : accepted).join(",");
});

/** Whether a response has no other coding: it could answer a client that cannot read it. */
export const hasKnownCodings = (response: FieldLines): boolean =>
  namesIn(joinedOf(response, "content-encoding"))
    .map((name) => name.replace(/^x-/, ""))
    .every((name) => name === "identity" || CODINGS.includes(name));

const CODINGS: readonly string[] = ["br", "deflate", "gzip", "zstd"];

/** Preferences by weight: their case, and the order of equal ones, mean nothing; those of weight 0 exclude. */
const weighted = remembered((value) =>
  preferencesIn(value)
    .toSorted((a, b) => b.weight - a.weight || compareText(a.name, b.name))
    .map(({ name, weight }) => (weight === 1 ? name : `${name};q=${weight}`))
    .join(","),
);

/** Most clients send one of few values. */
function remembered(normalise: Normaliser): Normaliser {
  const known = new Map<string, string>();
  return (value) => {
    let text = known.get(value);
    if (text === undefined) {
      text = normalise(value);
      if (known.size >= MOST_KNOWN) known.clear();
      if (value.length <= LONGEST_KNOWN) known.set(value, text);
    }
    return text;
  };
}

const preferencesIn = (value: string): readonly { readonly name: string; readonly weight: number }[] =>
  listed(value.toLowerCase()).map((member) => {
    const [name = "", ...parameters] = member.split(";").map((part) => part.trim());
    const weight = parameters.find((parameter) => parameter.startsWith("q="));
    return { name, weight: weight === undefined ? 1 : weightOf(weight.slice(2)) };
  });

/** A weight that cannot be read is 1, as if it were not there. */
const weightOf = (text: string): number => (/^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(text) ? Number(text) : 1);

const squashed = (value: string): string => listed(value).join(",");

const listed = (value: string): readonly string[] =>
  value
    .split(",")
    .map((member) => member.trim().replace(/[ \t]+/g, " "))
    .filter((member) => member !== "");

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * The language that a client likes best, when it likes one best: a stored response in it may answer, although the
 * client named other languages, too (RFC 9111, section 4.1).
 */
export function preferredLanguage(acceptLanguage: string | undefined): string | undefined {
  const isRead = acceptLanguage !== undefined && acceptLanguage.length <= LONGEST_LIST;
  const [first = "", second] = isRead ? weighted(acceptLanguage).split(",") : [];
  if (!LANGUAGE.test(first) || second === undefined) return LANGUAGE.test(first) ? first : undefined;
  // If two have the weight 1, neither is liked best.
  return second.includes(";q=") ? first : undefined;
}

const LANGUAGE = /^[a-z]{1,8}(?:-[a-z0-9]{1,8})*$/;
const NO_NORMALISERS: Readonly<Record<string, Normaliser>> = Object.freeze({});
/** The longest value, in characters, whose members are compared by meaning; longer ones are compared as text. */
const LONGEST_LIST = 2_048;
const MOST_KNOWN = 500;
const LONGEST_KNOWN = 200;
