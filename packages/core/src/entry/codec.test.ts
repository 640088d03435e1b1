import { inspect } from "node:util";
import { gzip } from "@hotset/formats";
import { v8 } from "@hotset/formats";
import { scriptedBackend, type ScriptedBackendOptions, TestClock } from "@hotset/testing";
import { describe, expect, it, vi } from "vitest";
import type { Compressor, Format } from "../contracts/backend.ts";
import type { StoredAnswer } from "../contracts/capabilities.ts";
import type { Backend, TagVersion } from "../contracts/capabilities.ts";
import { DecodeError, EncodeError } from "../contracts/errors.ts";
import type { StandardSchema } from "../contracts/standard-schema.ts";
import { passthrough } from "../formats/passthrough.ts";
import { HUNDRED_YEARS_MS } from "../primitives/duration.ts";
import { Codec, type Encoded } from "./codec.ts";
import { type Entry, type Terms } from "./entry.ts";
import { entryKey, keySpaceBelow, rootKeySpace } from "./key.ts";

const users = keySpaceBelow(rootKeySpace("shop"), "users");
const NOW = 5_000;

const backend = (options: Omit<ScriptedBackendOptions, "clock"> & { readonly keepsMeta?: boolean } = {}): Backend =>
  Object.assign(
    scriptedBackend({ clock: new TestClock(), ...options }),
    options.keepsMeta === undefined ? {} : { keepsMeta: options.keepsMeta },
  );
const codec = (options?: Parameters<typeof backend>[0]): Codec => new Codec(backend(options));

type Changes = Partial<Entry & Terms>;

function entry(changes: Changes = {}): Entry {
  const { staleWhileRevalidateMs = 0, staleIfErrorMs = 0, localTtlMs = Infinity, ...more } = changes;
  const { tags = [], dependsOn = users.tagPrefixes, etag, lastModified, ...rest } = more;
  return {
    value: "Ada",
    ttlMs: 60_000,
    staleAt: NOW + 60_000,
    expiresAt: NOW + 60_000,
    deadAt: NOW + 60_000,
    terms: { staleWhileRevalidateMs, staleIfErrorMs, localTtlMs, tags, dependsOn, etag, lastModified },
    tagSequence: 7,
    ...rest,
  };
}
const PLAIN: Encoded = { data: Buffer.from('"Ada"'), encoding: { format: "json", compressor: "none" } };
const version = (hard: string, soft: string = hard): TagVersion => ({ hard, soft });

/** Compresses by dropping the second half; its output is never decompressed. */
const halving = (
  options: { readonly id?: string; readonly minBytes?: number; readonly isLate?: boolean; readonly to?: number } = {},
): Compressor => ({
  id: options.id ?? "half",
  ...(options.minBytes !== undefined && { minBytes: options.minBytes }),
  compress: (bytes) => {
    const half = new Uint8Array(options.to ?? Math.floor(bytes.length / 2));
    return options.isLate === true ? Promise.resolve(half) : half;
  },
  decompress: (bytes) => bytes,
});

