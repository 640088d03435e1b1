import { ConfigurationError } from "../contracts/errors.ts";

/**
 * Refuses arguments that a function does not take: ignored in silence, options among them would seem accepted.
 * `undefined` sets nothing, as in options.
 *
 * @param call as the error names it: `redis(url)`.
 * @param advice the end of the sentence: where such things belong.
 * @throws {ConfigurationError}
 */
export function refuseSurplus(call: string, surplus: readonly unknown[], advice: string): void {
  if (surplus.some((given) => given !== undefined))
    throw new ConfigurationError(`${call} takes no further argument; ${advice}`);
}
