/** A backend that bounds its calls has the only deadline of them. */
import { BackendUnavailableError, createCache, type Cache } from "@hotset/core";
import { flush, outcome, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { expect, it, onTestFinished, vi } from "vitest";
import { watch } from "../support/watch.ts";

const DEADLINE_MS = 1_000;

function open(options: { readonly boundsCalls: boolean; readonly tagVersions?: boolean }): {
  readonly clock: TestClock;
  readonly backend: ScriptedBackend;
  readonly cache: Cache;
  readonly timers: () => number;
} {
  const clock = new TestClock();
  const schedule = vi.spyOn(clock, "schedule");
  const backend = scriptedBackend({ clock, leases: true, tagVersions: options.tagVersions ?? true });
  if (options.boundsCalls) Object.assign(backend, { boundsCalls: true });
  const cache = createCache({ name: "test", clock }).tier(backend).defaults({ ttl: "1h" }).build();
  onTestFinished(() => cache.close({ timeout: 0 }));
  return { clock, backend, cache, timers: () => schedule.mock.calls.length };
}

it("the cache sets no timer beside the deadline of the backend", async () => {
  for (const [boundsCalls, timers] of [
    [true, 0],
    [false, 1],
  ] as const) {
    const { cache, timers: count } = open({ boundsCalls });
    for (let i = 0; i < 10; i += 1) await cache.get("k");
    await cache.set("k", 1);
    await cache.delete("k");
    expect(count(), `boundsCalls: ${boundsCalls}`).toBe(timers);
  }
});

it("the error is that of the backend, and counts for the breaker", async () => {
  const { clock, backend, cache } = open({ boundsCalls: true });
  const errors = watch(cache, "backend:error");
  const late = new BackendUnavailableError("nothing came within the deadline");
  backend.script("read", { times: 5, before: DEADLINE_MS, fail: late });
  const reads = Promise.all(Array.from({ length: 5 }, (_, i) => cache.get(`k${i}`)));
  clock.advance(DEADLINE_MS);
  expect(await reads).toEqual(Array.from({ length: 5 }, () => undefined));
  expect(errors.map(([, { error }]) => error)).toEqual(Array.from({ length: 5 }, () => late));
  expect(cache.stats().tiers.at(-1)!.state).toBe("down");
});

it("tag versions that the cache keeps as entries take several calls: the cache bounds those", async () => {
  const { clock, backend, cache } = open({ boundsCalls: true, tagVersions: false });
  backend.script("read", { times: Infinity, before: "10m" });
  const tags = cache.invalidateTags("t");
  const read = cache.get("k");
  await flush();
  clock.advance(DEADLINE_MS);
  expect([await outcome(read), (await outcome(tags)).status]).toEqual([
    { status: "fulfilled", value: undefined },
    "fulfilled",
  ]);
});