describe("encode", () => {
  it("gives the format's bytes, as they are", () => {
    expect(codec().encode({ a: 1 })).toEqual({
      data: Buffer.from('{"a":1}'),
      encoding: { format: "json", compressor: "none" },
    });
  });

  it.for<readonly [string, Parameters<typeof halving>[0], boolean | undefined, string]>([
    ["values that become smaller", {}, undefined, "half"],
    ["values as large as minBytes", { minBytes: 6 }, undefined, "half"],
    ["no value smaller than minBytes", { minBytes: 7 }, undefined, "none"],
    ["no value that stays as large", { to: 6 }, undefined, "none"],
    ["no value that becomes larger", { to: 7 }, undefined, "none"],
    ["every value if no meta is kept", { minBytes: 7 }, false, "half"],
    ["even values that become larger if no meta is kept", { to: 7 }, false, "half"],
  ])("compresses %s", async ([, options, keepsMeta, compressor]) => {
    for (const isLate of [false, true]) {
      const encoded = codec({
        compressor: halving({ ...options, isLate }),
        ...(keepsMeta !== undefined && { keepsMeta }),
      }).encode("Grac");
      expect(await encoded).toMatchObject({ encoding: { format: "json", compressor } });
    }
  });

  it("skips a compressor that leaves bytes as they are", () => {
    const compressor: Compressor = {
      ...passthrough(),
      compress: () => {
        throw new Error("asked");
      },
    };
    expect(codec({ compressor }).encode(1)).toMatchObject({ encoding: { compressor: "none" } });
  });

  it("needs no promise where the compressor needs none", () => {
    expect(codec({ compressor: halving() }).encode("Ada")).not.toBeInstanceOf(Promise);
    expect(codec({ compressor: halving({ isLate: true }) }).encode("Ada")).toBeInstanceOf(Promise);
  });

  const failing: Format = {
    id: "x",
    encode: () => {
      throw new TypeError("hunter2 cannot be encoded");
    },
    decode: () => 1,
  };
  it.for<readonly [string, Parameters<typeof backend>[0], unknown, string]>([
    [
      "errors that a format throws",
      { format: failing },
      1,
      "x and none cannot write this value; give plain data, or another format",
    ],
    [
      "an EncodeError of the format",
      {},
      5n,
      "json: the value cannot be written: a bigint, a cycle, nesting too deep, or a toJSON that throws",
    ],
    [
      "errors that a compressor throws",
      {
        compressor: {
          ...halving(),
          compress: () => {
            throw new Error("hunter2");
          },
        },
      },
      1,
      "json and half cannot write this value",
    ],
    [
      "rejections of a compressor",
      { compressor: { ...halving(), compress: () => Promise.reject(new Error("hunter2")) } },
      1,
      "json and half cannot write this value",
    ],
  ])("names the tier, and quotes no value, in %s", async ([, options, value, message]) => {
    const error = await (async () => codec({ label: "redis", ...options }).encode(value))().catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(EncodeError);
    expect(error).toMatchObject({
      tier: "redis",
      operation: "encode",
      message: expect.stringContaining(message) as string,
      cause: expect.any(Error) as Error,
    });
    expect((error as Error).message).not.toContain("hunter2");
  });
});

