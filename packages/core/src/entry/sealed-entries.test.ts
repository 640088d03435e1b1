import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Backend, StoredEntry } from "../contracts/backend.ts";
import { ConfigurationError, DecodeError, EncodeError } from "../contracts/errors.ts";
import type { Seal } from "../contracts/seal.ts";
import { TestClock } from "@hotset/testing";
import { entryKey, keySpaceBelow, rootKeySpace, type EntryKey } from "./key.ts";
import { checkSeal, SealedEntries } from "./sealed-entries.ts";

const mac = (secret: string, context: Uint8Array, bytes: Uint8Array): Buffer =>
  createHmac("sha256", secret)
    .update(Buffer.of(context.length >> 8, context.length))
    .update(context)
    .update(bytes)
    .digest();

/** A seal whose bytes are easy to read. Secrets in messages of its own errors are its fault alone. */
const testSeal = (secret = "a", id = "test"): Seal => ({
  id,
  seal: (bytes, context) => Buffer.concat([mac(secret, context, bytes), bytes]),
  open(bytes, context) {
    const rest = bytes.subarray(32);
    if (!mac(secret, context, rest).equals(bytes.subarray(0, 32))) throw new Error(`secret ${secret}`);
    return rest;
  },
});

/** The same, answering later. */
const later = (of: Seal): Seal => ({
  id: of.id,
  seal: async (bytes, context) => of.seal(bytes, context),
  open: async (bytes, context) => of.open(bytes, context),
});

interface Sealing {
  readonly clock?: TestClock;
  readonly seal?: Seal;
  readonly sealScope?: string;
}

const sealing = ({ clock = new TestClock(), ...backend }: Sealing = {}): SealedEntries =>
  new SealedEntries({ label: "redis", seal: testSeal(), ...backend }, clock);

const root = rootKeySpace("shop");
const KEY = entryKey(root, "user:1");
const META = '{"f":"json","t":60000}';
const ENTRY: StoredEntry = {
  data: Buffer.from('"Ada"'),
  staleInMs: 60_000,
  expiresInMs: 90_000,
  meta: META,
  version: "d3csFcD_LEOr01lS",
};

const sealed = (more: Partial<StoredEntry> = {}, key = KEY, options?: Sealing): StoredEntry =>
  sealing(options).seal(key, { ...ENTRY, ...more }) as StoredEntry;

const reasonFor = (stored: StoredEntry, key = KEY, options?: Sealing): string => {
  try {
    sealing(options).open(key, stored);
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError);
    expect(error).toMatchObject({ tier: "redis", operation: "decode", name: "DecodeError" });
    return (error as DecodeError).message;
  }
  return "opened";
};
const NOT_OPENED = "a stored entry cannot be read: test does not open it";

describe("C150 a sealed entry", () => {
  it("comes back as it was", () => {
    expect(sealing().open(KEY, sealed())).toEqual(ENTRY);
    expect(sealing().open(KEY, sealed({ data: Buffer.alloc(0) }))).toMatchObject({ data: Buffer.alloc(0) });
  });

  it("comes back from a seal that answers later", async () => {
    const entries = sealing({ seal: later(testSeal()) });
    const stored = await entries.seal(KEY, ENTRY);
    expect(stored).toEqual(sealed());
    expect(await entries.open(KEY, stored)).toEqual(ENTRY);
    await expect(entries.open(entryKey(root, "user:2"), stored)).rejects.toThrow(NOT_OPENED);
  });

  const below = keySpaceBelow(root, "users");
  it.each<[place: string, key: EntryKey, options?: Sealing]>([
    ["another key", entryKey(root, "user:2")],
    ["another namespace", entryKey(below, "user:1")],
    ["another cache", entryKey(rootKeySpace("shop2"), "user:1")],
    ["another version of the cache", entryKey(rootKeySpace("shop", 2), "user:1")],
    ["another scope", KEY, { sealScope: "other" }],
  ])("does not open at %s", (_, key, options) => {
    expect(reasonFor(sealed(), key, options)).toBe(NOT_OPENED);
  });

  it("does not open where text moves from the meta to the key", () => {
    const stored = sealed({ meta: "a test;b" });
    expect(stored.meta).toBe("test;a test;b");
    expect(reasonFor({ ...stored, meta: "test;b" }, entryKey(root, "user:1test;a "))).toBe(NOT_OPENED);
  });

  it.each<[what: string, meta: string]>([
    ["tags", '{"f":"json","t":60000,"g":["a"]}'],
    ["the format", '{"f":"v8","t":60000}'],
    ["the compressor", '{"f":"json","c":"gzip","t":60000}'],
    ["the ttl", '{"f":"json","t":60001}'],
    ["windows", '{"f":"json","t":60000,"r":1}'],
    ["an etag", '{"f":"json","t":60000,"a":"x"}'],
    ["white space", '{"f":"json", "t":60000}'],
    ["everything", ""],
  ])("does not open with another meta: %s", (_, meta) => {
    expect(reasonFor({ ...sealed(), meta: `test;${meta}` })).toBe(NOT_OPENED);
  });

  it("does not open with any byte of it changed", () => {
    const stored = sealed();
    const meta = Buffer.from(META);
    fc.assert(
      fc.property(
        fc.nat({ max: stored.data.length + meta.length - 1 }),
        fc.integer({ min: 1, max: 127 }),
        (at, flip) => {
          const data = Buffer.from(stored.data);
          const text = Buffer.from(meta);
          if (at < data.length) data[at]! ^= flip;
          else text[at - data.length]! ^= flip;
          expect(reasonFor({ ...stored, data, meta: `test;${text.toString("latin1")}` })).toBe(NOT_OPENED);
        },
      ),
    );
  });

  it("shows the message of a DecodeError, and of no other error", () => {
    const known = {
      ...testSeal(),
      open: () => {
        throw new DecodeError('sealed with the key "x"');
      },
    };
    expect(reasonFor(sealed(), KEY, { seal: known })).toBe('a stored entry cannot be read: sealed with the key "x"');
  });
});

