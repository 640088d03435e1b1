import { scheduler } from "node:timers/promises";
import {
  type Awaitable,
  type Backend,
  BackendUnavailableError,
  type StoredAnswer,
  type StoredEntry,
} from "@hotset/core";
import { type BackendPromise, promisesOf } from "@hotset/core/internal";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { found, KEY, stored, type BackendSubject } from "./backend-subject.ts";
import { describeCoherence } from "./describe-coherence.ts";
import { describeContention } from "./describe-contention.ts";
import { describeLeases } from "./describe-leases.ts";
import { describeReclaiming } from "./describe-reclaiming.ts";
import { describeTagVersions } from "./describe-tag-versions.ts";
import { TestClock } from "./index.ts";
import { PECULIAR_KEYS } from "./peculiar-keys.ts";

/** How the suite opens a backend, and which capabilities it must have. */
export interface DescribeBackendOptions {
  /**
   * Makes a new backend over an empty store. With `expiry: 'clock'` entries must end by `clock`; a backend with
   * `expiry: 'server'` ignores it. The suite closes the backend. An error, or a rejection, fails the test.
   */
  open(clock: TestClock): Awaitable<Backend>;
  /**
   * The clock that ends entries: the one given to `open`, or the server's. With `server` the suite waits in real time.
   */
  readonly expiry: "clock" | "server";
  /**
   * Whether the lease of a missing entry is kept in its place: then taking it is a change of the entry, and is reported
   * as one. @default false
   */
  readonly leasesReplaceMissing?: boolean | undefined;
  /** As `open`, over a store that cannot be reached: adds the tests for that case. */
  readonly unreachable?: (() => Awaitable<Backend>) | undefined;
  /**
   * As `open`, over a store whose answers `delay` makes late: each comes `ms` later from then on, or never with
   * `Infinity`. For a backend with `boundsCalls`: adds the tests of its deadline.
   */
  readonly delayed?: (() => Awaitable<{ readonly backend: Backend; delay(ms: number): void }>) | undefined;
  /**
   * Opens the store of `backend`, which `open` made, like another process. Without it promises between processes are
   * not tested, above all `coherence`. The suite closes the backend.
   */
  readonly openPeer?: ((backend: Backend, clock: TestClock) => Awaitable<Backend>) | undefined;
  /**
   * Cuts the link over which `backend` receives changes of others, so that it may miss some; a later `attach` works
   * again. For a backend with `coherence`, with `openPeer`: adds the tests of {@link CoherenceListener.lost}.
   */
  readonly cut?: ((backend: Backend) => Awaitable<void>) | undefined;
  /**
   * How many entries the store holds, ended ones included. For a store that does not end entries itself:
   * adds the tests that the backend removes them.
   */
  readonly count?: ((backend: Backend) => Awaitable<number>) | undefined;
  /**
   * The promises of the backend to several processes: adds the test that its capabilities can keep that, and no more.
   * With {@link openPeer} the tests of those capabilities show that they do.
   */
  readonly promises?: readonly BackendPromise[] | undefined;
}

/** Passes in many short waits: a deadline counts the time in which the event loop ran, and so does this. */
async function runsFor(ms: number): Promise<void> {
  const steps = 50;
  for (let step = 0; step < steps; step += 1) await scheduler.wait(ms / steps);
}

/** Maximum time between a write and the read after it, on a busy machine: a remaining time may be that much shorter. */
const SERVER_LAG_MS = 5_000;
/** Maximum error of a remaining time due to rounding. */
const SERVER_ROUNDING_MS = 5;
/** How long the suite waits after the end of a life before it reads, with a server's clock. */
const SERVER_GRACE_MS = 250;
const HUNDRED_YEARS_MS = 100 * 365 * 86_400_000;

/**
 * The contract of {@link Backend}, as a suite for Vitest. Capabilities are tested if the backend has them: `connect`,
 * `markStale`, `batch`, `leases`, `tagVersions`, `coherence`. Throws nothing: a broken promise of the contract is a
 * failed test.
 */
