import { ConfigurationError, InvalidArgumentError, systemClock } from "@hotset/core";
import { describe, expect, it } from "vitest";
import { hold, type ConnectSettings } from "./held-connection.ts";
import { cluster, sentinel, single } from "./shared-connection.ts";

const SETTINGS: ConnectSettings = {
  username: "one",
  password: "secret",
  clientName: "app",
  defaultName: "hotset",
  protocol: 3,
  connectTimeoutMs: 1_000,
  responseTimeoutMs: 1_000,
  retries: 3,
  reconnects: "used",
  backoff: { baseMs: 10, factor: 2, maxMs: 100 },
  maxInFlight: 10,
  prepare: () => Promise.resolve(),
  connects: [],
  clock: systemClock,
  random: Math.random,
};

describe("a connection used several times", () => {
  it("is one link while all settings are equal; a user without a name is the default user", async () => {
    const connection = single("redis://nowhere.invalid");
    const [first, second] = [hold(connection, SETTINGS), hold(connection, { ...SETTINGS, defaultName: "other" })];
    expect(second.link).toBe(first.link);
    expect(second.servers).toBe(first.servers);
    expect(second.traffic).toBe(first.traffic);
    await Promise.all([first.release(), second.release()]);
  });

  it("is one link where its users differ in what concerns no link, such as the pool of the toolkit", async () => {
    const connection = single("redis://nowhere.invalid");
    const [first, second] = [1, 2].map((max) => hold(connection, { ...SETTINGS, pool: { max } } as ConnectSettings));
    expect(second!.link).toBe(first!.link);
    await Promise.all([first!.release(), second!.release()]);
  });

  it.each<readonly [string, Partial<ConnectSettings>]>([
    ["username", { username: "two" }],
    ["password", { password: "another" }],
    ["clientName", { clientName: "job" }],
    ["protocol", { protocol: 2 }],
    ["connectTimeoutMs", { connectTimeoutMs: 1_001 }],
    ["responseTimeoutMs", { responseTimeoutMs: 1_001 }],
    ["retries", { retries: 4 }],
    ["reconnects", { reconnects: "always" }],
    ["backoff.baseMs", { backoff: { ...SETTINGS.backoff, baseMs: 11 } }],
    ["backoff.factor", { backoff: { ...SETTINGS.backoff, factor: 3 } }],
    ["backoff.maxMs", { backoff: { ...SETTINGS.backoff, maxMs: 101 } }],
    ["maxInFlight", { maxInFlight: 11 }],
    ["prepare", { prepare: () => Promise.resolve() }],
    ["clock", { clock: { ...systemClock, now: () => 0 } }],
    ["random", { random: () => 0 }],
  ])("is another link, with traffic of its own, for another %s", async (_, changed) => {
    const connection = single("redis://nowhere.invalid");
    const [first, second] = [hold(connection, SETTINGS), hold(connection, { ...SETTINGS, ...changed })];
    expect(second.link).not.toBe(first.link);
    expect(second.traffic).not.toBe(first.traffic);
    await Promise.all([first.release(), second.release()]);
  });

  it("closes the link with its last user, whose release counts once, and opens another one afterwards", async () => {
    const connection = single("redis://nowhere.invalid");
    const [first, second] = [hold(connection, SETTINGS), hold(connection, SETTINGS)];
    await first.release();
    await first.release();
    const third = hold(connection, SETTINGS);
    expect(third.link).toBe(first.link);
    await Promise.all([second.release(), third.release()]);
    const fourth = hold(connection, SETTINGS);
    expect(fourth.link).not.toBe(first.link);
    await fourth.release();
  });

  it("leaves links with other settings open", async () => {
    const connection = single("redis://nowhere.invalid");
    const [first, second] = [hold(connection, SETTINGS), hold(connection, { ...SETTINGS, retries: 4 })];
    await second.release();
    const again = hold(connection, SETTINGS);
    expect(again.link).toBe(first.link);
    await Promise.all([first.release(), again.release()]);
  });
});

describe("credentials", () => {
  const without = { ...SETTINGS, username: undefined, password: undefined };

  it.each([
    ["single", () => single("redis://one@localhost")],
    ["cluster", () => cluster(["redis://one@localhost"])],
  ])("a username without a password is refused, by %s", (_, connection) => {
    expect(() => hold(connection(), without)).toThrow(
      new ConfigurationError(
        'redis: a username was given without a password; give both, with the password "" for a user with nopass',
      ),
    );
  });

  it("a password of the settings completes the username of a URL", async () => {
    await expect(hold(single("redis://one@localhost"), { ...without, password: "secret" }).release()).resolves.toBe(
      undefined,
    );
  });

  it("those in the URLs of sentinels are not those of the primary", () => {
    const connection = sentinel(["redis://one:secret@localhost"], { primaryName: "mymaster" });
    expect(() => hold(connection, { ...without, username: "two" })).toThrow(
      'redis: a username was given without a password; give both, with the password "" for a user with nopass',
    );
  });

  it.each([
    ["username", ["redis://one:secret@a", "redis://two:secret@b"]],
    ["password", ["redis://one:secret@a", "redis://one:another@b"]],
  ])("URLs of a cluster must not differ in the %s", (_, urls) => {
    expect(() => cluster(urls)).toThrow(InvalidArgumentError);
    expect(() => cluster(urls)).toThrow(/^cluster\(nodes\): URLs must not differ in username or password/);
  });

  it("one URL with credentials is enough for a cluster", async () => {
    await expect(hold(cluster(["redis://a", "redis://one:secret@b", "redis://c"]), without).release()).resolves.toBe(
      undefined,
    );
  });
});
