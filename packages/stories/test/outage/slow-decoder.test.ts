/** The backend has answered in time, and a schema or a decompressor takes too long. */
import { createCache, type Cache, type StandardSchema } from "@hotset/core";
import { flush, outcome, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { watch } from "../support/watch.ts";

const DEADLINE_MS = 1_000;
const hangs: StandardSchema<unknown> = {
  "~standard": { version: 1, vendor: "test", validate: () => new Promise<never>(() => undefined) },
};

async function stored(): Promise<{
  readonly clock: TestClock;
  readonly backend: ScriptedBackend;
  readonly open: (peer?: ScriptedBackend) => Cache;
}> {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true });
  const open = (peer: ScriptedBackend = backend.peer()): Cache => {
    const cache = createCache({ name: "test", clock }).tier(peer).defaults({ ttl: "1h" }).build();
    onTestFinished(() => cache.close({ timeout: 0 }));
    return cache;
  };
  const writer = open(backend).namespace("users");
  for (let i = 0; i < 6; i += 1) await writer.set(`k${i}`, "value");
  return { clock, backend, open };
}

const keys = Array.from({ length: 6 }, (_, i) => `k${i}`);

describe("a decoder that is slower than the deadline of the backend", () => {
  it.each([
    ["get", (cache: Cache) => Promise.all(keys.map((key) => cache.namespace("users", { schema: hangs }).get(key)))],
    [
      "getMany",
      async (cache: Cache) => {
        const found = await cache.namespace("users", { schema: hangs }).getMany(keys);
        return keys.map((key) => found.get(key));
      },
    ],
    [
      "getOrSet",
      (cache: Cache) =>
        Promise.all(keys.map((key) => cache.namespace("users", { schema: hangs }).getOrSet(key, () => undefined))),
    ],
  ] as const)("%s: a miss, reported by decode:error, and no fault of the backend", async (_, call) => {
    const { clock, open } = await stored();
    const cache = open();
    const errors = watch(cache, "backend:error", "decode:error");
    const calling = call(cache);
    await flush();
    clock.advance(DEADLINE_MS - 1);
    expect(await outcome(calling)).toEqual({ status: "pending" });
    clock.advance(1);
    await flush();
    clock.advance(DEADLINE_MS);
    expect(await calling).toEqual(keys.map(() => undefined));
    expect(errors.map(([name, event]) => [name, "key" in event && event.key, event.error.code])).toEqual(
      keys.map((key) => ["decode:error", key, "DECODE_FAILED"]),
    );
    expect(cache.stats().tiers.at(-1)!.state).toBe("up");
  });
});
