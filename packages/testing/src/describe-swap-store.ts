import { scheduler } from "node:timers/promises";
import { BackendUnavailableError, type Awaitable } from "@hotset/core";
import type { SwapRecord, SwapStore } from "@hotset/core/stores";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { apart } from "./apart.ts";

/** How the suite opens a store, and what it must hold. */
export interface DescribeSwapStoreOptions<V> {
  /** A client of an empty store. The suite closes it. An error, or a rejection, fails the test. */
  open(): Awaitable<SwapStore<V>>;
  /** Another client of the store that `open` made last, as another process has it. The suite closes it. */
  openPeer(): Awaitable<SwapStore<V>>;
  /**
   * A client of the store that `open` made last in another process, such as one of `forkSwapStore` of
   * `hotset/testing`. Needed if the driver is synchronous, as those of SQLite are: clients of one process never meet at
   * a record then, so a swap in two steps is not found without it. The suite opens three, once, and closes them.
   * @default not tested
   */
  readonly openElsewhere?: (() => Awaitable<SwapStore<V>>) | undefined;
  /** The longest record that the store takes, in bytes. @default 64 KiB */
  readonly maxRecordBytes?: number | undefined;
}

/**
 * The contract of {@link SwapStore}, as a suite for Vitest. Four clients meet at the same record again and again, so a
 * store that compares and sets in two steps is found, and so is one whose versions come back, whose conditions do not
 * count, or that drops a record before its time. Takes some seconds, three of them real time for lives.
 *
 * Throws nothing: a broken promise of the contract is a failed test.
 */
export function describeSwapStore<V>(name: string, options: DescribeSwapStoreOptions<V>): void {
  let clients: readonly SwapStore<V>[];

  // Longer than the default of Vitest: a store may be slow, and so may the machine.
  describe(`${name} keeps the contract of SwapStore`, { timeout: 120_000 }, () => {
    beforeEach(async () => {
      clients = [
        await options.open(),
        ...(await Promise.all(Array.from({ length: CLIENTS - 1 }, async () => options.openPeer()))),
      ];
    }, HOOK_MS);

    afterEach(async () => {
      for (const client of clients) await client.close();
    }, HOOK_MS);

    describeRecords(() => clients, options.maxRecordBytes ?? 64 * 2 ** 10);
    describeConditions(() => clients);
    describeContention(() => clients);
    describeElsewhere(() => clients, options);
    describeClose(() => clients);

    it("keeps a record until its life has ended: a life is never rounded down", async () => {
      const [store] = clients as [SwapStore<V>];
      await Promise.all(LIVES_MS.map((ttlMs, place) => livesFor(store, nameOf(90 + place), ttlMs)));
    });
  });
}

