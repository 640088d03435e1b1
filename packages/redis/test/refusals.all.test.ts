import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer, type AddressInfo, type Server } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { inspect } from "node:util";
import { BackendUnavailableError, json, type StoredEntry } from "@hotset/core";
import { cluster, fromClient, redis, sentinel, single, type RedisBackend, type TlsOptions } from "@hotset/redis";
import {
  startAclRedis,
  startOwnRedis,
  startProxy,
  startTlsRedis,
  type AclRedis,
  type OwnRedis,
  type TlsRedis,
} from "@hotset/test-servers";
import { RedisClient } from "@redis/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const stored: StoredEntry = { data: Buffer.from("value"), staleInMs: 60_000, expiresInMs: 360_000, meta: "json none" };
/** Longer than a test may take: what is refused in one was refused at once. */
const CONNECT_TIMEOUT_MS = 600_000;
const on = (url: string, connectTimeoutMs = CONNECT_TIMEOUT_MS) =>
  redis(url).valueFormat(json()).connectTimeout(connectTimeoutMs).responseTimeout("10s").backoff({ base: 10, max: 20 });

/** The error that connecting fails with; the backend is closed. */
async function refusal(backend: RedisBackend) {
  const error: unknown = await backend.connect!().catch((thrown: unknown) => thrown);
  const ofCall: unknown = await backend.read("shop::1").catch((thrown: unknown) => thrown);
  await backend.close();
  expect(error).toBeInstanceOf(BackendUnavailableError);
  expect(ofCall).toBeInstanceOf(BackendUnavailableError);
  return { error: error as BackendUnavailableError, ofCall: ofCall as BackendUnavailableError };
}

/** Everything a log could show of it. */
const shown = (...things: unknown[]): string =>
  things
    .map(
      (thing) =>
        `${inspect(thing, { depth: 20, showHidden: true })} ${String(thing)} ${asJson(thing)} ` +
        `${(thing as Error).stack}`,
    )
    .join("\n");

/** Nothing of a backend that is connected: its client holds itself, and JSON refuses that. */
function asJson(thing: unknown): string {
  try {
    return JSON.stringify(thing);
  } catch {
    return "";
  }
}

/** As docs/guide/redis.md lists them. */
const KEYS = "~hotset:* ~hotset~*";
const RIGHTS =
  "+ping +select +client|setname +pttl +hmget +hget +mget +script|exists +script|load +evalsha +eval +hset +hdel +hstrlen +rename +hlen +hincrby +del +pexpire +persist +set +get +getex +time";

