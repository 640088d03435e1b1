import { ConfigurationError, InvalidArgumentError } from "@hotset/core";
import { expect, it } from "vitest";
import { parseAddress, parseUrl, type ServerAddress } from "./url.ts";

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

it.each(["localhost:7790", "redis:6379", "cache.internal:6379", "127.0.0.1:6379", "localhost"])(
  "%s: offers it with the scheme",
  (given) => {
    expect(() => parseUrl("single(url)", given)).toThrow(`; did you mean redis://${given}?; give redis://host:port`);
  },
);

it.each(["hunter2", "app:hunter2", "hunter2@cache:6379", "hunter2.a", "hunter2:6379/0", "http://hunter2:6379", ""])(
  "%s: offers nothing",
  (given) => {
    expect(() => parseUrl("single(url)", given)).not.toThrow("did you mean");
  },
);

const token = async (): Promise<string> => "hunter2";

it.each<[ServerAddress, object]>([
  [{ host: "cache" }, { address: { host: "cache", port: 6379 }, database: 0, tls: undefined }],
  [
    { host: "[::1]", port: 7000, username: "app:1", password: "p@ss/%", database: 2, tls: true },
    { address: { host: "::1", port: 7000 }, username: "app:1", password: "p@ss/%", database: 2, tls: {} },
  ],
  [
    { host: "cache", password: token, tls: { servername: "other" } },
    { address: { host: "cache", port: 6379 }, password: token, database: 0, tls: { servername: "other" } },
  ],
  [
    { host: "cache", tls: false },
    { address: { host: "cache", port: 6379 }, database: 0, tls: undefined },
  ],
])("an address in parts, %j", (given, expected) => {
  expect(parseAddress("redis", given)).toEqual(expected);
});

it.each([
  [{}, "redis: host must be a non-empty string, got undefined"],
  [{ host: "redis://:hunter2@cache" }, "redis: host must be a name or an IP address alone; give a URL as text"],
  [{ host: "c", hostname: "hunter2" }, 'redis: unknown option "hostname"; did you mean host?; accepted: host, port, '],
  [{ host: "c", port: "6379" }, 'redis: port must be a whole number from 1 to 65535, got "6379"'],
  [{ host: "c", port: 65_536 }, "redis: port must be a whole number from 1 to 65535, got 65536"],
  [{ host: "c", database: -1 }, "redis: database must be a whole number of at least 0, got -1"],
  [{ host: "c", username: "" }, 'redis: username must be a non-empty string, got ""'],
  [{ host: "c", password: ["hunter2"] }, "redis: password must be a string, or a function that returns one"],
  [{ host: "c", tls: "yes" }, "redis: tls must be true, false, an object of TLS options, or a function"],
  [{ host: "c", tls: { caFile: "x" } }, 'tls: unknown option "caFile"'],
])("refuses %j and does not show a secret", (given, message) => {
  const parse = (): unknown => parseAddress("redis", given as never);
  expect(parse).toThrow(message.includes("unknown option") ? ConfigurationError : InvalidArgumentError);
  expect(parse).toThrow(message);
  expect(parse).not.toThrow("hunter2");
});
