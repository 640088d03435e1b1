import { types } from "../primitives/platform.ts";

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
    // Every loaded value comes here: nothing is made for it.
    const it = value as Readonly<Record<PropertyKey, unknown>>;
    // The first property of each kind, which plain data lacks.
    if (!("next" in it || "getReader" in it || "getWriter" in it || "pipe" in it || "bodyUsed" in it)) return undefined;
    if (isCallable(it["next"]) && (isCallable(it[Symbol.iterator]) || isCallable(it[Symbol.asyncIterator])))
      return "an iterator";
    if (
      (isCallable(it["getReader"]) && isCallable(it["cancel"])) ||
      (isCallable(it["getWriter"]) && isCallable(it["abort"])) ||
      (isCallable(it["pipe"]) && isCallable(it["on"]))
    )
      return "a stream";
    if ("bodyUsed" in it && isCallable(it["arrayBuffer"]) && isCallable(it["text"])) return "a Response or a Request";
  } catch {
    // A proxy or a getter that throws: it is not looked at any further.
  }
  return undefined;
}

const isCallable = (value: unknown): boolean => typeof value === "function";
