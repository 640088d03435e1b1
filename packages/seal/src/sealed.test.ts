import { createHmac } from "node:crypto";
import {
  ConfigurationError,
  DecodeError,
  json,
  passthrough,
  type Backend,
  type Seal,
  type StoredAnswer,
} from "@hotset/core";
import { flush, outcome, scriptedBackend, TestClock } from "@hotset/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Envelope } from "./envelope.ts";
import { sealed as sealedBackend } from "./index.ts";

const mac = (secret: string, context: Uint8Array, bytes: Uint8Array): Buffer =>
  createHmac("sha256", secret)
    .update(Buffer.of(context.length >> 8, context.length))
    .update(context)
    .update(bytes)
    .digest();

type Sealing = Omit<Seal, "around">;

/** A seal whose bytes are easy to read, and whose errors name its secret. */
const testSeal = (secret = "a", id = "test"): Sealing => ({
  id,
  seal: (bytes, context) => Buffer.concat([mac(secret, context, bytes), bytes]),
  open(bytes, context) {
    const rest = bytes.subarray(32);
    if (!mac(secret, context, rest).equals(bytes.subarray(0, 32))) throw new Error(`secret ${secret}`);
    return rest;
  },
});

/** The same, answering later. */
const later = (of: Sealing): Sealing => ({
  id: of.id,
  seal: async (bytes, context) => of.seal(bytes, context),
  open: async (bytes, context) => of.open(bytes, context),
});

interface Options {
  readonly clock?: TestClock;
  readonly seal?: Sealing;
  readonly sealScope?: string;
}

const envelope = ({ clock = new TestClock(), seal = testSeal(), ...backend }: Options = {}): Envelope =>
  new Envelope({ label: "redis", ...backend }, seal, clock);

const KEY = "shop::user:1";
const META = '["json",60000]';
const ENTRY: StoredAnswer = {
  data: Buffer.from('"Ada"'),
  staleInMs: 60_000,
  expiresInMs: 90_000,
  meta: META,
  version: "d3csFcD_LEOr01lS",
};

const sealed = (more: Partial<StoredAnswer> = {}, options?: Options): Promise<StoredAnswer> =>
  envelope(options).seal(KEY, { ...ENTRY, ...more });

const reasonFor = async (stored: StoredAnswer, key = KEY, options?: Options): Promise<string> => {
  const opened = await envelope(options).open(key, stored);
  if (opened?.error === undefined) return "opened";
  const { version, expiresInMs } = stored;
  expect(opened).toEqual({
    data: new Uint8Array(0),
    meta: "",
    staleInMs: 0,
    expiresInMs,
    version,
    error: opened.error,
  });
  expect(opened.error).toBeInstanceOf(DecodeError);
  expect(opened.error).toMatchObject({ tier: "redis", operation: "decode", name: "DecodeError" });
  return opened.error.message;
};
const NOT_OPENED = "a stored entry cannot be read: test does not open it";