function describeRecords<V>(clients: () => readonly SwapStore<V>[], maxRecordBytes: number): void {
  it.each([
    ["every byte", Uint8Array.from({ length: 256 }, (_, i) => i)],
    ["no bytes", new Uint8Array()],
    ["a view into a larger buffer", Uint8Array.from({ length: 256 }, (_, i) => i).subarray(100, 110)],
    ["the longest record", Uint8Array.from({ length: maxRecordBytes }, (_, i) => (i * 31) % 251)],
  ])("gives back the bytes that were set, to each client: %s", async (_, bytes) => {
    const [store] = clients() as [SwapStore<V>];
    expect(await store.get(NAME)).toBe(undefined);
    expect(await store.swap(NAME, bytes, undefined, HOUR_MS)).not.toBe(undefined);
    for (const client of clients()) {
      const found = (await client.get(NAME))?.bytes;
      expect(found?.length).toBe(bytes.length);
      // Not as arrays: for a million numbers that takes seconds.
      const differing = bytes.findIndex((byte, i) => found![i] !== byte);
      expect(differing, "the place of the first byte that differs").toBe(-1);
    }
  });

  it("gives back the bytes after the caller has reused its buffer", async () => {
    const [store] = clients() as [SwapStore<V>];
    const bytes = Uint8Array.of(1, 2, 3);
    await store.swap(NAME, bytes, undefined, HOUR_MS);
    bytes.fill(9);
    (await store.get(NAME))!.bytes.fill(8);
    expect(bytesOf(await store.get(NAME))).toEqual([1, 2, 3]);
  });

  it("tells names apart that differ in the case of a letter", async () => {
    const [store, other] = clients() as [SwapStore<V>, SwapStore<V>];
    const [upper, lower] = [`${"A".repeat(43)}-`, `${"a".repeat(43)}-`];
    await store.swap(upper, Uint8Array.of(1), undefined, HOUR_MS);
    expect(await other.get(lower)).toBe(undefined);
    await store.swap(lower, Uint8Array.of(2), undefined, HOUR_MS);
    expect([bytesOf(await other.get(upper)), bytesOf(await other.get(lower))]).toEqual([[1], [2]]);
  });

  it.each([Infinity, 400 * 86_400_000, 31 * 86_400_000, 1_000.5])("takes a life of %d ms", async (ttlMs) => {
    const [store, other] = clients() as [SwapStore<V>, SwapStore<V>];
    expect(await store.swap(NAME, Uint8Array.of(1), undefined, ttlMs)).not.toBe(undefined);
    expect(bytesOf(await other.get(NAME))).toEqual([1]);
  });

  it("gives many records in the order of their names, if it has getMany", async () => {
    const [store, other] = clients() as [SwapStore<V>, SwapStore<V>];
    if (other.getMany === undefined) return;
    const names = Array.from({ length: 120 }, (_, place) => nameOf(place));
    for (const [place, name] of names.entries())
      if (place % 3 > 0) await store.swap(name, Uint8Array.of(place), undefined, HOUR_MS);
    const shuffled = names.map((_, place) => names[(place * 49) % names.length]!);
    const found = await other.getMany(shuffled);
    expect(found.map(bytesOf)).toEqual(
      shuffled.map((name) => (names.indexOf(name) % 3 > 0 ? [names.indexOf(name)] : undefined)),
    );
    const [name, record] = [shuffled[1]!, found[1]!];
    expect(await store.swap(name, Uint8Array.of(255), record.version, HOUR_MS), "over what getMany gave").not.toBe(
      undefined,
    );
    expect((await other.getMany(shuffled.slice(0, 2))).map(bytesOf), "after a change").toEqual([undefined, [255]]);
  });

  it("shows each client a change as soon as it was acknowledged to any", async () => {
    for (let round = 0; round < 40; round += 1) {
      const writer = clients()[round % CLIENTS]!;
      const before = await writer.get(NAME);
      expect(await writer.swap(NAME, Uint8Array.of(round), before?.version, HOUR_MS)).not.toBe(undefined);
      for (const client of clients()) expect(bytesOf(await client.get(NAME)), `round ${round}`).toEqual([round]);
    }
  });
}

