import { createCipheriv, createSecretKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { inspect } from "node:util";
import { DecodeError, InvalidArgumentError, type Seal } from "@hotset/core";
import { describeSeal } from "@hotset/testing/contract-suites";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { aesGcm, derivedKey } from "./aes-gcm.ts";
import { hmac, type SealOptions } from "./index.ts";

const key = (fill: number): Buffer => Buffer.alloc(32, fill);
const context = Buffer.from("context");
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
const asBytes = (opened: unknown): Uint8Array => opened as Uint8Array;

type Make = (options: SealOptions) => Seal;
const SEALS: readonly (readonly [name: string, make: Make])[] = [
  ["aesGcm", aesGcm],
  ["hmac", hmac],
];

for (const [name, make] of SEALS)
  describeSeal(name, {
    open: () => make({ keys: [{ id: "2026-01", key: key(1) }] }),
    other: () => make({ keys: [{ id: "2026-01", key: key(2) }] }),
  });

describe.each(SEALS)("C150 %s", (_, make) => {
  const one = make({ keys: [{ id: "k", key: key(7) }] });

  it("opens no bytes and no context with changed bytes", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.uint8Array({ maxLength: 64 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (bytes, under, at, flip) => {
          const sealed = Uint8Array.from(asBytes(one.seal(bytes, under)));
          const both = [sealed, Uint8Array.from(under)] as const;
          expect(text(asBytes(one.open(...both)))).toBe(text(bytes));
          const index = at % (sealed.length + under.length);
          if (index < sealed.length) both[0][index]! ^= flip;
          else both[1][index - sealed.length]! ^= flip;
          expect(() => one.open(...both)).toThrow(DecodeError);
        },
      ),
    );
  });

  it("opens no bytes that it did not make", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 128 }), (bytes) => {
        expect(() => one.open(bytes, context)).toThrow(DecodeError);
        // Behind the header of its own key.
        expect(() => one.open(Buffer.concat([Buffer.from("\u0001\u0001k"), bytes]), context)).toThrow(DecodeError);
      }),
    );
  });
});

describe.each(SEALS)("%s", (_, make) => {
  const old = { id: "2025", key: key(1) };
  const next = { id: "2026", key: key(2) };

  it("seals with the first key, and opens with all", () => {
    const before = make({ keys: [old] });
    const during = make({ keys: [old, next] });
    const after = make({ keys: [next, old] });
    const end = make({ keys: [next] });
    const opens = (seal: Seal, bytes: unknown): string => text(asBytes(seal.open(asBytes(bytes), context)));
    for (const seal of [before, during, after]) {
      expect(opens(seal, before.seal(Buffer.from("a"), context))).toBe("a");
      expect(opens(seal, during.seal(Buffer.from("b"), context))).toBe("b");
    }
    for (const seal of [during, after, end]) expect(opens(seal, after.seal(Buffer.from("c"), context))).toBe("c");
  });

  it("names the key that it does not have, and those that it has", () => {
    const sealed = asBytes(make({ keys: [old] }).seal(Buffer.from("a"), context));
    const other = make({ keys: [next, { id: "2027", key: key(3) }] });
    expect(() => other.open(sealed, context)).toThrow(
      `${other.id}: sealed with the key "2025", and the keys here are "2026", "2027"`,
    );
  });

  it("says so where the key has the same id and is another one", () => {
    const sealed = asBytes(make({ keys: [old] }).seal(Buffer.from("a"), context));
    expect(() => make({ keys: [{ ...old, key: key(9) }] }).open(sealed, context)).toThrow(
      /the key "2025" does not open these bytes: .* another secret under this id/,
    );
  });

  it("quotes no id that cannot be one", () => {
    const seal = make({ keys: [old] });
    for (const id of ["", "a b", "\n", "x".repeat(33), "é"]) {
      const bytes = Buffer.concat([Buffer.of(1, id.length), Buffer.from(id, "latin1"), randomBytes(80)]);
      expect(() => seal.open(bytes, context)).toThrow(`${seal.id}: these bytes are not sealed`);
    }
  });

  it("takes a key as bytes, a KeyObject and text in base64, and keeps no view of the bytes", () => {
    const bytes = randomBytes(32);
    const sealed = asBytes(make({ keys: [{ id: "k", key: Buffer.from(bytes) }] }).seal(Buffer.from("a"), context));
    const given = [
      Uint8Array.from(bytes),
      createSecretKey(bytes),
      bytes.toString("base64"),
      bytes.toString("base64url"),
    ];
    for (const each of given) {
      const seal = make({ keys: [{ id: "k", key: each }] });
      if (each instanceof Uint8Array) each.fill(0);
      expect(text(asBytes(seal.open(sealed, context)))).toBe("a");
    }
  });

  it("refuses other keys without showing them", () => {
    const secret = "correct horse battery staple, 44 characters.";
    const asymmetric = generateKeyPairSync("ed25519").privateKey;
    const wrong: readonly [given: unknown, message: string][] = [
      [secret, "text that is not base64 of 32 bytes"],
      [Buffer.from(secret), "44 bytes"],
      [key(1).subarray(1), "31 bytes"],
      [createSecretKey(key(1).subarray(16)), "a key of 16 bytes"],
      [asymmetric, "a private key"],
      [null, "null"],
      [undefined, "undefined"],
      [42_4242, "a number"],
    ];
    for (const [given, message] of wrong) {
      const error = outcomeOf(() => make({ keys: [{ id: "k", key: given as never }] }));
      expect(error).toBeInstanceOf(InvalidArgumentError);
      expect((error as Error).message).toMatch(
        new RegExp(`keys\\[0\\]\\.key must be 32 random bytes, .*, got ${message}$`),
      );
      expect(inspect(error)).not.toMatch(/horse|424242/);
    }
  });

  it("refuses lists of keys that are none", () => {
    const message = (keys: unknown): unknown => (outcomeOf(() => make({ keys } as never)) as Error).message;
    for (const keys of [undefined, [], "secret", {}])
      expect(message(keys)).toMatch(/keys must be a list of at least one/);
    for (const id of ["", "a b", "x".repeat(33), 7, undefined])
      expect(message([old, { id, key: key(1) }])).toMatch(/keys\[1\]\.id must be 1 to 32 of A-Z a-z 0-9 \. _ -$/);
    expect(message([old, old])).toMatch(/keys must have different ids$/);
    expect(message([, old])).toMatch(/keys\[0\]\.id must be/);
    expect(message([undefined])).toMatch(/keys\[0\]\.id must be/);
    expect(() => make({ keys: [old], key: "secret" } as never)).toThrow(
      'unknown option "key"; did you mean keys?; accepted: keys',
    );
  });

  it("shows no secret when it, or its error, is inspected", () => {
    const secret = randomBytes(32);
    const seal = make({ keys: [{ id: "k", key: secret }] });
    const error = outcomeOf(() =>
      seal.open(make({ keys: [{ id: "k", key: key(1) }] }).seal(key(0), context) as Buffer, context),
    );
    for (const shown of [seal, error].flatMap((each) => [
      inspect(each, { showHidden: true, depth: Infinity, maxStringLength: Infinity }),
      JSON.stringify(each),
    ]))
      for (const form of ["hex", "base64", "base64url", "latin1"] as const)
        expect(shown).not.toContain(secret.toString(form));
    expect(Object.isFrozen(seal)).toBe(true);
  });
});