describe("credentials", () => {
  let server: AclRedis;
  beforeAll(async () => {
    server = await startAclRedis({
      appRules: `${KEYS} ${RIGHTS}`,
      users: [`user reader on >readerpass ${KEYS} +ping +pttl +hmget +mget`],
    });
  });
  afterAll(() => server.stop());

  it("A6: a wrong password rejects at once, is not tried again, and is not shown", async () => {
    await using proxy = await startProxy(server.port);
    const backend = on(`redis://app:hunter2@127.0.0.1:${proxy.port}`).build();
    const error: unknown = await backend.connect!().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      retryable: false,
      maybeExecuted: false,
      message: expect.stringMatching(/WRONGPASS [^.;]*; check username and password/),
    });
    const ofCalls = await Promise.all(
      Array.from({ length: 20 }, () => backend.read("shop::1").catch((thrown: unknown) => thrown)),
    );
    for (const ofCall of ofCalls) expect(ofCall).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: false });
    // Longer than any back-off.
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(proxy.counts.connections).toBe(1);
    expect(shown(error, ofCalls[0], backend)).not.toContain("hunter2");
    await backend.close();
  });

  it.each([
    ["the rights of the guide suffice for each change of an entry", RIGHTS],
    ["who may not ask for scripts loads them all", RIGHTS.replace(" +script|exists", "")],
  ])("%s", async (_, rights) => {
    await server.command("ACL", "SETUSER", "app", "-@all", ...rights.split(" "));
    await server.command("SCRIPT", "FLUSH");
    const backend = on(`redis://app:apppass@127.0.0.1:${server.port}`).layout("plain").build();
    const life = { staleInMs: 1_000, expiresInMs: 1_000, meta: "json none" };
    const key = "shop::rights";
    await backend.write(key, { ...life, data: Buffer.from("1") });
    expect(await backend.leases!.touch(key, "", { ...life, staleInMs: Infinity, expiresInMs: Infinity })).toBe(true);
    expect(await backend.remove(key)).toBe("deleted");
    await backend.write(key, { ...life, data: Buffer.from("1") });
    expect(await backend.markStale!(key)).toBe("stale");
    await backend.close();
  });

  it("A6: once the password is right, a later call succeeds", async () => {
    let password = "hunter2";
    const backend = on(`redis://127.0.0.1:${server.port}`)
      .username("app")
      .password(() => password)
      .build();
    await expect(backend.connect!()).rejects.toMatchObject({ retryable: false });
    password = "apppass";
    await expect.poll(() => backend.read("shop::1").then(() => "answered")).toBe("answered");
    await backend.close();
  });

  it("R1-04: the function is asked anew for each connection, and its answer is not kept", async () => {
    await using proxy = await startProxy(server.port);
    let asked = 0;
    const backend = on(`redis://other:hunter2@127.0.0.1:${proxy.port}`)
      .username("app")
      .password(async () => (asked++, "apppass"))
      .build();
    expect(asked).toBe(0);
    await backend.read("shop::1");
    expect(asked).toBe(1);
    proxy.cut();
    await expect.poll(() => backend.read("shop::1").then(() => asked)).toBe(2);
    expect(shown(backend)).not.toContain("apppass");
    await backend.close();
  });

  it.each([
    [
      "throws",
      () => {
        throw new Error("no token: hunter2");
      },
    ],
    ["rejects", () => Promise.reject(new Error("no token: hunter2"))],
    ["never answers", () => new Promise<string>(() => undefined)],
    ["gives no string", () => undefined as unknown as string],
  ])("a password function that %s is reported within the connect timeout", async (_, ask) => {
    const { error } = await refusal(on(`redis://127.0.0.1:${server.port}`, 500).password(ask).build());
    expect(error.retryable).toBe(true);
    expect(error.message).not.toContain("hunter2");
  });

  it("an empty password of a function is an error, and no login as the default user", async () => {
    const { error } = await refusal(
      on(`redis://127.0.0.1:${server.port}`)
        .password(() => "")
        .build(),
    );
    expect(error.message).toContain("the password function failed");
    expect(error.message).not.toContain("NOAUTH");
  });

  it("a missing password is reported, with what to check", async () => {
    for (const protocol of [2, 3] as const) {
      const { error } = await refusal(
        on(`redis://127.0.0.1:${server.port}`).protocol(protocol).coherence("none").build(),
      );
      expect(error).toMatchObject({
        retryable: false,
        message: expect.stringMatching(/NOAUTH.*check username and password/),
      });
    }
  });

  it("R1-04: a user with the rights of the guide reads, writes and removes", async () => {
    const backend = on(server.urlOf("app", "apppass")).build();
    await backend.write("shop::1", stored);
    expect((await backend.read("shop::1"))?.data).toEqual(Buffer.from("value"));
    expect(await backend.markStale!("shop::1")).toBe("stale");
    expect(await backend.remove("shop::1")).toBe("deleted");
    const leases = backend.leases!;
    expect(await leases.acquire({ key: "shop::1", token: "mine", leaseMs: 10_000, seen: "" })).toEqual({
      granted: true,
      version: "",
    });
    expect(await leases.renew("shop::1", "mine", 10_000)).toBe(true);
    expect(await leases.store("shop::1", "mine", "", { ...stored, version: "mine" })).toBe(true);
    expect(await leases.confirm("shop::1")).toBe("mine");
    expect(await leases.acquire({ key: "shop::1", token: "next", leaseMs: 10_000, seen: "mine" })).toEqual({
      granted: true,
      version: "mine",
    });
    await leases.release("shop::1", "next");
    expect(await backend.remove("shop::1")).toBe("deleted");
    expect(await leases.confirm("shop::1")).toBe("");
    const { versions } = await backend.tagVersions!.pin(["{~shop}::a"]);
    expect(await backend.tagVersions!.read(["{~shop}::a"])).toEqual(versions);
    await backend.tagVersions!.renew(["{~shop}::a"], "soft");
    await backend.close();
    expect(readFileSync(new URL("../../../docs/guide/redis.md", import.meta.url), "utf8")).toContain(
      `${KEYS} ${RIGHTS}`,
    );
  });

  describe.each(["full", "string"] as const)("in layout(%o)", (layout) => {
    /** In scripts, as Redis 7.0 and later say it, and Valkey. */
    const NOT_PERMITTED = /^(?:NOPERM|ERR The user executing the script can't run|ERR ACL failure in script:) /;
    const lacking = async (right: string, use: (backend: RedisBackend) => Promise<void>): Promise<void> => {
      const backend = on(server.urlOf("app", "apppass")).coherence("none").layout(layout).build();
      await backend.connect!();
      await server.command("FLUSHALL");
      await server.command("ACL", "SETUSER", "app", `-${right}`);
      try {
        await use(backend);
      } finally {
        await server.command("ACL", "SETUSER", "app", `+${right}`);
        await backend.close();
      }
    };

    it("without the right to read a lease its load is not said to have lost it", () =>
      lacking("get", async ({ leases }) => {
        const lease = "hotset~lease:{hotset:shop::1}";
        await server.command("SET", lease, "mine", "PX", "10000");
        await expect(leases!.renew("shop::1", "mine", 10_000)).rejects.toThrow(NOT_PERMITTED);
        await expect(leases!.store("shop::1", "mine", "", { ...stored, version: "mine" })).rejects.toThrow(
          NOT_PERMITTED,
        );
        await expect(leases!.release("shop::1", "mine")).rejects.toThrow(NOT_PERMITTED);
        expect(await server.command("GET", lease)).toBe("mine");
      }));

    it("without the right to read a version it is not replaced by a new one", () =>
      lacking("mget", async ({ tagVersions }) => {
        const [tag, version] = ["{~shop}::a", "id.1|id.1"];
        await server.command("SET", `hotset:${tag}`, version);
        await expect(tagVersions!.pin([tag])).rejects.toThrow(NOT_PERMITTED);
        await expect(tagVersions!.unchangedSince("id.1", [tag])).rejects.toThrow(NOT_PERMITTED);
        expect(await server.command("GET", `hotset:${tag}`)).toBe(version);
      }));

    it("without the right to read the issuer of versions it is not made anew", () =>
      lacking("hmget", async ({ tagVersions }) => {
        await server.command("HSET", "hotset~issuer:{~shop}", "id", "id", "n", "7");
        await expect(tagVersions!.pin(["{~shop}::a"])).rejects.toThrow(NOT_PERMITTED);
        await expect(tagVersions!.renew(["{~shop}::a"], "hard")).rejects.toThrow(NOT_PERMITTED);
        expect(await server.command("HGET", "hotset~issuer:{~shop}", "n")).toBe("7");
      }));

    it("without the right to read an entry it is not said to be missing when it is marked stale", async () => {
      await lacking(layout === "full" ? "hget" : "getrange", async (backend) => {
        await backend.write("shop::1", stored).catch(() => undefined);
        const lease = "hotset~lease:{hotset:shop::1}";
        await server.command("SET", lease, "mine", "PX", "10000");
        await expect(backend.markStale!("shop::1")).rejects.toThrow(NOT_PERMITTED);
        // It goes first: a load that runs stores nothing.
        expect(await server.command("EXISTS", lease)).toBe(0);
      });
    });
  });

  it("A93: a user who may only read can read; NOPERM on a write does not count as a fault of the connection", async () => {
    const writer = on(server.urlOf("app", "apppass")).build();
    await writer.write("shop::1", stored);
    await writer.close();
    const reader = on(server.urlOf("reader", "readerpass")).build();
    expect((await reader.read("shop::1"))?.data).toEqual(Buffer.from("value"));
    const error: unknown = await reader.write("shop::1", stored).catch((thrown: unknown) => thrown);
    expect(error).not.toBeInstanceOf(BackendUnavailableError);
    expect(error).toMatchObject({ message: expect.stringMatching(/^NOPERM /) });
    expect((await reader.read("shop::1"))?.data).toEqual(Buffer.from("value"));
    await reader.close();
  });
});

