import { expect, it } from "vitest";
import { lentEntry, readLent } from "./lent-entry.ts";

const data = Uint8Array.of(1);

it.each([
  ["fresh for longer", { staleInMs: 60_000, expiresInMs: 90_000 }, { staleInMs: 59_000, expiresInMs: 9_000 }],
  ["fresh for ever", { staleInMs: Infinity, expiresInMs: Infinity }, { staleInMs: Infinity, expiresInMs: 9_000 }],
  ["that ends sooner", { staleInMs: 4_000, expiresInMs: 5_000 }, { staleInMs: 3_000, expiresInMs: 4_000 }],
  ["stale", { staleInMs: -5, expiresInMs: 90_000 }, { staleInMs: -1_005, expiresInMs: 9_000 }],
])("an entry %s ends with its ttl in the gutter, and is as fresh as it was", (_, life, read) => {
  const lent = lentEntry({ data, meta: "m 1", version: "v", ...life }, 10_000, 1_500.2);
  expect(lent).toMatchObject({ data, version: "v", expiresInMs: Math.min(life.expiresInMs, 10_000) });
  const { entry, spanMs } = readLent({ ...lent, expiresInMs: lent.expiresInMs - 1_000 })!;
  expect(entry).toMatchObject({ data, meta: "m 1", version: "v", ...read });
  expect(spanMs).toBe(lent.expiresInMs + 1_501);
});

it("what another program has written there is none", () => {
  expect(readLent({ data, meta: "json none", staleInMs: 1, expiresInMs: 1 })).toBe(undefined);
});
