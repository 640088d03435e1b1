import { ConfigurationError, InvalidArgumentError, json, MissingConnectionError } from "@hotset/core";
import { describe, expect, it, vi } from "vitest";
import { redis as overAny } from "../builder.ts";
import { http, redis, type HttpOptions } from "../http.ts";
import { single } from "../shared-connection.ts";
import { restCommand } from "./rest-commands.ts";
import { RestScripts } from "./rest-scripts.ts";

const GIVEN = { url: "https://redis.example", token: "hunter2" };

describe("http(options)", () => {
  it.each<[string, HttpOptions, typeof ConfigurationError | typeof InvalidArgumentError, string]>([
    [
      "a URL of another scheme",
      { url: "rediss://redis.example" },
      InvalidArgumentError,
      "for redis: URLs use redis(url)",
    ],
    ["no URL", { url: "redis.example" }, InvalidArgumentError, "must be an https: or http: URL"],
    ["a user in the URL", { url: "https://u:hunter2@redis.example" }, InvalidArgumentError, "give the secret as token"],
    ["a query", { url: "https://redis.example/?_token=hunter2" }, InvalidArgumentError, "give the secret as token"],
    ["an empty token", { token: "" }, InvalidArgumentError, "token must be a non-empty string"],
    ["a token that would break the header", { token: "hunter2\n" }, InvalidArgumentError, "printable ASCII"],
    ["a fetch that is none", { fetch: "node-fetch" as never }, InvalidArgumentError, "fetch must be a function"],
    [
      "requests too small for a script",
      { maxRequestBytes: 65_535 },
      InvalidArgumentError,
      "at least 65536, or Infinity, got 65535",
    ],
    ["an option that does not exist", { retries: 3 } as never, ConfigurationError, "retries"],
  ])("refuses %s, and quotes no secret", (_, options, kind, text) => {
    const give = (): unknown => http({ ...GIVEN, ...options });
    expect(give).toThrow(kind);
    expect(give).toThrow(text);
    expect(give).not.toThrow("hunter2");
  });

  it("says what is missing, and the names of its environment variables", () => {
    for (const name of ["UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN", "KV_REST_API_URL", "KV_REST_API_TOKEN"])
      vi.stubEnv(name, undefined);
    expect(() => http({ token: "t" })).toThrow(MissingConnectionError);
    expect(() => http({ token: "t" })).toThrow("no url; give http({ url, token }), or set UPSTASH_REDIS_REST_URL");
    expect(() => http({ url: GIVEN.url })).toThrow(MissingConnectionError);
    expect(() => http({ url: GIVEN.url })).toThrow("no token");
    vi.unstubAllEnvs();
  });
});

describe("a backend over HTTP", () => {
  it("refuses settings of a connection, by name", () => {
    const builder = overAny(http(GIVEN)).valueFormat(json());
    expect(() => (builder as never as { clientName(name: string): typeof builder }).clientName("c").build()).toThrow(
      "clientName cannot be set with http(options)",
    );
  });

  it('refuses coherence("tracking"), which needs a connection', () => {
    const build = (): unknown => redis(http(GIVEN)).valueFormat(json()).coherence("tracking").build();
    expect(build).toThrow(ConfigurationError);
    expect(build).toThrow('coherence("tracking") needs a connection on which Redis pushes changes');
  });

  it('has coherence("pubsub") where it is set, and opens no stream for that', () => {
    const fetch = vi.fn<() => never>();
    const backend = redis(http({ ...GIVEN, fetch }))
      .valueFormat(json())
      .coherence("pubsub")
      .build();
    expect(backend.coherenceMode).toBe("pubsub");
    expect(fetch).not.toHaveBeenCalled();
  });

  it('has coherence("none") by default, also for keyPrefix("")', () => {
    const backend = redis(http(GIVEN)).valueFormat(json()).keyPrefix("").build();
    expect(backend.coherenceMode).toBe(undefined);
    expect(backend.coherence).toBe(undefined);
  });

  it.each([
    ["an address", "https://redis.example"],
    ["nothing", undefined],
    ["one of a URL", single("redis://h")],
  ])("of the entry for HTTP is refused for %s, and the error names http()", (_, given) => {
    expect(() => redis(given as never)).toThrow(InvalidArgumentError);
    expect(() => redis(given as never)).toThrow("must be that of http({ url, token })");
  });

  it("is what the error for an address of the wrong scheme names", () => {
    expect(() => overAny("https://redis.example")).toThrow("for Redis over HTTP give http({ url, token })");
    expect(() => overAny("ftp://redis.example")).not.toThrow("over HTTP");
  });
});

it.each([
  ["BLPOP", ["BLPOP", "list", "1"]],
  ["a read that blocks", ["XREAD", "block", "100", "STREAMS", "s", "$"]],
  ["SUBSCRIBE", ["subscribe", "channel"]],
  ["MULTI", ["MULTI"]],
])("a command that needs a connection is refused before it is sent: %s", (_, args) => {
  const send = (): unknown => restCommand(args, new RestScripts());
  expect(send).toThrow(ConfigurationError);
  expect(send).toThrow("needs a connection to itself, and Redis over HTTP has none; connect over TCP");
});
