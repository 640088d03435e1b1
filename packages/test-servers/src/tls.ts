import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createAuthority, type KeyedCertificate } from "./certificates.ts";
import { launchRedis, type OwnRedis, type OwnRedisOptions } from "./redis.ts";

/** Certificates that a server may show. All but `valid` must be refused by a client that knows `ca`. */
export type ServerCertificate = "valid" | "expired" | "wrongName" | "wrongAuthority";

export interface TestCertificates {
  /** The authority to trust, PEM. */
  readonly ca: string;
  /** Another one, which issued `server.wrongAuthority` and `wrongClient`. */
  readonly otherCa: string;
  /** For localhost and 127.0.0.1, except `wrongName`, which is for elsewhere.example. */
  readonly server: Readonly<Record<ServerCertificate, KeyedCertificate>>;
  /** For a server that asks its clients for one. */
  readonly client: KeyedCertificate;
  readonly expiredClient: KeyedCertificate;
  /** Issued by an authority that the server does not know. */
  readonly wrongClient: KeyedCertificate;
}

export interface TlsRedisOptions extends OwnRedisOptions {
  /** The certificate that the server shows. @default "valid" */
  readonly certificate?: ServerCertificate;
  /** Whether clients must show one too. @default "no" */
  readonly clientCertificates?: "no" | "optional" | "required";
}

/** A Redis that speaks TLS only on its port; its unix socket, as always, speaks plainly. */
export interface TlsRedis extends OwnRedis {
  readonly certificates: TestCertificates;
  /** The same as files: certificate authority, and a client's certificate and key. */
  readonly files: { readonly ca: string; readonly clientCert: string; readonly clientKey: string };
  /** Shows another certificate from the next connection on; present connections stay. */
  show(certificate: ServerCertificate): Promise<void>;
}

/** Starts it; `url` is `rediss://localhost:<port>`. */
export async function startTlsRedis(options: TlsRedisOptions = {}): Promise<TlsRedis> {
  const certificates = testCertificates();
  const { certificate = "valid", clientCertificates = "no" } = options;
  const redis = await launchRedis(options, {
    name: "tls",
    config: async (directory, port) => {
      await writeFile(join(directory, "ca.crt"), certificates.ca);
      await writeKeyed(directory, "client", certificates.client);
      await writeKeyed(directory, "server", certificates.server[certificate]);
      return [
        "port 0",
        `tls-port ${port}`,
        `tls-cert-file ${join(directory, "server.crt")}`,
        `tls-key-file ${join(directory, "server.key")}`,
        `tls-ca-cert-file ${join(directory, "ca.crt")}`,
        `tls-auth-clients ${clientCertificates === "required" ? "yes" : clientCertificates}`,
      ];
    },
    url: (credentials, port) => `rediss://${credentials}localhost:${port}`,
  });
  const file = (name: string): string => join(redis.directory, name);
  return Object.assign(redis, {
    certificates,
    files: { ca: file("ca.crt"), clientCert: file("client.crt"), clientKey: file("client.key") },
    show: async (next: ServerCertificate) => {
      await writeKeyed(redis.directory, "server", certificates.server[next]);
      // Setting the paths, even to the same values, makes the server read the files again.
      await redis.command("CONFIG", "SET", "tls-cert-file", file("server.crt"), "tls-key-file", file("server.key"));
    },
  });
}

async function writeKeyed(directory: string, name: string, { cert, key }: KeyedCertificate): Promise<void> {
  await writeFile(join(directory, `${name}.crt`), cert);
  await writeFile(join(directory, `${name}.key`), key, { mode: 0o600 });
}

/** Certificates for tests, made once per process. */
export function testCertificates(): TestCertificates {
  return (made ??= makeCertificates());
}

let made: TestCertificates | undefined;

function makeCertificates(): TestCertificates {
  const authority = createAuthority("hotset test authority");
  const other = createAuthority("hotset other authority");
  const here = { commonName: "localhost", names: ["localhost", "127.0.0.1"] };
  const expired = { validFromDays: -30, validUntilDays: -1 };
  return {
    ca: authority.cert,
    otherCa: other.cert,
    server: {
      valid: authority.issue(here),
      expired: authority.issue({ ...here, ...expired }),
      wrongName: authority.issue({ commonName: "elsewhere.example", names: ["elsewhere.example"] }),
      wrongAuthority: other.issue(here),
    },
    client: authority.issue({ commonName: "client" }),
    expiredClient: authority.issue({ commonName: "expired client", ...expired }),
    wrongClient: other.issue({ commonName: "client" }),
  };
}
