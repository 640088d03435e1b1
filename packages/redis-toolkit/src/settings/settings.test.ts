import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { ConfigurationError } from "@hotset/core";
import { single } from "@hotset/redis";
import { afterAll, describe, expect, it, vi } from "vitest";
import type { RedisOptions } from "./options.ts";
import { resolveSettings, type RedisSettings } from "./settings.ts";

const folder = mkdtempSync(join(tmpdir(), "hotset-settings-"));
afterAll(() => rmSync(folder, { recursive: true }));
function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}
const PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

/** A client of ioredis that is not used. */
const CLIENT = {
  ...{ status: "wait", options: { autoResendUnfulfilledCommands: false, enableOfflineQueue: false } },
  ...{ callBuffer: async () => undefined, connect: async () => undefined, disconnect: () => undefined },
  ...{ on: () => undefined, off: () => undefined, duplicate: () => CLIENT },
};

const settingsOf = (env: Readonly<Record<string, string>>, options: RedisOptions = {}): RedisSettings =>
  resolveSettings({ envFile: false, env, ...options });

const refusal = (env: Readonly<Record<string, string>>, options?: RedisOptions): string => {
  try {
    settingsOf(env, options);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return (error as Error).message;
  }
  return "accepted";
};

describe("variables", () => {
  it("A1: unset or empty, each setting has its default", () => {
    const { address, clock, ...others } = settingsOf({ REDIS_HOST: "", REDIS_PORT: "" });
    expect(others).toEqual({
      isEnabled: true,
      protocol: 3,
      clientName: "hotset",
      connectTimeoutMs: 5_000,
      commandTimeoutMs: 5_000,
      pool: { max: 10, waitMs: 5_000 },
      readRetries: 5,
      backoff: { baseMs: 100, maxMs: 5_000 },
      maxInFlight: 5_000,
      patienceMs: 0,
      onOverload: "wait",
      defaultTtlMs: undefined,
      defaultHashTtlMs: undefined,
      unavailableAfterMs: 5_000,
      checkIntervalMs: 2_000,
      logger: undefined,
    });
    expect(address).toMatchObject({ username: undefined, password: undefined });
    expect(clock.now()).toBeGreaterThan(0);
  });

  it.each([
    ["ENABLE_REDIS", "True", (settings) => settings.isEnabled, true],
    ["ENABLE_REDIS", "off", (settings) => settings.isEnabled, false],
    ["ENABLE_REDIS", "0", (settings) => settings.isEnabled, false],
    ["REDIS_PASSWORD", "s3", (settings) => settings.address.password, "s3"],
    ["REDIS_COMMAND_TIMEOUT", "2.5", (settings) => settings.commandTimeoutMs, 2_500],
    ["REDIS_COMMAND_TIMEOUT_MS", "2500", (settings) => settings.commandTimeoutMs, 2_500],
    ["REDIS_SOCKET_TIMEOUT", "2", (settings) => settings.commandTimeoutMs, 2_000],
    ["REDIS_SOCKET_TIMEOUT_MS", "20", (settings) => settings.commandTimeoutMs, 20],
    ["REDIS_CONNECTION_TIMEOUT", "3", (settings) => settings.connectTimeoutMs, 3_000],
    ["REDIS_CONNECTION_TIMEOUT_MS", "3", (settings) => settings.connectTimeoutMs, 3],
    ["REDIS_SOCKET_CONNECT_TIMEOUT", "4", (settings) => settings.connectTimeoutMs, 4_000],
    ["REDIS_SOCKET_CONNECT_TIMEOUT_MS", "4", (settings) => settings.connectTimeoutMs, 4],
    ["REDIS_POOL_MAX_SIZE", "200", (settings) => settings.pool.max, 200],
    ["REDIS_MAX_CONNECTIONS", "20", (settings) => settings.pool.max, 20],
    ["REDIS_MAX_RETRIES", "0", (settings) => settings.readRetries, 0],
    ["REDIS_RETRY_DELAY_MS", "50", (settings) => settings.backoff.baseMs, 50],
    ["REDIS_RETRY_MAX_DELAY_MS", "900", (settings) => settings.backoff.maxMs, 900],
  ] as const satisfies readonly (readonly [string, string, (settings: RedisSettings) => unknown, unknown])[])(
    "A1: %s=%s",
    (name, text, read, value) => {
      expect(read(settingsOf({ [name]: text }))).toBe(value);
    },
  );

  it.each([
    ["REDIS_DB", "REDIS_DATABASE", "1", "2"],
    ["REDIS_MAX_CONNECTIONS", "REDIS_POOL_MAX_SIZE", "10", "11"],
    ["REDIS_SOCKET_TIMEOUT", "REDIS_COMMAND_TIMEOUT", "5", "6"],
    ["REDIS_COMMAND_TIMEOUT", "REDIS_COMMAND_TIMEOUT_MS", "5", "5001"],
    ["REDIS_SOCKET_CONNECT_TIMEOUT", "REDIS_CONNECTION_TIMEOUT", "5", "6"],
  ])("A3: %s and %s are one setting: equal is well, different is an error", (one, other, first, second) => {
    const message = refusal({ [one]: first, [other]: second });
    expect(message).toContain(one);
    expect(message).toContain(other);
    expect(refusal({ [one]: first, [other]: other.endsWith("_MS") ? "5000" : first })).toBe("accepted");
  });

  it("A3: an option counts more than a variable, that more than the file, and that more than the default", () => {
    const envFile = file("a.env", "REDIS_COMMAND_TIMEOUT=1\nREDIS_POOL_MAX_SIZE=7\nREDIS_MAX_RETRIES=1 # comment\n");
    const env = { REDIS_COMMAND_TIMEOUT: "2", REDIS_POOL_MAX_SIZE: "8" };
    const settings = resolveSettings({ envFile, env, commandTimeout: "3s" });
    expect(settings.commandTimeoutMs).toBe(3_000);
    expect(settings.pool.max).toBe(8);
    expect(settings.readRetries).toBe(1);
    expect(settings.connectTimeoutMs).toBe(5_000);
  });

  it("A3: where an option says where Redis is, variables and files are read only if they are given", () => {
    vi.stubEnv("REDIS_PASSWORD", "secret");
    vi.stubEnv("ENABLE_REDIS", "false");
    for (const where of [
      { url: "redis://a" },
      { host: "a" },
      { cluster: ["redis://a"] },
      { connection: single("redis://a") },
    ])
      expect([resolveSettings(where).isEnabled, resolveSettings(where).address.password]).toEqual([true, undefined]);
    expect(resolveSettings({ port: 1 }).address.password).toBe("secret");
    expect(resolveSettings({ url: "redis://a", env: process.env }).address.password).toBe("secret");
    const envFile = file("b.env", "REDIS_PASSWORD=other");
    expect(resolveSettings({ url: "redis://a", envFile }).address.password).toBe("other");
    vi.unstubAllEnvs();
  });

  it.each([
    ["a hash in a value", "REDIS_PASSWORD=pa#ss", "pa#ss"],
    ["a comment", "REDIS_PASSWORD=#pass # comment", "#pass"],
    ["a comment alone", "REDIS_PASSWORD= # comment", undefined],
    ["a byte order mark", "\uFEFFREDIS_PASSWORD=first", "first"],
    ["a comment line, export, and CRLF", "# REDIS_PASSWORD=no\r\nexport REDIS_PASSWORD = a b \r\n", "a b"],
    ["escapes in quotes", 'REDIS_PASSWORD="a\\"b\\n#c" # comment', 'a"b\n#c'],
    ["two lines in quotes", 'REDIS_PASSWORD="two\nlines"', "two\nlines"],
    ["${NAME} in single quotes", "REDIS_PASSWORD='${SECRET} \\n'", "${SECRET} \\n"],
    ["backticks", "REDIS_PASSWORD=`a'b`", "a'b"],
    ["quotes inside", "REDIS_PASSWORD=a'b\"c", "a'b\"c"],
    ["${NAME} of a line above, and a default", "SECRET=s3\nREDIS_PASSWORD=x${SECRET}${NO:-y}", "xs3y"],
    ["${NAME} of the process, and an escaped one", "REDIS_PASSWORD=${OF_PROCESS}$x\\${y}", "here$x${y}"],
    ["${NAME} of nothing", "REDIS_PASSWORD=x${constructor}${__proto__:-y}", "xy"],
    ["equals signs", "REDIS_PASSWORD=a=b==", "a=b=="],
    ["a name twice", "REDIS_PASSWORD=one\nREDIS_PASSWORD=two", "two"],
  ])("A3: a .env file with %s: %j is the password %j", (_what, text, password) => {
    const envFile = file("password.env", text);
    expect(resolveSettings({ envFile, env: { OF_PROCESS: "here" } }).address.password).toBe(password);
  });

  it("A3: a variable of an address below an option of another kind is hidden", () => {
    expect(refusal({ REDIS_URL: "redis://a:1/2" }, { cluster: ["redis://b:1"] })).toBe("accepted");
    expect(refusal({ REDIS_CLUSTER_URLS: "b:1", REDIS_SENTINEL_NAME: "m" }, { host: "a" })).toBe("accepted");
    expect(refusal({ REDIS_HOST: "a", REDIS_SENTINEL_NAME: "m" }, { cluster: ["b:1"] })).toBe("accepted");
    expect(refusal({ REDIS_URL: "redis://a:1/2", REDIS_CLUSTER_URLS: "b:1" })).toContain("both say where Redis is");
  });

  it.each([
    [{ REDIS_URL: "redis://a:1/2", REDIS_HOST: "b" }, "REDIS_HOST and REDIS_URL differ"],
    [{ REDIS_URL: "redis://a:1/2", REDIS_PORT: "2" }, "REDIS_PORT and REDIS_URL differ"],
    [{ REDIS_URL: "redis://a:1/2", REDIS_DB: "3" }, "REDIS_DB and REDIS_URL differ"],
    [{ REDIS_URL: "redis://u:p@a:1", REDIS_USERNAME: "v" }, "REDIS_USERNAME and REDIS_URL differ"],
    [{ REDIS_URL: "redis://u:p@a:1", REDIS_PASSWORD: "q" }, "REDIS_PASSWORD and REDIS_URL differ"],
    [{ REDIS_URL: "redis://a:1/2", REDIS_HOST: "a", REDIS_PORT: "1", REDIS_DB: "2" }, "accepted"],
    [{ REDIS_URL: "redis://a", REDIS_PORT: "6379", REDIS_DB: "3", REDIS_PASSWORD: "q" }, "accepted"],
  ])("A3: a URL beside other parts is an error unless they are equal: %j", (env, message) => {
    expect(refusal(env as Record<string, string>)).toContain(message);
  });

  it.each([
    ["redis://:p@ss@a:1/2", undefined, "p@ss"],
    ["redis://ada:p@:s@a", "ada", "p@:s"],
    ["redis://ada@eu:p@a", "ada@eu", "p"],
    ["redis://ada:p@a", "ada", "p"],
    ["redis://a:1", undefined, undefined],
  ])("A3: credentials of %s end at its last @, as URLs do", (url, username, password) => {
    const { address } = settingsOf({}, { url });
    expect([address.username, address.password]).toEqual([username, password]);
  });

  it("A3: the credentials of a URL that an option hides are not sent elsewhere", () => {
    const env = { REDIS_URL: "redis://u:secret@a:1/2" };
    for (const options of [{ host: "b" }, { cluster: ["redis://b:1"] }, { sentinels: ["b:1"], sentinelName: "m" }])
      expect(settingsOf(env, options).address).toMatchObject({ username: undefined, password: undefined });
    expect(settingsOf(env).address).toMatchObject({ username: "u", password: "secret" });
    expect(refusal(env, { host: "b", database: 5 })).toBe("accepted");
  });

  it("R2-02: the variables of RouteMQ are read, in seconds", () => {
    const settings = settingsOf({
      REDIS_HOST: "a",
      REDIS_PORT: "6380",
      REDIS_DB: "2",
      REDIS_USERNAME: "u",
      REDIS_PASSWORD: "p",
      REDIS_MAX_CONNECTIONS: "20",
      REDIS_SOCKET_TIMEOUT: "2.5",
      REDIS_SOCKET_CONNECT_TIMEOUT: "3",
    });
    expect(settings).toMatchObject({ commandTimeoutMs: 2_500, connectTimeoutMs: 3_000, pool: { max: 20 } });
    expect(settings.address).toMatchObject({ username: "u", password: "p" });
    expect(refusal({ REDIS_SOCKET_TIMEOUT: "-1" })).toContain("REDIS_SOCKET_TIMEOUT must be seconds");
  });

  it("R3-03 R3-05: the variables of RedisUtils are read, in seconds, and retries in milliseconds", () => {
    const settings = settingsOf({
      REDIS_DATABASE: "2",
      REDIS_POOL_MAX_SIZE: "200",
      REDIS_CONNECTION_TIMEOUT: "10",
      REDIS_COMMAND_TIMEOUT: "7",
      REDIS_MAX_RETRIES: "3",
      REDIS_RETRY_DELAY_MS: "50",
      REDIS_RETRY_MAX_DELAY_MS: "900",
    });
    expect(settings).toMatchObject({
      pool: { max: 200 },
      connectTimeoutMs: 10_000,
      commandTimeoutMs: 7_000,
      readRetries: 3,
      backoff: { baseMs: 50, maxMs: 900 },
    });
  });

  it("A1: addresses without a scheme speak TLS where that is enabled", () => {
    for (const list of ["a:1,b:2", "rediss://a:1"])
      expect(refusal({ REDIS_CLUSTER_URLS: list, REDIS_TLS_ENABLED: "true", REDIS_PASSWORD: "p" })).toBe("accepted");
    const group = { REDIS_SENTINELS: "a:1 b:2", REDIS_SENTINEL_NAME: "m", REDIS_TLS_ENABLED: "true" };
    expect(refusal(group)).toBe("accepted");
  });

  it("A3: a URL of an option hides the parts of variables that it names, and takes the others from them", () => {
    const settings = settingsOf(
      { REDIS_HOST: "b", REDIS_PASSWORD: "from the variable", REDIS_USERNAME: "v" },
      { url: "redis://u@a:1" },
    );
    expect(settings.address).toMatchObject({ username: "u", password: "from the variable" });
  });
});

