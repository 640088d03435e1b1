import { ConfigurationError } from "../index.ts";

type Vitest = typeof import("vitest");

const installed: { readonly vitest: Vitest } | { readonly cause: unknown } = await import("vitest").then(
  (vitest) => ({ vitest }),
  (cause: unknown) => ({ cause }),
);

/**
 * Vitest, needed only by the contract suites: clocks, gates and scripted backends work with any test runner.
 *
 * @throws {ConfigurationError} if it is not installed.
 */
export function vitestFor(suite: string): Vitest {
  if ("vitest" in installed) return installed.vitest;
  throw new ConfigurationError(`${suite} is a suite for Vitest: install vitest, an optional peer of @hotset/core`, {
    cause: installed.cause,
  });
}
