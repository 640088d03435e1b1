import { setTimeout as sleep } from "node:timers/promises";

/** Calls `act` at a rate, and catches up after late timers. */
export async function paced(perSecond: number, forMs: number, act: () => void): Promise<void> {
  const startedAt = performance.now();
  for (let done = 0; ;) {
    const passedMs = Math.min(performance.now() - startedAt, forMs);
    for (const due = Math.floor((passedMs * perSecond) / 1_000); done < due; done += 1) act();
    if (passedMs === forMs) return;
    await sleep(1);
  }
}
