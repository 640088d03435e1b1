import { ConfigurationError } from "@hotset/core";
import { expect, it } from "vitest";
import { describeLocalTier } from "./describe-local-tier.ts";
import { mapTier } from "./map-tier.ts";
import { TestClock } from "./test-clock.ts";

describeLocalTier("mapTier", { open: ({ maxEntries }) => mapTier({ maxEntries }) });

it("evicts the least recently used entry, and reports it", () => {
  const evicted: unknown[] = [];
  const tier = mapTier({ maxEntries: 2 });
  tier.attach({ clock: new TestClock(), evicted: (key, reason) => evicted.push([key, reason]) });
  tier.set("a", { value: 1, deadAt: Infinity });
  tier.set("b", { value: 2, deadAt: Infinity });
  tier.get("a");
  tier.set("c", { value: 3, deadAt: Infinity });
  expect(evicted).toEqual([["b", "entries"]]);
  expect(tier.get("a")?.value).toBe(1);
});

it("belongs to one cache", () => {
  const tier = mapTier();
  const host = { clock: new TestClock(), evicted: () => undefined };
  tier.attach(host);
  expect(() => tier.attach(host)).toThrow(ConfigurationError);
});
