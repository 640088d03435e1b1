import { expect, it } from "vitest";
import { nodeTlsOptions } from "./tls.ts";

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
