// A process that dies at any step leaves nothing that others serve wrongly, or wait for.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { forkScript, startMemcached } from "@hotset/test-servers";
import type { Cache } from "hotset";
import { afterAll, expect, it } from "vitest";
import {
  cacheOver,
  CALLS,
  partOf,
  storeAt,
  type CallName,
  type Ending,
  type handlers,
  type Place,
} from "./killed-process.ts";

const server = await startMemcached();
const folder = await mkdtemp(join(tmpdir(), "hotset-killed-"));
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

const names = Object.keys(CALLS) as CallName[];
const places = {
  memcached: { kind: "memcached", port: server.port },
  SQLite: { kind: "sqlite", file: join(folder, "store.db") },
} satisfies Record<string, Place>;
/** SQLite has no command that is half sent. */
const ways: readonly (readonly [keyof typeof places, readonly Ending[]])[] = [
  ["memcached", ["no answer", "half sent"]],
  ["SQLite", ["no answer"]],
];

/** No call changes more records. */
const MOST_CHANGES = 12;
/** A lease of two seconds, and a second until a waiting process asks again; the machine may be slow. */
const BOUND_MS = 10_000;

interface Survivors {
  readonly name: CallName;
  /** Has a copy in memory. */
  readonly here: Cache;
  /** Is opened after the death. */
  readonly there: () => Cache;
}

it.each(ways)(
  "over %s, a process is killed behind each of its changes: others are answered in time and agree, and the log is whole",
  { timeout: 300_000 },
  async (kind, endings) => {
    const last = new Map<CallName, number>();
    for (let step = 1; step <= MOST_CHANGES; step += 1) {
      const stopped = await killedAt(step, endings, places[kind]);
      for (const name of stopped) last.set(name, step);
      if (stopped.length === 0) break;
    }
    // Each has a change of its record and one of the log, at least.
    for (const name of names) expect(last.get(name), name).toBeGreaterThanOrEqual(2);
    expect(Math.max(...last.values())).toBeLessThan(MOST_CHANGES);
  },
);

/** @returns the calls that were under way. */
async function killedAt(step: number, endings: readonly Ending[], place: Place): Promise<readonly CallName[]> {
  const calls = endings.flatMap((ending) =>
    names.map((name, i) => ({ name, ending, part: `${step}-${i}-${ending[0]}-` })),
  );
  const survivors = await Promise.all(calls.map(({ name, part }) => survivorsOf(name, part, place)));
  const child = forkScript<typeof handlers>(new URL("killed-process.ts", import.meta.url));
  const ends = await Promise.all(
    calls.map(({ name, ending, part }) => child.call("begin", name, part, step, ending, place)),
  );
  await child.kill("SIGKILL");
  await Promise.all(survivors.map((each) => agree(each)));
  return calls.filter((_, i) => ends[i] === "stopped").map(({ name }) => name);
}

async function survivorsOf(name: CallName, part: string, place: Place): Promise<Survivors> {
  const open = (): Cache => cacheOver(partOf(storeAt(place), part));
  const here = open();
  await stored(here, "user", "old");
  expect(await here.get("user")).toBe("old");
  return { name, here, there: open };
}

async function agree({ name, here, there: open }: Survivors): Promise<void> {
  await using _ = here;
  await using there = open();
  const key = name === "load of a missing one" ? "other" : "user";
  const ask = (cache: Cache): Promise<string> => cache.getOrSet(key, () => "loaded", { tags: ["users"] });
  const begunAt = performance.now();
  const value = await ask(there);
  expect(performance.now() - begunAt, `${name}: a call after the death`).toBeLessThan(BOUND_MS);
  expect(["old", "new", "loaded"], name).toContain(value);
  // By the log, or once the copy is compared with its record.
  const different = async (): Promise<number> => new Set([await ask(here), await ask(there)]).size;
  await expect.poll(different, { message: name, timeout: BOUND_MS }).toBe(1);
  const changes: readonly (readonly [change: () => Promise<unknown>, then: string | undefined])[] = [
    [() => stored(there, key, "last"), "last"],
    [() => there.invalidateTags("users"), undefined],
    [() => stored(here, key, "very last"), "very last"],
    [() => here.delete(key), undefined],
  ];
  for (const [change, then] of changes) {
    await change();
    const both = async (): Promise<unknown> => [await here.get(key), await there.get(key)];
    await expect.poll(both, { message: name, timeout: BOUND_MS }).toEqual([then, then]);
  }
}

/** Again, if the machine is too busy for an answer within the patience of the client: a pending value is not sent later. */
async function stored(cache: Cache, key: string, value: string): Promise<void> {
  const set = async (): Promise<string> => (await cache.set(key, value, { tags: ["users"] })).status;
  await expect.poll(set, { timeout: BOUND_MS }).toBe("stored");
}
