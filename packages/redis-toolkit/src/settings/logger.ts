import { ConfigurationError, type CacheLogger } from "@hotset/core";

const LEVELS = ["error", "warn", "info"] as const;

/**
 * The logger of the options. One that throws, or rejects, must not end the work that reports: its failure changes
 * nothing, and is reported nowhere.
 *
 * @throws {ConfigurationError} for another thing than a logger.
 */
export function loggerOf(given: CacheLogger | undefined): CacheLogger | undefined {
  if (given === undefined) return undefined;
  if (!LEVELS.every((level) => typeof given?.[level] === "function"))
    throw new ConfigurationError("logger must have the methods error, warn and info, as console has");
  const quietly =
    (level: (typeof LEVELS)[number]) =>
    (line: string): void => {
      try {
        Promise.resolve(given[level](line)).catch(() => undefined);
      } catch {
        return;
      }
    };
  return { error: quietly("error"), warn: quietly("warn"), info: quietly("info") };
}