describe("meta, byte for byte", () => {
  const VERSIONS = [version("a.1"), version("a.2", "a.5")];
  it.for<readonly [string, Changes, Encoded["encoding"] | undefined, readonly TagVersion[] | undefined, string]>([
    ["of defaults", {}, undefined, undefined, '["json",60000]'],
    [
      "of an endless entry",
      { ttlMs: Infinity, staleAt: Infinity, expiresAt: Infinity },
      undefined,
      undefined,
      '["json",null]',
    ],
    [
      "of another format, compressed",
      {},
      { format: "msgpack", compressor: "zstd" },
      undefined,
      '["msgpack",60000,0,0,0,{"c":"zstd"}]',
    ],
    [
      "with both windows",
      { staleWhileRevalidateMs: 300_000, staleIfErrorMs: 3_600_000 },
      undefined,
      undefined,
      '["json",60000,300000,3600000]',
    ],
    ["with a local limit", { localTtlMs: 2_000 }, undefined, undefined, '["json",60000,0,0,0,{"l":2000}]'],
    ["without a local copy", { localTtlMs: 0 }, undefined, undefined, '["json",60000,0,0,0,{"l":0}]'],
    [
      "with tags and versions",
      { tags: ["users", "org:7"] },
      undefined,
      VERSIONS,
      '["json",60000,0,0,["a.1",[1,3]],{"g":["users","org:7"]}]',
    ],
    [
      "with validators",
      { etag: 'W/"1"', lastModified: "Thu, 01 Jan 1970 00:00:00 GMT" },
      undefined,
      undefined,
      '["json",60000,0,0,0,{"a":"W/\\"1\\"","m":"Thu, 01 Jan 1970 00:00:00 GMT"}]',
    ],
    [
      "with empty validators",
      { etag: "", lastModified: "" },
      undefined,
      undefined,
      '["json",60000,0,0,0,{"a":"","m":""}]',
    ],
  ])("%s", ([, changes, encoding, versions, meta]) => {
    const one = entry(changes);
    const stored = codec().toStored(encoding === undefined ? PLAIN : { ...PLAIN, encoding }, one, versions, NOW);
    expect(stored.meta).toBe(meta);
  });

  it("of the usual policies leaves an entry in Redis in the form for short fields, of up to 64 bytes", () => {
    const usual = entry({ ttlMs: 3_600_000, staleWhileRevalidateMs: 300_000, staleIfErrorMs: 86_400_000 });
    const { meta } = codec().toStored(
      { ...PLAIN, encoding: { format: "msgpack", compressor: "none" } },
      usual,
      [version("d3csFcD_.0")],
      NOW,
    );
    expect(meta).toBe('["msgpack",3600000,300000,86400000,["d3csFcD_.0"]]');
    expect(`1 86400000;${meta}`.length).toBeLessThanOrEqual(64);
  });

  it.each([
    '["json",60000,0,0,0,{},1]',
    '["json",60000,0,0,0,null]',
    '["json",60000,0,0,0,[]]',
    "[]",
    "[1]",
    '{"f":"json","t":60000}',
    '["json","1"]',
  ])("is not ours: %s", (meta) => {
    expect(() => decode(stored({ meta }))).toThrow("its meta was not written by this library");
  });

  it("is the same for equal policies, whenever they are written", () => {
    const later = entry({ staleAt: NOW + 70_000, expiresAt: NOW + 70_000 });
    expect(codec().toStored(PLAIN, later, undefined, NOW + 10_000).meta).toBe(
      codec().toStored(PLAIN, entry(), undefined, NOW).meta,
    );
  });

  it("is empty where it is not kept", () => {
    expect(codec({ keepsMeta: false }).toStored(PLAIN, entry({ etag: "x" }), undefined, NOW).meta).toBe("");
  });

  it("of more than 8 MiB is refused", () => {
    const empty = codec().toStored(PLAIN, entry({ tags: [""] }), undefined, NOW).meta.length;
    const of = (bytes: number, unit = "t"): Entry =>
      entry({ tags: [unit.repeat(Math.ceil((bytes - empty) / Buffer.byteLength(unit)))] });
    expect(codec().toStored(PLAIN, of(8_388_608), undefined, NOW).meta).toHaveLength(8_388_608);
    expect(() => codec().toStored(PLAIN, of(8_388_609), undefined, NOW)).toThrow(EncodeError);
    expect(() => codec().toStored(PLAIN, of(8_388_610, "€"), undefined, NOW)).toThrow(
      "tags and validators take 8388610 bytes, and may take 8388608; give fewer or shorter ones",
    );
  });

  describe("C598 of many tags", () => {
    const versionsOf = (count: number, idOf: (i: number) => string): readonly TagVersion[] =>
      Array.from({ length: count }, (_, i) => ({ hard: idOf(i), soft: i % 2 === 0 ? idOf(i) : idOf(i + 1) }));
    const written = (tags: readonly string[], versions: readonly TagVersion[]): string =>
      codec().toStored(PLAIN, entry({ tags }), versions, NOW).meta;
    const tagsOf = (count: number): readonly string[] =>
      Array.from({ length: count }, (_, i) => String(i).padStart(36, "t"));

    it("has each version as the difference to the one before it", () => {
      const meta = written(
        tagsOf(2),
        versionsOf(6, (i) => `id.${7 * i}`),
      );
      expect(JSON.parse(meta)[4]).toEqual(["id.0", [7, 7], 0, [7, 7], 0, [7, 7]]);
    });

    it("has them so in any form", () => {
      const tags = tagsOf(2_048);
      const equal = written(
        tags,
        versionsOf(4_098, () => "issuer00.123456789"),
      );
      expect(equal.length).toBe(2_048 * 39 + 4_098 * 2 + 47);
      const forms = ["a.1", "a.999999999999999", "a.0", "a.01", "b.7", "b.3", "random-id", "b.4", "a.b.5", ".6", "a.7"];
      const versions = versionsOf(4_098, (i) => forms[i % forms.length]!);
      const read = decode(stored({ meta: written(tags, versions) })) as Entry;
      expect([read.terms.tags, read.versions]).toEqual([tags, versions]);
    });
  });
});

