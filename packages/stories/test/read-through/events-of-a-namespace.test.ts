import { createTestCache, scriptedBackend, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";

it("a listener of a namespace gets the events of that namespace and below it, and no others", async () => {
  const cache = createTestCache();
  const users = cache.namespace("users");
  const seen: string[] = [];
  const stop = users.on("miss", ({ namespace, key }) => seen.push([...namespace, key].join("/")));
  await cache.get("root");
  await cache.namespace("user").get("like");
  await cache.namespace("other").namespace("users").get("elsewhere");
  await cache.namespace("users").get("own");
  await users.namespace("ada").get("below");
  expect(seen).toEqual(["users/own", "users/ada/below"]);
  stop();
  await users.get("later");
  expect(seen.length).toBe(2);
});

it("an event of the whole cache reaches the listeners of the cache alone", async () => {
  const cache = createTestCache();
  const seen: string[] = [];
  cache.on("invalidate", ({ namespace }) => seen.push(`cache: ${namespace.join("/")}`));
  cache.namespace("users").on("invalidate", ({ namespace }) => seen.push(`users: ${namespace.join("/")}`));
  await cache.clear();
  await cache.namespace("users").clear();
  expect(seen).toEqual(["cache: ", "cache: users", "users: users"]);
});

it("a listener that throws or rejects changes nothing, and a bad argument is refused", async () => {
  const users = createTestCache().namespace("users");
  users.on("miss", () => {
    throw new Error("listener");
  });
  users.on("miss", () => Promise.reject(new Error("listener")) as never);
  expect(await users.getOrSet("k", () => 1)).toBe(1);
  expect(() => users.on("nope" as never, () => undefined)).toThrow("event must be one of hit, ");
  expect(() => users.on("miss", 1 as never)).toThrow("listener must be a function, got a number");
});

it("trouble of other namespaces is still a warning", async () => {
  const warnings: string[] = [];
  const remember = ({ message }: Error): void => void warnings.push(message);
  process.on("warning", remember);
  const clock = new TestClock();
  const cache = createTestCache({ clock, backend: scriptedBackend({ clock }), logger: undefined as never });
  cache.namespace("users").on("backend:error", () => undefined);
  const unwritable = { secret: 1n };
  await cache.namespace("users").getOrSet("received", () => unwritable);
  await cache.namespace("orders").getOrSet("unheard", () => unwritable);
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", remember);
  expect(warnings).toEqual([expect.stringContaining('(key "unheard")')]);
});
