/** Nothing that leaves the process holds a secret or an argument of a command, however a server behaves. */
import diagnostics from "node:diagnostics_channel";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { inspect } from "node:util";
import { createCache, json, type Backend } from "@hotset/core";
import { cluster, fromClient, redis, sentinel, single, type Connection, type RedisBackendBuilder } from "@hotset/redis";
import {
  startAclRedis,
  startCluster,
  startOwnRedis,
  startSentinel,
  startTlsRedis,
  testCertificates,
  type OwnRedis,
} from "@hotset/test-servers";
import { RedisClient } from "@redis/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/** Percent-encoded it looks different. */
const SECRET = "hunter2/se cret";
const ENCODED = encodeURIComponent(SECRET);
/** Lines with a part of a secret or of a value. */
const leaks = (text: string): readonly string[] =>
  text.split("\n").filter((line) => /hunter2|value of mallory/.test(line));

const stops: (() => Promise<unknown>)[] = [];
afterAll(() => Promise.all(stops.map((stop) => stop())));
const running = async <T extends { stop(): Promise<unknown> }>(starting: Promise<T>): Promise<T> => {
  const server = await starting;
  stops.push(() => server.stop());
  return server;
};

/** All that a log, a tracer or a crash report could have recorded. */
class Record {
  readonly #seen: { readonly origin: string; readonly text: string }[] = [];
  readonly #channels = [
    ...["backend", "load"].flatMap((name) => STAGES.map((stage) => `tracing:hotset:${name}:${stage}`)),
    ...["command", "batch", "connect"].flatMap((name) => STAGES.map((stage) => `tracing:node-redis:${name}:${stage}`)),
    ...["backend:error", "backend:state", "decode:error", "load", "miss", "store"].map((name) => `hotset:${name}`),
    "node-redis:error",
    "node-redis:connection:closed",
    "node-redis:connection:ready",
  ];

  /** Rendered at once: a listener that writes a log does not wait. */
  readonly add = (thing: unknown): void => this.#add(thing, "here");
  readonly #add = (thing: unknown, origin: string): void => {
    this.#seen.push({ origin, text: shown(thing) });
  };
  readonly #onMessage = (message: unknown, name: string | symbol): void => {
    // node-redis publishes the arguments of commands, values included, to subscribers of these two channels.
    const isCommand = /node-redis:(command|batch)/.test(String(name));
    this.#add(isCommand ? (message as { readonly error?: unknown }).error : message, String(name));
  };

  constructor() {
    for (const channel of this.#channels) diagnostics.subscribe(channel, this.#onMessage);
    process.on("warning", this.add);
  }

  /** A warning is emitted in a later turn. */
  async end(without = /^$/): Promise<string> {
    await new Promise((resolve) => setImmediate(resolve));
    for (const channel of this.#channels) diagnostics.unsubscribe(channel, this.#onMessage);
    process.off("warning", this.add);
    return this.#seen
      .filter(({ origin }) => !without.test(origin))
      .map(({ text }) => text)
      .join("\n");
  }
}

const STAGES = ["start", "end", "asyncStart", "asyncEnd", "error"];

const shown = (thing: unknown): string =>
  [
    inspect(thing, { depth: 20, showHidden: true, maxStringLength: Infinity }),
    String(thing),
    (thing as Error | undefined)?.stack,
    jsonOf(thing),
  ].join("\n");

function jsonOf(thing: unknown): string {
  const seen = new Set<unknown>();
  try {
    return (
      JSON.stringify(thing, (_, value: unknown) => {
        if (typeof value !== "object" || value === null) return value;
        if (seen.has(value)) return "seen";
        seen.add(value);
        return value instanceof Error ? { ...value, message: value.message, stack: value.stack } : value;
      }) ?? ""
    );
  } catch {
    return "";
  }
}

/** Everything that a cache over the connection says while it is used. */
async function usedOver(connection: Connection | string, settle = (builder: RedisBackendBuilder) => builder) {
  const record = new Record();
  const opened = typeof connection === "string" ? single(connection) : connection;
  const builder = settle(
    redis(opened).valueFormat(json()).connectTimeout("10s").responseTimeout("5s").backoff({ base: 10, max: 20 }),
  );
  record.add([opened, builder]);
  await useBackend(builder.build(), record);
  return record.end();
}

/** For addresses where nothing answers. */
const hasty = (builder: RedisBackendBuilder) => builder.connectTimeout("600ms").responseTimeout("300ms");

async function useBackend(backend: Backend & { readonly coherenceMode?: unknown }, record: Record): Promise<void> {
  const cache = createCache({ name: "shop", explain: 100 }).tier(backend).build();
  for (const name of ["backend:error", "backend:state", "decode:error", "load", "miss", "store"] as const)
    cache.on(name, record.add);
  const keep = (call: Promise<unknown>): Promise<unknown> => call.then(record.add, record.add);
  await keep(cache.connect());
  await keep(backend.read("shop::other"));
  // The cache's own answer is the value itself.
  await cache.getOrSet("mallory@example", () => "value of mallory", { tags: ["t"] }).catch(record.add);
  await cache.get("mallory@example").catch(record.add);
  await keep(cache.set("mallory@example", "value of mallory"));
  await keep(cache.delete("mallory@example"));
  await keep(cache.invalidateTags("t"));
  await cache.drain();
  record.add([cache, backend, cache.stats()]);
  await keep(cache.close({ timeout: 100 }));
}

/** A server that answers each chunk with bytes of its own. */
async function answering(answer: (socket: Socket, chunk: Buffer) => void) {
  const server: Server = createServer((socket) => {
    socket.on("error", nothing).on("data", (chunk) => answer(socket, chunk));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  stops.push(async () => server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const nothing = (): void => undefined;

describe("C145: no password, key or value leaves the process", () => {
  let plain: OwnRedis;
  beforeAll(async () => {
    plain = await running(startOwnRedis({ password: SECRET }));
  });

  it.each([2, 3] as const)("where the password is wrong, over RESP%i", async (protocol) => {
    const users = await running(startAclRedis());
    const text = await usedOver(`redis://app:${ENCODED}@127.0.0.1:${users.port}`, (b) =>
      b.protocol(protocol).coherence("pubsub"),
    );
    expect(text).toContain("WRONGPASS");
    expect(leaks(text)).toEqual([]);
  });

  it("where the server does not know HELLO, whose arguments it quotes", async () => {
    const old = await running(startOwnRedis({ config: ['rename-command HELLO ""'] }));
    for (const connection of [
      `redis://:${ENCODED}@127.0.0.1:${old.port}`,
      `redis://app:${ENCODED}@127.0.0.1:${old.port}`,
    ]) {
      const text = await usedOver(connection);
      expect(text).toMatch(/unknown command 'HELLO'; the server speaks RESP2 only/);
      expect(leaks(text)).toEqual([]);
    }
  });

  it("where the server does not know AUTH", async () => {
    const old = await running(startOwnRedis({ config: ['rename-command AUTH ""'] }));
    const text = await usedOver(`redis://:${ENCODED}@127.0.0.1:${old.port}`, (builder) =>
      builder.protocol(2).coherence("pubsub"),
    );
    expect(text).toMatch(/unknown command 'AUTH'/);
    expect(leaks(text)).toEqual([]);
  });

  it("where the password comes from a function", async () => {
    const old = await running(startOwnRedis({ config: ['rename-command HELLO ""'] }));
    const text = await usedOver(`redis://127.0.0.1:${old.port}`, (builder) => builder.password(async () => SECRET));
    expect(text).toMatch(/unknown command 'HELLO'/);
    expect(leaks(text)).toEqual([]);
  });

  it("where a proxy quotes the password in words of its own", async () => {
    for (const quoted of [SECRET, ENCODED, ENCODED.toLowerCase()]) {
      const proxy = await answering((socket) => socket.write(`-ERR proxy: denied for ${quoted}\r\n`));
      const text = await usedOver(`redis://:${ENCODED}@${proxy}`);
      expect(text).toMatch(/ERR proxy: denied for \*\*\*/);
      expect(leaks(text)).toEqual([]);
    }
  });

  it("where the client is yours, and its server does not know HELLO", async () => {
    const old = await running(startOwnRedis({ config: ['rename-command HELLO ""'] }));
    const client = new RedisClient({
      url: `redis://127.0.0.1:${old.port}`,
      password: SECRET,
      socket: { reconnectStrategy: false },
      disableOfflineQueue: true,
    });
    client.on("error", nothing);
    const backend = redis(fromClient(client)).valueFormat(json()).responseTimeout("300ms").build();
    const record = new Record();
    await client.connect().catch(nothing);
    await useBackend(backend, record);
    // Without node-redis' own channels: the client is yours.
    const text = await record.end(/node-redis/);
    expect(text).toContain("unknown command 'HELLO'");
    expect(text).toContain("call its connect() first");
    expect(leaks(text)).toEqual([]);
  });

  it("without a password (NOAUTH)", async () => {
    const text = await usedOver(`redis://127.0.0.1:${plain.port}`);
    expect(text).toContain("NOAUTH");
    expect(leaks(text)).toEqual([]);
  });

  it("where the user may do nothing (NOPERM), or only read", async () => {
    const users = await running(
      startAclRedis({ users: [`user none on >hunter2 ~* &*`, `user reader on >hunter2 ~* &* +@read +@connection`] }),
    );
    for (const user of ["none", "reader"]) {
      const text = await usedOver(users.urlOf(user, "hunter2"));
      expect(text).toContain("NOPERM");
      expect(leaks(text)).toEqual([]);
    }
  });

  it("where commands are unknown, whose keys and values the server quotes", async () => {
    const cut = await running(
      startOwnRedis({
        password: SECRET,
        config: ["EVALSHA", "EVAL", "HMGET", "PTTL", "MGET"].map((command) => `rename-command ${command} ""`),
      }),
    );
    const text = await usedOver(`redis://:${ENCODED}@127.0.0.1:${cut.port}`);
    expect(text).toMatch(/unknown command 'HMGET'/);
    expect(text).toMatch(/unknown command 'EVALSHA'/);
    expect(text).not.toContain("args beginning with");
    expect(leaks(text)).toEqual([]);

    const client = new RedisClient({ url: `redis://:${ENCODED}@127.0.0.1:${cut.port}` });
    await client.connect();
    const record = new Record();
    // Without its own channels: the replies to your client are yours.
    await useBackend(redis(fromClient(client)).valueFormat(json()).build(), record);
    const ofClient = await record.end(/node-redis/);
    expect(ofClient).toMatch(/unknown command 'EVALSHA'/);
    expect(ofClient).not.toContain("args beginning with");
    expect(leaks(ofClient)).toEqual([]);
    client.destroy();
  });

  it("where tracking is unknown, whose prefix the server quotes", async () => {
    const cut = await running(startOwnRedis({ password: SECRET, config: ['rename-command CLIENT ""'] }));
    const text = await usedOver(`redis://:${ENCODED}@127.0.0.1:${cut.port}`, (builder) =>
      builder.coherence("tracking"),
    );
    expect(text).toMatch(/unknown command 'CLIENT'/);
    expect(text).not.toContain("args beginning with");
    expect(leaks(text)).toEqual([]);
  });

  it("where the certificate of the server, or ours, is refused", async () => {
    const server = await running(startTlsRedis({ password: SECRET, clientCertificates: "required" }));
    const { ca, otherCa, client, wrongClient } = testCertificates();
    for (const tls of [
      { ca: otherCa, cert: client.cert, key: client.key },
      { ca, cert: wrongClient.cert, key: wrongClient.key },
      { ca },
      { ca, cert: "hunter2", key: "hunter2" },
    ])
      expect(leaks(await usedOver(single(`rediss://:${ENCODED}@localhost:${server.port}`, { tls }), hasty))).toEqual(
        [],
      );
  });

  it("where TLS meets a server without it, and the reverse", async () => {
    const tls = await running(startTlsRedis({ password: SECRET }));
    expect(leaks(await usedOver(`redis://:${ENCODED}@127.0.0.1:${tls.port}`, hasty))).toEqual([]);
    expect(leaks(await usedOver(`rediss://:${ENCODED}@127.0.0.1:${plain.port}`, hasty))).toEqual([]);
  });

  it("where the connection is refused, or its host or socket does not exist", async () => {
    for (const url of [
      `redis://:${ENCODED}@127.0.0.1:1`,
      `redis://:${ENCODED}@nowhere.invalid`,
      `unix://app:${ENCODED}@/run/no-such-directory/redis.sock`,
    ])
      expect(leaks(await usedOver(url, hasty))).toEqual([]);
  });

  it("where the connection is reset or ended during the handshake", async () => {
    for (const end of ["resetAndDestroy", "end"] as const)
      expect(leaks(await usedOver(`redis://:${ENCODED}@${await answering((socket) => socket[end]())}`, hasty))).toEqual(
        [],
      );
  });

  it("where the server answers with bytes that are not a reply, or with what it was sent", async () => {
    for (const answer of [
      (socket: Socket) => socket.write(Buffer.from([0xff, 0x00, 0x0d, 0x0a])),
      (socket: Socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"),
      (socket: Socket, chunk: Buffer) => socket.write(chunk),
      (socket: Socket, chunk: Buffer) => socket.write(`-${chunk.toString().replaceAll("\r\n", " ")}\r\n`),
    ])
      expect(leaks(await usedOver(`redis://:${ENCODED}@${await answering(answer)}`, hasty))).toEqual([]);
  });

  it("where nothing is answered in time", async () => {
    const text = await usedOver(`redis://:${ENCODED}@${await answering(nothing)}`, hasty);
    expect(text).toContain("no answer within");
    expect(leaks(text)).toEqual([]);
  });

  it("where commands are not answered in time", async () => {
    const frozen = await running(startOwnRedis({ password: SECRET }));
    const record = new Record();
    const backend = redis(`redis://:${ENCODED}@127.0.0.1:${frozen.port}`)
      .valueFormat(json())
      .responseTimeout("200ms")
      .build();
    await backend.connect!();
    frozen.pause();
    await useBackend(backend, record);
    frozen.resume();
    const text = await record.end();
    expect(text).toContain("was not answered within");
    expect(leaks(text)).toEqual([]);
  });

  it("where the server dies", async () => {
    const mortal = await running(startOwnRedis({ password: SECRET }));
    const record = new Record();
    const backend = redis(`redis://:${ENCODED}@127.0.0.1:${mortal.port}`).valueFormat(json()).build();
    await backend.connect!();
    const call = backend.ping().catch(record.add);
    await mortal.kill();
    await call;
    await useBackend(backend, record);
    expect(leaks(await record.end())).toEqual([]);
  });

  it("where the database does not exist", async () => {
    expect(leaks(await usedOver(`redis://:${ENCODED}@127.0.0.1:${plain.port}/99`))).toEqual([]);
  });

  it("where sentinels refuse the password, or know the primary but it refuses", async () => {
    const group = await running(startSentinel({ password: SECRET, sentinelPassword: "hunter2 of sentinels" }));
    const of = (password: string) =>
      group.sentinels.map(({ port }) => `redis://:${encodeURIComponent(password)}@127.0.0.1:${port}`);
    const refused = await usedOver(sentinel(of("hunter2 wrong"), { primaryName: group.name }));
    expect(refused).toContain("WRONGPASS");
    expect(leaks(refused)).toEqual([]);
    const wrong = await usedOver(sentinel(of("hunter2 of sentinels"), { primaryName: group.name }), (builder) =>
      builder.password("hunter2 wrong"),
    );
    expect(wrong).toContain("WRONGPASS");
    expect(leaks(wrong)).toEqual([]);
  });

  it("where a cluster refuses the password", async () => {
    const nodes = await running(startCluster({ replicas: 0, password: SECRET }));
    const urls = nodes.nodes.map(({ port }) => `redis://:${encodeURIComponent("hunter2 wrong")}@127.0.0.1:${port}`);
    const refused = await usedOver(cluster(urls));
    expect(refused).toContain("WRONGPASS");
    expect(leaks(refused)).toEqual([]);
    expect(
      leaks(await usedOver(cluster(nodes.nodes.map(({ port }) => `redis://:${ENCODED}@127.0.0.1:${port}`)))),
    ).toEqual([]);
  });

  it.each([
    "hunter2:x@h",
    "hunter2://cache",
    "hunter2",
    "//:hunter2@cache",
    "redis:/:hunter2@cache",
    "redis://:hunter2@",
    "redis://:hunter2@cache:port",
    "redis://:hunter2@cache/zero",
    "redis://:12/hunter2@cache",
    "redis://:hunter2#@cache",
    "redis://:hun%2ghunter2@cache",
    "redis://cache?password=hunter2",
    "unix://:hunter2@run/socket",
    "unix:///run/socket?password=hunter2",
    "rediss+hunter2://cache",
  ])("in the error of the URL %s", (url) => {
    for (const give of [
      () => single(url),
      () => redis(url),
      () => cluster([url]),
      () => sentinel([url], { primaryName: "main" }),
      () => redis("redis://cache").connection(url),
    ]) {
      let error: unknown;
      try {
        give();
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(Error);
      expect(leaks(shown(error))).toEqual([]);
    }
  });
});
