import { expect, it } from "vitest";
import { markedStale } from "./marked-stale.ts";

it.each([
  ["a fresh one: its window begins now", [60_000, 90_000], [0, 30_000]],
  ["a stale one stays as it is", [-1_000, 20_000], [-1_000, 20_000]],
  ["one that becomes stale now", [0, 20_000], [0, 20_000]],
  ["fresh, and then stale without an end", [60_000, Infinity], [0, Infinity]],
  ["without a window", [60_000, 60_000], undefined],
  ["without an end, and always fresh", [Infinity, Infinity], undefined],
  ["read from a copy, which ends before it is stale", [60_000, 40_000], undefined],
] as const)("ends the freshness of a life: %s", (_, [staleInMs, expiresInMs], left) => {
  expect(markedStale({ staleInMs, expiresInMs })).toEqual(left && { staleInMs: left[0], expiresInMs: left[1] });
});
