// A cache for queries of tRPC 11: t.procedure.input(schema).use(cached({ ttl: "1m" })).query(...)

import type { TRPCMiddlewareFunction } from "@trpc/server";
import { keyOf, type Cache, type Duration } from "hotset";
import { checkCache, getOrRun } from "hotset/adapter";

type Middleware<Context, Input> = TRPCMiddlewareFunction<Context, object, object, object, Input>;
type Result = Awaited<ReturnType<Middleware<object, unknown>>>;
interface Stored {
  readonly data?: unknown;
}

export interface ProcedurePolicy<Context, Input> {
  readonly ttl?: Duration;
  readonly tags?: (input: Input) => readonly string[];
  /** Whatever else of the context an answer depends on, such as the user. */
  readonly by?: (ctx: Context) => string | number | undefined;
}

export function procedureCache(cache: Cache, name = "trpc") {
  checkCache(cache, "procedureCache");
  const results = cache.namespace<Stored>(name);
  /** Behind `input`: answers a query from the cache, or runs it, once for all processes. */
  const cached =
    <Context extends object, Input>(policy: ProcedurePolicy<Context, Input> = {}): Middleware<Context, Input> =>
    async ({ path, type, input, ctx, next }) => {
      if (type !== "query") return next();
      const { by, tags, ...options } = policy;
      const key = keyOf(path, input as string, by?.(ctx as unknown as Context));
      let own: Result | undefined;
      const load = async (): Promise<Stored> => {
        own = await next();
        // Not stored; a stale value may be served in its place.
        if (!own.ok) throw own.error;
        return { data: own.data };
      };
      const found = await getOrRun(results, key, load, { ...options, tags: [path, ...(tags?.(input) ?? [])] });
      return own?.ok === true && own.data === found.data ? own : resultOf(found.data);
    };
  return { cached, results };
}

/** As `next` gives it. tRPC has no public name for a result that comes from elsewhere: test this with each version. */
const resultOf = (data: unknown): Result => ({ marker: "middlewareMarker", ok: true, data }) as Result;
