import { TestClock } from "@hotset/testing";
import { expect, it, vi } from "vitest";
import { nameOf } from "./record-names.ts";
import { Records } from "./records.ts";
import { SwapLog, type LoggedChange, type LogPosition } from "./swap-log.ts";
import type { SwapRecord, SwapStore } from "./swap-store.ts";

/** Two processes over one store that counts its calls, and the names that `peer` reads of the log. */
function opened(maxRecordBytes = Infinity) {
  const store = new CountingStore();
  const clock = new TestClock();
  const process = () => new SwapLog(new Records(store, { label: "swap", clock, deadlineMs: 1_000 }), maxRecordBytes);
  return { store, own: process(), peer: process() };
}

const key = (n: number): string => `key ${String(n).padStart(4, "0")}`;

async function append(log: SwapLog<number>, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n += 1) await log.append({ keys: [key(n)] });
}

it("a reader that is far behind reads each change once and in order, through the segments", async () => {
  const { own, peer } = opened();
  let { position } = await peer.changesSince(undefined);
  await append(own, 0, 2_000);
  const keys: string[] = [];
  const read = async (): Promise<void> => {
    const found = await peer.changesSince(position);
    expect(found.isCut).toBe(false);
    position = found.position;
    keys.push(...(found.keys ?? []));
  };
  await read();
  await append(own, 2_000, 2_003);
  await read();
  await read();
  expect(keys).toEqual(Array.from({ length: 2_003 }, (_, n) => key(n)));
});

it("two processes that append at the same time lose no change of each other", async () => {
  const { own, peer } = opened();
  const { position } = await own.changesSince(undefined);
  const changes = Array.from({ length: 400 }, (_, n) => key(n));
  await Promise.all(changes.map((each, n) => (n % 2 === 0 ? own : peer).append({ keys: [each] })));
  expect((await own.changesSince(position)).keys?.toSorted()).toEqual(changes);
});

it("a reader is cut where the log was lost, or no longer reaches back", async () => {
  const { store, own, peer } = opened();
  const { position } = await peer.changesSince(undefined);
  await append(own, 0, 10);
  store.records.clear();
  expect(await peer.changesSince(position)).toMatchObject({ isCut: true });

  const { position: later } = await peer.changesSince(undefined);
  await append(own, 0, 2_000);
  for (const [name] of store.records) if (name.startsWith("s")) store.records.delete(name);
  expect(await peer.changesSince(later)).toMatchObject({ isCut: true });
  const position2: LogPosition = (await peer.changesSince(later)).position;
  expect((await peer.changesSince({ ...position2, next: position2.next + 1 })).isCut).toBe(true);
});

it("a change that no record could hold is one of everything, and no record is longer than the store takes", async () => {
  const { store, own, peer } = opened(4_000);
  const { position } = await peer.changesSince(undefined);
  await own.append({ tags: Array.from({ length: 300 }, (_, n) => key(n)) });
  expect(await peer.changesSince(position)).toMatchObject({ isCut: true, tags: [] });
  await append(own, 0, 300);
  expect(store.longest).toBeLessThanOrEqual(4_000);
});

it("a change of keys outside of ASCII is one of everything by its bytes, not by its characters", async () => {
  const { store, own, peer } = opened(4_000);
  const { position } = await peer.changesSince(undefined);
  const keys = Array.from({ length: 60 }, (_, n) => `${"\u58f6".repeat(20)}${n}`);
  await own.append({ keys });
  expect(store.longest).toBeLessThanOrEqual(4_000);
  expect(await peer.changesSince(position)).toMatchObject({ isCut: true, keys: [] });
});

it("a part that has a key twice names no version of it: writers append after their changes", async () => {
  const { own, peer } = opened();
  let { position } = await peer.changesSince(undefined);
  const written = (name: string, version: string): LoggedChange => ({ keys: [name], versions: { [name]: version } });
  await own.append(written("a", "2"));
  await own.append(written("a", "1"));
  await own.append(written("b", "3"));
  const both = await peer.changesSince(position);
  expect(both.versions).toEqual(new Map([["b", "3"]]));
  ({ position } = both);
  await own.append(written("a", "4"));
  expect((await peer.changesSince(position)).versions).toEqual(new Map([["a", "4"]]));
});

it("appends what came meanwhile with one swap", async () => {
  const { store, own, peer } = opened();
  const { position } = await peer.changesSince(undefined);
  store.swaps = 0;
  await Promise.all(Array.from({ length: 50 }, (_, n) => own.append({ keys: [key(n)] })));
  expect(store.swaps).toBe(2);
  expect((await peer.changesSince(position)).keys).toHaveLength(50);
});

it("reads of one turn are one call of a store that takes many names", async () => {
  const store = new CountingStore();
  const getMany = vi.fn((names: readonly string[]) => Promise.all(names.map((name) => store.get(name))));
  const records = new Records(Object.assign(store, { getMany }), {
    label: "s",
    clock: new TestClock(),
    deadlineMs: 99,
  });
  await store.swap("b", Buffer.from("2"), undefined);
  // A name that is asked for twice is sent once: some stores refuse it.
  const found = await Promise.all(["a", "b", "c", "b"].map((name) => records.get(name)));
  expect(found.map((bytes) => bytes && Buffer.from(bytes).toString())).toEqual([undefined, "2", undefined, "2"]);
  expect(getMany.mock.calls).toEqual([[["a", "b", "c"]]]);
});

it("a name is the same with the hash of the web, where there is no node:crypto", async () => {
  const names = [await nameOf("e", "user:é\0"), await nameOf("l", "")];
  vi.stubGlobal("process", { ...process, getBuiltinModule: undefined });
  try {
    const first = nameOf("e", "user:é\0");
    expect(first).toBeInstanceOf(Promise);
    expect([await first, await nameOf("l", "")]).toEqual(names);
  } finally {
    vi.unstubAllGlobals();
  }
  expect(names[0]).toMatch(/^[\w-]{44}$/);
});

class CountingStore implements SwapStore<number> {
  readonly records = new Map<string, SwapRecord<number>>();
  swaps = 0;
  longest = 0;
  #n = 0;

  async get(name: string): Promise<SwapRecord<number> | undefined> {
    return this.records.get(name);
  }

  async swap(name: string, bytes: Uint8Array, expected: number | undefined): Promise<number | undefined> {
    if (this.records.get(name)?.version !== expected) return undefined;
    this.swaps += 1;
    this.longest = Math.max(this.longest, bytes.length);
    const version = (this.#n += 1);
    this.records.set(name, { bytes, version });
    return version;
  }

  async delete(name: string, expected: number): Promise<boolean> {
    return this.records.get(name)?.version === expected && this.records.delete(name);
  }

  close(): void {}
}