describe("times", () => {
  it.for<readonly [string, Changes, staleInMs: number, expiresInMs: number]>([
    ["the remaining time", {}, 60_000, 60_000],
    [
      "with the longer window",
      { staleWhileRevalidateMs: 5, staleIfErrorMs: 9, expiresAt: NOW + 60_009 },
      60_000,
      60_009,
    ],
    ["stale already", { staleAt: NOW - 100, expiresAt: NOW + 50 }, -100, 50],
    ["whole milliseconds, never more than are left", { staleAt: NOW + 99.6, expiresAt: NOW + 100.9 }, 99, 100],
    [
      "all of them where a sum of floats is a little short",
      { staleAt: NOW + 99.999_999, expiresAt: NOW + 100 },
      100,
      100,
    ],
    ["never less than one", { staleAt: NOW, expiresAt: NOW + 0.2 }, 0, 1],
    ["endless", { ttlMs: Infinity, staleAt: Infinity, expiresAt: Infinity }, Infinity, Infinity],
    [
      "endless with a window, which must be computable from both times",
      { ttlMs: Infinity, staleAt: Infinity, expiresAt: Infinity, staleIfErrorMs: 500 },
      HUNDRED_YEARS_MS,
      HUNDRED_YEARS_MS + 500,
    ],
  ])("%s", ([, changes, staleInMs, expiresInMs]) => {
    expect(codec().toStored(PLAIN, entry(changes), undefined, NOW)).toMatchObject({ staleInMs, expiresInMs });
  });
});

const stored = (changes: Partial<StoredAnswer> = {}): StoredAnswer => ({
  data: Buffer.from('"Ada"'),
  staleInMs: 40_000,
  expiresInMs: 40_000,
  meta: '["json",60000]',
  ...changes,
});
const readBy = (schema?: StandardSchema<unknown>, tagSequence = 0) => ({
  key: entryKey(users, "ada"),
  schema,
  tagSequence,
});
const decode = (
  given: StoredAnswer,
  options?: Parameters<typeof backend>[0],
  schema?: StandardSchema<unknown>,
): Entry | PromiseLike<Entry> => codec(options).decode(given, readBy(schema, 3), NOW);

