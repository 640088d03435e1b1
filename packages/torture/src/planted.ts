import type { RoundOptions } from "./round.ts";

/** The Node arguments that make the processes of a round run over sources in which one rule is broken. */
export function planted(mutant: string): RoundOptions {
  return { execArgv: ["--import", new URL("plant.ts", import.meta.url).href], env: { HOTSET_MUTANT: mutant } };
}
