/** Which addresses are used, who receives which credentials, and the options of TLS. */
import { createHash, X509Certificate } from "node:crypto";
import { BackendUnavailableError, json, type StoredEntry } from "@hotset/core";
import { cluster, redis, sentinel, single, type Connection, type TlsOptions } from "@hotset/redis";
import {
  createAuthority,
  startAclRedis,
  startCluster,
  startProxy,
  startSentinel,
  startTlsRedis,
  type AclRedis,
  type FaultProxy,
  type TestCluster,
  type TestSentinel,
  type TlsRedis,
} from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

const stored: StoredEntry = { data: Buffer.from("value"), staleInMs: 60_000, expiresInMs: 360_000, meta: "json none" };
const on = (connection: Connection) =>
  redis(connection).valueFormat(json()).connectTimeout("5s").responseTimeout("10s").backoff({ base: 10, max: 20 });

async function failure(connection: Connection, password?: string): Promise<BackendUnavailableError> {
  const builder = password === undefined ? on(connection) : on(connection).password(password);
  const backend = builder.build();
  const error: unknown = await backend.connect!().catch((thrown: unknown) => thrown);
  await backend.close();
  expect(error).toBeInstanceOf(BackendUnavailableError);
  return error as BackendUnavailableError;
}

describe("C147: addresses that a cluster names", () => {
  let nodes: TestCluster;
  let proxies: FaultProxy[];
  beforeAll(async () => {
    nodes = await startCluster({ replicas: 0 });
    proxies = await Promise.all(nodes.nodes.map(({ port }) => startProxy(port)));
  });
  afterAll(async () => {
    await Promise.all(proxies.map((proxy) => proxy.close()));
    await nodes.stop();
  });

  /** As behind NAT: a node is reached by the port of its proxy, and names its own. */
  const mapped = ({ host, port }: HostAndPort): HostAndPort | undefined => {
    const index = nodes.nodes.findIndex((node) => node.port === port);
    return index < 0 ? undefined : { host, port: proxies[index]!.port };
  };

  it("are mapped: each node is reached where resolveAddress says", async () => {
    const asked: HostAndPort[] = [];
    const resolveAddress = (address: HostAndPort): HostAndPort | undefined => {
      asked.push(address);
      return mapped(address);
    };
    const backend = on(cluster([proxies[0]!.url], { resolveAddress }))
      .coherence("none")
      .build();
    await backend.connect!();
    for (const proxy of proxies) proxy.resetCounts();
    for (const node of nodes.nodes) {
      const key = `shop::${(await nodes.keyOn(node, "hotset:shop::")).slice("hotset:shop::".length)}`;
      await backend.write(key, stored);
      expect((await backend.read(key))?.data).toEqual(Buffer.from("value"));
    }
    expect(proxies.map(({ counts }) => counts.commandsByName["HMGET"])).toEqual([1, 1, 1]);
    expect(asked.map(({ port }) => port).toSorted()).toEqual(nodes.nodes.map(({ port }) => port).toSorted());
    expect(asked.every(({ host }) => host === "127.0.0.1")).toBe(true);
    await backend.close();
  });

  it("are refused, with an error that names the address, when resolveAddress returns undefined", async () => {
    const refused = nodes.nodes[1]!.port;
    const resolveAddress = (address: HostAndPort) => (address.port === refused ? undefined : address);
    const error = await failure(cluster([nodes.urls[0]!], { resolveAddress }));
    expect(error).toMatchObject({ retryable: false, maybeExecuted: false });
    expect(error.message).toContain(`resolveAddress refused 127.0.0.1:${refused}, which CLUSTER SLOTS names`);
  });

  it("are mapped or refused in redirections, too", async () => {
    let refuses = false;
    const resolveAddress = (address: HostAndPort) => (refuses ? undefined : address);
    const backend = on(cluster(nodes.urls, { resolveAddress })).coherence("none").build();
    const [from, to] = nodes.nodes;
    const redisKey = await nodes.keyOn(from!, "hotset:shop::");
    const key = redisKey.slice("hotset:".length);
    await backend.write(key, stored);
    const slot = await nodes.slotOf(redisKey);
    const migration = await nodes.migrateHalfway(slot, to!);
    refuses = true;
    await migration.finish();
    const error: unknown = await backend.read(key).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      retryable: false,
      maybeExecuted: false,
      message: expect.stringContaining(`resolveAddress refused 127.0.0.1:${to!.port}, which MOVED names`),
    });
    refuses = false;
    expect((await backend.read(key))?.data).toEqual(Buffer.from("value"));
    await backend.close();
  });

  it("are refused when resolveAddress throws, or returns something else", async () => {
    for (const resolveAddress of [
      () => {
        throw new Error("no map");
      },
      () => "127.0.0.1:7000" as never,
      ({ port }: HostAndPort) => ({ host: "", port }),
    ]) {
      const error = await failure(cluster([nodes.urls[0]!], { resolveAddress }));
      expect(error.message).toMatch(/resolveAddress (?:failed|must return .*) for 127\.0\.0\.1:\d+/);
      expect(error.retryable).toBe(false);
    }
  });
});