function describeConditions<V>(clients: () => readonly SwapStore<V>[]): void {
  it("sets a record over none only where there is none", async () => {
    const [store, other] = clients() as [SwapStore<V>, SwapStore<V>];
    await store.swap(NAME, Uint8Array.of(1), undefined, HOUR_MS);
    expect(await other.swap(NAME, Uint8Array.of(2), undefined, HOUR_MS)).toBe(undefined);
    expect(bytesOf(await store.get(NAME))).toEqual([1]);
  });

  it("refuses a swap and a delete of a version that was replaced, and leaves the record as it is", async () => {
    const [store, other] = clients() as [SwapStore<V>, SwapStore<V>];
    await store.swap(NAME, Uint8Array.of(1), undefined, HOUR_MS);
    const { version } = (await other.get(NAME))!;
    await swapped(store, NAME, Uint8Array.of(2));
    expect(await other.swap(NAME, Uint8Array.of(3), version, HOUR_MS)).toBe(undefined);
    expect(await other.delete(NAME, version)).toBe(false);
    expect(bytesOf(await other.get(NAME))).toEqual([2]);
  });

  it("refuses a swap and a delete of a version whose record was deleted", async () => {
    const [store, other] = clients() as [SwapStore<V>, SwapStore<V>];
    await store.swap(NAME, Uint8Array.of(1), undefined, HOUR_MS);
    const { version } = (await other.get(NAME))!;
    expect(await store.delete(NAME, (await store.get(NAME))!.version)).toBe(true);
    expect(await other.swap(NAME, Uint8Array.of(3), version, HOUR_MS)).toBe(undefined);
    expect(await other.delete(NAME, version)).toBe(false);
    expect(await other.get(NAME)).toBe(undefined);
  });

  it("returns from a swap the version that the record has then", async () => {
    const [store] = clients() as [SwapStore<V>];
    let version: V | undefined;
    for (let i = 0; i < 10; i += 1) {
      version = await store.swap(NAME, Uint8Array.of(i), version, HOUR_MS);
      expect(version, `swap ${i}`).not.toBe(undefined);
    }
    expect(await store.delete(NAME, version!)).toBe(true);
  });

  it("never gives a version again, neither to bytes of the same length nor after the record was deleted", async () => {
    const [store, other] = clients() as [SwapStore<V>, SwapStore<V>];
    const remembered: V[] = [];
    for (let i = 0; i < 40; i += 1) {
      // No two records are equal; every fifth is set after a delete.
      const bytes = Uint8Array.of(i, 7, 7, 7);
      const before = await other.get(NAME);
      if (before !== undefined && i % 5 === 0) expect(await other.delete(NAME, before.version)).toBe(true);
      await swapped(other, NAME, bytes);
      const { version } = (await store.get(NAME))!;
      for (const old of remembered)
        expect(await store.delete(NAME, old), `a version of one of ${i} earlier records names this one`).toBe(false);
      remembered.push(version);
    }
  });

  it("does not carry out a swap twice whose answer was lost", async () => {
    const [store, other] = clients() as [SwapStore<V>, SwapStore<V>];
    await store.swap(NAME, Uint8Array.of(1), undefined, HOUR_MS);
    const { version } = (await store.get(NAME))!;
    // Executed, and its answer is not looked at: the caller asks again with what it knew.
    await store.swap(NAME, Uint8Array.of(2), version, HOUR_MS);
    await swapped(other, NAME, Uint8Array.of(3));
    expect(await store.swap(NAME, Uint8Array.of(2), version, HOUR_MS)).toBe(undefined);
    expect(bytesOf(await store.get(NAME))).toEqual([3]);
  });
}

function describeContention<V>(clients: () => readonly SwapStore<V>[]): void {
  /** What each client reads, before any of them acts. */
  const readByAll = (name: string): Promise<(SwapRecord<V> | undefined)[]> =>
    Promise.all(clients().map((client) => client.get(name)));

  it.each(["where there is none", "over the record that all have read"])(
    "one of many swaps wins: %s",
    async (where) => {
      for (let round = 0; round < ROUNDS; round += 1) {
        const name = nameOf(round);
        if (where.startsWith("over")) await clients()[0]!.swap(name, Uint8Array.of(255), undefined, HOUR_MS);
        const read = await readByAll(name);
        const answers = await Promise.all(
          clients().map((client, place) =>
            apart(place, round).then(() => client.swap(name, Uint8Array.of(place), read[place]?.version, HOUR_MS)),
          ),
        );
        const winners = answers.flatMap((version, place) => (version === undefined ? [] : [place]));
        expect(winners.length, `winners of round ${round}`).toBe(1);
        expect(bytesOf(await clients()[round % CLIENTS]!.get(name)), `round ${round}`).toEqual(winners);
      }
    },
  );

  it("of a swap and a delete of one version, one wins", async () => {
    const [store, other] = clients() as [SwapStore<V>, SwapStore<V>];
    for (let round = 0; round < ROUNDS; round += 1) {
      const name = nameOf(round);
      await store.swap(name, Uint8Array.of(255), undefined, HOUR_MS);
      const [own, theirs] = (await readByAll(name)) as [SwapRecord<V>, SwapRecord<V>];
      const [isDeleted, version] = await Promise.all([
        apart(0, round).then(() => store.delete(name, own.version)),
        apart(1, round).then(() => other.swap(name, Uint8Array.of(1), theirs.version, HOUR_MS)),
      ]);
      expect(isDeleted, `round ${round}`).toBe(version === undefined);
      expect(bytesOf(await store.get(name)), `round ${round}`).toEqual(isDeleted ? undefined : [1]);
    }
  });

  it("counts to a hundred with four clients: no swap is lost", async () => {
    await Promise.all(clients().map((client) => countOn(client, 100 / CLIENTS)));
    expect(await counted(clients()[0]!)).toBe(100);
  });
}

