import {
  type Backend,
  ConfigurationError,
  InvalidArgumentError,
  json,
  MissingConnectionError,
  passthrough,
  type Seal,
} from "@hotset/core";
import { brotli, gzip, v8 } from "@hotset/formats";
import { createClient, createClientPool, createCluster, createSentinel } from "@redis/client";
import { describe, expect, it, vi } from "vitest";
import * as entryPoint from "./index.ts";
import {
  cluster,
  type Connection,
  fromClient,
  redis,
  RedisBackend,
  sentinel,
  single,
  type RedisBackendBuilder,
} from "./index.ts";

const builder = (): RedisBackendBuilder => redis("redis://localhost").valueFormat(json());

const SEAL: Seal = {
  id: "test",
  seal: (bytes) => bytes,
  open: (bytes) => bytes,
  // Its fields are there, and of its methods one.
  around: (backend) => ({ ...backend, sealedBy: "test", close: () => backend.close() }),
};

describe("build", () => {
  it("R1-04: is synchronous, opens nothing, and has the documented defaults", async () => {
    const backend: Backend = redis("redis://nowhere.invalid").valueFormat(json()).build();
    expect(backend).toMatchObject({
      label: "redis",
      format: { id: "json" },
      compressor: { id: passthrough().id },
      alsoReads: [],
      deadlineMs: 1_000,
      maxEntryBytes: Infinity,
      maxDecodedBytes: 8 * 2 ** 20,
    });
    expect(backend.coherence).toMatchObject({ maxStalenessMs: 2_000, reissueWindowMs: 30_000 });
    await backend.close();
    expect(redis("redis://nowhere.invalid").coherence("none").valueFormat(json()).build().coherence).toBe(undefined);
  });

  it("C140 reads what a package ships until a format or a compressor is set, and alsoReads always", () => {
    const shipped = () =>
      RedisBackend.builder({ formats: [v8(), json()], compressors: [gzip()] }).connection("redis://localhost");
    const ids = (settings: RedisBackendBuilder): readonly string[] => {
      const { format, compressor, alsoReads } = settings.build();
      return [format, compressor, ...alsoReads!].map(({ id }) => id);
    };
    expect(ids(shipped())).toEqual(["v8", "none", "json", "gzip"]);
    expect(ids(shipped().valueFormat(json()))).toEqual(["json", "none", "gzip"]);
    expect(ids(shipped().compressor(brotli()))).toEqual(["v8", "brotli", "json"]);
    expect(ids(shipped().compressor(passthrough()).valueFormat(v8()))).toEqual(["v8", "none"]);
    expect(ids(shipped().valueFormat(json()).compressor(passthrough()).alsoReads(v8(), gzip()))).toEqual([
      "json",
      "none",
      "v8",
      "gzip",
    ]);
  });

  it("R1-04 R1-06: hands on the settings", async () => {
    const backend = RedisBackend.builder()
      .connection(single("redis://localhost"))
      .label("near")
      .keyPrefix("staging")
      .keyFormat("hashed")
      .valueFormat(v8())
      .compressor(gzip())
      .alsoReads(json())
      .alsoReads(passthrough())
      .seal(SEAL)
      .layout("full")
      .coherence("pubsub")
      .maxStaleness("3s")
      .reissueWindow(0)
      .breaker({ failures: 2, wait: "5s" })
      .maxEntryBytes(1_000)
      .maxDecodedBytes(2_000)
      .username("app")
      .password("secret")
      .clientName("shop")
      .connectTimeout("5s")
      .responseTimeout("250ms")
      .retries(3)
      .backoff({ base: "10ms", factor: 3, max: 100 })
      .protocol(2)
      .maxInFlight(10)
      .build();
    expect(backend).toMatchObject({
      label: "near",
      format: { id: "v8" },
      compressor: { id: "gzip" },
      sealedBy: "test",
      sealScope: "staging",
      deadlineMs: 250,
      breaker: { failures: 2, waitMs: 5_000, longestWaitMs: 30_000 },
      maxEntryBytes: 1_000,
      maxDecodedBytes: 2_000,
      coherence: { maxStalenessMs: 3_000, reissueWindowMs: 0 },
    });
    expect(backend.alsoReads!.map(({ id }) => id)).toEqual(["json", passthrough().id]);
    await backend.close();
  });

  it("a backend in a log is its label, under a seal too", () => {
    for (const each of [builder(), builder().seal(SEAL)])
      expect(JSON.stringify({ backend: each.label("sessions").build() })).toBe('{"backend":{"label":"sessions"}}');
  });

  it("each call returns a new builder and leaves the old one as it was", async () => {
    const base = builder();
    const labelled = base.label("other");
    const [one, other] = [base.build(), labelled.build()];
    expect([one.label, other.label]).toEqual(["redis", "other"]);
    await Promise.all([one.close(), other.close()]);
  });

  it("R1-04 R1-12: without a connection it is a MissingConnectionError", () => {
    for (const build of [
      () => RedisBackend.builder().valueFormat(json()).build(),
      () => RedisBackend.builder().build(),
    ]) {
      expect(build).toThrow(MissingConnectionError);
      expect(build).toThrow(/give a URL, single\(url\)/);
    }
  });

  it("without a format it is a ConfigurationError that says what to do", () => {
    expect(() => redis("redis://localhost").build()).toThrow(ConfigurationError);
    expect(() => redis("redis://localhost").build()).toThrow(
      "redis: no valueFormat; services with different defaults would overwrite each other's entries, so set one " +
        "(.valueFormat(msgpack())), or import redis() from 'hotset', whose default is msgpack",
    );
  });

  it.each<[unknown, typeof ConfigurationError | typeof InvalidArgumentError]>([
    [null, InvalidArgumentError],
    [1, InvalidArgumentError],
    [{}, InvalidArgumentError],
    [{ isOpen: true }, ConfigurationError],
  ])("%j is not a connection", (given, refusal) => {
    expect(() =>
      redis(given as string)
        .valueFormat(json())
        .build(),
    ).toThrow(refusal);
  });
});

