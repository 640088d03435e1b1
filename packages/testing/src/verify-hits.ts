import { type Cache, ConfigurationError, type Mismatch, type VerifyOptions } from "@hotset/core";
import type { Internals } from "@hotset/core/internal";
import { flush } from "./outcome.ts";

/** Which hits of a cache are compared, and how. */
export type VerifyHitsOptions = Pick<VerifyOptions, "ignore" | "equals" | "version" | "accepts">;

/** Hits that are compared with their source. */
export interface VerifiedHits extends AsyncDisposable {
  /**
   * Ends when all hits until now were compared.
   *
   * @returns how many were equal.
   * @throws {Error} that names the keys and fields of those that differ and are still served: an invalidation is
   *   missing, or a key lacks what its value depends on.
   */
  done(): Promise<number>;
}

/**
 * Compares every fresh hit of a cache with what its loader gives, so that a test finds an invalidation that was
 * forgotten:
 *
 *     const hits = verifyHits(cache);
 *     await getProduct(1);
 *     await changePrice(1, 200); // without cache.delete("product:1")
 *     await getProduct(1);
 *     await hits.done(); // throws: 1 of 1 hits differs from its source: "product:1" in cents
 *
 * What differs when it is loaded counts only if it is still served at `done()`. Calls and namespaces with `verify:
 * false` are left out. Disposing ends it without `done()`.
 *
 * @throws {ConfigurationError} for what `createCache(...).build()` has not given.
 */
export function verifyHits(cache: Cache, options: VerifyHitsOptions = {}): VerifiedHits {
  const parts = (cache as unknown as { readonly [INTERNALS]?: () => Internals } | null | undefined)?.[INTERNALS]?.();
  if (parts === undefined)
    throw new ConfigurationError("verifyHits: cache must be what createCache(...).build() gives");
  const { context } = parts;
  const before = context.verifier;
  let settled = Promise.withResolvers<void>();
  const bounds = { share: 1, maxPerMinute: Infinity, maxConcurrent: Infinity };
  const verifier = parts.startVerifying(parts, { ...options, ...bounds }, () => settled.promise)!;
  const { mismatches: differed, verified } = cache.stats();
  let counted = verified - differed;
  let found: Mismatch[] = [];
  const stop = cache.on("mismatch", (mismatch) => found.push(mismatch));
  return {
    async done() {
      // Hits of a moment ago begin to be compared.
      await flush();
      settled.resolve();
      settled = Promise.withResolvers();
      await verifier.idle();
      const { verified: all, mismatches } = cache.stats();
      const same = all - mismatches - counted;
      counted = all - mismatches;
      const wrong = found.filter(({ verdict }) => verdict !== "drift");
      found = [];
      if (wrong.length === 0) return same;
      throw new Error(textOf(wrong, same + wrong.length));
    },
    [Symbol.asyncDispose]() {
      stop();
      verifier.stop();
      settled.resolve();
      context.verifier = before;
      return Promise.resolve();
    },
  };
}

function textOf(wrong: readonly Mismatch[], all: number): string {
  const names = wrong.map(({ namespace, key, fields, why }) => {
    const where = JSON.stringify([...namespace, key].join(" › "));
    return `${where}${fields.length === 0 ? "" : ` in ${fields.join(", ")}`}${why === undefined ? "" : ` (${why})`}`;
  });
  const differ = wrong.length === 1 ? "differs from its source" : "differ from their source";
  return `${wrong.length} of ${all} hits ${differ}: ${names.join("; ")}`;
}

const INTERNALS: unique symbol = Symbol.for("hotset.internals");
