/** The traffic of a service whose Redis fails, and what its callers notice. */
import { setTimeout as sleep } from "node:timers/promises";
import { answerCalls } from "@hotset/test-servers";
import type { Contender, Shape, Value } from "../contenders/contender.ts";
import { productNamed } from "../contenders/index.ts";
import type { Metrics } from "./workloads.ts";

const KEYS = 100;
const READS_PER_SECOND = 200;
const CHANGES_PER_SECOND = 20;
/** Some entries end during the fault. */
const TTL_MS = 2_000;

let contender: Contender | undefined;
let loads = 0;
let isMarked = false;
/** The source: the version of each key. */
const versions = new Map<string, number>();
/** By key: no later read may get an older version, since a deletion after the change succeeded. */
const floors = new Map<string, number>();
const failures = new Set<string>();

const handlers = {
  async open(product: string, shape: Shape, url: string): Promise<void> {
    contender = await productNamed(product).open({
      ...{ url, shape, prefix: "faults", ttlMs: TTL_MS, staleMs: 0, maxItems: 1_000, isTagged: false },
      isCompressed: false,
      load: async (key) => {
        if (isMarked) loads += 1;
        const version = versions.get(key) ?? 0;
        await sleep(5);
        return { key, version };
      },
    });
    // Some clients throw what no call can be blamed for.
    process.on("unhandledRejection", (error) => failures.add(String(error)));
  },

  /** From here on loads are counted. */
  mark(_what: string): void {
    isMarked = true;
  },

  async probe(key: string): Promise<void> {
    void contender!.getOrSet(key).catch(() => undefined);
  },

  async traffic(forMs: number, patienceMs: number): Promise<Metrics> {
    const seen = { failed: 0, wrong: 0, longestMs: 0, calls: 0, deletesFailed: 0 };
    const open = new Map<number, number>();
    const startedAt = performance.now();
    let read = 0;
    let changed = 0;
    while (performance.now() - startedAt < forMs) {
      const elapsed = (performance.now() - startedAt) / 1_000;
      for (; read < elapsed * READS_PER_SECOND; read += 1) void oneRead(read, open, seen);
      for (; changed < elapsed * CHANGES_PER_SECOND; changed += 1) void oneChange(changed, seen);
      await sleep(2);
    }
    const endsAt = performance.now() + patienceMs;
    while (open.size > 0 && performance.now() < endsAt) await sleep(10);
    const now = performance.now();
    for (const since of open.values()) seen.longestMs = Math.max(seen.longestMs, now - since);
    return { ...seen, failed: seen.failed + open.size, neverAnswered: open.size, loads, stray: failures.size };
  },
};

export type FaultWorker = typeof handlers;
answerCalls(handlers);

interface Seen {
  failed: number;
  wrong: number;
  longestMs: number;
  calls: number;
  deletesFailed: number;
}

async function oneRead(i: number, open: Map<number, number>, seen: Seen): Promise<void> {
  // A step that shares no divisor with the number of keys: all are read, none at the same rate as it is changed.
  const key = `user${(i * 37) % KEYS}x`;
  const floor = floors.get(key) ?? 0;
  const startedAt = performance.now();
  open.set(i, startedAt);
  seen.calls += 1;
  try {
    const value = (await contender!.getOrSet(key)) as Value | undefined;
    const version = value?.["version"];
    if (typeof version !== "number") seen.failed += 1;
    else if (version < floor) seen.wrong += 1;
  } catch {
    seen.failed += 1;
  }
  seen.longestMs = Math.max(seen.longestMs, performance.now() - startedAt);
  open.delete(i);
}

/** The source changes, then the cache is asked to forget the key. */
async function oneChange(i: number, seen: Seen): Promise<void> {
  const key = `user${(i * 13) % KEYS}x`;
  const version = (versions.get(key) ?? 0) + 1;
  versions.set(key, version);
  try {
    await contender!.delete(key);
    floors.set(key, Math.max(version, floors.get(key) ?? 0));
  } catch {
    // The caller knows that the old value may still be there.
    seen.deletesFailed += 1;
  }
}
