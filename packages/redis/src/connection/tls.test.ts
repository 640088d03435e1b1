import { ConfigurationError, InvalidArgumentError } from "@hotset/core";
import { expect, it, vi } from "vitest";
import { checkTls, nodeTlsOptions, type TlsOptions } from "./tls.ts";

it("C148: certificates are verified, and TLS 1.2 is the oldest version, independent of the flags of Node.js", () => {
  expect(nodeTlsOptions({}, "cache.internal")).toEqual({
    servername: "cache.internal",
    minVersion: "TLSv1.2",
    rejectUnauthorized: true,
  });
});

it("C148: an IP address is not a server name; the given options are passed on", () => {
  const given = { ca: "ca", cert: "cert", key: "key", passphrase: "secret", minVersion: "TLSv1.3" } as const;
  expect(nodeTlsOptions(given, "127.0.0.1")).toEqual({ ...given, rejectUnauthorized: true });
  expect(nodeTlsOptions({ ca: Uint8Array.of(65), servername: "other" }, "cache")).toMatchObject({
    ca: Buffer.from("A"),
    servername: "other",
  });
});

it("any certificate is accepted only on request, with a warning, once, and never beside what verifies one", () => {
  const emitWarning = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
  const check = (tls: TlsOptions): TlsOptions => checkTls("single", tls);
  for (const tls of [{}, { dangerouslyAcceptAnyCertificate: false }, { ca: "ca" }])
    expect(nodeTlsOptions(check(tls), "cache").rejectUnauthorized).toBe(true);
  expect(() => check({ dangerouslyAcceptAnyCertificate: "no" as never })).toThrow(InvalidArgumentError);
  for (const verifies of [{ ca: "ca" }, { pins: [`${"a".repeat(43)}=`] }])
    expect(() => check({ ...verifies, dangerouslyAcceptAnyCertificate: true })).toThrow(ConfigurationError);
  expect(emitWarning).not.toHaveBeenCalled();

  for (let i = 0; i < 3; i += 1)
    expect(nodeTlsOptions(check({ dangerouslyAcceptAnyCertificate: true }), "cache").rejectUnauthorized).toBe(false);
  expect(emitWarning.mock.calls).toEqual([
    [
      "hotset: tls.dangerouslyAcceptAnyCertificate is set: the Redis server is not verified, so everything sent to it, " +
        "the password included, can be read and changed on the way. Prefer tls.ca or tls.pins.",
      { code: "HOTSET_UNVERIFIED_TLS" },
    ],
  ]);
  emitWarning.mockRestore();
});