describe("decode", () => {
  it.for<readonly [string, Changes, readonly TagVersion[] | undefined]>([
    ["defaults", {}, undefined],
    [
      "windows, a local limit, validators",
      {
        staleWhileRevalidateMs: 5,
        staleIfErrorMs: 9,
        expiresAt: NOW + 60_009,
        deadAt: NOW + 60_009,
        localTtlMs: 7,
        etag: "1",
        lastModified: "now",
      },
      undefined,
    ],
    [
      "tags under versions",
      { tags: ["t"], dependsOn: [...users.tagPrefixes, "{~shop}::t", "{~shop}:users::t"] },
      [version("a"), version("b", "c"), version("d"), version("e")],
    ],
    ["an endless entry", { ttlMs: Infinity, staleAt: Infinity, expiresAt: Infinity, deadAt: Infinity }, undefined],
    [
      "an endless entry with windows",
      { ttlMs: Infinity, staleAt: Infinity, expiresAt: Infinity, deadAt: Infinity, staleIfErrorMs: 9 },
      undefined,
    ],
  ])("gives back %s", ([, changes, versions]) => {
    const one = entry(changes);
    const {
      encoding,
      encodedBytes,
      versions: read,
      ...rest
    } = decode(codec().toStored(PLAIN, one, versions, NOW)) as Entry;
    expect(rest).toEqual({ ...one, tagSequence: 3 });
    expect([encoding, encodedBytes, read]).toEqual([{ format: "json", compressor: "none" }, 5, versions]);
  });

  it("computes the age from ttl and the remaining time, and compares no clocks", () => {
    expect(decode(stored())).toMatchObject({
      ttlMs: 60_000,
      staleAt: NOW + 40_000,
      expiresAt: NOW + 40_000,
      deadAt: NOW + 40_000,
    });
    expect(decode(stored({ staleInMs: -10, expiresInMs: 90, meta: '["json",60000,0,100]' }))).toMatchObject({
      staleAt: NOW - 10,
      expiresAt: NOW + 90,
    });
  });

  it("an entry with more freshness left than it ever had is stale: its store's clock was set back", () => {
    const meta = '["json",60000,0,100]';
    for (const back of [1_001, 3_600_000])
      expect(decode(stored({ staleInMs: 60_000 + back, expiresInMs: 60_100 + back, meta }))).toMatchObject({
        ttlMs: 60_000,
        staleAt: NOW,
        expiresAt: NOW + 100,
        deadAt: NOW + 100,
      });
    expect(decode(stored({ staleInMs: Infinity, expiresInMs: Infinity, meta: "" }))).toMatchObject({
      staleAt: Infinity,
      expiresAt: Infinity,
    });
    // Clocks are corrected by less all the time.
    expect(decode(stored({ staleInMs: 61_000, expiresInMs: 61_100, meta }))).toMatchObject({ staleAt: NOW + 61_000 });
    expect(decode(stored({ staleInMs: 9e12, expiresInMs: 9e12, meta: '["json"]' }))).toMatchObject({
      staleAt: Infinity,
    });
  });

  it("reads an entry of another program with the configured format and compressor", async () => {
    expect(decode(stored({ meta: "" }))).toMatchObject({
      value: "Ada",
      ttlMs: 40_000,
      terms: {
        staleWhileRevalidateMs: 0,
        staleIfErrorMs: 0,
        localTtlMs: Infinity,
        tags: [],
        dependsOn: users.tagPrefixes,
        etag: undefined,
      },
      versions: undefined,
    });
    expect(decode(stored({ meta: "", staleInMs: -5, expiresInMs: 95 }))).toMatchObject({
      ttlMs: 0,
      terms: { staleWhileRevalidateMs: 100, staleIfErrorMs: 100 },
    });
    const compressed = await gzip().compress(Buffer.from('"Ada"'));
    expect(await decode(stored({ meta: "", data: compressed }), { compressor: gzip() })).toMatchObject({
      value: "Ada",
      encoding: { format: "json", compressor: "gzip" },
    });
  });

  it("reads other formats and compressors listed in alsoReads", async () => {
    const data = await gzip().compress(v8().encode(new Set([1])));
    const foreign = stored({ data, meta: '["v8",null,0,0,0,{"c":"gzip"}]' });
    expect(await decode(foreign, { alsoReads: [v8(), gzip()] })).toMatchObject({ value: new Set([1]) });
    for (const [alsoReads, says] of [
      [[gzip()], 'its format is "v8"'],
      [[v8()], 'its compressor is "gzip"'],
      [[], 'its format is "v8"'],
    ] as const)
      expect(() => decode(foreign, { alsoReads })).toThrow(
        `a stored entry cannot be read: ${says}, which this backend does not read`,
      );
  });

  it("parses equal metas once, and stays bounded", () => {
    const one = codec();
    const tags = (): readonly string[] =>
      (one.decode(stored({ meta: '["json",null,0,0,0,{"g":["t"]}]' }), readBy(), NOW) as Entry).terms.tags;
    const first = tags();
    expect(tags()).toBe(first);
    for (let i = 0; i < 600; i += 1) void one.decode(stored({ meta: `["json",${i}]` }), readBy(), NOW);
    expect(tags()).not.toBe(first);
    expect(tags()).toEqual(first);
  });

  const schema = (validate: StandardSchema<unknown>["~standard"]["validate"]): StandardSchema<unknown> => ({
    "~standard": { version: 1, vendor: "test", validate },
  });
  it("passes the value to a schema, which may change it, refuse it, and take its time", async () => {
    expect(
      await decode(
        stored(),
        {},
        schema((value) => ({ value: `${String(value)}!` })),
      ),
    ).toMatchObject({ value: "Ada!" });
    expect(
      await decode(
        stored(),
        {},
        schema(async (value) => ({ value })),
      ),
    ).toMatchObject({ value: "Ada" });
    for (const refusing of [
      schema((value) => ({ issues: [{ message: `${String(value)} is too short` }] })),
      schema(async () => ({ issues: [{ message: '"Ada" is too short' }] })),
    ]) {
      const error = await Promise.resolve(decode(stored(), {}, refusing)).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(DecodeError);
      expect((error as Error).message).toEqual(
        expect.stringMatching(
          /^a stored entry cannot be read: the namespace's schema refuses it: (…|"…") is too short$/,
        ),
      );
    }
    const thrown = await Promise.resolve(
      decode(
        stored(),
        {},
        schema(() => {
          throw new Error("hunter2");
        }),
      ),
    ).catch((each: unknown) => each);
    expect(thrown).toMatchObject({
      code: "DECODE_FAILED",
      message: "a stored entry cannot be read: the namespace's schema throws",
    });
    expect(inspect(thrown, { showHidden: true })).not.toContain("hunter2");
  });

  it.for<readonly [string, Partial<StoredAnswer>, Parameters<typeof backend>[0]]>([
    ["bytes that do not decode", { data: Buffer.from("hunter2") }, {}],
    [
      "bytes that do not decompress",
      { data: Buffer.from("hunter2"), meta: '["json",null,0,0,0,{"c":"gzip"}]' },
      { compressor: gzip() },
    ],
    [
      "a bomb",
      { data: Buffer.from("x"), meta: '["json",null,0,0,0,{"c":"bomb"}]' },
      {
        alsoReads: [
          { ...halving({ id: "bomb" }), decompress: (_, max) => Promise.reject(new Error(`hunter2 beyond ${max}`)) },
        ],
        maxDecodedBytes: 10,
      },
    ],
    [
      "a format that throws no error",
      { meta: '["odd"]' },
      {
        alsoReads: [
          {
            id: "odd",
            encode: () => new Uint8Array(),
            decode: () => {
              throw "hunter2";
            },
          },
        ],
      },
    ],
    ["a meta that is not JSON", { meta: "hunter2" }, {}],
    ["a meta of another kind", { meta: "[1]" }, {}],
    ["a meta without a format", { meta: '{"t":5}' }, {}],
    ["a ttl of another type", { meta: '["json","hunter2"]' }, {}],
    ["a negative ttl", { meta: '["json",-1]' }, {}],
    ["tags of another type", { meta: '["json",null,0,0,0,{"g":[5]}]' }, {}],
    ["versions of another type", { meta: '["json",null,0,0,[["a"]]]' }, {}],
    ["a validator of another type", { meta: '["json",null,0,0,0,{"a":5}]' }, {}],
  ])("refuses %s, and quotes nothing of it", async ([, given, options]) => {
    const error = await (async () => decode(stored(given), { label: "redis", ...options }))().catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(DecodeError);
    expect(error).toMatchObject({ tier: "redis", operation: "decode" });
    expect((error as Error).message).toMatch(/^a stored entry cannot be read: /);
    expect(inspect(error, { showHidden: true })).not.toContain("hunter2");
  });

  it("passes the limit on decompressed bytes to the compressor", async () => {
    const asked: number[] = [];
    const compressor: Compressor = { ...halving(), decompress: (bytes, max) => (asked.push(max), bytes) };
    const given = stored({ meta: '["json",null,0,0,0,{"c":"half"}]' });
    await decode(given, { compressor, maxDecodedBytes: 99 });
    expect(asked).toEqual([99]);
  });

  it("lets data become 200 times as large, or 1 MiB, and at most 8 MiB", () => {
    const asked: number[] = [];
    const compressor: Compressor = { ...halving(), decompress: (_, max) => (asked.push(max), Buffer.from("1")) };
    const ofSize = (bytes: number) => stored({ data: new Uint8Array(bytes), meta: '["json",null,0,0,0,{"c":"half"}]' });
    for (const bytes of [5, 5_243, 10_000, 100_000]) void decode(ofSize(bytes), { compressor });
    expect(asked).toEqual([2 ** 20, 1_048_600, 2_000_000, 8 * 2 ** 20]);
    void decode({ ...ofSize(5), meta: "" }, { compressor, keepsMeta: false });
    expect(asked.at(-1)).toBe(8 * 2 ** 20);
  });

  it.for<readonly [string, number, Parameters<typeof backend>[0], string]>([
    ["maxDecodedBytes", 11, { maxDecodedBytes: 10 }, "it is larger than maxDecodedBytes"],
    ["8 MiB", 8 * 2 ** 20 + 1, {}, "it is larger than maxDecodedBytes"],
    ["maxEntryBytes", 11, { maxEntryBytes: 10 }, "it is larger than maxEntryBytes"],
  ])("refuses uncompressed bytes beyond %s, and reads as many", ([, bytes, options, reason]) => {
    const of = (length: number) => stored({ data: Buffer.from(`"${"x".repeat(length - 2)}"`) });
    expect(() => decode(of(bytes), options)).toThrow(`a stored entry cannot be read: ${reason}`);
    expect((decode(of(bytes - 1), options) as Entry).value).toHaveLength(bytes - 3);
  });

  it("refuses compressed bytes beyond maxEntryBytes", async () => {
    const data = await gzip().compress(Buffer.from(`"${"x".repeat(500)}"`));
    const given = stored({ data, meta: '["json",null,0,0,0,{"c":"gzip"}]' });
    expect(() => decode(given, { compressor: gzip(), maxEntryBytes: data.length - 1 })).toThrow("maxEntryBytes");
    expect(await decode(given, { compressor: gzip(), maxEntryBytes: data.length })).toMatchObject({
      encodedBytes: data.length,
    });
  });
});

