/** Names of fields whose values are secrets more often than not. */
const SECRET =
  /pass(?:word|wd|phrase|code)|secret|token|api[-_]?key|private[-_]?key|credential|authorization|cookie|session[-_]?id|ssn|cvv|iban|card[-_]?number/i;

export const REDACTED = "[redacted]";

/** A copy of plain objects, lists, maps and sets, without what names of fields call a secret. */
export function redacted(value: unknown, depth = 0): unknown {
  if (typeof value !== "object" || value === null || depth > 50) return value;
  if (Array.isArray(value)) return value.map((each) => redacted(each, depth + 1));
  if (value instanceof Map)
    return new Map(Array.from(value, ([name, each]) => [name, fieldOf(String(name), each, depth)]));
  if (value instanceof Set) return new Set(Array.from(value, (each) => redacted(each, depth + 1)));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, fieldOf(name, each, depth)]));
}

const fieldOf = (name: string, value: unknown, depth: number): unknown =>
  SECRET.test(name) && value !== null && value !== undefined && typeof value !== "boolean"
    ? REDACTED
    : redacted(value, depth + 1);