describe("what can never work is refused by name, before a socket opens", () => {
  it.each([
    [{ REDIS_PORT: "70000" }, "REDIS_PORT must be a whole number from 1 to 65535"],
    [{ REDIS_PORT: "abc" }, 'REDIS_PORT must be a whole number from 1 to 65535, got "abc"'],
    [
      { REDIS_PORT: "tcp://10.0.0.1:6379" },
      'got "tcp://10.0.0.1:6379", which is a service link that Kubernetes sets for a Service named "redis"; set ' +
        "enableServiceLinks: false in the pod, or set REDIS_PORT",
    ],
    [{ REDIS_PORT: "http://a:6379" }, 'REDIS_PORT must be a whole number from 1 to 65535, got "http://a:6379"'],
    [{ REDIS_DB: "-1" }, "REDIS_DB must be a whole number from 0"],
    [{ REDIS_HOST: " " }, "REDIS_HOST must be text that is not blank"],
    [{ REDIS_USERNAME: " ", REDIS_PASSWORD: "x" }, "REDIS_USERNAME"],
    [{ REDIS_PASSWORD: "  " }, "REDIS_PASSWORD must not be blank"],
    [{ REDIS_USERNAME: "u" }, "REDIS_USERNAME was given without a password"],
    [{ REDIS_TLS_CA_PATH: "ca.pem" }, "ca.pem"],
    [{ REDIS_TLS_ENABLED: "maybe" }, "REDIS_TLS_ENABLED must be true, false"],
    [{ REDIS_TLS_ENABLED: "true", REDIS_URL: "redis://a" }, "REDIS_TLS_ENABLED asks for TLS"],
    [{ REDIS_TLS_ENABLED: "false", REDIS_URL: "rediss://a" }, "REDIS_TLS_ENABLED refuses TLS"],
    [{ REDIS_TLS_ENABLED: "true", REDIS_TLS_CERT_PATH: "cert.pem" }, "REDIS_TLS_CERT_PATH was given without its key"],
    [
      { REDIS_TLS_ENABLED: "true", REDIS_TLS_KEY_PATH: "k.pem" },
      "REDIS_TLS_KEY_PATH was given without its certificate",
    ],
    [{ REDIS_TLS_ENABLED: "true", REDIS_TLS_CA_PATH: "/no/such.pem" }, "/no/such.pem cannot be read: ENOENT"],
    [{ REDIS_CLUSTER_URLS: " , " }, "REDIS_CLUSTER_URLS must be at least one address"],
    [{ REDIS_CLUSTER_URLS: "a:1", REDIS_DB: "2" }, "REDIS_DB must be 0"],
    [{ REDIS_SENTINELS: "a:1" }, "REDIS_SENTINELS needs REDIS_SENTINEL_NAME"],
    [{ REDIS_SENTINEL_NAME: "m" }, "REDIS_SENTINEL_NAME needs REDIS_SENTINELS"],
    [{ REDIS_SENTINEL_NAME: "m", REDIS_URL: "redis://a" }, "REDIS_SENTINEL_NAME needs REDIS_SENTINELS"],
    [{ REDIS_HOST: "redis:6380" }, "REDIS_HOST must be a name or an IP address alone; give the rest by REDIS_PORT"],
    [{ REDIS_HOST: "redis://redis" }, "REDIS_HOST must be a name or an IP address alone"],
    [{ REDIS_HOST: "user@redis" }, "REDIS_HOST must be a name or an IP address alone"],
    [{ REDIS_HOST: "::1" }, "accepted"],
    [{ REDIS_HOST: "a", REDIS_CLUSTER_URLS: "b:1" }, "REDIS_CLUSTER_URLS and REDIS_HOST both say where Redis is"],
    [{ REDIS_HOST: "a", REDIS_SENTINELS: "b:1", REDIS_SENTINEL_NAME: "m" }, "REDIS_SENTINELS and REDIS_HOST both say"],
    [{ REDIS_URL: "http://secret@a" }, "REDIS_URL: "],
    [{ REDIS_COMMAND_TIMEOUT: "0" }, "REDIS_COMMAND_TIMEOUT must be seconds, at least 0.001"],
    [{ REDIS_COMMAND_TIMEOUT_MS: "1e3" }, "REDIS_COMMAND_TIMEOUT_MS must be milliseconds"],
    [{ REDIS_POOL_MAX_SIZE: "0" }, "REDIS_POOL_MAX_SIZE must be a whole number from 1"],
    [{ ENABLE_REDIS: "ja" }, "ENABLE_REDIS must be true"],
    [{ REDIS_RETRY_DELAY_MS: "6000" }, "backoff.base (REDIS_RETRY_DELAY_MS) of 6000 ms must be at most backoff.max"],
  ])("A2: %j: %s", (env, message) => {
    expect(refusal(env as Record<string, string>)).toContain(message);
  });

  it.each([
    [{ hots: "a" }, 'unknown option "hots"; did you mean host?; accepted: enabled'],
    [{ port: 0 }, "port must be a whole number from 1 to 65535"],
    [{ enabled: "yes" }, "enabled must be true or false"],
    [{ commandTimeout: 0 }, "commandTimeout must be from 1 ms to 24 days"],
    [
      { commandTimeout: "soon" },
      'commandTimeout must be from 1 ms to 24 days, as a number or like "5m", got "soon"; units are',
    ],
    [{ protocol: 4 }, "protocol must be 2 or 3"],
    [{ onOverload: "drop" }, 'onOverload must be "wait" or "reject"'],
    [{ pool: { size: 1 } }, 'unknown option "pool.size"; accepted: max, wait'],
    [{ pool: { max: 0.5 } }, "pool.max must be a whole number of at least 1"],
    [{ readRetries: -1 }, "readRetries must be a whole number of at least 0"],
    [
      { unavailableAfter: "1s", checkInterval: "2s" },
      "checkInterval of 2000 ms must be at most unavailableAfter, 1000 ms",
    ],
    [{ logger: {} }, "logger must have the methods error, warn and info"],
    [{ url: "redis://a", connection: single("redis://a") }, "url and connection both say where Redis is"],
    [{ url: "redis://a", client: CLIENT }, "url and client both say where Redis is"],
    [{ connection: single("redis://a"), client: CLIENT }, "connection and client both say where Redis is"],
    [{ password: "p", client: CLIENT }, "password has no effect with client; set it in the client"],
    [{ tls: { caPath: " " } }, "tls.caPath must be the path of a PEM file"],
    [{ cluster: [] }, "cluster must name at least one node"],
    [{ envFile: "/no/such.env" }, "/no/such.env cannot be read"],
    [{ username: "u" }, "username was given without a password"],
    [{ username: "u", password: "" }, "accepted"],
    [{ url: "redis://u:@a" }, "accepted"],
    [{ password: "" }, "password is empty, as for a user with nopass; give the username too"],
    [{ host: "a:1" }, "host must be a name or an IP address alone; give the rest by port, or url"],
    [{ host: "a", cluster: ["b:1"] }, "cluster and host both say where Redis is"],
    [{ sentinelName: "m" }, "sentinelName needs sentinels"],
    [
      { tls: { caFile: "x" } },
      'unknown option "tls.caFile"; accepted: caPath, certPath, keyPath, servername, minVersion',
    ],
  ] as const)("A2: %j: %s", (options, message) => {
    expect(refusal({}, options as unknown as RedisOptions)).toContain(message);
  });

  it.each([
    [{ host: null }, "host must be text, got null"],
    [{ port: null }, "port must be a whole number from 1 to 65535, got null"],
    [{ database: null }, "database must be a whole number of at least 0, got null"],
    [{ username: 5, password: "p" }, "username must be text, got a number"],
    [{ password: null }, "password must be text, or a function that returns it, got null"],
    [{ url: 5 }, "url must be text, got a number"],
    [{ cluster: "a:1" }, "cluster must be a list of URLs, each as text, got text of 3 characters"],
    [{ cluster: [, "a:1"] }, "cluster must be a list of URLs, each as text, got an array"],
    [{ sentinelName: 5 }, "sentinelName must be text, got a number"],
    [{ resolveAddress: {} }, "resolveAddress must be a function of { host, port }, got an object"],
    [{ tls: "false" }, "tls must be true, false or an object of TLS options, got text of 5 characters"],
    [{ tls: { servername: 5 } }, "tls.servername must be a non-empty string, got 5"],
    [{ tls: { minVersion: "TLSv1" } }, 'tls.minVersion must be "TLSv1.2" or "TLSv1.3"'],
    [{ pool: [] }, "createRedis: pool must be an object, got an array; accepted: max, wait"],
    [{ backoff: null }, "createRedis: backoff must be an object, got null; accepted: base, max"],
    [{ commandTimeout: Object.create(null) as object }, "commandTimeout must be from 1 ms to 24 days"],
    [{ protocol: 3n }, "protocol must be 2 or 3, got 3"],
    [{ env: null }, "env must be an object of variables, or false, got null"],
    [{ env: "REDIS_HOST=a" }, 'env must be an object of variables, or false, got "REDIS_HOST=a"'],
    [{ envFile: null }, "envFile must be the path of a file, true or false, got null"],
    [{ clock: {} }, "clock must be an object with now() and schedule(), got an object"],
  ])("%o: %s", (options, message) => {
    expect(refusal({}, options as unknown as RedisOptions)).toContain(message);
  });

  it("an error of an option that is read is passed on as it is", () => {
    const tls = {
      get servername(): string {
        throw new Error("not ready");
      },
    };
    expect(() => resolveSettings({ host: "a", tls, env: false, envFile: false })).toThrow(new Error("not ready"));
  });

  it("A2: files of TLS are read and checked at once", () => {
    const ca = file("ca.pem", PEM);
    expect(refusal({ REDIS_TLS_ENABLED: "true", REDIS_TLS_CA_PATH: ca })).toBe("accepted");
    expect(refusal({ REDIS_URL: "rediss://a", REDIS_TLS_CA_PATH: ca })).toBe("accepted");
    expect(refusal({ REDIS_TLS_CA_PATH: ca })).toContain("REDIS_TLS_CA_PATH was given without TLS");
    expect(refusal({ REDIS_TLS_ENABLED: "true", REDIS_TLS_CA_PATH: file("no.pem", "text") })).toContain(
      "is not a PEM file",
    );
  });

  it("A4: no error and no printed setting shows a password", () => {
    const shown = [
      refusal({ REDIS_URL: "redis://user:hunter2@", REDIS_PASSWORD: "hunter2" }),
      refusal({ REDIS_URL: "redis://user:hunter2@a:1", REDIS_PASSWORD: "other" }),
      refusal({ REDIS_URL: "redis://user:hunter2@a:99999" }),
      refusal({ REDIS_PASSWORD: "hunter2", REDIS_PORT: "x" }),
      inspect(settingsOf({ REDIS_URL: "redis://user:hunter2@a" }).address.connection, { depth: 9, showHidden: true }),
    ].join("\n");
    expect(shown).not.toContain("hunter2");
  });
});
