import { setTimeout as sleep } from "node:timers/promises";
import type { Arena } from "./arena.ts";
import type { Fault, Instant } from "./history.ts";
import { REPLICATION_LAG_MS } from "./replacements.ts";

const WATCH_EVERY_MS = 100;
/** The time that a failover may have begun before it is seen: a server that is silent for so long is replaced. */
const UNSEEN_MS = 2_000;

/**
 * On a busy machine servers may be taken for dead and replaced without a fault of the plan, even when all faults have
 * ended.
 */
export function watchPrimaries(arena: Arena, now: () => Instant): { stop(): Promise<readonly Fault[]> } {
  if (arena.topology === "single") return { stop: () => Promise.resolve([]) };
  const faults: Fault[] = [];
  let isStopped = false;
  const watching = (async () => {
    let before: ReadonlySet<number> | undefined;
    while (!isStopped) {
      await sleep(WATCH_EVERY_MS);
      try {
        const at = now();
        const ports = (await arena.primaries()).map(({ port }) => port);
        // A shard without a primary is one that nothing replaces: it comes back as it was.
        const isOther = before !== undefined && ports.some((port) => !before!.has(port));
        if (before === undefined || isOther) before = new Set(ports);
        if (!isOther) continue;
        // Where a fault is under way that keeps them from it, that one says when it has ended.
        await arena.settle().catch(() => undefined);
        faults.push({
          kind: "a primary was replaced",
          from: at - UNSEEN_MS,
          to: now(),
          losesSince: at - UNSEEN_MS - REPLICATION_LAG_MS,
          losesLeases: true,
          splits: true,
        });
      } catch {
        // The state is unknown just now; the next look will show it.
        continue;
      }
    }
  })();
  return {
    stop: async () => {
      isStopped = true;
      await watching;
      return faults;
    },
  };
}
