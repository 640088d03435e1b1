import type { Backend, StoredEntry } from "@hotset/core";
import { createTestCache, flush, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { fromSwap } from "./from-swap.ts";
import { Records } from "./records.ts";
import { SwapLog } from "./swap-log.ts";
import type { SwapRecord, SwapStore } from "./swap-store.ts";

const KEY = "shop::k";
const TAG = "{~shop}:users::ada";
const entry = (version: string): StoredEntry => ({
  ...{ data: Buffer.from(version), staleInMs: 60_000, expiresInMs: 90_000, meta: "", version },
});

const steps: Readonly<Record<string, readonly [step: (backend: Backend) => Promise<unknown>, logged: object]>> = {
  write: [(backend) => backend.write(KEY, entry("v2")), { keys: [KEY], versions: new Map([[KEY, "v2"]]) }],
  remove: [(backend) => backend.remove(KEY), { keys: [KEY] }],
  markStale: [(backend) => backend.markStale!(KEY), { keys: [KEY] }],
  touch: [(backend) => backend.leases!.touch(KEY, "v1", { staleInMs: 1, expiresInMs: 2, meta: "" }), { keys: [KEY] }],
  renew: [(backend) => backend.tagVersions!.renew([TAG], "hard"), { tags: [TAG] }],
};

describe.each(Object.keys(steps))("a %s whose place in the log is refused", (name) => {
  const [step, logged] = steps[name]!;

  it("is carried out and rejects: it is not acknowledged before others can read of it", async () => {
    const store = new FullStore();
    const clock = new TestClock();
    const backend = fromSwap(store, { label: "swap", clock, log: true });
    const log = new SwapLog(new Records(store, { label: "swap", clock, deadlineMs: 1_000 }), Infinity);
    await backend.write(KEY, entry("v1"));
    const { position } = await log.changesSince(undefined);
    store.isLogFull = true;
    const before = store.changes;
    await expect(step(backend)).rejects.toThrow("the log is full");
    expect(store.changes).toBeGreaterThan(before);
    expect(await log.changesSince(position)).toMatchObject({ position, keys: [], tags: [] });
    store.isLogFull = false;
    await backend.remove(KEY);
    expect((await log.changesSince(position)).keys).toEqual([KEY]);
  });

  it("is in the log before it is answered, where that takes it", async () => {
    const store = new FullStore();
    const clock = new TestClock();
    const backend = fromSwap(store, { label: "swap", clock, log: true });
    const log = new SwapLog(new Records(store, { label: "swap", clock, deadlineMs: 1_000 }), Infinity);
    await backend.write(KEY, entry("v1"));
    const { position } = await log.changesSince(undefined);
    await step(backend);
    expect(await log.changesSince(position)).toMatchObject({ isCut: false, ...logged });
  });
});

it("a store under a lease that fails is in the log as a change: it may have been carried out", async () => {
  const store = new FullStore();
  const clock = new TestClock();
  const backend = fromSwap(store, { label: "swap", clock, log: true });
  const log = new SwapLog(new Records(store, { label: "swap", clock, deadlineMs: 1_000 }), Infinity);
  await backend.leases!.acquire({ key: KEY, token: "token", leaseMs: 2_000, seen: "" });
  const { position } = await log.changesSince(undefined);
  store.isFull = true;
  await expect(backend.leases!.store(KEY, "token", "", entry("v2"))).rejects.toThrow("the store is full");
  expect(await log.changesSince(position)).toMatchObject({ keys: [KEY] });
});

it("a copy is compared with its record after 30 s, as the process that changed it may have died before it was in the log", async () => {
  const store = new FullStore();
  const clock = new TestClock();
  const log = { busyMs: 1_000, idleMs: 1_000 };
  await using here = createTestCache({
    clock,
    ttl: "1h",
    backend: fromSwap(store, { label: "swap", clock, log }),
  });
  await using unlogged = createTestCache({
    clock,
    ttl: "1h",
    local: false,
    backend: fromSwap(store, { label: "swap", clock }),
  });
  const asked: (readonly [value: string | undefined, inStore: number])[] = [];
  const askAfterASecond = async (): Promise<void> => {
    clock.advance(1_000);
    await flush();
    asked.push([await here.get("k"), here.stats().tiers[1]!.hits]);
  };
  await here.set("k", "old");
  await askAfterASecond();
  await unlogged.set("k", "new");
  for (let i = 0; i < 30; i += 1) await askAfterASecond();
  const [value, inStore] = asked[0]!;
  expect(value).toBe("old");
  expect(asked.slice(1, 29)).toEqual(Array.from({ length: 28 }, () => ["old", inStore]));
  expect(asked.slice(29)).toEqual([
    ["new", inStore + 1],
    ["new", inStore + 1],
  ]);
});

/** A store that refuses swaps of the log, or of everything else. */
class FullStore implements SwapStore<number> {
  isLogFull = false;
  isFull = false;
  /** Swaps and deletes that were carried out. */
  changes = 0;
  readonly #records = new Map<string, SwapRecord<number>>();

  async get(name: string): Promise<SwapRecord<number> | undefined> {
    return this.#records.get(name);
  }

  async swap(name: string, bytes: Uint8Array, expected: number | undefined): Promise<number | undefined> {
    if (this.isLogFull && name.startsWith("l")) throw new Error("the log is full");
    if (this.isFull && !name.startsWith("l")) throw new Error("the store is full");
    if (this.#records.get(name)?.version !== expected) return undefined;
    this.changes += 1;
    this.#records.set(name, { bytes: bytes.slice(), version: this.changes });
    return this.changes;
  }

  async delete(name: string, expected: number): Promise<boolean> {
    if (this.#records.get(name)?.version !== expected) return false;
    this.changes += 1;
    this.#records.delete(name);
    return true;
  }

  async close(): Promise<void> {}
}