describe("behind sentinels", () => {
  let group: TestSentinel;
  beforeAll(async () => {
    group = await startSentinel({ downAfterMs: 30_000, password: "of servers", sentinelPassword: "of sentinels" });
  });
  afterAll(() => group.stop());
  const urls = () => group.sentinels.map(({ url }) => url);

  it("C147: the primary is reached where resolveAddress says", async () => {
    const primary = await group.primary();
    await using proxy = await startProxy(primary.port);
    const resolveAddress = ({ host, port }: HostAndPort) =>
      port === primary.port ? { host, port: proxy.port } : undefined;
    const backend = on(sentinel(urls(), { primaryName: group.name, resolveAddress }))
      .password("of servers")
      .build();
    await backend.write("shop::1", stored);
    expect((await backend.read("shop::1"))?.data).toEqual(Buffer.from("value"));
    expect(proxy.counts.commandsByName["HMGET"]).toBe(1);
    // The listener at the sentinels asks once more: the address is the same.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(proxy.counts.connections).toBe(1);
    await backend.close();
  });

  it("C147: a primary that resolveAddress refuses is not connected to", async () => {
    const primary = await group.primary();
    const connection = sentinel(urls(), { primaryName: group.name, resolveAddress: () => undefined });
    const error = await failure(connection, "of servers");
    expect(error.retryable).toBe(false);
    expect(error.message).toContain(`resolveAddress refused 127.0.0.1:${primary.port}, which a sentinel names`);
  });

  it("C148: the primary does not receive the credentials of the sentinels", async () => {
    const primary = await group.primary();
    await using proxy = await startProxy(primary.port);
    const resolveAddress = ({ host }: HostAndPort) => ({ host, port: proxy.port });
    const error = await failure(sentinel(urls(), { primaryName: group.name, resolveAddress }));
    expect(error.message).toMatch(/NOAUTH.*check username and password.*behind sentinels.*\.password\(\)/);
    expect(proxy.commands().length).toBeGreaterThan(0);
    expect(JSON.stringify(proxy.commands())).not.toContain("of sentinels");
  });
});

describe("C149: the name of a connection", () => {
  let server: AclRedis;
  beforeAll(async () => {
    server = await startAclRedis({ appRules: "~hotset:* ~hotset~* +@all" });
  });
  afterAll(() => server.stop());
  const names = async (): Promise<readonly string[]> =>
    [...String(await server.command("CLIENT", "LIST")).matchAll(/ name=(\S*) .* user=app /g)].map(([, name]) => name!);

  it("is the label, or clientName, backends of two labels share one", async () => {
    const connection = single(server.appUrl);
    const one = on(connection).label("near by").build();
    const other = on(connection).label("other").build();
    await one.connect!();
    await other.connect!();
    expect(await names()).toEqual(["hotset:near_by"]);
    const named = on(connection).clientName("shop").build();
    await named.connect!();
    expect((await names()).toSorted()).toEqual(["hotset:near_by", "shop"]);
    for (const backend of [one, other, named]) await backend.close();
  });

  it("is not set for a user who may not, and nothing else is different", async () => {
    await server.command("ACL", "SETUSER", "app", "-client|setname");
    const backend = on(single(server.appUrl)).build();
    await backend.write("shop::1", stored);
    expect((await backend.read("shop::1"))?.data).toEqual(Buffer.from("value"));
    expect(await names()).toEqual([""]);
    await backend.close();
  });
});