describe("settings that contradict each other", () => {
  it.each([
    [
      "R1-03: a client of yours with credentials",
      () =>
        redis(fromClient(createClient()) as never)
          .valueFormat(json())
          .username("u")
          .build(),
      /username cannot be set with fromClient\(client\)/,
    ],
    [
      "R1-03: a client of yours with back-off",
      () =>
        RedisBackend.builder()
          .retries(2)
          .backoff({})
          .connection(fromClient(createClient()) as never)
          .valueFormat(json())
          .build(),
      /retries, backoff cannot be set/,
    ],
    [
      "an empty password without a username",
      () => builder().password("").build(),
      /password "" is for a user with nopass/,
    ],
    ["a username without a password", () => builder().username("u").build(), /username was given without a password/],
    [
      "a username without a password in the URL",
      () => redis("redis://u@localhost").valueFormat(json()).build(),
      /username was given without a password/,
    ],
    ["no prefix with coherence", () => builder().keyPrefix("").build(), /coherence\("none"\)/],
    [
      "tracking over RESP2",
      () => builder().protocol(2).coherence("tracking").build(),
      /protocol\(2\) cannot carry tracking/,
    ],
    [
      "readFromReplicas beside coherence",
      () =>
        redis(cluster(["redis://a"], { readFromReplicas: true }))
          .valueFormat(json())
          .build(),
      /^redis: readFromReplicas has no effect with coherence\("tracking"\): .* set coherence\("none"\)/,
    ],
    [
      "readFromReplicas of strings",
      () =>
        redis(cluster(["redis://a"], { readFromReplicas: true }))
          .valueFormat(json())
          .coherence("none")
          .layout("string")
          .build(),
      /^redis: readFromReplicas has no effect with layout\("string"\); remove it, or set layout\("full"\)/,
    ],
    ["tls without a rediss: URL", () => single("redis://localhost", { tls: { ca: "" } }), /rediss:/],
    [
      "a certificate without its key",
      () => single("rediss://localhost", { tls: { cert: "" } }),
      /tls.cert was given without its tls.key/,
    ],
    [
      "a key without its certificate",
      () => sentinel(["rediss://localhost"], { primaryName: "main", tls: { key: "" } }),
      /tls.key was given without its tls.cert/,
    ],
    ["tls without rediss: URLs in a cluster", () => cluster(["redis://a", "redis://b"], { tls: {} }), /rediss:/],
  ])("A2: %s", (_, build, message) => {
    expect(build).toThrow(ConfigurationError);
    expect(build).toThrow(message);
  });

  it("a seal and the plain layout, in either order", () => {
    const message = 'redis: layout("plain") has no room for a seal; remove seal(...), or set layout("full")';
    for (const give of [builder().seal(SEAL).layout("plain"), builder().layout("plain").seal(SEAL)]) {
      expect(() => give.build()).toThrow(ConfigurationError);
      expect(() => give.build()).toThrow(message);
    }
  });

  it("no prefix goes without coherence", async () => {
    const backend = builder().keyPrefix("").coherence("none").build();
    expect(backend.label).toBe("redis");
    await backend.close();
  });
});

