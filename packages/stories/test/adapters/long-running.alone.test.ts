import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { json } from "@hotset/core";
import { keyvStore } from "@hotset/keyv";
import { createTestCache, scriptedBackend, TestClock } from "@hotset/testing";
import { Keyv } from "keyv";
import { expect, it } from "vitest";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

const HOUR_MS = 3_600_000;

it.each(["memory", "a backend"])(
  "a worker that loops for an hour holds no more than after its first part, over %s",
  async (stack) => {
    const clock = new TestClock();
    const backend = scriptedBackend({
      ...{ clock, format: json(), leases: true, tagVersions: true, coherence: "reported" },
    });
    const cache = createTestCache({ clock, ttl: "5s", backend: stack === "memory" ? false : backend });
    const keyv = new Keyv({ store: keyvStore(cache), useKeyPrefix: false });
    const store = cache.namespace("keyv");
    let flows = 0;
    /** All in one async context: keys that are set, that fail, that end by themselves, and changes. */
    const work = async (ms: number, stepMs: number): Promise<number> => {
      for (const end = clock.now() + ms; clock.now() < end; flows += 1) {
        const key = `k${(flows * 7) % 997}`;
        const found = await keyv.get(key);
        if (found === undefined && flows % 3 !== 0) await keyv.set(key, { flows }, 5_000);
        if (flows % 50 === 0) await store.delete(key);
        if (flows % 500 === 0) await store.clear();
        clock.advance(stepMs);
      }
      backend.forgetCalls();
      gc();
      return process.memoryUsage().heapUsed;
    };
    const stepMs = stack === "memory" ? 30 : 150;
    await work(HOUR_MS / 4, stepMs);
    const before = await work(HOUR_MS / 4, stepMs);
    const after = await work(HOUR_MS / 2, stepMs);
    expect(flows).toBeGreaterThanOrEqual(HOUR_MS / stepMs);
    // One object left by each flow would be more than 2 MB.
    expect(after - before).toBeLessThan(500_000);
    await cache.close();
  },
);
