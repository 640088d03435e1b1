import type { PeerCertificate } from "node:tls";
import { ConfigurationError, InvalidArgumentError, type Awaitable } from "@hotset/core";
import { checkGiven, checkNames, flag, oneOf, readOption, text } from "@hotset/core/internal";
import { crypto } from "../primitives/crypto.ts";

/** Adds to what a `rediss:` URL implies. Certificates are verified, unless `dangerouslyAcceptAnyCertificate` is set. */
export interface TlsOptions {
  /** Authorities to trust instead of those of the system, PEM. */
  readonly ca?: string | Uint8Array | undefined;
  /** Certificate of this client, PEM. Needs `key`. */
  readonly cert?: string | Uint8Array | undefined;
  /** The private key of `cert`, PEM. */
  readonly key?: string | Uint8Array | undefined;
  /** The name that the certificate of the server must have. @default the host of the address */
  readonly servername?: string | undefined;
  /** Decrypts `key`. */
  readonly passphrase?: string | undefined;
  /** The oldest version that is spoken, independent of the flags of Node.js. @default 'TLSv1.2' */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined;
  /**
   * Public keys that the server may have: SHA-256 of the SPKI in base64, as `curl --pinnedpubkey` takes it after
   * `sha256//`. All other checks stay.
   */
  readonly pins?: readonly string[] | undefined;
  /**
   * Accepts any certificate, so a network between can read and change what is sent, the password too. For servers
   * whose certificate cannot be verified; `ca` or `pins` are better, and cannot be combined with it. A process warning,
   * `HOTSET_UNVERIFIED_TLS`, reports it once. @default false
   */
  readonly dangerouslyAcceptAnyCertificate?: boolean | undefined;
}

/** A function is called at each attempt to connect: for certificates that are renewed. */
export type TlsSource = TlsOptions | (() => Awaitable<TlsOptions>);

const TEXT = text(undefined);
const VERSION = oneOf("TLSv1.2", "TLSv1.3");
const FLAG = flag();
const NAMES = [
  "ca",
  "cert",
  "key",
  "servername",
  "passphrase",
  "minVersion",
  "pins",
  "dangerouslyAcceptAnyCertificate",
];

/**
 * @param option names the connection in errors.
 * @throws {InvalidArgumentError} for an option that can never work.
 * @throws {ConfigurationError} for an option that does not exist, and for a certificate without its key, or a key
 * without its certificate.
 */
export function checkTls(option: string, tls: TlsOptions): TlsOptions {
  checkNames(tls, NAMES, { place: "tls" });
  const { cert, key, servername, minVersion, passphrase, pins } = tls;
  if ((cert === undefined) !== (key === undefined))
    throw new ConfigurationError(
      `${option}: tls.${cert === undefined ? "key was given without its tls.cert" : "cert was given without its tls.key"}; give both, or neither`,
    );
  // Not quoted: a key is a secret. With an empty one node:tls would take the authorities of the system.
  for (const name of ["ca", "cert", "key"] as const)
    if (tls[name] !== undefined && !isPem(tls[name]))
      throw new InvalidArgumentError(`tls.${name} must be PEM, as text that is not empty or as a Uint8Array`);
  checkGiven(servername, "tls.servername", TEXT);
  checkGiven(minVersion, "tls.minVersion", VERSION);
  // Not quoted: it is a secret.
  if (passphrase !== undefined && typeof passphrase !== "string")
    throw new InvalidArgumentError("tls.passphrase must be a string");
  if (pins !== undefined && !(Array.isArray(pins) && pins.length > 0 && [...pins].every(isPin)))
    throw new InvalidArgumentError(
      "tls.pins must be a list of at least one SHA-256 of a public key in base64: 44 characters, of which the last is =",
    );
  if (tls.dangerouslyAcceptAnyCertificate !== undefined) checkDangerous(option, tls);
  return tls;
}

function checkDangerous(option: string, { dangerouslyAcceptAnyCertificate: accepts, ca, pins }: TlsOptions): void {
  if (!readOption(accepts, "tls.dangerouslyAcceptAnyCertificate", FLAG)) return;
  // Node checks no pin of a certificate that it could not verify.
  if (ca !== undefined || pins !== undefined)
    throw new ConfigurationError(
      `${option}: tls.${ca === undefined ? "pins" : "ca"} verifies the server, and tls.dangerouslyAcceptAnyCertificate would not; remove one of them`,
    );
  warnOfAnyCertificate();
}

let hasWarned = false;

/** Once for each process: a function of TLS options is called at each attempt to connect. */
function warnOfAnyCertificate(): void {
  if (hasWarned) return;
  hasWarned = true;
  process.emitWarning(
    "hotset: tls.dangerouslyAcceptAnyCertificate is set: the Redis server is not verified, so everything sent to it, " +
      "the password included, can be read and changed on the way. Prefer tls.ca or tls.pins.",
    { code: "HOTSET_UNVERIFIED_TLS" },
  );
}

const isPem = (given: unknown): boolean => (typeof given === "string" && given !== "") || given instanceof Uint8Array;

const isPin = (pin: unknown): boolean => typeof pin === "string" && /^[A-Za-z0-9+/]{43}=$/.test(pin);

/** The options of node:tls for one connection. */
export function nodeTlsOptions(tls: TlsOptions, host: string): import("node:tls").ConnectionOptions {
  const { ca, cert, key, passphrase, minVersion = "TLSv1.2", pins } = tls;
  const servername = tls.servername ?? (process.getBuiltinModule("node:net").isIP(host) === 0 ? host : undefined);
  return {
    ...(ca === undefined ? undefined : { ca: pem(ca) }),
    ...(cert === undefined ? undefined : { cert: pem(cert) }),
    ...(key === undefined ? undefined : { key: pem(key) }),
    ...(passphrase === undefined ? undefined : { passphrase }),
    ...(servername === undefined ? undefined : { servername }),
    minVersion,
    ...(pins === undefined
      ? undefined
      : {
          checkServerIdentity: (name: string, certificate: PeerCertificate) =>
            process.getBuiltinModule("node:tls").checkServerIdentity(name, certificate) ?? checkPin(certificate, pins),
        }),
    // Set explicitly, because NODE_TLS_REJECT_UNAUTHORIZED changes the default.
    rejectUnauthorized: tls.dangerouslyAcceptAnyCertificate !== true,
  };
}

function checkPin(certificate: PeerCertificate, pins: readonly string[]): Error | undefined {
  const { publicKey } = new (crypto().X509Certificate)(certificate.raw);
  const pin = crypto().hash("sha256", publicKey.export({ type: "spki", format: "der" }), "base64");
  if (pins.includes(pin)) return undefined;
  return Object.assign(new Error(`the public key of the server, ${pin}, is not one of tls.pins`), {
    code: "CERT_NOT_PINNED",
  });
}

const pem = (text: string | Uint8Array): string | Buffer => (typeof text === "string" ? text : Buffer.from(text));