describe("C150 a sealed entry", () => {
  it("comes back as it was", async () => {
    expect(await envelope().open(KEY, await sealed())).toEqual(ENTRY);
    expect(await envelope().open(KEY, await sealed({ data: Buffer.alloc(0), meta: "" }))).toMatchObject({
      data: Buffer.alloc(0),
      meta: "",
    });
  });

  it("comes back from a seal that answers later", async () => {
    const entries = envelope({ seal: later(testSeal()) });
    const stored = await entries.seal(KEY, ENTRY);
    expect(stored).toEqual(await sealed());
    expect(await entries.open(KEY, stored)).toEqual(ENTRY);
    expect(await entries.open("shop::user:2", stored)).toMatchObject({ error: { message: NOT_OPENED } });
  });

  it.each<[place: string, key: string, options?: Options]>([
    ["another key", "shop::user:2"],
    ["another namespace", "shop:users::user:1"],
    ["another cache", "shop2::user:1"],
    ["another version of the cache", "shop@2::user:1"],
    ["another scope", KEY, { sealScope: "other" }],
  ])("does not open at %s", async (_, key, options) => {
    expect(await reasonFor(await sealed(), key, options)).toBe(NOT_OPENED);
  });

  it("does not open where text moves between the parts of its place", async () => {
    const stored = await sealed({}, { sealScope: "a" });
    expect(await reasonFor(stored, `a${KEY}`, { sealScope: "" })).toBe(NOT_OPENED);
    expect(await reasonFor(stored, KEY.slice(1), { sealScope: `a${KEY[0]}` })).toBe(NOT_OPENED);
  });

  it("shows nothing of its meta, and does not open with another", async () => {
    const stored = await sealed();
    expect(stored.meta).toBe("test;");
    for (const meta of [META, ";", "x", "test"])
      expect(await reasonFor({ ...stored, meta: `test;${meta}` })).toBe(NOT_OPENED);
  });

  it("does not open with any byte of it changed", async () => {
    const stored = await sealed();
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: stored.data.length - 1 }), fc.integer({ min: 1, max: 127 }), async (at, flip) => {
        const data = Buffer.from(stored.data);
        data[at]! ^= flip;
        expect(await reasonFor({ ...stored, data })).toBe(NOT_OPENED);
      }),
    );
  });

  it("keeps its data when it is touched, and opens with no other life than the last ones of its write", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, leases: true });
    const safe = sealedBackend(backend, testSeal(), { clock });
    await safe.write(KEY, ENTRY);
    const before = backend.store.get(KEY)!;
    const touched: StoredAnswer[] = [];
    for (const meta of ["first", "second"]) {
      clock.advance(10_000);
      const life = { staleInMs: 70_000, expiresInMs: 95_000, meta };
      expect(await safe.leases!.touch(KEY, ENTRY.version!, life)).toBe(true);
      expect(await safe.read(KEY)).toEqual({ ...ENTRY, ...life });
      touched.push(backend.store.get(KEY)!);
    }
    const [first, second] = touched as [StoredAnswer, StoredAnswer];
    expect([first.data, second.data]).toEqual([before.data, before.data]);
    const lifeOf = async (stored: StoredAnswer, key = KEY): Promise<unknown> => {
      backend.store.set(key, { ...stored, staleInMs: 1e6, expiresInMs: 1e6 });
      const { meta, staleInMs, error } = (await safe.read(key))!;
      return error === undefined ? [meta, staleInMs] : error.message.replace("a stored entry cannot be read: ", "");
    };
    expect(await lifeOf(second)).toEqual(["second", 70_000]);
    expect(await lifeOf(first)).toEqual(["first", 60_000]);
    expect(await lifeOf(before)).toEqual([META, 40_000]);
    // Of another write, another place, of data, and changed.
    await safe.write(KEY, { ...ENTRY, version: "another" });
    const another = backend.store.get(KEY)!;
    expect(await lifeOf({ ...another, meta: second.meta })).toBe("test: its life is that of another write");
    await safe.write("other", ENTRY);
    expect(await lifeOf({ ...backend.store.get("other")!, meta: second.meta }, "other")).toBe("test does not open it");
    const data = Buffer.from(before.data).toString("base64");
    expect(await lifeOf({ ...before, meta: `test;${data}` })).toBe("test does not open it");
    const life = Buffer.from(second.meta.slice("test;".length), "base64");
    expect(await lifeOf({ ...before, data: life })).toBe("test does not open it");
    life[life.length - 1]! ^= 1;
    expect(await lifeOf({ ...before, meta: `test;${life.toString("base64")}` })).toBe("test does not open it");
    expect(await lifeOf({ ...second, version: "renamed" })).toEqual(["second", 0]);
  });

  it("without a version, and one with a meta too long for it, is not touched", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, leases: true });
    const safe = sealedBackend(backend, testSeal(), { clock });
    const { version: _, ...unnamed } = ENTRY;
    await safe.write(KEY, unnamed);
    const life = { staleInMs: 70_000, expiresInMs: 95_000, meta: META };
    const stored = backend.store.get(KEY)!;
    const { meta } = await envelope({ clock }).sealLife(KEY, "", life);
    backend.store.set(KEY, { ...stored, meta });
    expect((await safe.read(KEY))!.error?.message).toContain("its life is that of another write");
    backend.store.set(KEY, stored);
    const long = { ...life, meta: "x".repeat(8 * 2 ** 20) };
    await expect(safe.leases!.touch(KEY, "-", long)).rejects.toMatchObject({ code: "ENCODE_FAILED", tier: "scripted" });
    expect(backend.count("leases.touch")).toBe(0);
  });

  it("shows the message of a DecodeError, and of no other error", async () => {
    const known = {
      ...testSeal(),
      open: () => {
        throw new DecodeError('sealed with the key "x"');
      },
    };
    expect(await reasonFor(await sealed(), KEY, { seal: known })).toBe(
      'a stored entry cannot be read: sealed with the key "x"',
    );
  });

  it("that was made by something else is not taken apart", async () => {
    const bytes = async (text: Uint8Array): Promise<StoredAnswer> => ({
      ...ENTRY,
      meta: "test;",
      data: await testSeal().seal(text, Buffer.from(JSON.stringify(["hotset", 1, "", KEY]))),
    });
    const layout = "a stored entry cannot be read: its sealed part has another layout";
    for (const text of [Buffer.alloc(0), Buffer.alloc(40), Buffer.alloc(19, 1), Buffer.alloc(200, 1).fill(255, 17)])
      expect(await reasonFor(await bytes(text))).toBe(layout);
    expect(await reasonFor(await bytes(Buffer.alloc(20, 1).fill(0, 17)))).not.toBe(layout);
  });
});

