/** The first calls of a process, which connect. */
import { startOwnRedis, startProxy } from "@hotset/test-servers";
import { expect, it } from "vitest";
import { DEADLINE_MS, impatient, over } from "../support/over-redis.ts";
import { watch } from "../support/watch.ts";

it.for([{}, { forceRefresh: true }])(
  "%j: a connection that takes longer than responseTimeout costs no load its lease",
  async (options) => {
    await using server = await startOwnRedis();
    const proxy = await startProxy(server.port);
    const hello = proxy.hold("HELLO");
    const cold = over(impatient(proxy.url).build());
    const seen = watch(cold, "load:unleased", "backend:error");
    let loads = 0;
    const load = (): number => (loads += 1);
    const first = cold.getOrSet("k", load, { tags: ["t"], ...options });
    await hello.reached;
    await new Promise((resolve) => setTimeout(resolve, DEADLINE_MS * 1.4));
    hello.release();
    expect(await first).toBe(1);
    await cold.drain();
    const other = over(impatient(server.url).responseTimeout("5s").build());
    expect(await other.getOrSet("k", load, { tags: ["t"] })).toBe(1);
    expect([loads, seen]).toEqual([1, []]);
    await proxy.close();
  },
);
