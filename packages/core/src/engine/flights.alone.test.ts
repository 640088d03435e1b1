import { mapTier, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { assemble } from "../cache/assemble.ts";
import { NamespaceView } from "../cache/namespace-view.ts";
import { DEFAULT_POLICY } from "../entry/policy.ts";
import type { Semaphore } from "../primitives/semaphore.ts";

function freeSlots(slots: Semaphore): number {
  let free = 0;
  while (slots.tryTake()) free += 1;
  return free;
}

it("C51 nothing is left after a million keys", async () => {
  const { context, engine, namespace } = assemble({
    options: { name: "test", clock: new TestClock() },
    local: mapTier({ maxEntries: 1_000 }),
    backend: undefined,
    policy: DEFAULT_POLICY,
  });
  const view = new NamespaceView(engine, namespace);
  const load = ({ key }: { readonly key: string }): string => key;
  for (let begun = 0; begun < 1_000_000; begun += 1_000) {
    const calls = Array.from({ length: 1_000 }, (_, i) => view.getOrSet(`key ${begun + i}`, load));
    if (begun === 0) expect(context.flights.size).toBe(1_000);
    const values = await Promise.all(calls);
    expect([values[999], context.flights.size]).toEqual([`key ${begun + 999}`, 0]);
  }
  expect(view.stats().loads).toBe(1_000_000);
  expect([
    context.flights.size,
    context.writes.size,
    freeSlots(context.loads),
    freeSlots(context.backgroundLoads),
  ]).toEqual([0, 0, 1_000, 100]);
});
