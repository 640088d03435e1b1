import type { Metrics } from "./workloads.ts";

/** Rounds that a contender may take to become warm. */
export const MOST_ROUNDS = 40;
/** So many rounds that bring nothing, and it is warm. */
const STILL = 8;

/**
 * Repeats a round until none of the last eight needed 5 % less processor time for an operation. V8 compiles code bit by
 * bit, as it runs, and a longer path takes longer to become fast: two rounds may agree long before.
 *
 * @returns how many rounds that took.
 */
export async function warmUp(round: () => Promise<Metrics>): Promise<number> {
  let best = Infinity;
  let since = 0;
  for (let rounds = 1; rounds <= MOST_ROUNDS; rounds += 1) {
    const { clientUs = 0 } = await round();
    since += 1;
    if (clientUs < 0.95 * best) [best, since] = [clientUs, 0];
    if (since === STILL) return rounds;
  }
  return MOST_ROUNDS;
}
