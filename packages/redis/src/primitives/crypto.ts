import { ConfigurationError } from "@hotset/core";
import { builtin } from "@hotset/core/internal";

/**
 * node:crypto on first use: loading it takes as long as importing all of this package.
 *
 * @throws {ConfigurationError} in a runtime without it.
 */
export const crypto = (): typeof import("node:crypto") => (loaded ??= cryptoIfAny() ?? missing());
let loaded: typeof import("node:crypto") | undefined;

/** node:crypto, like {@link crypto}. `undefined` in a runtime without modules of Node. */
export const cryptoIfAny = (): typeof import("node:crypto") | undefined => builtin("node:crypto");

function missing(): never {
  throw new ConfigurationError(
    'redis: keyFormat("hashed") needs node:crypto, which this runtime lacks; set the flag nodejs_compat, or leave ' +
      "keyFormat as it is",
  );
}