describe("a server that is not Redis", () => {
  const servers: Server[] = [];
  afterAll(() => {
    for (const server of servers) server.close();
  });
  const urlOf = async (server: Server): Promise<string> => {
    servers.push(server);
    await once(server.listen(0, "127.0.0.1"), "listening");
    return `redis://:hunter2@127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

  it.each([
    ["an HTTP server", () => createHttpServer((_, response) => response.end("hello")), false],
    [
      "an SSH server",
      () => createServer((socket) => socket.on("error", () => undefined).write("SSH-2.0-OpenSSH_9.2p1\r\n")),
      false,
    ],
    [
      "a mail server",
      () => createServer((socket) => socket.on("error", () => undefined).write("220 mail ESMTP\r\n")),
      false,
    ],
    ["one that is silent", () => createServer((socket) => socket.on("error", () => undefined)), true],
    ["one that hangs up", () => createServer((socket) => socket.on("error", () => undefined).end()), true],
    ["one that resets", () => createServer((socket) => socket.on("error", () => undefined).resetAndDestroy()), true],
  ] as const)("%s is reported within the connect timeout, with what to check", async (name, make, retryable) => {
    const url = await urlOf(make());
    const { error, ofCall } = await refusal(on(url, name === "one that is silent" ? 500 : undefined).build());
    expect(error.retryable).toBe(retryable);
    expect(error.message).toMatch(
      /^Redis at 127\.0\.0\.1:\d+ cannot be used: .+; .*check host and port|cannot be used: no answer within 500 ms; check that Redis listens/,
    );
    expect(shown(error, ofCall)).not.toContain("hunter2");
  });

  it("a port without a server is reported at once", async () => {
    const { error } = await refusal(on("redis://:hunter2@127.0.0.1:1").build());
    expect(error).toMatchObject({
      retryable: true,
      maybeExecuted: false,
      message: expect.stringContaining("ECONNREFUSED"),
    });
  });

  it("a host name that does not exist is reported", async () => {
    const { error } = await refusal(on("redis://nowhere.invalid").build());
    expect(error).toMatchObject({ retryable: true, message: expect.stringContaining("nowhere.invalid") });
  });

  it("a socket that does not exist is reported", async () => {
    const { error } = await refusal(on("unix:///tmp/no-such-directory/redis.sock").build());
    expect(error).toMatchObject({ retryable: true, message: expect.stringContaining("ENOENT") });
  });
});

describe("a server that was not meant", () => {
  let server: OwnRedis;
  beforeAll(async () => {
    server = await startOwnRedis();
  });
  afterAll(() => server.stop());

  it("a database that it does not have is reported", async () => {
    const { error } = await refusal(on(`${server.url}/99`).build());
    expect(error).toMatchObject({
      retryable: false,
      message: expect.stringMatching(/DB index is out of range; check the database number/),
    });
  });

  it("credentials where none are set are reported", async () => {
    const { error } = await refusal(on(`redis://app:hunter2@127.0.0.1:${server.port}`).build());
    expect(error).toMatchObject({ retryable: false, message: expect.stringContaining("check username and password") });
  });

  it("a single server in place of a sentinel is reported", async () => {
    const { error } = await refusal(
      redis(sentinel([server.url], { primaryName: "main" }))
        .valueFormat(json())
        .connectTimeout(CONNECT_TIMEOUT_MS)
        .build(),
    );
    expect(error.retryable).toBe(false);
  });

  it("a single server in place of a cluster is reported", async () => {
    const { error } = await refusal(
      redis(cluster([server.url]))
        .valueFormat(json())
        .connectTimeout(CONNECT_TIMEOUT_MS)
        .build(),
    );
    expect(error).toMatchObject({ retryable: false, message: expect.stringContaining("use single(url)") });
  });

  it("a client that is not open is not opened, and the error says so", async () => {
    const client = new RedisClient({ url: server.url });
    const backend = redis(fromClient(client)).valueFormat(json()).build();
    await expect(backend.read("shop::1")).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      maybeExecuted: false,
      message: expect.stringContaining("call its connect()"),
    });
    await expect(backend.connect!()).rejects.toBeInstanceOf(BackendUnavailableError);
    expect(client.isOpen).toBe(false);
    await backend.close();
  });
});

