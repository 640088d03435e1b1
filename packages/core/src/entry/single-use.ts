import { types } from "node:util";

/**
 * Names `value` if reading it uses it up: a generator or another iterator, a stream, the body of a response. A cache
 * would share it, and its second reader would get what the first one left. By what it can do, so that those of another
 * realm or another library count. Only the value itself is looked at, not what is inside of it.
 *
 * @returns `undefined` for a value that can be read again.
 */
export function singleUse(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  if (types.isGeneratorObject(value)) return "a generator";
  try {
    const can = (...names: readonly PropertyKey[]): boolean =>
      names.every((name) => typeof (value as Readonly<Record<PropertyKey, unknown>>)[name] === "function");
    if (can("next") && (can(Symbol.iterator) || can(Symbol.asyncIterator))) return "an iterator";
    if (can("getReader", "cancel") || can("getWriter", "abort") || can("pipe", "on")) return "a stream";
    if ("bodyUsed" in value && can("arrayBuffer", "text")) return "a Response or a Request";
  } catch {
    // A proxy or a getter that throws: it is not looked at any further.
  }
  return undefined;
}
