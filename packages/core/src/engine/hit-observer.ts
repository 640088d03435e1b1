import type { Entry } from "../entry/entry.ts";
import type { BatchLoader, Loader } from "../entry/loader.ts";
import type { FixedOptions, GetOrSetOptions } from "../entry/policy.ts";
import type { GetOrSetCall, ItemLoad, NamespaceContext } from "./call.ts";
import type { Outcome, VerifiedGroup } from "./verify-figures.ts";
import type { VerifySettings } from "./verify-options.ts";

/** Bounds of `VerifyOptions` that count in place of its own. */
export type SampleBounds = Pick<VerifySettings, "maxPerMinute" | "maxConcurrent">;

/**
 * Sees each fresh hit that has a loader: see `Verifier`. Absent, and one comparison with `undefined` for a hit, unless
 * the option `verify` is set or something verifies for a while.
 */
export interface HitObserver {
  /** A fresh copy has answered, and no option of the call was read. */
  hit(namespace: NamespaceContext, key: string, entry: Entry, load: Loader<unknown>, options?: GetOrSetOptions): void;
  /** As {@link hit}, for one item of a batch. */
  hitOfItem(
    at: { readonly namespace: NamespaceContext; readonly key: string; readonly entry: Entry },
    load: ItemLoad & { readonly load: BatchLoader<unknown, unknown> },
    options?: Pick<FixedOptions, "verify" | "loadTimeout">,
  ): void;
  /** What was found lately. */
  groups(): readonly VerifiedGroup[];
  /**
   * Compares the next hits whatever the share, within these bounds, until the function that it returns is called.
   *
   * @param onOutcome called with each outcome.
   */
  sample(onOutcome: (outcome: Outcome) => void, bounds: SampleBounds): () => void;
  /** Resolves once nothing is compared any more. */
  idle(): Promise<void>;
  /** Ends what runs, and begins nothing more. */
  stop(): void;
  /** A call was answered with a fresh entry of a tier. Calls without a loader are left out. */
  answered(call: Partial<GetOrSetCall> & Pick<GetOrSetCall, "namespace" | "key">, entry: Entry, tier: string): void;
}
