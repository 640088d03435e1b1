import { setTimeout as sleep } from "node:timers/promises";
import { forkScript, startOwnRedis } from "@hotset/test-servers";
import type { CacheProcess } from "../processes/cache-process.ts";
import { inShort, percentile, type Conditions, type Figure, type Trial } from "../trial.ts";

const CACHE_PROCESS = new URL("../processes/cache-process.ts", import.meta.url);
const PER_SECOND = 1_000;

/** How Redis is lost, and which keys are requested meanwhile. */
const CASES = [
  { what: "killed, hot keys", lose: "kill", keys: "hot" },
  { what: "killed, cold keys", lose: "kill", keys: "cold" },
  { what: "frozen, cold keys", lose: "pause", keys: "cold" },
] as const;

/**
 * A process that answers 1,000 requests a second, memory over Redis, while Redis is unreachable. Hot entries live 10 s,
 * so they are loaded again during the outage.
 */
export const withoutRedis = ({ outageMs }: Conditions): Trial => ({
  name: "without Redis, 1,000 requests a second",
  async run() {
    const figures: Figure[] = [];
    for (const { what, lose, keys } of CASES) {
      await using server = await startOwnRedis();
      await using service = forkScript<CacheProcess>(CACHE_PROCESS, { callTimeoutMs: outageMs + 30_000 });
      await service.call("open", { url: server.url, name: "outage", ttl: 10_000 });
      // Warms up.
      await service.call("requests", PER_SECOND, 3_000, keys);
      const requests = service.call("requests", PER_SECOND, outageMs, keys);
      await sleep(100);
      if (lose === "kill") await server.kill();
      else server.pause();
      const { count, failed, example, loads, openAfterMs, beforeMs, whileOpenMs, perSecond } = await requests;
      if (lose === "pause") server.resume();
      await service.kill();
      figures.push(
        {
          what: `${what}: failed requests`,
          unit: "",
          value: failed,
          atMost: 0,
          remark: `of ${count} in ${outageMs / 1_000} s, ${inShort(perSecond)}/s; ${loads} loads${example === undefined ? "" : `; ${example}`}`,
        },
        {
          what: `${what}: our own time, p99, breaker open`,
          unit: " ms",
          value: percentile(whileOpenMs, 0.99),
          atMost: 5,
          remark: `p50 ${inShort(percentile(whileOpenMs, 0.5))}, longest ${inShort(percentile(whileOpenMs, 1))} ms; ${whileOpenMs.length} requests`,
        },
        {
          what: `${what}: breaker open after`,
          unit: " ms",
          value: openAfterMs - 100,
          remark: `until then p99 ${inShort(percentile(beforeMs, 0.99))}, longest ${inShort(percentile(beforeMs, 1))} ms`,
        },
      );
    }
    return figures;
  },
});