describe("TLS", () => {
  let server: TlsRedis;
  const pinOf = (certificate: string): string =>
    createHash("sha256")
      .update(new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" }))
      .digest("base64");
  beforeAll(async () => {
    server = await startTlsRedis({ clientCertificates: "required" });
  });
  afterAll(() => server.stop());
  const base = (): TlsOptions => {
    const { ca, client } = server.certificates;
    return { ca, cert: client.cert, key: client.key };
  };
  const over = (tls: TlsOptions | (() => TlsOptions | Promise<TlsOptions>)) => single(server.url, { tls });
  const works = async (connection: Connection): Promise<void> => {
    const backend = on(connection).build();
    await backend.write("shop::1", stored);
    expect((await backend.read("shop::1"))?.data).toEqual(Buffer.from("value"));
    await backend.close();
  };

  it("C148: a server with a pinned public key is accepted, and any other is refused for good", async () => {
    const pin = pinOf(server.certificates.server.valid.cert);
    const other = pinOf(createAuthority("another").cert);
    await works(over({ ...base(), pins: [other, pin] }));
    const error = await failure(over({ ...base(), pins: [other] }));
    expect(error.retryable).toBe(false);
    expect(error.message).toMatch(/public key.*tls\.pins.*the certificates were rejected/);
  });

  it("C148: a pin does not replace the check of the name and of the authority", async () => {
    for (const which of ["wrongName", "wrongAuthority"] as const) {
      await server.show(which);
      const error = await failure(over({ ...base(), pins: [pinOf(server.certificates.server[which].cert)] }));
      await server.show("valid");
      expect(error.message).toContain("the certificates were rejected");
    }
  });

  it("C148: an older version of TLS than minVersion is refused", async () => {
    await using old = await startTlsRedis({ config: ["tls-protocols TLSv1.2"] });
    const { ca } = old.certificates;
    await works(single(old.url, { tls: { ca } }));
    const error = await failure(single(old.url, { tls: { ca, minVersion: "TLSv1.3" } }));
    expect(error).toMatchObject({ retryable: false, message: expect.stringContaining("the TLS handshake failed") });
  });

  it("C148: an encrypted key is read with its passphrase, which no error shows", async () => {
    const { createPrivateKey } = await import("node:crypto");
    const key = createPrivateKey(server.certificates.client.key)
      .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "hunter2" })
      .toString();
    await works(over({ ...base(), key, passphrase: "hunter2" }));
    const error = await failure(over({ ...base(), key, passphrase: "hunter2 wrong" }));
    expect(error.retryable).toBe(false);
    expect(`${error.message} ${error.stack} ${String(error.cause)}`).not.toContain("hunter2");
  });

  it("C148: a function is called for each connection, so certificates are renewed without a restart", async () => {
    await using proxy = await startProxy(server.port);
    const { expiredClient } = server.certificates;
    const given: TlsOptions[] = [base(), { ...base(), cert: expiredClient.cert, key: expiredClient.key }, base()];
    let calls = 0;
    const tls = async (): Promise<TlsOptions> => given[Math.min(calls++, 2)]!;
    const backend = on(single(`rediss://localhost:${proxy.port}`, { tls })).build();
    await backend.connect!();
    expect(calls).toBe(1);
    proxy.cut();
    await expect.poll(() => backend.connect!().then(() => calls)).toBe(3);
    await backend.close();
  });

  it.each<readonly [string, () => TlsOptions | Promise<TlsOptions>, RegExp, boolean]>([
    ["throws", () => Promise.reject(new Error("vault is sealed")), /the tls function failed/, true],
    ["returns nothing", () => undefined as never, /the tls function failed/, true],
    ["returns a certificate without its key", () => ({ cert: "x" }), /tls\.cert was given without its tls\.key/, false],
    ["returns an unknown option", () => ({ pin: "x" }) as never, /unknown option "pin"/, false],
  ])("C148: a tls function that %s is reported", async (_, tls, message, retryable) => {
    const error = await failure(over(tls));
    expect(error.message).toMatch(message);
    expect(error.retryable).toBe(retryable);
  });
});

it("a connected backend is its label to a logger that writes JSON", async () => {
  const nodes = await startCluster({ replicas: 0 });
  const backend = on(cluster(nodes.nodes.map(({ url }) => url)))
    .label("eu-1")
    .build();
  await backend.connect!();
  expect(JSON.stringify({ backend })).toBe('{"backend":{"label":"eu-1"}}');
  await backend.close();
  await nodes.stop();
});
