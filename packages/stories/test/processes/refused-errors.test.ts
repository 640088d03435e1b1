import { flush } from "@hotset/testing";
import { expect, it } from "vitest";
import { inStep } from "../support/processes.ts";

it("C613 an error that reaches its callers says nothing of a value that another process stored later", async () => {
  const { p1, p2, clock } = await inStep({ ttl: 1_000, staleWhileRevalidate: "1h", coversError: () => false });
  const gone = (): never => {
    throw new Error("404");
  };
  await p1.cache.set("k", "old");
  clock.advance(1_000);
  expect(await p1.cache.getOrSet("k", gone)).toBe("old");
  await flush();
  await expect(p1.cache.getOrSet("k", gone)).rejects.toThrow("404");
  await p2.cache.set("k", "newer");
  await flush();
  expect(await p1.cache.getOrSet("k", gone)).toBe("newer");
  clock.advance(1_000);
  expect(await p1.cache.getOrSet("k", gone)).toBe("newer");
});
