import { createClient } from "@redis/client";
import { X509Certificate } from "node:crypto";
import { connect, type ConnectionOptions } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  RespClient,
  startAclRedis,
  startTlsRedis,
  testCertificates,
  type AclRedis,
  type TlsRedis,
} from "../src/index.ts";

describe("certificates", () => {
  it("have the properties of their names", () => {
    const { ca, otherCa, server, client } = testCertificates();
    const authority = new X509Certificate(ca);
    const valid = new X509Certificate(server.valid.cert);
    expect(authority.ca).toBe(true);
    expect(valid.ca).toBe(false);
    expect(valid.subjectAltName).toBe("DNS:localhost, IP Address:127.0.0.1");
    expect(valid.subject).toBe("CN=localhost");
    expect(valid.verify(authority.publicKey)).toBe(true);
    expect(valid.verify(new X509Certificate(otherCa).publicKey)).toBe(false);
    expect(new X509Certificate(server.wrongAuthority.cert).verify(new X509Certificate(otherCa).publicKey)).toBe(true);
    expect(Date.parse(new X509Certificate(server.expired.cert).validTo)).toBeLessThan(Date.now());
    expect(new X509Certificate(client.cert).subjectAltName).toBe(undefined);
  });
});

describe("TLS", () => {
  let redis: TlsRedis;
  beforeAll(async () => {
    redis = await startTlsRedis({ clientCertificates: "required", password: "secret" });
  });
  afterAll(() => redis.stop());

  const tls = (more: ConnectionOptions = {}): ConnectionOptions => ({
    ca: redis.certificates.ca,
    ...redis.certificates.client,
    ...more,
  });
  const ping = async (options: ConnectionOptions): Promise<unknown> => {
    const client = RespClient.fromUrl(redis.url, { tls: options });
    try {
      return await client.command("PING");
    } finally {
      client.close();
    }
  };

  it("serves clients that show a certificate of the authority", async () => {
    expect(await ping(tls())).toBe("PONG");
    const nodeRedis = createClient({ url: redis.url, socket: { ...tls(), tls: true } as never });
    await nodeRedis.connect();
    expect(await nodeRedis.ping()).toBe("PONG");
    nodeRedis.destroy();
  });

  it("refuses clients without one, with an expired one, and with another authority's", async () => {
    const { ca, wrongClient, expiredClient } = redis.certificates;
    await expect(ping({ ca })).rejects.toMatchObject({ code: "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED" });
    await expect(ping(tls(expiredClient))).rejects.toMatchObject({
      code: expect.stringMatching(/ALERT_CERTIFICATE_EXPIRED/) as string,
    });
    await expect(ping(tls(wrongClient))).rejects.toMatchObject({
      code: expect.stringMatching(/ALERT_UNKNOWN_CA/) as string,
    });
  });

  it.each([
    ["expired", "CERT_HAS_EXPIRED"],
    ["wrongName", "ERR_TLS_CERT_ALTNAME_INVALID"],
    ["wrongAuthority", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
  ] as const)("can show a certificate that is to be refused: %s", async (certificate, code) => {
    await redis.show(certificate);
    await expect(ping(tls())).rejects.toMatchObject({ code });
    await redis.show("valid");
    expect(await ping(tls())).toBe("PONG");
  });

  it("keeps its certificate across a restart", async () => {
    await redis.show("expired");
    await redis.restart();
    await expect(ping(tls())).rejects.toMatchObject({ code: "CERT_HAS_EXPIRED" });
    await redis.show("valid");
  });

  it("speaks nothing but TLS on its port, and answers the tests on its unix socket", async () => {
    const plain = RespClient.fromUrl(`redis://127.0.0.1:${redis.port}`);
    await expect(plain.command("PING")).rejects.toThrow(/closed the connection|ECONNRESET/);
    expect(await redis.command("PING")).toBe("PONG");
  });

  it("provides the client's certificate as files, too", async () => {
    const { readFile } = await import("node:fs/promises");
    expect(await readFile(redis.files.clientCert, "utf8")).toBe(redis.certificates.client.cert);
    expect(await readFile(redis.files.clientKey, "utf8")).toBe(redis.certificates.client.key);
    expect(await readFile(redis.files.ca, "utf8")).toBe(redis.certificates.ca);
  });

  it("needs no client certificates by default", async () => {
    const lenient = await startTlsRedis();
    const socket = connect({ port: lenient.port, host: "127.0.0.1", ca: lenient.certificates.ca });
    await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
    expect(socket.authorized).toBe(true);
    socket.destroy();
    await lenient.stop();
  });
});

describe("users", () => {
  let redis: AclRedis;
  beforeAll(async () => {
    redis = await startAclRedis({ users: ["user reader on >readpass ~* -@all +get"] });
  });
  afterAll(() => redis.stop());

  it("let the application do its work on its own keys, and no more", async () => {
    const app = RespClient.fromUrl(redis.appUrl);
    expect(await app.command("SET", "app:k", "v")).toBe("OK");
    expect(await app.command("CLIENT", "ID")).toBeTypeOf("number");
    await expect(app.command("SET", "other", "v")).rejects.toMatchObject({ prefix: "NOPERM" });
    await expect(app.command("FLUSHALL")).rejects.toMatchObject({ prefix: "NOPERM" });
    app.close();
  });

  it("are refused with a wrong password, and without one", async () => {
    await expect(RespClient.fromUrl(redis.urlOf("app", "wrong")).command("PING")).rejects.toMatchObject({
      prefix: "WRONGPASS",
    });
    await expect(RespClient.fromUrl(`redis://127.0.0.1:${redis.port}`).command("PING")).rejects.toMatchObject({
      prefix: "NOAUTH",
    });
  });

  it("can be added, and changed by the administrator", async () => {
    await redis.command("SET", "k", "v");
    const reader = RespClient.fromUrl(redis.urlOf("reader", "readpass"));
    expect(await reader.command("GET", "k")).toBe("v");
    await redis.command("ACL", "SETUSER", "reader", "-get");
    await expect(reader.command("GET", "k")).rejects.toMatchObject({ prefix: "NOPERM" });
    reader.close();
  });
});