function describeElsewhere<V>(
  clients: () => readonly SwapStore<V>[],
  { openElsewhere }: DescribeSwapStoreOptions<V>,
): void {
  it.skipIf(openElsewhere === undefined)(
    "counts to a thousand with clients in three other processes: no swap is lost",
    async () => {
      const [store] = clients() as [SwapStore<V>];
      const others = await Promise.all([1, 2, 3].map(async () => openElsewhere!()));
      try {
        // All are there before any of them begins.
        await Promise.all(others.map((client) => client.get(NAME)));
        await Promise.all([store, ...others].map((client) => countOn(client, 250)));
        expect(await counted(store)).toBe(1_000);
      } finally {
        for (const client of others) await client.close();
      }
    },
  );
}

function describeClose<V>(clients: () => readonly SwapStore<V>[]): void {
  it("closes twice, also at the same time, and leaves the other clients open", async () => {
    const [store, other] = clients() as [SwapStore<V>, SwapStore<V>];
    await store.swap(NAME, Uint8Array.of(1), undefined, HOUR_MS);
    await Promise.all([store.close(), store.close()]);
    await store.close();
    expect(bytesOf(await other.get(NAME))).toEqual([1]);
  });

  it("answers after close as before, or rejects with BackendUnavailableError", async () => {
    const [store, other] = clients() as [SwapStore<V>, SwapStore<V>];
    await store.swap(NAME, Uint8Array.of(1), undefined, HOUR_MS);
    const { version } = (await other.get(NAME))!;
    await store.close();
    const calls = [
      () => store.get(NAME),
      () => store.swap(NAME, Uint8Array.of(2), version, HOUR_MS),
      () => store.delete(NAME, version),
    ];
    for (const call of calls) {
      const error: unknown = await call().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (error !== undefined) expect(error).toBeInstanceOf(BackendUnavailableError);
    }
  });
}

/** Adds one to the number in the record, `times` times, each over what it read. */
async function countOn<V>(client: SwapStore<V>, times: number): Promise<void> {
  for (let i = 0; i < times;) {
    const found = await client.get(NAME);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, numberIn(found) + 1);
    if ((await client.swap(NAME, bytes, found?.version, HOUR_MS)) !== undefined) i += 1;
  }
}

const counted = async <V>(client: SwapStore<V>): Promise<number> => numberIn(await client.get(NAME));

const numberIn = <V>(record: SwapRecord<V> | undefined): number =>
  record === undefined ? 0 : new DataView(record.bytes.buffer, record.bytes.byteOffset).getUint32(0);

/** Sets the record over whatever `store` reads of it. */
async function swapped<V>(store: SwapStore<V>, name: string, bytes: Uint8Array, ttlMs = HOUR_MS): Promise<void> {
  const found = await store.get(name);
  expect(await store.swap(name, bytes, found?.version, ttlMs)).not.toBe(undefined);
}

/** Checks shortly before the end; on a machine that comes too late, with a new record. */
async function livesFor<V>(store: SwapStore<V>, name: string, ttlMs: number): Promise<void> {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const sentAt = performance.now();
    await swapped(store, name, Uint8Array.of(attempt), ttlMs);
    await scheduler.wait(ttlMs - 150);
    const found = await store.get(name);
    if (performance.now() - sentAt >= ttlMs) continue;
    return expect(bytesOf(found), `a record that lives for ${ttlMs} ms`).toEqual([attempt]);
  }
  throw new Error(`20 records of ${ttlMs} ms were each read too late: the machine is too busy to say`);
}

const bytesOf = (record: { readonly bytes: Uint8Array } | undefined): readonly number[] | undefined =>
  record && [...record.bytes];

/** A name as `fromSwap` makes them. */
const nameOf = (place: number): string => `e${"Zz9-_".repeat(8)}${String(place).padStart(3, "0")}`;

const NAME = nameOf(0);
const CLIENTS = 4;
const ROUNDS = 25;
/** A client may be a process, and the machine busy. */
const HOOK_MS = 60_000;
const HOUR_MS = 3_600_000;
/** Two that a store with seconds rounds. */
const LIVES_MS = [900, 1_999, 2_700.5];
