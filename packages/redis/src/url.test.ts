import { InvalidArgumentError } from "@hotset/core";
import { expect, it } from "vitest";
import { parseUrl } from "./url.ts";

it.each([
  ["redis://cache", { address: { host: "cache", port: 6379 }, isTls: false, database: 0 }],
  ["redis://cache:7000/", { address: { host: "cache", port: 7000 }, isTls: false, database: 0 }],
  ["rediss://cache/3", { address: { host: "cache", port: 6379 }, isTls: true, database: 3 }],
  ["redis://:p%40ss@cache", { address: { host: "cache", port: 6379 }, isTls: false, database: 0, password: "p@ss" }],
  [
    "redis://app:pw@cache:1/2",
    { address: { host: "cache", port: 1 }, isTls: false, database: 2, username: "app", password: "pw" },
  ],
  ["redis://[::1]:7000", { address: { host: "::1", port: 7000 }, isTls: false, database: 0 }],
  ["unix:///run/redis.sock", { address: { path: "/run/redis.sock" }, isTls: false, database: 0 }],
  ["unix:///run/a%20b.sock?db=2", { address: { path: "/run/a b.sock" }, isTls: false, database: 2 }],
  [
    "unix://app:p%2Fw@/run/redis.sock",
    { address: { path: "/run/redis.sock" }, isTls: false, database: 0, username: "app", password: "p/w" },
  ],
])("R1-01: %s", (url, expected) => {
  expect(parseUrl("single(url)", url)).toEqual(expected);
  if (!url.startsWith("unix:")) expect(parseUrl("single(url)", new URL(url))).toEqual(expected);
});

it("takes the default port where the URL has none", () => {
  expect(parseUrl("sentinel(urls)", "redis://s1", 26_379).address).toEqual({ host: "s1", port: 26_379 });
});

it.each([
  ["http://hunter2@cache"],
  ["redis:cache"],
  ["redis://"],
  ["cache:6379"],
  ["hunter2"],
  [""],
  ["redis://hunter2@cache:70000"],
  ["redis://:hunter2@cache/one"],
  ["redis://:hunter2@cache/-1"],
  ["redis://:hunter2%@cache"],
  ["redis://:hunter2@cache?db=1"],
  ["redis://:hunter2@cache#x"],
  ["unix://hunter2"],
  ["unix:///"],
  ["unix:///run/redis.sock?database=1"],
  ["unix:///run/redis.sock?db=x"],
  [undefined],
  [null],
  [6379],
  [{ href: "redis://cache" }],
])("refuses %j with a message that lists what is accepted, and does not quote it", (given) => {
  let error: unknown;
  try {
    parseUrl("single(url)", given as string);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(InvalidArgumentError);
  expect((error as Error).message).toMatch(/^single\(url\): .*give redis:\/\/host:port\/db/);
  expect((error as Error).message).not.toContain("hunter2");
});