describe("what is written can be read", () => {
  it("a value of more bytes than maxDecodedBytes is refused", () => {
    expect(codec({ maxDecodedBytes: 6 }).encode("Grac")).toMatchObject({ data: Buffer.from('"Grac"') });
    expect(() => codec({ maxDecodedBytes: 5 }).encode("Grac")).toThrow("6 bytes are more than maxDecodedBytes (5)");
  });

  it("the format gets the limit", () => {
    const asked: unknown[] = [];
    const format: Format = {
      id: "x",
      encode: (_, max) => (asked.push(max), Buffer.from("1")),
      decode: (_, max) => (asked.push(max), 1),
    };
    void codec({ format, maxDecodedBytes: 5 }).encode(1);
    void decode(stored({ meta: '["x"]', data: Buffer.from("1") }), { format, maxDecodedBytes: 5 });
    void codec({ format }).encode(1);
    expect(asked).toEqual([5, 5, 8 * 2 ** 20]);
  });

  it("a value that compresses better than 1:200 is stored uncompressed from 1 MiB on", async () => {
    const options = { compressor: gzip() };
    const large = await codec(options).encode("0".repeat(2 ** 21));
    expect(large.encoding.compressor).toBe("none");
    expect((await codec(options).encode("0".repeat(2 ** 20 - 2))).encoding.compressor).toBe("gzip");
    const one = codec(options).toStored(large, entry(), undefined, NOW);
    expect((await decode(one, options)).value).toBe("0".repeat(2 ** 21));
    expect((await codec({ ...options, keepsMeta: false }).encode("0".repeat(2 ** 21))).encoding.compressor).toBe(
      "gzip",
    );
  });
});

