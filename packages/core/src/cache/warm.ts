import type { Loader } from "../engine/load.ts";
import type { GetOrSetOptions, Served } from "../entry/policy.ts";
import { inWindow } from "../primitives/in-windows.ts";

/** Options of `warm`: those of `getOrSet` for all entries, and how fast. */
export interface WarmOptions extends Omit<GetOrSetOptions, "onServed" | "after"> {
  /** Loads at one time, at least 1: a source that serves traffic should hardly notice. @default 10 */
  readonly concurrency?: number | undefined;
}

/** The outcome of `warm`. */
export interface WarmResult {
  /** Keys that had a value, fresh or stale, and needed no load that failed. */
  readonly present: number;
  /** Keys that were loaded, here or by another process meanwhile. */
  readonly loaded: number;
  /**
   * The errors of loads that failed, by key, also where the old value is served in their place. The other keys are warm
   * all the same.
   */
  readonly failed: ReadonlyMap<string, unknown>;
}

export type WarmEntry = readonly [key: string, load: Loader<unknown>];
type Fetch = (key: string, load: Loader<unknown>, options: GetOrSetOptions) => Promise<unknown>;

/**
 * Calls `getOrSet` for each entry, `concurrency` at a time, in their order.
 *
 * @throws `signal.reason` once `signal` is aborted; what is warm by then stays.
 */
export async function warmEntries(
  getOrSet: Fetch,
  entries: readonly WarmEntry[],
  options: GetOrSetOptions,
  concurrency: number,
): Promise<WarmResult> {
  let present = 0;
  let loaded = 0;
  const failed = new Map<string, unknown>();
  const fetch = async ([key, load]: WarmEntry): Promise<void> => {
    if (options.signal?.aborted === true) return;
    const onServed = ({ status, error }: Served): void => {
      // The value that is there was served in place of the error.
      if (error !== undefined) failed.set(key, error);
      else if (status === "miss") loaded += 1;
      else present += 1;
    };
    try {
      await getOrSet(key, load, { ...options, onServed });
    } catch (error) {
      failed.set(key, error);
    }
  };
  await inWindow(entries, fetch, concurrency);
  options.signal?.throwIfAborted();
  return { present, loaded, failed };
}