describe("a seal", () => {
  it("refuses an entry without one, and one by another", async () => {
    const only = 'and this backend reads only entries that are sealed by "test"';
    expect(await reasonFor(ENTRY)).toBe(`a stored entry cannot be read: it is not sealed, ${only}`);
    expect(await reasonFor({ ...ENTRY, meta: "" })).toBe(`a stored entry cannot be read: it is not sealed, ${only}`);
    expect(await reasonFor(await sealed({}, { seal: testSeal("a", "other") }))).toBe(
      `a stored entry cannot be read: it is sealed by "other", ${only}`,
    );
  });

  it("stores nothing when it fails", async () => {
    const cause = new Error("no key");
    const failing: Sealing = {
      ...testSeal(),
      seal: () => {
        throw cause;
      },
    };
    const expected = { code: "ENCODE_FAILED", message: "test cannot seal this entry; see cause", tier: "redis", cause };
    for (const seal of [failing, later(failing)]) {
      const backend = scriptedBackend({ clock: new TestClock(), label: "redis", leases: true });
      const safe = sealedBackend(backend, seal);
      await expect(safe.write(KEY, ENTRY)).rejects.toMatchObject(expected);
      await expect(safe.leases!.store(KEY, "token", "", ENTRY)).rejects.toMatchObject(expected);
      expect(backend.calls).toEqual([]);
    }
  });

  it("is refused where it is not one, and where the layout has no room", () => {
    const clock = new TestClock();
    const seals =
      (seal: unknown, more: Partial<Backend> = {}) =>
      () =>
        sealedBackend({ ...scriptedBackend({ clock, label: "redis" }), ...more }, seal as Sealing);
    expect(seals(testSeal(), { keepsMeta: true })).not.toThrow();
    expect(seals(testSeal(), { keepsMeta: false })).toThrow(
      new ConfigurationError(
        "redis: a layout with keepsMeta: false has no room for a seal; use the full layout, or no seal",
      ),
    );
    for (const seal of [null, undefined, "secret", {}, testSeal("a", "A"), { ...testSeal(), id: undefined }, json()])
      expect(seals(seal)).toThrow(
        "redis: seal must be a Seal, such as aesGcm({ keys }), with an id of 1 to 32 of a-z 0-9 . -",
      );
  });

  it("that does not answer is waited for as long as a call", async () => {
    const clock = new TestClock();
    const silent: Sealing = { id: "test", seal: () => new Promise(() => {}), open: () => new Promise(() => {}) };
    const backend = scriptedBackend({ clock, label: "redis", deadlineMs: 100 });
    const safe = sealedBackend(backend, silent, { clock });
    await backend.write(KEY, await sealed());
    const [read, write] = [safe.read(KEY), safe.write(KEY, ENTRY)];
    await flush();
    clock.advance(99);
    await flush();
    expect([await outcome(read), await outcome(write)]).toEqual([{ status: "pending" }, { status: "pending" }]);
    clock.advance(1);
    expect(await read).toMatchObject({ error: { message: NOT_OPENED } });
    await expect(write).rejects.toMatchObject({ code: "ENCODE_FAILED" });
  });
});

const LONG_ENDED =
  "its sealed life ended more than 10 s ago: an old entry was put back, or the clocks of two processes differ";

