import type { Metrics } from "./workloads.ts";

/** Rounds that a contender may take to become warm. */
export const MOST_ROUNDS = 40;

/**
 * Repeats a round until two in a row need the same processor time for an operation, within 5 %. V8 compiles code bit by
 * bit, as it runs, and a longer path takes longer to become fast.
 *
 * @returns how many rounds that took.
 */
export async function warmUp(round: () => Promise<Metrics>): Promise<number> {
  let before = NaN;
  for (let rounds = 1; rounds <= MOST_ROUNDS; rounds += 1) {
    const { clientUs = 0 } = await round();
    if (Math.abs(clientUs - before) <= 0.05 * before) return rounds;
    before = clientUs;
  }
  return MOST_ROUNDS;
}
