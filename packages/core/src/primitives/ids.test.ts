import { expect, it } from "vitest";
import { newId } from "./ids.ts";

it("no two ids are the same, and each has 96 random bits", () => {
  const ids = Array.from({ length: 1_000 }, newId);
  expect(new Set(ids).size).toBe(1_000);
  for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{16}$/);
});
