import { forkScript, randomPrefix } from "@hotset/test-servers";
import { afterAll, beforeEach, expect, inject, it } from "vitest";
import type { handlers } from "./server.ts";

const env = { REDIS_URL: inject("redisUrl"), KEY_PREFIX: randomPrefix() };
const start = () => forkScript<typeof handlers>(new URL("server.ts", import.meta.url), { env });
const [a, b] = [start(), start()];
const both = [a, b] as const;
afterAll(async () => {
  await Promise.all(both.map((each) => each.call("close")));
  await Promise.all(both.map((each) => each.end()));
});

const runs = async () => (await a.call("runs")) + (await b.call("runs"));
beforeEach(runs);

it("runs a query once for callers of two processes", async () => {
  const calls = Array.from({ length: 20 }, (_, i) => both[i % 2]!.call("call", "user", { id: 1 }));
  expect(new Set((await Promise.all(calls)).map((each) => JSON.stringify(each)))).toEqual(
    new Set(['{"id":1,"name":"Ada"}']),
  );
  expect(await runs()).toBe(1);
});

it("ends answers by tag and by path, in both processes", async () => {
  for (const tag of ["user:2", "user"]) {
    for (const each of both) await each.call("setName", "Ada");
    await a.call("invalidate", "user:2");
    for (const each of both) expect(await each.call("call", "user", { id: 2 })).toEqual({ id: 2, name: "Ada" });
    for (const each of both) await each.call("setName", "Grace");
    await a.call("invalidate", tag);
    await expect.poll(() => b.call("call", "user", { id: 2 })).toEqual({ id: 2, name: "Grace" });
    expect(await a.call("call", "user", { id: 2 })).toEqual({ id: 2, name: "Grace" });
  }
});

it("stores no answer that was read before a change by the other process", async () => {
  for (const each of both) await each.call("setName", "old");
  await a.call("begin", { id: 3 });
  for (const each of both) await each.call("setName", "new");
  await b.call("invalidate", "user:3");
  expect(await a.call("release")).toEqual({ id: 3, name: "old" });
  for (const each of both) expect(await each.call("call", "user", { id: 3 })).toEqual({ id: 3, name: "new" });
});

it("keeps answers of users apart, and gives undefined as it is", async () => {
  expect(await a.call("call", "mine", undefined, { user: "ann" })).toBe("of ann");
  expect(await b.call("call", "mine", undefined, { user: "bob" })).toBe("of bob");
  expect(await b.call("call", "mine", undefined)).toBe("of all");
  for (const each of both) expect(await each.call("call", "nothing")).toBe(undefined);
  expect(await runs()).toBe(1);
});

it("stores no error and no mutation", async () => {
  for (const each of both)
    await expect(each.call("call", "missing")).rejects.toMatchObject({ name: "TRPCError", code: "NOT_FOUND" });
  expect(await runs()).toBe(2);
  expect([await a.call("call", "ping"), await a.call("call", "ping")]).toEqual([1, 2]);
});