export function describeBackend(name: string, options: DescribeBackendOptions): void {
  let clock: TestClock;
  let backend: Backend;
  const peers: Backend[] = [];

  const pass = (ms: number): Promise<void> | void =>
    options.expiry === "clock" ? clock.advance(ms) : scheduler.wait(ms + SERVER_GRACE_MS);

  /** Compares data and meta exactly, times within the precision of the store's clock. */
  const expectEntry = (entry: StoredAnswer | undefined, written: StoredEntry): void => {
    expect(entry).toBeDefined();
    if (entry === undefined) return;
    expect(Buffer.from(entry.data).equals(written.data), "the same bytes").toBe(true);
    expect(entry.meta).toBe(written.meta);
    expectRemaining(entry.staleInMs, written.staleInMs);
    if (entry.behind !== undefined) expect(entry.expiresInMs).toBeLessThanOrEqual(written.expiresInMs);
    else expectRemaining(entry.expiresInMs, written.expiresInMs);
  };

  const expectRemaining = (actual: number, written: number): void => {
    if (options.expiry === "clock" || written === Infinity) return expect(actual).toBe(written);
    expect(Number.isInteger(actual), `${actual} is a whole number`).toBe(true);
    expect(actual).toBeLessThanOrEqual(written + SERVER_ROUNDING_MS);
    expect(actual).toBeGreaterThanOrEqual(written - SERVER_LAG_MS);
  };

  const subject: BackendSubject = {
    get backend() {
      return backend;
    },
    get clock() {
      return clock;
    },
    expiry: options.expiry,
    hasPeers: options.openPeer !== undefined,
    cut: options.cut,
    leasesReplaceMissing: options.leasesReplaceMissing === true,
    async other() {
      if (options.openPeer === undefined) return backend;
      const peer = await options.openPeer(backend, clock);
      peers.push(peer);
      return peer;
    },
    pass,
    expectEntry,
    expectRemaining,
  };

  describe(`${name} keeps the contract of Backend`, () => {
    // Inside, so that two suites of one file open nothing of each other.
    beforeEach(async () => {
      clock = new TestClock();
      backend = await options.open(clock);
    });

    afterEach(async () => {
      await Promise.all([backend, ...peers.splice(0)].map((each) => each.close()));
    });

    it("has a label, and names its format and compressor", () => {
      expect(backend.label).toMatch(/./u);
      for (const codec of [backend.format, backend.compressor, ...(backend.alsoReads ?? [])])
        expect(codec.id).toMatch(/^[a-z0-9.-]{1,32}$/u);
    });

    const { promises } = options;
    if (promises !== undefined)
      it(`promises to several processes: ${promises.join(", ") || "nothing"}`, () => {
        expect(promisesOf(backend)).toEqual(promises);
      });

    it("has no entry under a key that was never written", async () => {
      expect(await backend.read(KEY)).toBe(undefined);
      expect(await backend.remove(KEY)).toBe("missing");
    });

    describe("returns a written entry unchanged:", () => {
      const ALL_BYTES = Uint8Array.from({ length: 256 }, (_, i) => i);
      it.each([
        ["every byte, 0x00 and 0xff included", ALL_BYTES],
        ["no bytes at all", new Uint8Array(0)],
        ["text that is not UTF-8", Uint8Array.of(0xc3, 0x28, 0xed, 0xa0, 0x80, 0x0d, 0x0a)],
        ["a view into a larger buffer", ALL_BYTES.subarray(100, 110)],
        ["1 MB, or maxEntryBytes", Uint8Array.from({ length: 2 ** 20 }, (_, i) => (i * 31) % 251)],
      ])("%s", async (_, bytes) => {
        const data = bytes.subarray(0, backend.maxEntryBytes ?? Infinity);
        await backend.write(KEY, stored({ data }));
        expectEntry(await backend.read(KEY), stored({ data }));
      });

      it.each([
        ["none", ""],
        ["text of all kinds", "\0\r\n\t\"'\\%:{}[] \u00e9\u{1f98a}"],
        ["text that reads as a number", "007"],
        ["4 KiB beyond ASCII", "\u{1f98a}".repeat(1_024)],
        ["one byte less than 64 KiB", "m".repeat(65_535)],
        ["8 MiB, or maxEntryBytes", "m".repeat(2 ** 23)],
      ])("meta: %s", { timeout: 120_000 }, async (_, text) => {
        const meta = text.slice(0, backend.maxEntryBytes ?? Infinity);
        await backend.write(KEY, stored({ meta }));
        expectEntry(await backend.read(KEY), stored({ meta }));
      });

      it.each([
        ["a fresh one", { staleInMs: 60_000, expiresInMs: 90_000 }],
        ["one that is fresh to its end", { staleInMs: 60_000, expiresInMs: 60_000 }],
        ["one that becomes stale now", { staleInMs: 0, expiresInMs: 60_000 }],
        ["one that has been stale for long", { staleInMs: -86_400_000, expiresInMs: 60_000 }],
        ["one that lives for a hundred years", { staleInMs: 60_000, expiresInMs: HUNDRED_YEARS_MS }],
        ["one beyond 32 bits", { staleInMs: 2 ** 32, expiresInMs: 2 ** 32 + 1_000 }],
        ["one that never ends", { staleInMs: Infinity, expiresInMs: Infinity }],
      ])("times: %s", async (_, times) => {
        await backend.write(KEY, stored(times));
        expectEntry(await backend.read(KEY), stored(times));
      });

      it("after the caller has reused the bytes", async () => {
        const data = Uint8Array.of(1, 2, 3);
        await backend.write(KEY, stored({ data }));
        data.fill(9);
        const first = await backend.read(KEY);
        expectEntry(first, stored({ data: Uint8Array.of(1, 2, 3) }));
        first?.data.fill(9);
        expectEntry(await backend.read(KEY), stored({ data: Uint8Array.of(1, 2, 3) }));
      });
    });

    describe("overwriting leaves nothing of the older entry:", () => {
      const LASTING = { staleInMs: Infinity, expiresInMs: Infinity };
      const FINITE = { staleInMs: 30_000, expiresInMs: 60_000 };
      const STALE = { staleInMs: -1_000, expiresInMs: 20_000 };
      it.each([
        [
          "bytes and meta",
          stored({ data: new Uint8Array(1_000).fill(7), meta: "x".repeat(100) }),
          stored({ data: Uint8Array.of(1), meta: "y" }),
        ],
        ["bytes, by none", stored({ data: new Uint8Array(1_000).fill(7) }), stored({ data: new Uint8Array(0) })],
        ["meta, by none", stored({ meta: "etag and tags" }), stored({ meta: "" })],
        ["no meta, by some", stored({ meta: "" }), stored({ meta: "etag and tags" })],
        ["an end, by none", stored(FINITE), stored(LASTING)],
        ["a life without an end, by one that ends", stored(LASTING), stored(FINITE)],
        ["a long life, by a short one", stored({ staleInMs: 600_000, expiresInMs: 900_000 }), stored(FINITE)],
        ["a short life, by a long one", stored(FINITE), stored({ staleInMs: 600_000, expiresInMs: 900_000 })],
        ["staleness, by freshness", stored(STALE), stored(FINITE)],
        ["freshness, by staleness", stored(FINITE), stored(STALE)],
      ])("%s", async (_, older, newer) => {
        await backend.write(KEY, older);
        await backend.write(KEY, newer);
        expectEntry(await backend.read(KEY), newer);
      });

      it("an end of the older entry after the new write", async () => {
        await backend.write(KEY, stored({ staleInMs: 100, expiresInMs: 200 }));
        await backend.write(KEY, stored(LASTING));
        await pass(200);
        expectEntry(await backend.read(KEY), stored(LASTING));
      });
    });

    describe("ends an entry whose life has ended:", () => {
      it("a life of less than a second", async () => {
        await backend.write(KEY, stored({ staleInMs: 150, expiresInMs: 150 }));
        await pass(150);
        expect(await backend.read(KEY)).toBe(undefined);
        expect(await backend.remove(KEY)).toBe("missing");
      });

      it("a life of one millisecond", async () => {
        await backend.write(KEY, stored({ staleInMs: 0, expiresInMs: 1 }));
        await pass(1);
        expect(await backend.read(KEY)).toBe(undefined);
      });

      it("the second life of a key", async () => {
        await backend.write(KEY, stored({ staleInMs: Infinity, expiresInMs: Infinity }));
        await backend.write(KEY, stored({ staleInMs: 100, expiresInMs: 150 }));
        await pass(150);
        expect(await backend.read(KEY)).toBe(undefined);
      });

      it("and no other entry", async () => {
        await backend.write(`${KEY}1`, stored({ staleInMs: 100, expiresInMs: 150 }));
        await backend.write(`${KEY}2`, stored({ staleInMs: 100, expiresInMs: 60_000 }));
        await pass(150);
        expect(await backend.read(`${KEY}1`)).toBe(undefined);
        expectRemaining(
          (await backend.read(`${KEY}2`))?.expiresInMs ?? 0,
          options.expiry === "clock" ? 59_850 : 60_000,
        );
      });

      it("counts freshness and life down together", async () => {
        await backend.write(KEY, stored({ staleInMs: 200, expiresInMs: 60_200 }));
        await pass(200);
        const entry = await backend.read(KEY);
        expect(entry?.staleInMs).toBeLessThanOrEqual(0);
        expect(entry!.expiresInMs - entry!.staleInMs).toBeGreaterThanOrEqual(60_000 - SERVER_ROUNDING_MS);
        expect(entry!.expiresInMs - entry!.staleInMs).toBeLessThanOrEqual(60_000 + SERVER_ROUNDING_MS);
      });

      it("answers with a remaining life of at least 1", async () => {
        await backend.write(KEY, stored({ staleInMs: 50, expiresInMs: 50 }));
        for (let read = 0; read < 40; read += 1) {
          const entry = await backend.read(KEY);
          if (entry === undefined) break;
          expect(entry.expiresInMs).toBeGreaterThanOrEqual(1);
          if (options.expiry === "clock") clock.advance(3);
          else await scheduler.wait(3);
        }
      });
    });

    describe("removes:", () => {
      it("an entry, once", async () => {
        await backend.write(KEY, stored());
        expect(await backend.remove(KEY)).toBe("deleted");
        expect(await backend.read(KEY)).toBe(undefined);
        expect(await backend.remove(KEY)).toBe("missing");
      });

      it("no other", async () => {
        await backend.write(`${KEY}1`, stored({ meta: "1" }));
        await backend.write(`${KEY}11`, stored({ meta: "11" }));
        await backend.remove(`${KEY}1`);
        expectEntry(await backend.read(`${KEY}11`), stored({ meta: "11" }));
      });

      it("so that the key can be written again", async () => {
        await backend.write(KEY, stored({ meta: "first" }));
        await backend.remove(KEY);
        await backend.write(KEY, stored({ meta: "second" }));
        expectEntry(await backend.read(KEY), stored({ meta: "second" }));
      });
    });

    describe("keys:", () => {
      it.each(PECULIAR_KEYS)("one %s", async (_, key) => {
        await backend.write(key, stored({ meta: "own" }));
        expectEntry(await backend.read(key), stored({ meta: "own" }));
        expect(await backend.remove(key)).toBe("deleted");
        expect(await backend.read(key)).toBe(undefined);
      });

      it("no two ever collide", async () => {
        for (const [what, key] of PECULIAR_KEYS) await backend.write(key, stored({ meta: what }));
        const metas = [];
        for (const [, key] of PECULIAR_KEYS) metas.push((await backend.read(key))?.meta);
        expect(metas).toEqual(PECULIAR_KEYS.map(([what]) => what));
      });
    });

    describe("at the same time:", () => {
      it("many keys are written and read", async () => {
        const keys = Array.from({ length: 300 }, (_, i) => `${KEY}${i}`);
        await Promise.all(
          keys.map((key, i) => backend.write(key, stored({ data: Uint8Array.of(i % 256), meta: key }))),
        );
        const entries = await Promise.all(keys.map((key) => backend.read(key)));
        entries.forEach((entry, i) => expectEntry(entry, stored({ data: Uint8Array.of(i % 256), meta: keys[i]! })));
      });

      it("writes of one key leave one of them, whole", async () => {
        const versions = Array.from({ length: 20 }, (_, i) =>
          stored({
            data: new Uint8Array(100 * i).fill(i),
            meta: `version ${i}`,
            staleInMs: 100_000 * (i + 1),
            expiresInMs: 200_000 * (i + 1),
          }),
        );
        await Promise.all(versions.map((entry) => backend.write(KEY, entry)));
        const entry = await backend.read(KEY);
        expectEntry(entry, versions.find(({ meta }) => meta === entry?.meta) ?? stored());
      });

      it("reads concurrent with writes see one of them, whole, or nothing", async () => {
        const versions = Array.from({ length: 20 }, (_, i) =>
          stored({ data: new Uint8Array(100 * i).fill(i), meta: `version ${i}` }),
        );
        const reads: Promise<StoredEntry | undefined>[] = [];
        await Promise.all(
          versions.map((entry) => {
            const written = backend.write(KEY, entry);
            reads.push(backend.read(KEY));
            return written;
          }),
        );
        for (const entry of await Promise.all(reads)) {
          if (entry !== undefined) expectEntry(entry, versions.find(({ meta }) => meta === entry.meta) ?? stored());
        }
      });

      it("removals of one key count it once", async () => {
        await backend.write(KEY, stored());
        const statuses = await Promise.all(Array.from({ length: 10 }, () => backend.remove(KEY)));
        expect(statuses.filter((status) => status === "deleted").length).toBe(1);
        expect(await backend.read(KEY)).toBe(undefined);
      });
    });

    describe("opens and closes:", () => {
      it("connects ahead of the first call, also twice", async () => {
        await backend.connect?.();
        await backend.connect?.();
        await backend.write(KEY, stored());
        expectEntry(await backend.read(KEY), stored());
      });

      it("closes twice, also at the same time, and before its first call", async () => {
        await backend.close();
        await Promise.all([backend.close(), backend.close()]);
        expect(await backend.close()).toBe(undefined);
      });

      it("answers after close as before, or rejects with BackendUnavailableError", async () => {
        await backend.write(KEY, stored());
        await backend.close();
        for (const [, call] of CALLS) {
          const error: unknown = await call(backend).then(
            () => undefined,
            (reason: unknown) => reason,
          );
          if (error !== undefined) expect(error).toBeInstanceOf(BackendUnavailableError);
        }
      });
    });

    describe("markStale, if it has it:", () => {
      const markStale = (key: string) => backend.markStale?.(key);

      it("ends freshness; bytes, meta and a stale window remain", async () => {
        const data = Uint8Array.of(0, 255);
        await backend.write(KEY, stored({ data, meta: "etag", staleInMs: 60_000, expiresInMs: 90_000 }));
        if (backend.markStale === undefined) return;
        expect(await markStale(KEY)).toBe("stale");
        const entry = await backend.read(KEY);
        expect(Buffer.from(entry!.data).equals(data)).toBe(true);
        expect(entry!.meta).toBe("etag");
        expect(entry!.staleInMs).toBeLessThanOrEqual(0);
        expect(entry!.staleInMs).toBeGreaterThanOrEqual(-SERVER_LAG_MS);
        // 30 s of the window are left; a store that keeps the end of the life may report more.
        expect(entry!.expiresInMs).toBeGreaterThanOrEqual(30_000 - SERVER_LAG_MS);
        expect(entry!.expiresInMs).toBeLessThanOrEqual(90_000 + SERVER_ROUNDING_MS);
      });

      it("does not prolong the life of an entry that is already stale", async () => {
        await backend.write(KEY, stored({ staleInMs: -10_000, expiresInMs: 20_000 }));
        if (backend.markStale === undefined) return;
        expect(await markStale(KEY)).toBe("stale");
        const entry = await backend.read(KEY);
        expect(entry!.staleInMs).toBeLessThanOrEqual(0);
        expect(entry!.expiresInMs).toBeLessThanOrEqual(20_000 + SERVER_ROUNDING_MS);
      });

      it("leaves nothing fresh of an entry without a stale window, and of one without an end", async () => {
        await backend.write(`${KEY}1`, stored({ staleInMs: 60_000, expiresInMs: 60_000 }));
        await backend.write(`${KEY}2`, stored({ staleInMs: Infinity, expiresInMs: Infinity }));
        if (backend.markStale === undefined) return;
        for (const key of [`${KEY}1`, `${KEY}2`]) {
          expect(["stale", "missing"]).toContain(await markStale(key));
          expect((await backend.read(key))?.staleInMs ?? 0).toBeLessThanOrEqual(0);
        }
      });

      it("reports a missing entry, and creates none", async () => {
        if (backend.markStale === undefined) return;
        expect(await markStale(KEY)).toBe("missing");
        expect(await backend.read(KEY)).toBe(undefined);
        await backend.write(KEY, stored({ staleInMs: 0, expiresInMs: 100 }));
        await pass(100);
        expect(await markStale(KEY)).toBe("missing");
        expect(await backend.read(KEY)).toBe(undefined);
      });

      it("touches no other entry", async () => {
        await backend.write(`${KEY}1`, stored());
        await backend.write(`${KEY}2`, stored());
        await markStale(`${KEY}1`);
        expectEntry(await backend.read(`${KEY}2`), stored());
      });
    });

    describe("batch, if it has it:", () => {
      it("does nothing with nothing", async () => {
        if (backend.batch === undefined) return;
        expect(await backend.batch.read([])).toEqual([]);
      });

      it("reads in the order of the keys, missing and repeated ones included", async () => {
        for (const part of ["a", "b", "c"]) await backend.write(KEY + part, stored({ meta: part }));
        if (backend.batch === undefined) return;
        const entries = await backend.batch.read(["c", "-", "a", "c", "b", "+", "a"].map((part) => KEY + part));
        expect(entries.map((entry) => found(entry)?.meta)).toEqual(["c", undefined, "a", "c", "b", undefined, "a"]);
      });

      it("reads each entry as a single read does", async () => {
        const entries = [
          stored({ data: Uint8Array.of(0, 255), meta: "\u{1f98a}", staleInMs: -5_000, expiresInMs: 60_000 }),
          stored({ data: new Uint8Array(0), meta: "" }),
          stored({ staleInMs: Infinity, expiresInMs: Infinity }),
        ];
        for (const [i, entry] of entries.entries()) await backend.write(KEY + i, entry);
        if (backend.batch === undefined) return;
        const read = await backend.batch.read(entries.map((_, i) => KEY + i));
        read.forEach((entry, i) => expectEntry(found(entry), entries[i]!));
      });

      it("takes peculiar keys", async () => {
        if (backend.batch === undefined) return;
        const keys = PECULIAR_KEYS.map(([, key]) => key);
        for (const [what, key] of PECULIAR_KEYS) await backend.write(key, stored({ meta: what }));
        expect((await backend.batch.read(keys)).map((entry) => found(entry)?.meta)).toEqual(
          PECULIAR_KEYS.map(([what]) => what),
        );
      });

      it("reads no entry whose life has ended", async () => {
        await backend.write(`${KEY}1`, stored({ staleInMs: 100, expiresInMs: 100 }));
        await backend.write(`${KEY}2`, stored({ meta: "2" }));
        await pass(100);
        if (backend.batch === undefined) return;
        expect((await backend.batch.read([`${KEY}1`, `${KEY}2`])).map((entry) => found(entry)?.meta)).toEqual([
          undefined,
          "2",
        ]);
      });
    });

    describeLeases(subject);
    describeContention(subject);
    describeTagVersions(subject);
    describeCoherence(subject);
    if (options.count !== undefined) describeReclaiming(subject, options.count);

    const { delayed } = options;
    if (delayed !== undefined)
      it.for([0.8, Infinity])(
        "settles each call within its deadline: answers that take %f of it, for each command",
        async (delay) => {
          const { backend: slow, delay: delayBy } = await delayed();
          const deadlineMs = slow.deadlineMs ?? 1_000;
          try {
            await slow.connect?.();
            delayBy(delay * deadlineMs);
            const isOver = runsFor(1.5 * deadlineMs).then(() => "still waits");
            const settled = [...CALLS, ...CAPABILITY_CALLS].map(async ([operation, call]) => {
              const calling = call(slow);
              if (calling === undefined) return undefined;
              const ended = calling.then(
                () => "answered",
                (error: unknown) =>
                  error instanceof BackendUnavailableError ? "unavailable" : `another error: ${String(error)}`,
              );
              return [operation, await Promise.race([ended, isOver])];
            });
            const outcomes = (await Promise.all(settled)).filter((each) => each !== undefined);
            expect(outcomes.filter(([, ended]) => ended === "still waits")).toEqual([]);
            if (delay === Infinity)
              expect(new Set(outcomes.map(([, ended]) => ended))).toEqual(new Set(["unavailable"]));
          } finally {
            await slow.close();
          }
        },
      );

    if (options.unreachable !== undefined) {
      describe("rejects with BackendUnavailableError while its store cannot be reached:", () => {
        it.each([...CALLS, ...CAPABILITY_CALLS])("%s", async (_, call) => {
          const lost = await options.unreachable!();
          try {
            const answer = call(lost);
            if (answer !== undefined) await expect(answer).rejects.toBeInstanceOf(BackendUnavailableError);
          } finally {
            await lost.close();
          }
        });
      });
    }
  });
}

