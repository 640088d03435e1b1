import { forkScript, randomPrefix } from "@hotset/test-servers";
import { afterAll, beforeEach, expect, inject, it } from "vitest";
import type { handlers } from "./server.ts";

const env = { REDIS_URL: inject("redisUrl"), KEY_PREFIX: randomPrefix() };
const start = () => forkScript<typeof handlers>(new URL("server.ts", import.meta.url), { env });
const [a, b] = [start(), start()];
const both = [a, b] as const;
afterAll(() => Promise.all(both.map((each) => each.end())));

const runs = async () => (await a.call("runs")) + (await b.call("runs"));
beforeEach(runs);

it("runs a loader once for requests to two processes, whatever the order of the query", async () => {
  const paths = ["/users/1?page=2&sort=up", "/users/1?sort=up&page=2"];
  const asked = Array.from({ length: 20 }, (_, i) => both[i % 2]!.call("ask", paths[i % 3 === 0 ? 0 : 1]!));
  for (const answer of await Promise.all(asked)) expect(answer).toEqual({ id: "1", page: "2", name: "Ada" });
  expect(await runs()).toBe(1);
});

it("keeps pages, users and visitors apart", async () => {
  expect(await a.call("ask", "/users/2")).toEqual({ id: "2", page: null, name: "Ada" });
  expect(await b.call("ask", "/users/2?page=3")).toEqual({ id: "2", page: "3", name: "Ada" });
  expect([await a.call("ask", "/mine", "ann"), await b.call("ask", "/mine", "bob")]).toEqual(["of ann", "of bob"]);
  expect([await a.call("ask", "/mine", "bob"), await b.call("ask", "/mine")]).toEqual(["of bob", "of all"]);
  expect(await runs()).toBe(5);
});

it("ends data by tag and by the name of its loader, in both processes", async () => {
  for (const tag of ["user:4", "user"]) {
    for (const each of both) await each.call("setName", "Ada");
    await a.call("invalidate", "user:4");
    for (const each of both) expect(await each.call("ask", "/users/4")).toMatchObject({ name: "Ada" });
    for (const each of both) await each.call("setName", "Grace");
    await a.call("invalidate", tag);
    await expect.poll(() => b.call("ask", "/users/4")).toMatchObject({ name: "Grace" });
    expect(await a.call("ask", "/users/4")).toMatchObject({ name: "Grace" });
  }
});

it("stores no data that was read before a change by the other process", async () => {
  for (const each of both) await each.call("setName", "old");
  await a.call("begin", "/users/5");
  for (const each of both) await each.call("setName", "new");
  await b.call("invalidate", "user:5");
  expect(await a.call("release")).toMatchObject({ name: "old" });
  for (const each of both) expect(await each.call("ask", "/users/5")).toMatchObject({ name: "new" });
});

it("goes on with a load for others when the visitor that began it leaves", async () => {
  await a.call("begin", "/users/6");
  const others = [a, b].map((each) => each.call("ask", "/users/6"));
  await a.call("leave");
  await expect(a.call("release")).rejects.toThrow();
  for (const other of others) expect(await other).toMatchObject({ id: "6" });
  expect(await runs()).toBe(1);
});

it("gives a redirect, an error page and a cookie to the caller that ran the loader, and stores none", async () => {
  for (const each of both) {
    expect(await each.call("ask", "/old")).toMatchObject({ status: 302, location: "/users/1" });
    expect(await each.call("ask", "/none")).toMatchObject({ status: 404, text: "no such user" });
  }
  for (const each of both) {
    const cookies = await Promise.all([1, 2].map(() => each.call("ask", "/login")));
    expect(new Set(cookies.map((answer) => (answer as { cookie: string }).cookie)).size).toBe(2);
  }
  expect(await runs()).toBe(8);
});

it("stores no error", async () => {
  for (const each of both)
    await expect(each.call("ask", "/broken")).rejects.toMatchObject({ message: "database down" });
  expect(await runs()).toBe(2);
});

it("answers without the cache after it was closed, as during a shutdown", async () => {
  await Promise.all(both.map((each) => each.call("close")));
  for (const each of both) expect(await each.call("ask", "/users/1")).toMatchObject({ id: "1" });
  expect(await runs()).toBe(2);
});
