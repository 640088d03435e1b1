import { scheduler } from "node:timers/promises";

/** Participants begin together, or some turns apart: over the rounds, each order of their steps comes up. */
export async function apart(place: number, round: number): Promise<void> {
  const turns = (place * round) % 7;
  if (round % 3 === 2 && turns > 0) await scheduler.wait(0);
  for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
}