describe("the times of a sealed entry", () => {
  /** Remaining times after `passedMs`, where the store states `times`. */
  const opened = async (
    passedMs: number,
    times: Partial<StoredAnswer>,
    of?: Partial<StoredAnswer>,
  ): Promise<unknown> => {
    const clock = new TestClock();
    const stored = await sealed(of, { clock });
    clock.advance(passedMs);
    return envelope({ clock }).open(KEY, { ...stored, ...times });
  };

  it("are the shorter of those sealed and those in the store", async () => {
    const endless = { staleInMs: Infinity, expiresInMs: Infinity };
    expect(await opened(10_000, endless)).toMatchObject({ staleInMs: 50_000, expiresInMs: 80_000 });
    const longer = { staleInMs: 50_001, expiresInMs: 80_001 };
    expect(await opened(10_000, longer)).toMatchObject({ staleInMs: 50_000, expiresInMs: 80_000 });
    for (const shorter of [
      { staleInMs: 7, expiresInMs: 9 },
      { staleInMs: -5, expiresInMs: 9 },
    ])
      expect(await opened(10_000, shorter)).toMatchObject(shorter);
  });

  it("may have no end", async () => {
    const endless = { staleInMs: Infinity, expiresInMs: Infinity };
    expect(await opened(1e9, endless, endless)).toMatchObject(endless);
  });

  it("end the entry, and more than 10 s later it is reported", async () => {
    const times = { staleInMs: Infinity, expiresInMs: Infinity };
    expect(await opened(89_999, times)).toMatchObject({ staleInMs: -29_999, expiresInMs: 1 });
    expect(await opened(90_000, times)).toBe(undefined);
    expect(await opened(100_000, times)).toBe(undefined);
    expect(await opened(100_001, times)).toMatchObject({
      error: {
        message: `a stored entry cannot be read: ${LONG_ENDED}`,
      },
    });
  });

  it("are over in freshness when the store has given it another id", async () => {
    const times = { staleInMs: 60_000, expiresInMs: 90_000 };
    for (const version of ["a9993e364706816a", "-"])
      expect(await opened(0, { ...times, version })).toEqual({ ...ENTRY, version, staleInMs: 0 });
    expect(await opened(70_000, { ...times, version: "-" })).toMatchObject({ staleInMs: -10_000 });
    // A backend without versions, and an entry that was written without one.
    const { version: _, ...unnamed } = ENTRY;
    const stored = await envelope().seal(KEY, unnamed);
    expect(await envelope().open(KEY, { ...stored, version: "a9993e364706816a" })).toMatchObject({ staleInMs: 60_000 });
    const { version: __, ...read } = await sealed();
    expect(await envelope().open(KEY, read)).toEqual(unnamed);
  });

  it("that have just ended are not waited for: the lease is granted over what the store still has", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, leases: true });
    const safe = sealedBackend(backend, testSeal(), { clock });
    await safe.write(KEY, ENTRY);
    clock.advance(89_999);
    backend.store.set(KEY, { ...backend.store.get(KEY)!, staleInMs: 1e6, expiresInMs: 1e6 });
    expect(await safe.leases!.acquire({ key: KEY, token: "one", leaseMs: 1_000, seen: "" })).toMatchObject({
      granted: false,
      entry: { meta: META },
    });
    clock.advance(1);
    expect(await safe.leases!.acquire({ key: KEY, token: "two", leaseMs: 1_000, seen: "" })).toMatchObject({
      granted: true,
    });
  });
});

