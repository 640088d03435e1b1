/** The event loop of this process stands still while Redis answers: that is not an outage. */
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { TierState } from "@hotset/core";
import { forkScript, startOwnRedis } from "@hotset/test-servers";
import { afterAll, describe, expect, it } from "vitest";
import { DEADLINE_MS, impatient, over } from "../support/over-redis.ts";
import type { StallService } from "../support/stall-service.ts";

const READ_KEYS = Array.from({ length: 10 }, (_, i) => `read${i}`);
const WRITTEN_KEYS = Array.from({ length: 6 }, (_, i) => `written${i}`);
/** Longer than until a pending invalidation would be replayed. */
const LATER_MS = 2_000;

const server = await startOwnRedis();
afterAll(() => server.stop());

function block(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

const connections = async (): Promise<number> => Number((await server.info("stats"))["total_connections_received"]);

describe("the event loop stands still", () => {
  const cases: readonly (readonly [when: string, stallMs: number, begin: () => Promise<void>])[] = [
    ["before the commands are written", DEADLINE_MS * 1.2, () => Promise.resolve()],
    ["before the commands are written", DEADLINE_MS * 5, () => Promise.resolve()],
    ["after the commands were written", DEADLINE_MS * 1.2, () => nextTurn()],
    ["after the commands were written", DEADLINE_MS * 5, () => nextTurn()],
  ];
  it.each(cases)("%s, for %i ms: every answer is received, and the connection is kept", async (_, stallMs, begin) => {
    const elsewhere = over(impatient(server.url).responseTimeout("10s").build());
    await Promise.all(READ_KEYS.map((key) => elsewhere.set(key, key)));
    const cache = over(impatient(server.url).build(), { stack: "memory over backend" });
    await cache.connect();
    await cache.set("known versions", 1);
    const errors: string[] = [];
    const states: TierState[] = [];
    cache.on("backend:error", ({ error }) => errors.push(error.message));
    cache.on("backend:state", ({ state }) => states.push(state));
    const before = await connections();

    const reads = READ_KEYS.map((key) => cache.get(key));
    const writes = WRITTEN_KEYS.map((key) => cache.set(key, "new"));
    await begin();
    block(stallMs);

    expect(await Promise.all(reads)).toEqual(READ_KEYS);
    expect((await Promise.all(writes)).map(({ status }) => status)).toEqual(WRITTEN_KEYS.map(() => "stored"));
    await sleep(LATER_MS);
    expect(await Promise.all(WRITTEN_KEYS.map((key) => elsewhere.get(key)))).toEqual(WRITTEN_KEYS.map(() => "new"));
    expect([errors, states, cache.stats().pending]).toEqual([[], [], 0]);
    expect((await connections()) - before).toBe(0);
  });

  it("a process that was stopped for 3 s: the same, and no copy is served that was deleted meanwhile", async () => {
    const backend = impatient(server.url).responseTimeout("10s").build();
    const elsewhere = over(backend);
    await Promise.all([...READ_KEYS, "held"].map((key) => elsewhere.set(key, key)));
    await using stopped = forkScript<StallService>(new URL("../support/stall-service.ts", import.meta.url), {
      args: [JSON.stringify({ url: server.url, keyPrefix: "hotset" })],
    });
    expect(await stopped.call("hold", "held")).toBe("held");
    const before = await connections();
    // Redis keeps the calls waiting until the process stands still.
    await server.command("CLIENT", "PAUSE", 200, "ALL");
    await stopped.call("begin", READ_KEYS, WRITTEN_KEYS);
    stopped.pause();
    await sleep(400);
    expect(await elsewhere.delete("held")).toMatchObject({ status: "deleted" });
    await sleep(2_600);
    const resumedAt = Date.now();
    stopped.resume();

    expect(await stopped.call("outcome")).toEqual({
      values: READ_KEYS,
      statuses: WRITTEN_KEYS.map(() => "stored"),
      errors: [],
      states: [],
    });
    await sleep(LATER_MS);
    expect(await stopped.call("seenSince", resumedAt)).toEqual([undefined]);
    expect(await Promise.all(WRITTEN_KEYS.map((key) => elsewhere.get(key)))).toEqual(WRITTEN_KEYS.map(() => "new"));
    expect((await connections()) - before).toBe(0);
  });
});
