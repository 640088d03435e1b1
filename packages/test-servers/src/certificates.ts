/**
 * X.509 certificates for tests, made in this process: an authority, and certificates that it issues. Keys are on
 * elliptic curves, so a set takes a few milliseconds.
 *
 * @see https://www.rfc-editor.org/rfc/rfc5280 section 4.1
 */
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from "node:crypto";
import { isIPv4 } from "node:net";

/** A certificate with its private key, both PEM. */
export interface KeyedCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateRequest {
  readonly commonName: string;
  /** DNS names and IPv4 addresses. A client that verifies names checks only these. */
  readonly names?: readonly string[];
  /** Days from now until it begins to be valid; negative: in the past. @default -1 */
  readonly validFromDays?: number;
  /** Days from now until it expires; negative: it has expired. @default 30 */
  readonly validUntilDays?: number;
}

export interface Authority extends KeyedCertificate {
  issue(request: CertificateRequest): KeyedCertificate;
}

/** A new, self-signed certificate authority. */
export function createAuthority(commonName: string): Authority {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const certify = (subject: Omit<CertificateContent, "issuerName" | "signingKey">): string =>
    pem("CERTIFICATE", certificate({ ...subject, issuerName: commonName, signingKey: privateKey }));
  return {
    cert: certify({ commonName, subjectKey: publicKey, isAuthority: true }),
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    issue: (request) => {
      const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
      return {
        cert: certify({ ...request, subjectKey: keys.publicKey, isAuthority: false }),
        key: keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      };
    },
  };
}

interface CertificateContent extends CertificateRequest {
  readonly issuerName: string;
  readonly subjectKey: KeyObject;
  readonly signingKey: KeyObject;
  readonly isAuthority: boolean;
}

function certificate(content: CertificateContent): Buffer {
  const algorithm = sequence(objectId(ECDSA_WITH_SHA256));
  const serial = randomBytes(16);
  serial[0] = (serial[0] ?? 0) & 0x7f || 1;
  const signed = sequence(
    tagged(0xa0, integer(2)),
    tagged(0x02, serial),
    algorithm,
    distinguishedName(content.issuerName),
    sequence(instant(content.validFromDays ?? -1), instant(content.validUntilDays ?? 30)),
    distinguishedName(content.commonName),
    content.subjectKey.export({ type: "spki", format: "der" }),
    tagged(0xa3, sequence(...extensions(content))),
  );
  return sequence(signed, algorithm, bitString(sign("sha256", signed, content.signingKey)));
}

function extensions({ isAuthority, names = [] }: CertificateContent): readonly Buffer[] {
  if (isAuthority) {
    return [
      criticalExtension(BASIC_CONSTRAINTS, sequence(TRUE)),
      // Key usage, bits 5 and 6: signs certificates and revocation lists.
      criticalExtension(KEY_USAGE, tagged(0x03, Buffer.from([1, 0b0000_0110]))),
    ];
  }
  const alternatives = names.map((name) =>
    isIPv4(name) ? tagged(0x87, Buffer.from(name.split(".").map(Number))) : tagged(0x82, Buffer.from(name)),
  );
  return [
    criticalExtension(BASIC_CONSTRAINTS, sequence()),
    extension(EXTENDED_KEY_USAGE, sequence(objectId(SERVER_AUTH), objectId(CLIENT_AUTH))),
    ...(alternatives.length === 0 ? [] : [extension(SUBJECT_ALT_NAME, sequence(...alternatives))]),
  ];
}

const ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2";
const COMMON_NAME = "2.5.4.3";
const KEY_USAGE = "2.5.29.15";
const SUBJECT_ALT_NAME = "2.5.29.17";
const BASIC_CONSTRAINTS = "2.5.29.19";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

function extension(id: string, value: Buffer): Buffer {
  return sequence(objectId(id), tagged(0x04, value));
}

function criticalExtension(id: string, value: Buffer): Buffer {
  return sequence(objectId(id), TRUE, tagged(0x04, value));
}

function distinguishedName(commonName: string): Buffer {
  return sequence(tagged(0x31, sequence(objectId(COMMON_NAME), tagged(0x0c, Buffer.from(commonName)))));
}

/** UTCTime, valid until 2049. */
function instant(days: number): Buffer {
  const at = new Date(Date.now() + days * 86_400_000).toISOString();
  return tagged(0x17, Buffer.from(`${at.slice(2, 19).replace(/[-T:]/g, "")}Z`));
}

// DER: tag, length, content.

const TRUE = Buffer.from([0x01, 0x01, 0xff]);

function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const head =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

function sequence(...items: readonly Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(items));
}

function integer(value: number): Buffer {
  return tagged(0x02, Buffer.from([value]));
}

function bitString(content: Buffer): Buffer {
  return tagged(0x03, Buffer.concat([Buffer.from([0]), content]));
}

function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let high = arc >>> 7; high > 0; high >>>= 7) groups.unshift((high & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tagged(0x06, Buffer.from(bytes));
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString("base64").replace(/.{1,64}/g, "$&\n");
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`;
}
