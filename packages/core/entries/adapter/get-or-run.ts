import type { GetOrSetOptions, LoadContext, Loader, Namespace } from "../../src/internal.ts";
import { hasCode } from "./adapter.ts";

/** Options of {@link getOrRun}. */
export interface GetOrRunOptions<V> extends GetOrSetOptions<V> {
  /**
   * Whether something that the loader returned, or threw, is for the caller that ran it: a redirect, a response with a
   * cookie. That caller gets it, and nothing is stored or shared, as by `notShared`. @default nothing is
   */
  readonly isForOne?: ((given: unknown) => boolean) | undefined;
}

/**
 * `getOrSet` of the namespace, for a function of a framework that must answer even if the cache does not: if the cache
 * is closed or overloaded before `load` has begun for this call, `load` runs without it, and nothing is stored. Rejects
 * with the errors of `load`, and otherwise as `getOrSet` does.
 */
export async function getOrRun<V>(
  namespace: Pick<Namespace<V>, "getOrSet">,
  key: string,
  load: Loader<V>,
  { isForOne = () => false, ...options }: GetOrRunOptions<V> = {},
): Promise<V> {
  let hasBegun = false;
  let thrown: { readonly given: unknown } | undefined;
  const loading: Loader<V> = async (context) => {
    hasBegun = true;
    try {
      const made = await load(context);
      return isForOne(made) ? context.notShared(made) : made;
    } catch (given) {
      if (!isForOne(given)) throw given;
      thrown = { given };
      return context.notShared(undefined as V);
    }
  };
  try {
    const found = (await namespace.getOrSet(key, loading, options)) as V;
    if (found !== undefined || thrown === undefined) return found;
  } catch (error) {
    if (hasBegun || !hasCode(error, "OVERLOADED", "CACHE_CLOSED")) throw error;
    // Without `stale` there is nothing that it may return in place of a value.
    return load(withoutCache(key, options.signal)) as V | Promise<V>;
  }
  throw thrown.given;
}

/** The context of a load of which nothing is kept. */
const withoutCache = (key: string, signal: AbortSignal = new AbortController().signal): LoadContext => ({
  key,
  signal,
  reason: "miss",
  background: false,
  setOptions() {},
  noStore: (value) => value,
  notShared: (value) => value,
});