describe("sealed", () => {
  const clock = new TestClock();

  it("C150 has every member of its backend that carries no entry, and no other", async () => {
    const own = { peek: 1, capability: 2 };
    for (const backend of [
      { ...scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" }), ...FULL },
      { ...scriptedBackend({ clock, markStale: false, batch: false, coherence: "none" }) },
    ]) {
      const safe = sealedBackend({ ...backend, ...own }, testSeal());
      const expected = MEMBERS.filter((name) => backend[name] !== undefined);
      expect(Object.keys(safe).toSorted()).toEqual([...expected, "sealedBy"].toSorted());
      const settings = expected.filter((name) => !["function", "object"].includes(typeof backend[name]));
      for (const name of settings) expect([name, safe[name]]).toEqual([name, backend[name]]);
      expect([safe.tagVersions, safe.coherence, safe.parts]).toEqual([
        backend.tagVersions,
        backend.coherence,
        backend.parts,
      ]);
      expect(safe.sealedBy).toBe("test");
      expect(Object.keys(safe.leases ?? {}).toSorted()).toEqual(Object.keys(backend.leases ?? {}).toSorted());
    }
  });

  it("C150 opens what is behind a copy, and reports a copy as valid to its backend", async () => {
    const backend = scriptedBackend({ clock });
    await sealedBackend(backend, testSeal(), { clock }).write(KEY, ENTRY);
    const behind = await backend.read(KEY);
    let valid = 0;
    const copied: Backend = {
      ...backend,
      read: async () => ({ ...behind!, behind: async () => behind, onValid: () => void (valid += 1) }),
    };
    const copy = await sealedBackend(copied, testSeal(), { clock }).read(KEY);
    expect(copy).toMatchObject({ data: ENTRY.data, meta: META });
    expect(await copy!.behind!()).toMatchObject({ data: ENTRY.data, meta: META });
    copy!.onValid!();
    expect(valid).toBe(1);
    const spoilt: Backend = { ...copied, read: async () => ({ ...(await copied.read(KEY))!, meta: "" }) };
    const refused = await sealedBackend(spoilt, testSeal(), { clock }).read(KEY);
    expect(refused).toMatchObject({ error: { code: "DECODE_FAILED" }, meta: "" });
    expect(await refused!.behind!()).toMatchObject({ data: ENTRY.data });
  });

  it("C150 opens the entry with which a lease is refused, and no other one", async () => {
    const backend = scriptedBackend({ clock, leases: true });
    const safe = sealedBackend(backend, testSeal(), { clock });
    await safe.write(KEY, ENTRY);
    const refusal = { granted: false, entry: { data: ENTRY.data, meta: META } };
    expect(await safe.leases!.acquire({ key: KEY, token: "token", leaseMs: 1_000, seen: "" })).toMatchObject(refusal);
    backend.store.set("other", backend.store.get(KEY)!);
    expect(await safe.leases!.acquire({ key: "other", token: "token", leaseMs: 1_000, seen: "" })).toMatchObject({
      entry: { version: ENTRY.version, error: { message: NOT_OPENED } },
    });
  });

  it("C150 opens no entry of many that was swapped with another, and keeps errors and gaps", async () => {
    const backend = scriptedBackend({ clock });
    const safe = sealedBackend(backend, testSeal(), { clock });
    await safe.write("a", ENTRY);
    const unread = new Error("unread");
    const read = async (): Promise<readonly (StoredAnswer | Error | undefined)[]> => [
      backend.store.get("a"),
      undefined,
      unread,
      backend.store.get("a"),
    ];
    const many = sealedBackend({ ...backend, batch: { read } }, testSeal(), { clock });
    const [first, ...rest] = await many.batch!.read(["a", "b", "c", "d"]);
    expect(first).toMatchObject({ data: ENTRY.data });
    expect(rest).toEqual([undefined, unread, expect.objectContaining({ meta: "", error: expect.any(DecodeError) })]);
  });
});

const FULL = {
  alsoReads: [json()],
  deadlineMs: 7,
  boundsCalls: true as const,
  breaker: { failures: 1, waitMs: 2, longestWaitMs: 3 },
  maxEntryBytes: 9,
  maxDecodedBytes: 10,
  sealScope: "scope",
  keepsMeta: true,
  readsLag: true,
  keepsKeys: true,
  parts: { names: () => [], of: () => "" },
  compressor: passthrough(),
};

const MEMBERS = Object.keys({
  label: 1,
  format: 1,
  compressor: 1,
  alsoReads: 1,
  deadlineMs: 1,
  boundsCalls: 1,
  breaker: 1,
  maxEntryBytes: 1,
  maxDecodedBytes: 1,
  sealScope: 1,
  keepsMeta: 1,
  readsLag: 1,
  keepsKeys: 1,
  read: 1,
  write: 1,
  remove: 1,
  close: 1,
  connect: 1,
  markStale: 1,
  walk: 1,
  parts: 1,
  batch: 1,
  leases: 1,
  tagVersions: 1,
  coherence: 1,
} satisfies Record<Exclude<keyof Backend, "sealedBy">, 1>) as (keyof Backend)[];
