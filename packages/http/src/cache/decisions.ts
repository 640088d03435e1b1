import { ignore } from "./messages.ts";

/**
 * What a function of the options says of a request or a response. It is needed now, and a promise is none.
 *
 * @throws {TypeError} for a promise, whose rejection must not end the process.
 */
export function decided<T>(given: T): T {
  if (typeof (given as { readonly then?: unknown } | null | undefined)?.then !== "function") return given;
  void Promise.resolve(given).catch(ignore);
  throw new TypeError("httpCache: a function that decides must not be async");
}

/** A function of the options as one that says `whenFailed` where it throws or gives a promise. */
export const decidedBy =
  <G>(decide: (given: G) => boolean, whenFailed: boolean): ((given: G) => boolean) =>
  (given) => {
    try {
      return Boolean(decided(decide(given)));
    } catch {
      return whenFailed;
    }
  };
