import type { Backend } from "@hotset/core";
import { fromSwap as fromSwapOf, type FromSwapOptions, type SwapStore } from "@hotset/core/stores";
import { withShipped } from "./shipped.ts";

/**
 * A backend with leases and tag versions, over a store that can compare one record and set it. Each step is a read and
 * a swap: entry and lease of a key are one record, so a step that anything has overtaken is refused, and decided again.
 * It writes `msgpack()`, and reads `json()`, `gzip()`, `brotli()` and `zstd()` too, unless the options say otherwise.
 *
 * Without {@link FromSwapOptions.log} it reports no changes, so `memory()` in front of it needs `localTtl`.
 * Its calls reject as those of {@link Backend}.
 *
 * @throws {InvalidArgumentError} for a value that an option cannot have.
 * @throws {ConfigurationError} for an option that does not exist.
 */
export function fromSwap<V>(store: SwapStore<V>, options: FromSwapOptions): Backend {
  return fromSwapOf(store, options && withShipped(options));
}