describe("the written bytes", () => {
  // Entries outlive versions: a line that changes here needs a new id.
  it("of hmac", () => {
    const sealed = asBytes(hmac({ keys: [{ id: "k1", key: key(0x0b) }] }).seal(Buffer.from("Hi There"), context));
    expect(hmac({ keys: [{ id: "k1", key: key(0x0b) }] }).id).toBe("hmac-sha-256");
    // Computed by hmac and hashlib of Python from the layout that hmac.ts states.
    expect(Buffer.from(sealed).toString("hex")).toBe(
      "01026b3199698bfc820b3eab79d2f2e933b46be1cba0f9e0dde8e51b8526fc7225bd63ea4869205468657265",
    );
  });

  it("C150 of hmac say where the context ends", () => {
    const seal = hmac({ keys: [{ id: "k1", key: key(1) }] });
    const sealed = Buffer.from(asBytes(seal.seal(Buffer.from("bcd"), Buffer.from("a"))));
    const moved = Buffer.concat([sealed.subarray(0, -3), Buffer.from("cd")]);
    expect(() => seal.open(moved, Buffer.from("ab"))).toThrow(DecodeError);
  });

  // https://c2sp.org/XAES-256-GCM, "Test vectors".
  it.each([
    [0x01, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"],
    [0x03, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"],
  ])("C150 of aesGcm are those of XAES-256-GCM, key %i", (fill, associated, expected) => {
    const nonce = Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWX");
    const cipher = createCipheriv("aes-256-gcm", derivedKey(createSecretKey(key(fill)), nonce), nonce.subarray(12));
    cipher.setAAD(Buffer.from(associated));
    const sealed = Buffer.concat([cipher.update("XAES-256-GCM"), cipher.final(), cipher.getAuthTag()]);
    expect(sealed.toString("hex")).toBe(expected);
  });

  it("of aesGcm: header, nonce, encrypted bytes, tag", () => {
    const seal = aesGcm({ keys: [{ id: "k1", key: key(1) }] });
    expect(seal.id).toBe("xaes-256-gcm");
    const value = Buffer.from("a copper kettle");
    const sealed = Buffer.from(asBytes(seal.seal(value, context)));
    expect(sealed.subarray(0, 4).toString("hex")).toBe("01026b31");
    expect(sealed.length).toBe(4 + 24 + value.length + 16);
    expect(sealed.includes("kettle")).toBe(false);
  });

  it("C150 of aesGcm are never the same twice", () => {
    const seal = aesGcm({ keys: [{ id: "k", key: key(1) }] });
    const nonces = Array.from({ length: 1_000 }, () => text(asBytes(seal.seal(key(0), context)).subarray(3, 27)));
    expect(new Set(nonces).size).toBe(1_000);
    expect(new Set(nonces.map((nonce) => nonce.slice(0, 12))).size).toBe(1_000);
    expect(new Set(nonces.map((nonce) => nonce.slice(12))).size).toBe(1_000);
  });
});

function outcomeOf(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return error;
  }
}