describe("TLS", () => {
  let server: TlsRedis;
  beforeAll(async () => {
    server = await startTlsRedis({ clientCertificates: "required" });
  });
  afterAll(() => server.stop());

  const withTls = (tls: { ca?: string; cert?: string; key?: string; servername?: string }) =>
    redis(single(server.url, { tls }))
      .valueFormat(json())
      .connectTimeout(CONNECT_TIMEOUT_MS)
      .responseTimeout("10s")
      .build();

  it("A5 R1-04: with the right authority and a client's certificate it works", async () => {
    const { ca, client } = server.certificates;
    const backend = withTls({ ca, cert: client.cert, key: client.key });
    await backend.write("shop::1", stored);
    expect((await backend.read("shop::1"))?.data).toEqual(Buffer.from("value"));
    await backend.close();
  });

  it("an address in parts; with the dangerous option any certificate will do, by default none does", async () => {
    const { cert, key } = server.certificates.client;
    const { port } = new URL(server.url);
    const over = (tls: TlsOptions) =>
      redis({ host: "localhost", port: Number(port), tls })
        .valueFormat(json())
        .connectTimeout(CONNECT_TIMEOUT_MS)
        .responseTimeout("10s")
        .build();
    await server.show("wrongAuthority");
    expect((await refusal(over({ cert, key }))).error.retryable).toBe(false);
    const warnings: Error[] = [];
    const listen = (warning: Error): unknown => warnings.push(warning);
    process.on("warning", listen);
    const backend = over({ cert, key, dangerouslyAcceptAnyCertificate: true });
    await backend.write("shop::1", stored);
    expect((await backend.read("shop::1"))?.data).toEqual(Buffer.from("value"));
    expect(warnings).toEqual([expect.objectContaining({ code: "HOTSET_UNVERIFIED_TLS" })]);
    process.off("warning", listen);
    await backend.close();
    await server.show("valid");
  });

  it("A5: an authority that is not known is refused, at once and for good", async () => {
    const { otherCa, client } = server.certificates;
    for (const tls of [
      { ca: otherCa, cert: client.cert, key: client.key },
      { cert: client.cert, key: client.key },
    ]) {
      const { error } = await refusal(withTls(tls));
      expect(error).toMatchObject({
        retryable: false,
        message: expect.stringContaining("the certificates were rejected"),
      });
    }
  });

  it.each(["expired", "wrongName", "wrongAuthority"] as const)(
    "A5: a server's certificate that is %s is refused",
    async (certificate) => {
      const { ca, client } = server.certificates;
      await server.show(certificate);
      const { error } = await refusal(withTls({ ca, cert: client.cert, key: client.key }));
      expect(error).toMatchObject({
        retryable: false,
        message: expect.stringContaining("the certificates were rejected"),
      });
      await server.show("valid");
    },
  );

  it("A5: NODE_TLS_REJECT_UNAUTHORIZED changes nothing", async () => {
    const { client } = server.certificates;
    process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
    const { error } = await refusal(withTls({ cert: client.cert, key: client.key })).finally(
      () => delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"],
    );
    expect(error.retryable).toBe(false);
  });

  it.each(["none", "expiredClient", "wrongClient"] as const)(
    "A5: a client's certificate: %s, refused by the server",
    async (which) => {
      const { ca } = server.certificates;
      const keyed =
        which === "none" ? {} : { cert: server.certificates[which].cert, key: server.certificates[which].key };
      const { error } = await refusal(withTls({ ca, ...keyed }));
      expect(error.retryable).toBe(false);
    },
  );

  it("A5: a text that is not a certificate is reported", async () => {
    const { error } = await refusal(withTls({ ca: server.certificates.ca, cert: "hunter2", key: "hunter2" }));
    expect(error.retryable).toBe(false);
    expect(error.message).toContain("tls.cert");
  });

  it("a port without a server is reported under TLS", async () => {
    const { error } = await refusal(on("rediss://127.0.0.1:1").build());
    expect(error).toMatchObject({ retryable: true, message: expect.stringContaining("ECONNREFUSED") });
  });

  it("the server name indication is the host of the URL, or the given one", async () => {
    const names: string[] = [];
    const { cert, key } = server.certificates.server.valid;
    const listener = createTlsServer(
      { cert, key, SNICallback: (name, done) => done((names.push(name), null)) },
      (socket) => socket.on("error", () => undefined).destroy(),
    );
    listener.on("tlsClientError", () => undefined);
    await once(listener.listen(0), "listening");
    const { port } = listener.address() as AddressInfo;
    const { ca } = server.certificates;
    for (const tls of [{ ca }, { ca, servername: "127.0.0.1.example" }])
      await refusal(
        redis(single(`rediss://localhost:${port}`, { tls }))
          .valueFormat(json())
          .connectTimeout("1s")
          .retries(1)
          .build(),
      );
    listener.close();
    expect(names[0]).toBe("localhost");
    expect(names.at(-1)).toBe("127.0.0.1.example");
  });

  it("A5: no connection falls back to plain text, or to TLS where the URL does not say so", async () => {
    const plain = await refusal(on(`redis://:hunter2@localhost:${server.port}`).build());
    expect(plain.error.message).toContain("rediss:");
    await using own = await startOwnRedis();
    const tls = await refusal(on(`rediss://:hunter2@127.0.0.1:${own.port}`, 500).build());
    // Redis takes the bytes for a command and waits for the rest.
    expect(tls.error.message).toContain("with TLS or without as the URL says");
    expect(shown(plain.error, tls.error)).not.toContain("hunter2");
  });

  it("A5: a failed TLS handshake sends nothing in plain text, also when it is tried again", async () => {
    const pieces: Buffer[] = [];
    const listener = createServer((socket) =>
      socket
        .on("error", () => undefined)
        .on("data", (piece) => pieces.push(piece))
        .write("-ERR no TLS here\r\n"),
    );
    await once(listener.listen(0, "127.0.0.1"), "listening");
    const url = `rediss://app:hunter2@127.0.0.1:${(listener.address() as AddressInfo).port}`;
    for (let attempt = 0; attempt < 2; attempt += 1) await refusal(on(url).build());
    listener.close();
    expect(pieces.length).toBeGreaterThan(0);
    for (const piece of pieces)
      expect(piece[0], "a TLS record of the handshake, or an alert").toSatisfy(
        (type: number) => type === 22 || type === 21,
      );
    expect(Buffer.concat(pieces).toString("latin1")).not.toMatch(/hunter2|HELLO|AUTH/);
  });

  it("a lost connection is made anew under TLS too", async () => {
    await using proxy = await startProxy(server.port);
    const { ca, client } = server.certificates;
    const backend = redis(
      single(`rediss://localhost:${proxy.port}`, { tls: { ca, cert: client.cert, key: client.key } }),
    )
      .valueFormat(json())
      .responseTimeout("1s")
      .backoff({ base: 10, max: 20 })
      .build();
    await backend.connect!();
    await backend.write("shop::2", stored);
    proxy.cut();
    await expect.poll(() => backend.read("shop::2").then((entry) => entry?.data.toString())).toBe("value");
    proxy.swallow();
    await expect(backend.read("shop::2")).rejects.toBeInstanceOf(BackendUnavailableError);
    await proxy.pass();
    await expect.poll(() => backend.read("shop::2").then((entry) => entry?.data.toString())).toBe("value");
    await backend.close();
  });
});

describe("secrets", () => {
  it("A4: are not shown by connections, builders and backends", async () => {
    const connection = single("redis://app:hunter2@127.0.0.1:1/3");
    const builder = redis(connection).valueFormat(json()).username("app").password("hunter2");
    const backend = builder.build();
    const error: unknown = await backend.read("shop::1").catch((thrown: unknown) => thrown);
    for (const thing of [connection, builder, backend, error]) expect(shown(thing)).not.toContain("hunter2");
    await backend.close();
  });
});
