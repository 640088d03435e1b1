/** `single(url)` that leads to a replica: a reader endpoint, or a name that lags after a failover. */
import { setTimeout as sleep } from "node:timers/promises";
import { startOwnRedis, startProxy } from "@hotset/test-servers";
import { expect, it } from "vitest";
import { impatient, over } from "../support/over-redis.ts";

const PATIENCE = { timeout: 15_000, interval: 10 };

it.each(["tracking", "pubsub", "none"] as const)(
  "C183 with %s: reads go on, each write is refused by an answer, and the connection stays",
  { timeout: 60_000 },
  async (coherence) => {
    await using primary = await startOwnRedis();
    await using replica = await startOwnRedis();
    await using path = await startProxy(replica.port);
    const writer = over(impatient(primary.url).responseTimeout("10s").build());
    await writer.setMany(Array.from({ length: 95 }, (_, i) => [`k${i}`, "stored"] as const));
    await replica.command("REPLICAOF", "127.0.0.1", primary.port);
    await expect.poll(async () => (await replica.info("replication"))["master_link_status"], PATIENCE).toBe("up");

    const openedAt = performance.now();
    const cache = over(impatient(path.url).coherence(coherence).build(), {
      localTtl: coherence === "none" ? 1 : "10m",
    });
    const refusals = new Set<string>();
    cache.on("backend:error", ({ error }) =>
      refusals.add(String((error.cause as Error | undefined)?.message).split(" ")[0]!),
    );
    await cache.connect();
    // The first refused write closes the connection once: the time to connect again is not counted.
    await cache.getOrSet("absent", () => "loaded");
    await expect.poll(() => cache.get("k0"), PATIENCE).toBe("stored");
    const states: string[] = [];
    cache.on("backend:state", ({ state }) => states.push(state));
    const loads = { present: 0, absent: 0 };
    for (let i = 0; i < 2_000; i += 1) {
      const isPresent = i % 20 !== 0;
      const key = isPresent ? `k${i % 95}` : `absent ${i}`;
      const value = await cache.getOrSet(key, () => {
        loads[isPresent ? "present" : "absent"] += 1;
        return "loaded";
      });
      // The connection is being made anew.
      if (isPresent && value === "loaded") await expect.poll(() => cache.get(key), PATIENCE).toBe("stored");
      if (i % 100 === 0) await sleep(50);
    }
    const madeAnew = 1 + Math.floor((performance.now() - openedAt) / 10_000);
    expect(loads).toEqual({ present: expect.toSatisfy((n: number) => n <= 2 * madeAnew) as number, absent: 100 });
    expect(refusals).toContain("READONLY");
    expect(path.counts.connections).toBeLessThanOrEqual((coherence === "pubsub" ? 2 : 1) * (1 + madeAnew));
    expect(states.filter((state) => state === "down").length).toBeLessThan(madeAnew);

    await replica.command("REPLICAOF", "NO", "ONE");
    await expect.poll(() => cache.set("k", "written"), PATIENCE).toMatchObject({ status: "stored" });
  },
);
