// A cache for loaders of React Router 8:
//
//   const { cached } = loaderCache(cache);
//   export const loader = cached({ name: "user", ttl: "1m" }, ({ params }) => db.user(params.id));

import { keyOf, type Cache, type Duration, type LoadContext } from "hotset";
import { checkCache, getOrRun } from "hotset/adapter";
import type { LoaderFunctionArgs } from "react-router";

export interface LoaderPolicy {
  /** Part of every key: two loaders of one name share values. */
  readonly name: string;
  readonly ttl?: Duration;
  readonly tags?: (args: LoaderFunctionArgs) => readonly string[];
  /** Whatever else the data depends on, such as the user. */
  readonly by?: (args: LoaderFunctionArgs) => string | undefined;
}

export function loaderCache(cache: Cache, namespace = "loaders") {
  checkCache(cache, "loaderCache");
  const results = cache.namespace(namespace);
  const cached =
    <T>({ name, tags, by, ...options }: LoaderPolicy, loader: (args: LoaderFunctionArgs) => Promise<T>) =>
    async (args: LoaderFunctionArgs): Promise<T> => {
      const query = new URLSearchParams(args.url.search);
      query.sort();
      const key = keyOf(name, args.params, query.toString(), by?.(args));
      const all = { ...options, tags: [name, ...(tags?.(args) ?? [])], signal: args.request.signal, isForOne };
      // The load goes on for others if this request is aborted.
      const load = ({ signal }: LoadContext): Promise<T> =>
        loader({ ...args, request: new Request(args.request, { signal }) });
      return (await getOrRun(results, key, load, all)) as T;
    };
  return { cached, results };
}

/** A response, thrown or returned, and `data(value, init)`: they have a status or fields of their own, such as a cookie. */
const isForOne = (given: unknown): boolean =>
  typeof given === "object" && given !== null && (given instanceof Response || "init" in given);
