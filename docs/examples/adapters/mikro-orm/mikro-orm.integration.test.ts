import { forkScript, randomPrefix, startPostgres } from "@hotset/test-servers";
import { afterAll, beforeAll, beforeEach, expect, inject, it } from "vitest";
import type { handlers } from "./service.ts";

const prefix = randomPrefix();
const schema = `mikro_${prefix.replaceAll(/\W/g, "")}`;
const postgres = await startPostgres();
const env = { REDIS_URL: inject("redisUrl"), KEY_PREFIX: prefix, POSTGRES_URL: postgres.url, SCHEMA: schema };
const start = () => forkScript<typeof handlers>(new URL("service.ts", import.meta.url), { env });
const [a, b] = [start(), start()];
const both = [a, b] as const;

beforeAll(async () => {
  await postgres.query(`create schema ${schema}`);
  await a.call("create");
});
afterAll(async () => {
  await Promise.all(both.map((each) => each.call("close")));
  await Promise.all(both.map((each) => each.end()));
  await postgres.query(`drop schema ${schema} cascade`);
  await postgres.stop();
});

const queries = async () => (await a.call("queries")) + (await b.call("queries"));
beforeEach(queries);

it("gives one process the rows that the other has read, dates included", async () => {
  const rows = [{ name: "Ada", born: "1815-12-10T00:00:00.000Z" }];
  for (const each of [a, b, a, b]) expect(await each.call("find", 1)).toEqual(rows);
  expect(await queries()).toBe(1);
});

it("ends rows by a flush of the other process, those that were found by a relation or brought along too", async () => {
  for (const name of ["Grace", "Ada"]) {
    const former = await a.call("nameOf", 1);
    for (const each of both) {
      expect(await each.call("authorOf", 1)).toBe(former);
      expect([await each.call("titlesBy", former!), await each.call("titlesBy", name)]).toEqual([1, 0]);
    }
    await a.call("rename", 1, name);
    await expect.poll(() => b.call("nameOf", 1)).toBe(name);
    for (const each of both) {
      await expect.poll(() => each.call("authorOf", 1)).toBe(name);
      expect([await each.call("titlesBy", former!), await each.call("titlesBy", name)]).toEqual([0, 1]);
    }
  }
});

it("stores no rows that were read before a flush of the other process", async () => {
  for (const times of [1, 2]) {
    await a.call("rename", 2, `old ${times}`);
    await expect.poll(() => b.call("beginFind", 2, times)).toBe(true);
    await a.call("rename", 2, `new ${times}`);
    await b.call("release");
    for (const each of both) expect(await each.call("nameOf", 2)).toBe(`new ${times}`);
  }
});

it.each([false, true])(
  "ends rows when a transaction commits, not before (within another one: %s)",
  async (isNested) => {
    await b.call("rename", 1, "before");
    await expect.poll(() => a.call("nameOf", 1)).toBe("before");
    await a.call("beginRename", 1, "after", isNested);
    for (const each of both) expect(await each.call("nameOf", 1)).toBe("before");
    await a.call("release");
    for (const each of both) await expect.poll(() => each.call("nameOf", 1)).toBe("after");
  },
);

it("caches that there is no row, and a count", async () => {
  expect([await a.call("nameOf", 99), await a.call("count")]).toEqual([undefined, 2]);
  await queries();
  for (const each of both) expect([await each.call("nameOf", 99), await each.call("count")]).toEqual([undefined, 2]);
  expect(await queries()).toBe(0);
});

it("clears rows by the name that a program gave them, in both processes", async () => {
  for (const each of both) expect(await each.call("named")).toBe(2);
  await a.call("clearNamed");
  await queries();
  await expect.poll(async () => [await b.call("named"), await b.call("queries")]).toEqual([2, 1]);
});
