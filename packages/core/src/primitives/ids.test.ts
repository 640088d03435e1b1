import { expect, it } from "vitest";
import { newId, writerOf } from "./ids.ts";

it("no two ids are the same, each has 72 random bits after those of its process, which can be read", () => {
  const ids = Array.from({ length: 1_000 }, newId);
  expect(new Set(ids).size).toBe(1_000);
  for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{16}$/);
  expect(new Set(ids.map((id) => writerOf(id)))).toEqual(new Set([ids[0]!.slice(0, 4)]));
  expect(new Set(ids.map((id) => id.slice(4))).size).toBe(1_000);
  expect([writerOf(undefined), writerOf("1"), writerOf("a-seal-of-16-let.")]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});