const CALLS: readonly (readonly [operation: string, call: (backend: Backend) => Promise<unknown>])[] = [
  ["read", (backend) => backend.read(KEY)],
  ["write", (backend) => backend.write(KEY, stored())],
  ["remove", (backend) => backend.remove(KEY)],
];

const CAPABILITY_CALLS: readonly (readonly [
  operation: string,
  call: (backend: Backend) => Promise<unknown> | undefined,
])[] = [
  ["markStale", (backend) => backend.markStale?.(KEY)],
  ["batch.read", ({ batch }) => batch?.read([KEY, `${KEY}2`])],
  ["leases.acquire", ({ leases }) => leases?.acquire({ key: KEY, token: "token", leaseMs: 1_000, seen: "" })],
  ["leases.renew", ({ leases }) => leases?.renew(KEY, "token", 1_000)],
  ["leases.release", ({ leases }) => leases?.release(KEY, "token")],
  ["leases.store", ({ leases }) => leases?.store(KEY, "token", "", stored())],
  ["leases.confirm", ({ leases }) => leases?.confirm(KEY)],
  ["tagVersions.read", ({ tagVersions }) => tagVersions?.read(["{~shop}::tag"])],
  ["tagVersions.pin", ({ tagVersions }) => tagVersions?.pin(["{~shop}::tag"])],
  ["tagVersions.unchangedSince", ({ tagVersions }) => tagVersions?.unchangedSince("at", ["{~shop}::tag"])],
  ["tagVersions.renew", ({ tagVersions }) => tagVersions?.renew(["{~shop}::tag"], "hard")],
];
