import { setTimeout as sleep } from "node:timers/promises";
import { forkScript, type OwnRedis } from "@hotset/test-servers";
import type { CacheProcess } from "../processes/cache-process.ts";
import type { ListenersProcess } from "../processes/listeners-process.ts";
import { inShort, type Conditions, type Figure, type Trial } from "../trial.ts";

const CACHE_PROCESS = new URL("../processes/cache-process.ts", import.meta.url);
const LISTENERS_PROCESS = new URL("../processes/listeners-process.ts", import.meta.url);
const FOR_MS = 3_000;
const PACED = 1_000;

/**
 * The cost for one writer, and for Redis, of announcing each write to listeners: caches with a connection each, in at
 * most four processes, since more would measure the machine. The writer listens as well, and is not counted.
 */
export const fleet = ({ url, server }: Conditions): Trial => ({
  name: "writes announced to 0, 10, 50 and 200",
  async run() {
    const figures: Figure[] = [];
    for (const listeners of [0, 10, 50, 200]) {
      await using writer = forkScript<CacheProcess>(CACHE_PROCESS);
      await writer.call("open", { url, name: "fleet" });
      const processes = Array.from({ length: Math.min(listeners, 4) }, () =>
        forkScript<ListenersProcess>(LISTENERS_PROCESS),
      );
      try {
        await Promise.all(
          processes.map((each, i) => each.call("open", url, "fleet", Math.floor((listeners + i) / processes.length))),
        );
        await writer.call("sets", "k", 1_000);
        await sleep(500);
        const flatOut = await measured(server, () => writer.call("sets", "k", FOR_MS));
        await sleep(500);
        const before = await processorMs(processes);
        const paced = await measured(server, () => writer.call("sets", "k", FOR_MS, PACED));
        const listenersMs = (await processorMs(processes)) - before;
        await sleep(2_500);
        const listening = await Promise.all(processes.map((each) => each.call("listening")));
        const sum = listening.reduce((total, each) => total + each, 0);
        if (sum !== listeners) throw new Error(`${sum} of ${listeners} caches receive invalidations`);
        await Promise.all([writer.call("close"), ...processes.map((each) => each.call("close"))]);
        figures.push(
          {
            what: `${listeners} others: writes, flat out`,
            unit: "/s",
            value: flatOut.perSecond,
            remark: `${inShort(flatOut.redisUs)} us of Redis each, ${inShort(flatOut.redisShare * 100)} % of a core`,
          },
          {
            what: `${listeners} others: Redis at ${PACED.toLocaleString("en")} writes/s`,
            unit: " % of a core",
            value: paced.redisShare * 100,
            remark: `${inShort(paced.redisUs)} us each${listeners === 0 ? "" : `; each listener ${inShort((listenersMs / listeners / FOR_MS) * 100)} % of a core`}; ${inShort(paced.perSecond)}/s were done`,
          },
        );
      } finally {
        await Promise.all(processes.map((each) => each.kill()));
      }
    }
    return figures;
  },
});

async function measured(
  server: OwnRedis,
  run: () => Promise<{ readonly perSecond: number }>,
): Promise<{ readonly perSecond: number; readonly redisUs: number; readonly redisShare: number }> {
  const processor = async (): Promise<number> => {
    const info = await server.info("cpu");
    return Number(info["used_cpu_sys"]) + Number(info["used_cpu_user"]);
  };
  const startedAt = performance.now();
  const before = await processor();
  const { perSecond } = await run();
  const seconds = (performance.now() - startedAt) / 1_000;
  const usedSeconds = (await processor()) - before;
  return { perSecond, redisUs: (usedSeconds / (perSecond * seconds)) * 1e6, redisShare: usedSeconds / seconds };
}

async function processorMs(processes: readonly { call(name: "processorMs"): Promise<number> }[]): Promise<number> {
  const each = await Promise.all(processes.map((process) => process.call("processorMs")));
  return each.reduce((sum, ms) => sum + ms, 0);
}