/** What holds options, and their names, are configuration; values are arguments. */
const refusalOf = (message: string): typeof ConfigurationError | typeof InvalidArgumentError =>
  /unknown option|must be an object, got/.test(message) ? ConfigurationError : InvalidArgumentError;

describe("a setting that is refused at once", () => {
  it.each<readonly [string, () => unknown, RegExp]>([
    ["label", () => builder().label(""), /^label must be a non-empty string, got ""/],
    ["label", () => builder().label(7 as never), /^label must be a non-empty string, got 7/],
    ["keyPrefix", () => builder().keyPrefix(null as never), /^keyPrefix must be a string, got null/],
    ["C146: keyPrefix", () => builder().keyPrefix("hotset:shop"), /^keyPrefix must have no ":".*got "hotset:shop"$/],
    ["C146: keyPrefix", () => builder().keyPrefix("hotset~lease"), /^keyPrefix must have no .*got "hotset~lease"$/],
    ["keyPrefix", () => builder().keyPrefix("a{"), /^keyPrefix must .*hash tag/],
    ["keyPrefix", () => builder().keyPrefix("{}"), /^keyPrefix must .*hash tag/],
    ["keyPrefix", () => builder().keyPrefix("{a}{b}"), /^keyPrefix must .*hash tag/],
    ["keyPrefix", () => builder().keyPrefix("\ud800"), /^keyPrefix must .*surrogate/],
    ["keyFormat", () => builder().keyFormat("json" as never), /^keyFormat must be "readable" or "hashed", got "json"/],
    ["layout", () => builder().layout("flat" as never), /^layout must be "full" or "plain" or "string", got "flat"/],
    ["coherence", () => builder().coherence("some" as never), /^coherence must be .*, got "some"/],
    ["protocol", () => builder().protocol(1 as never), /^protocol must be 2 or 3, got 1/],
    ["valueFormat", () => builder().valueFormat({} as never), /^valueFormat must be a Format, .*, got an object/],
    ["valueFormat", () => builder().valueFormat({ ...json(), id: "Über" }), /^valueFormat must .*1 to 32 of a-z/],
    ["compressor", () => builder().compressor(json() as never), /^compressor must be a Compressor/],
    ["alsoReads", () => builder().alsoReads("json" as never), /^alsoReads must be .*, got "json"/],
    [
      "maxEntryBytes",
      () => builder().maxEntryBytes(-1),
      /^maxEntryBytes must be a whole number of at least 1, or Infinity, got -1/,
    ],
    ["maxEntryBytes", () => builder().maxEntryBytes(1.5), /^maxEntryBytes must be .*, got 1.5/],
    ["maxDecodedBytes", () => builder().maxDecodedBytes(NaN), /^maxDecodedBytes must be .*, got NaN/],
    ["maxInFlight", () => builder().maxInFlight(0), /^maxInFlight must be .*, got 0/],
    ["retries", () => builder().retries(0), /^retries must be .*, got 0/],
    ["responseTimeout", () => builder().responseTimeout(0), /^responseTimeout must be from 1 ms to 24 days, .*, got 0/],
    ["responseTimeout", () => builder().responseTimeout("1 s"), /^responseTimeout must be .*, got "1 s"/],
    ["responseTimeout", () => builder().responseTimeout(Infinity), /^responseTimeout must be .*, got Infinity/],
    ["connectTimeout", () => builder().connectTimeout("-1s"), /^connectTimeout must be .*, got "-1s"/],
    ["connectTimeout", () => builder().connectTimeout("25d"), /^connectTimeout must be .*, got "25d"/],
    ["maxStaleness", () => builder().maxStaleness(0), /^maxStaleness must be .*, got 0/],
    ["breaker", () => builder().breaker({ failures: 0 }), /^breaker: failures must be .*, got 0/],
    [
      "breaker",
      () => builder().breaker({ wait: "1m", longestWait: "1s" }),
      /^breaker: longestWait must be at least wait/,
    ],
    ["breaker", () => builder().breaker({ failure: 3 } as never), /unknown option "failure"; did you mean failures/],
    [
      "breaker",
      () => builder().breaker([] as never),
      /^breaker: options must be an object, got an array; accepted: failures,/,
    ],
    ["breaker", () => builder().breaker({ longestWait: null as never }), /^breaker: longestWait must be .*null$/],
    ["backoff", () => builder().backoff(null as never), /^redis: backoff must be an object, got null; accepted: base,/],
    [
      "backoff",
      () => builder().backoff(5 as never),
      /^redis: backoff must be an object, got a number; accepted: base,/,
    ],
    ["backoff", () => builder().backoff({ factor: null as never }), /^backoff.factor must be .*, got null$/],
    ["backoff", () => builder().backoff({ factor: "2" as never }), /^backoff.factor must be .*, got "2"$/],
    [
      "single",
      () => single("redis://a", null as never),
      /^single\(url, options\): options must be an object, got null; accepted: tls$/,
    ],
    [
      "cluster",
      () => cluster(["redis://a"], [] as never),
      /^cluster\(nodes, options\): options must be an object, got an array; accepted: tls,/,
    ],
    [
      "readFromReplicas",
      () => cluster(["redis://a"], { readFromReplicas: "yes" as never }),
      /^cluster: readFromReplicas must be true or false, got "yes"$/,
    ],
    [
      "tls",
      () => single("rediss://a", { tls: null as never }),
      /^tls: options must be an object, got null; accepted: ca,/,
    ],
    [
      "tls",
      () => single({ host: "a", tls: [] as never }),
      /^redis\(url or \{ host \}\): tls must be .*, got an array$/,
    ],
    ["tls.ca", () => single("rediss://a", { tls: { ca: "" } }), /^tls.ca must be PEM, as text that is not empty/],
    [
      "tls.key",
      () => single("rediss://a", { tls: { cert: "x", key: 5 as never } }),
      /^tls.key must be PEM, as text that is not empty or as a Uint8Array$/,
    ],
    [
      "tls.servername",
      () => single("rediss://a", { tls: { servername: 5 as never } }),
      /^tls.servername must be a non-empty string, got 5$/,
    ],
    ["tls.pins", () => single("rediss://a", { tls: { pins: [,] as never } }), /^tls.pins must be a list/],
    [
      "breaker",
      () => builder().breaker(5 as never),
      /^breaker: options must be an object, got a number; accepted: failures, wait, longestWait$/,
    ],
    ["reissueWindow", () => builder().reissueWindow(-1), /^reissueWindow must be .*, got -1/],
    ["backoff", () => builder().backoff({ base: "soon" as never }), /^backoff.base must be .*, got "soon"/],
    ["backoff", () => builder().backoff({ factor: 0.5 }), /^backoff.factor must be .*, got 0.5/],
    [
      "backoff",
      () => builder().backoff({ base: "10s" }),
      /^backoff.base must not be longer than backoff.max, got 10000 ms and 5000 ms/,
    ],
    ["username", () => builder().username(""), /^username must be a non-empty string, got ""/],
    ["password", () => builder().password(12_345 as never), /^password must be a string, or a function/],
    ["C149: clientName", () => builder().clientName("a b"), /^clientName must be 1 to 128 printable .*, got "a b"/],
    ["C149: clientName", () => builder().clientName(""), /^clientName must be .*, got ""/],
    [
      "url",
      () => redis({ url: "redis://a" } as never),
      /^redis\(url or \{ host \}\): unknown option "url"; accepted: host/,
    ],
    ["single", () => single("http://localhost"), /^Redis URL: the scheme must be redis:, rediss: or unix:/],
    ["cluster", () => cluster([]), /^cluster\(nodes\): must be a list of at least one URL/],
    ["cluster", () => cluster("redis://a" as never), /^cluster\(nodes\): must be a list/],
    ["cluster", () => cluster(["redis://a/1"]), /^cluster\(nodes\): .*only database 0/],
    [
      "cluster",
      () => cluster(["unix:///tmp/a"]),
      /^cluster\(nodes\): URLs must be redis: or rediss:, got a unix socket/,
    ],
    [
      "cluster",
      () => cluster(["redis://a", "rediss://b"]),
      /^cluster\(nodes\): all URLs must have the same scheme and database/,
    ],
    [
      "C148: cluster",
      () => cluster(["redis://u:hunter2@a", "redis://u:other@b"]),
      /^cluster\(nodes\): URLs must not differ in username or password, since all nodes receive the same: [^2]*$/,
    ],
    ["C148: cluster", () => cluster(["redis://a", "redis://:1@b", "redis://:2@c"]), /URLs must not differ in username/],
    [
      "C147: resolveAddress",
      () => cluster(["redis://a"], { resolveAddress: { a: "b" } as never }),
      /^cluster: resolveAddress must be a function .* got an object/,
    ],
    [
      "C147: resolveAddress",
      () => single("redis://a", { resolveAddress: () => undefined } as never),
      /^single\(url, options\): unknown option "resolveAddress"/,
    ],
    [
      "C148: tls.minVersion",
      () => single("rediss://a", { tls: { minVersion: "TLSv1.1" as never } }),
      /^tls.minVersion must be "TLSv1.2" or "TLSv1.3", got "TLSv1.1"/,
    ],
    ["C148: tls.pins", () => single("rediss://a", { tls: { pins: [] } }), /^tls.pins must be a list of at least one/],
    ["C148: tls.pins", () => single("rediss://a", { tls: { pins: ["sha256//x"] } }), /^tls.pins must be a list/],
    [
      "C148: tls.passphrase",
      () => single("rediss://a", { tls: { passphrase: 12_345 as never } }),
      /^tls.passphrase must be a string$/,
    ],
    ["sentinel", () => sentinel(["redis://a"], {} as never), /^sentinel\(.*primaryName/],
    ["sentinel", () => sentinel(["redis://a"], undefined as never), /^sentinel\(.*primaryName/],
    ["sentinel", () => sentinel([], { primaryName: "main" }), /^sentinel\(sentinels\): must be a list/],
    [
      "backoff",
      () => builder().backoff({ bsae: 1 } as never),
      /^redis: unknown option "backoff.bsae"; did you mean base\?; accepted: base, factor, max$/,
    ],
    [
      "R1-03: single",
      () => single("redis://a", { readFromReplicas: true } as never),
      /^single\(url, options\): unknown option "readFromReplicas"; accepted: tls/,
    ],
    [
      "R1-03: cluster",
      () => cluster(["redis://a"], { primaryName: "main" } as never),
      /^cluster\(nodes, options\): unknown option "primaryName"/,
    ],
    [
      "R1-03: sentinel",
      () => sentinel(["redis://a"], { primaryName: "main", readFromReplicas: true } as never),
      /^sentinel\(sentinels, options\): unknown option/,
    ],
    [
      "tls",
      () => single("rediss://a", { tls: { rejectUnauthorized: false } } as never),
      /^tls: unknown option "rejectUnauthorized"; accepted: ca, cert, key, servername/,
    ],
    [
      "fromClient",
      () => fromClient(createClientPool() as never),
      /^fromClient\(client\): a pool has several connections.*createClient\(\)/,
    ],
    [
      "fromClient",
      () => fromClient(createCluster({ rootNodes: [{ url: "redis://127.0.0.1:1" }] }) as never),
      /^fromClient\(client\): a cluster has several connections.*cluster\(\[url\]\)/,
    ],
    [
      "fromClient",
      () =>
        fromClient(createSentinel({ name: "mymaster", sentinelRootNodes: [{ host: "127.0.0.1", port: 1 }] }) as never),
      /^fromClient\(client\): a sentinel has several connections.*sentinel\(\[url\]/,
    ],
    [
      "fromClient",
      // As of node-redis 5, which has no commands that came later.
      () => fromClient({ sendCommand() {}, withTypeMapping() {}, on() {}, hSet() {} } as never),
      /^fromClient\(client\): a client of node-redis 5 or older; install redis 6, or give a URL/,
    ],
    ["fromClient", () => fromClient({} as never), /^fromClient\(client\): .*createClient\(\)/],
    ["fromClient", () => fromClient(null as never), /^fromClient\(client\)/],
  ])("A2: %s", (_, give, message) => {
    expect(give).toThrow(refusalOf(String(message)));
    expect(give).toThrow(message);
  });

  it("A4: a password or a secret is not quoted", () => {
    for (const give of [
      () => builder().seal("hunter2" as never),
      () => builder().seal({ id: "hunter2", key: "hunter2" } as never),
      () => builder().password({ hunter2: 1 } as never),
      () => single("redis:hunter2"),
      () => redis("hunter2"),
    ]) {
      expect(give).toThrow(InvalidArgumentError);
      expect(give).not.toThrow(/hunter2/);
    }
  });
});

describe("the entry point", () => {
  it("offers these names and no others", () => {
    expect(Object.keys(entryPoint).sort()).toEqual([
      "MissingConnectionError",
      "RedisBackend",
      "cluster",
      "fromClient",
      "redis",
      "sentinel",
      "single",
    ]);
  });
});

it("a client of ioredis without subscribe is refused where changes would be received by it, and nowhere else", () => {
  const duplicate = vi.fn();
  const client = {
    status: "ready",
    options: { autoResendUnfulfilledCommands: false, enableOfflineQueue: false },
    callBuffer: () => Promise.resolve(null),
    on: () => undefined,
    off: () => undefined,
    duplicate,
    connect: () => Promise.resolve(),
    disconnect: () => undefined,
  };
  const over = redis(fromClient(client as never)).valueFormat(json());
  expect(() => over.coherence("pubsub").build()).toThrow(
    'redis: coherence("pubsub") calls subscribe and unsubscribe on a duplicate of the client given to fromClient, which ' +
      "lacks them; give a client of ioredis",
  );
  expect(duplicate).not.toHaveBeenCalled();
  expect(over.coherence("none").build().coherenceMode).toBe(undefined);
});

it.each<[database: number | undefined, connection: Connection]>([
  [0, single("redis://localhost:6379")],
  [3, single("redis://localhost:6379/3")],
  [2, single({ host: "localhost", database: 2 })],
  [1, sentinel(["redis://localhost:26379/1"], { primaryName: "main" })],
  [undefined, cluster(["redis://localhost:6379"])],
])("a backend knows the number of its database: %j", (database, connection) => {
  expect(redis(connection).valueFormat(json()).build().database).toBe(database);
});
