import { json } from "@hotset/core";
import { expect, it } from "vitest";
import { http, redis } from "./http.ts";

it("over HTTP the default is no coherence, and tracking cannot be had", () => {
  const over = redis(http({ url: "https://redis.example/", token: "secret" })).valueFormat(json());
  expect(over.build().coherence).toBe(undefined);
  expect(() => over.coherence("tracking").build()).toThrow('redis: coherence("tracking") needs a connection on which');
  const { retries } = over as unknown as { retries(count: number): typeof over };
  expect(() => retries.call(over, 3).build()).toThrow("redis: retries cannot be set with http(options)");
});

it.each<[object | undefined, string]>([
  [{ token: "t" }, "http: no url; give http({ url, token })"],
  [{ url: "https://redis.example" }, "http: no token; give http({ url, token })"],
  [{ url: "redis://redis.example", token: "t" }, "http: url must be an https: or http: URL"],
  [{ url: "https://user:hidden@redis.example", token: "t" }, "http: url must have no user"],
  [{ url: "https://redis.example", token: "hidden\n" }, "http: token must be a non-empty string of printable ASCII"],
  [{ url: "https://redis.example", token: "t", fetch: 1 }, "http: fetch must be a function, got a number"],
  [
    { url: "https://redis.example", token: "t", maxRequestBytes: 1_000 },
    "http: maxRequestBytes must be a whole number of at least 65536",
  ],
  [{ uri: "https://redis.example", token: "t" }, "uri"],
])("http(%j) is refused, and no secret is shown", (options, message) => {
  expect(() => http(options as never)).toThrow(message);
  expect(() => http(options as never)).not.toThrow("hidden");
});