describe("a meta is checked before it is used", () => {
  const withTags = (tags: readonly unknown[], versions?: readonly unknown[]): Entry | PromiseLike<Entry> =>
    decode(stored({ meta: JSON.stringify(["json", null, 0, 0, versions ?? 0, { g: tags }]) }));
  it.for<readonly [string, readonly unknown[], (readonly unknown[])?]>([
    ["a tag with a lone surrogate", ["\ud800"]],
    ["an empty tag", [""]],
    ["a tag of 1,025 characters", ["t".repeat(1_025)]],
    ["2,049 tags", Array.from({ length: 2_049 }, (_, i) => `${i}`)],
    ["a version that is no whole number", ["t"], ["a.1", 1.5]],
    ["a version too many", ["t"], ["a", "b", "c", "d", "e"]],
    ["a version too few", ["t"], ["a", "b", "c"]],
    ["versions without tags", [], ["a"]],
  ])("refuses %s", ([, tags, versions]) => {
    expect(() => withTags(tags, versions)).toThrow(
      "a stored entry cannot be read: its meta was not written by this library",
    );
  });

  it("reads the longest that is written", () => {
    expect(withTags(["t".repeat(512)], ["a", "b", "c", "d"])).toMatchObject({ terms: { tags: ["t".repeat(512)] } });
    const meta = (bytes: number) =>
      stored({ meta: JSON.stringify(["json", null, 0, 0, 0, { a: "x".repeat(bytes - 28) }]) });
    expect((decode(meta(8_388_608)) as Entry).terms.etag).toHaveLength(8_388_580);
    expect(() => decode(meta(8_388_609))).toThrow(DecodeError);
  });

  it("parses no meta of more than 8 MiB", () => {
    const parse = vi.spyOn(JSON, "parse");
    expect(() => decode(stored({ meta: `["json",null,0,0,0,{"a":"${"x".repeat(8_400_000)}"}]` }))).toThrow(DecodeError);
    expect(parse).not.toHaveBeenCalled();
    parse.mockRestore();
  });

  it("quotes 32 characters of a name", () => {
    for (const meta of [["x".repeat(3_000)], ["json", null, 0, 0, 0, { c: "x".repeat(3_000) }]])
      expect(() => decode(stored({ meta: JSON.stringify(meta) }))).toThrow(
        new RegExp(`: its (?:format|compressor) is "${"x".repeat(32)}…", which this backend does not read$`),
      );
  });

  it("has the value of a version that was seen, with the life and meta of now", () => {
    const of = codec();
    const seen = of.decode(stored({ data: Buffer.from('{"a":1}'), meta: '["json",1,0,0]' }), readBy(), NOW) as Entry;
    const given = stored({ data: new Uint8Array(), isSeen: true });
    const { value, encodedBytes, ttlMs, staleAt } = of.decode(given, readBy(undefined, 3), NOW, seen) as Entry;
    expect({ isSame: value === seen.value, encodedBytes, ttlMs, staleAt }).toEqual({
      isSame: true,
      encodedBytes: 7,
      ttlMs: 60_000,
      staleAt: NOW + 40_000,
    });
  });

  it("keeps few long metas", () => {
    const one = codec();
    const read = (i: number): readonly string[] =>
      (
        one.decode(
          stored({ meta: JSON.stringify(["json", null, 0, 0, 0, { g: [`${i}`], a: "x".repeat(4_000) }]) }),
          readBy(),
          NOW,
        ) as Entry
      ).terms.tags;
    const first = read(0);
    expect(read(0)).toBe(first);
    for (let i = 1; i < 9; i += 1) read(i);
    expect(read(0)).not.toBe(first);
  });
});