describe("C151 a seal", () => {
  it("refuses an entry without one, and one by another", () => {
    const only = 'and this backend reads only entries that are sealed by "test"';
    expect(reasonFor(ENTRY)).toBe(`a stored entry cannot be read: it is not sealed, ${only}`);
    expect(reasonFor({ ...ENTRY, meta: "" })).toBe(`a stored entry cannot be read: it is not sealed, ${only}`);
    expect(reasonFor(sealed({}, KEY, { seal: testSeal("a", "other") }))).toBe(
      `a stored entry cannot be read: it is sealed by "other", ${only}`,
    );
  });

  it("is needed for a sealed entry, and for no other", () => {
    const without = new SealedEntries({ label: "redis" }, new TestClock());
    expect(() => without.open(KEY, sealed())).toThrow('it is sealed by "test", and this backend has no seal');
    expect(without.open(KEY, ENTRY)).toBe(ENTRY);
    expect(without.seal(KEY, ENTRY)).toBe(ENTRY);
  });

  it("stores nothing when it fails", async () => {
    const cause = new Error("no key");
    const failing: Seal = {
      ...testSeal(),
      seal: () => {
        throw cause;
      },
    };
    const expected = { code: "ENCODE_FAILED", message: "test cannot seal this entry; see cause", tier: "redis", cause };
    expect(() => sealing({ seal: failing }).seal(KEY, ENTRY)).toThrow(expect.objectContaining(expected));
    await expect(sealing({ seal: later(failing) }).seal(KEY, ENTRY)).rejects.toMatchObject(expected);
  });

  it("counts in the 4 KiB of meta", () => {
    expect(sealed({ meta: "x".repeat(4_091) }).meta.length).toBe(4_096);
    expect(() => sealed({ meta: "x".repeat(4_092) })).toThrow(EncodeError);
  });

  it("is refused where it is not one, and where the layout has no room", () => {
    const check = (backend: Partial<Backend>) => () => checkSeal({ label: "redis", ...backend });
    expect(check({})).not.toThrow();
    expect(check({ seal: testSeal(), keepsMeta: true })).not.toThrow();
    expect(check({ keepsMeta: false })).not.toThrow();
    expect(check({ seal: testSeal(), keepsMeta: false })).toThrow(
      new ConfigurationError(
        "redis: seal does not work with keepsMeta: false, whose layout has no room for it; use the full layout, or no seal",
      ),
    );
    for (const seal of [null, "secret", {}, testSeal("a", "A"), { ...testSeal(), id: undefined }])
      expect(check({ seal: seal as never })).toThrow(
        "redis: seal must be a Seal, such as aesGcm({ keys }), with an id of 1 to 32 of a-z 0-9 . -",
      );
  });
});

describe("C152 the times of a sealed entry", () => {
  /** Remaining times after `passedMs`, where the store states `times`. */
  const opened = (passedMs: number, times: Partial<StoredEntry>, of: Partial<StoredEntry> = {}): unknown => {
    const clock = new TestClock();
    const stored = sealed(of, KEY, { clock });
    clock.advance(passedMs);
    return sealing({ clock }).open(KEY, { ...stored, ...times });
  };

  it("are the shorter of those sealed and those in the store", () => {
    expect(opened(10_000, { staleInMs: Infinity, expiresInMs: Infinity })).toMatchObject({
      staleInMs: 50_000,
      expiresInMs: 80_000,
    });
    expect(opened(10_000, { staleInMs: 50_001, expiresInMs: 80_001 })).toMatchObject({
      staleInMs: 50_000,
      expiresInMs: 80_000,
    });
    expect(opened(10_000, { staleInMs: 7, expiresInMs: 9 })).toMatchObject({ staleInMs: 7, expiresInMs: 9 });
    expect(opened(10_000, { staleInMs: -5, expiresInMs: 9 })).toMatchObject({ staleInMs: -5, expiresInMs: 9 });
  });

  it("may have no end", () => {
    const endless = { staleInMs: Infinity, expiresInMs: Infinity };
    expect(opened(1e9, endless, endless)).toMatchObject(endless);
  });

  it("end the entry, and more than 10 s later it is reported", () => {
    const times = { staleInMs: Infinity, expiresInMs: Infinity };
    expect(opened(89_999, times)).toMatchObject({ staleInMs: -29_999, expiresInMs: 1 });
    expect(opened(90_000, times)).toBe(undefined);
    expect(opened(100_000, times)).toBe(undefined);
    expect(() => opened(100_001, times)).toThrow(
      "its sealed life is over by more than 10 s: an old entry was put back, or the clocks of two processes differ",
    );
  });

  it("are over in freshness when the store has given it another id", () => {
    const times = { staleInMs: 60_000, expiresInMs: 90_000 };
    for (const version of ["a9993e364706816a", "-"])
      expect(opened(0, { ...times, version })).toEqual({ ...ENTRY, version, staleInMs: 0 });
    // A backend without versions, and an entry that was written without one.
    const { version: _, ...unnamed } = ENTRY;
    const stored = sealing().seal(KEY, unnamed) as StoredEntry;
    expect(sealing().open(KEY, { ...stored, version: "a9993e364706816a" })).toMatchObject({ staleInMs: 60_000 });
    const { version: __, ...read } = sealed();
    expect(sealing().open(KEY, read)).toEqual(unnamed);
  });
});