describe("a compressor whose answers are no promises of the language, as those of a query builder", () => {
  class Later<T> implements PromiseLike<T> {
    readonly #answer: Promise<T>;

    constructor(answer: Promise<T>) {
      this.#answer = answer;
    }

    // oxlint-disable-next-line unicorn/no-thenable -- like a query builder
    then<A = T, B = never>(
      done?: ((value: T) => A | PromiseLike<A>) | null,
      failed?: ((error: unknown) => B | PromiseLike<B>) | null,
    ): Later<A | B> {
      return new Later(this.#answer.then(done, failed));
    }
  }
  const later = (answer: () => unknown): Compressor => ({
    id: "later",
    compress: () => new Later((async () => answer() as Uint8Array)()),
    decompress: () => new Later((async () => answer() as Uint8Array)()),
  });
  const meta = JSON.stringify(["json", null, 0, 0, 0, { c: "later" }]);
  const failing = (): never => {
    throw new Error("of the secret value");
  };

  it.each([
    ["fails", failing],
    ["gives what does not decode", () => Buffer.from("secret")],
  ])("C145: when it %s, the error is a DecodeError and quotes nothing", async (_, answer) => {
    const decoded = codec({ compressor: later(answer) }).decode(stored({ meta }), readBy(), NOW);
    const error: unknown = await Promise.resolve(decoded).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DecodeError);
    expect(inspect(error)).not.toContain("secret");
  });

  it.each([
    ["fails", failing],
    ["gives nothing", () => undefined],
  ])("when it %s, the error is an EncodeError", async (_, answer) => {
    const encoded = codec({ compressor: later(answer) }).encode("Ada");
    await expect(Promise.resolve(encoded)).rejects.toBeInstanceOf(EncodeError);
  });
});
