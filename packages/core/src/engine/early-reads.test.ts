import type { Cache } from "@hotset/core";
/** Reads that begin without a flight, and what happens to their keys meanwhile. */
import { createTestCache, flush, gate, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { expect, it } from "vitest";

const KEYS = ["a", "b", "c"];
const stored = new Map(KEYS.map((key) => [key, `${key} in the backend`]));
const load = (): never => expect.fail("it is there");
type Loaded = readonly (readonly [string, string])[];

/** A batch of hits under way: its answer waits for the gate. */
async function reading(
  local = true,
  loadMany: (keys: readonly string[]) => Loaded = load,
): Promise<{
  readonly clock: TestClock;
  readonly cache: Cache;
  readonly backend: ScriptedBackend;
  readonly answer: ReturnType<typeof gate<void>>;
  readonly batch: Promise<Map<string, string>>;
}> {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
  await createTestCache({ clock, backend: backend.peer(), ttl: "1h" }).setMany([...stored], { tags: ["t"] });
  const cache = createTestCache({ clock, backend, local, ttl: "1h" });
  await cache.connect();
  const answer = gate<void>();
  backend.script("batch.read", { after: answer });
  const batch = cache.getOrSetMany(KEYS, String, loadMany);
  await answer.arrived();
  return { clock, cache, backend, answer, batch };
}

it.each([true, false])("C115 callers join the reads of a batch that is under way; local tier: %s", async (local) => {
  const { cache, backend, answer, batch } = await reading(local);
  const one = cache.getOrSet("a", load);
  const many = cache.getOrSetMany<string, string>(["b", "c"], String, load);
  await flush();
  answer.open();
  expect([await batch, await one, await many]).toEqual([stored, stored.get("a"), new Map([...stored].slice(1))]);
  expect([backend.count("batch.read"), backend.count("read"), cache.stats().coalesced]).toEqual([1, 0, 3]);
});

it("C62 a change by this process while a batch is read is not undone by the answer", async () => {
  const { cache, answer, batch } = await reading();
  await cache.delete("a");
  await cache.set("b", "new");
  answer.open();
  await batch;
  expect(KEYS.map((key) => cache.peek(key))).toEqual([undefined, "new", stored.get("c")]);
});

it("C69 what is invalidated while a batch is read is loaded, by one call for all", async () => {
  const calls: (readonly string[])[] = [];
  const { cache, answer, batch } = await reading(true, (keys) => {
    calls.push(keys);
    return keys.map((key) => [key, "loaded"]);
  });
  await cache.invalidateTags("t");
  answer.open();
  expect([[...(await batch).values()], calls]).toEqual([KEYS.map(() => "loaded"), [KEYS]]);
  expect(KEYS.map((key) => cache.peek(key))).toEqual([undefined, undefined, undefined]);
});

it("C66 a caller that comes after a change does not join the read from before it", async () => {
  const { cache, backend, answer, batch } = await reading(false);
  await cache.delete("a");
  const later = cache.getOrSet("a", () => "loaded");
  await flush();
  answer.open();
  expect([await later, await batch]).toEqual(["loaded", stored]);
  expect(backend.count("read", "test::a")).toBe(1);
});

it("C66 nor one that comes after the change of another process was reported", async () => {
  const { clock, cache, backend, answer, batch } = await reading(false);
  await createTestCache({ clock, backend: backend.peer() }).delete("a");
  const later = cache.getOrSet("a", () => "loaded");
  await flush();
  answer.open();
  expect([await later, (await batch).get("a")]).toEqual(["loaded", stored.get("a")]);
});

it("counts each caller until it has its answer: a hit, and a miss", async () => {
  const backend = scriptedBackend({ clock: new TestClock(), leases: true, tagVersions: true });
  await createTestCache({ backend: backend.peer(), ttl: "1h" }).setMany([...stored]);
  const cache = createTestCache({ backend, local: false, ttl: "1h", maxWaiting: 1 });
  for (const key of [...KEYS, "d", ...KEYS]) expect(await cache.getOrSet(key, () => key)).toBe(stored.get(key) ?? key);
});

/** What happens while `a` is read, so that what it finds does not answer the call. */
const MEANWHILE = {
  "the entry becomes stale": ({ clock }) => clock.advance(3_600_000),
  "a tag is invalidated": ({ cache }) => cache.invalidateTags("t"),
  "a tag is marked": ({ cache }) => cache.markTagsStale("t"),
  "its namespace is cleared": ({ cache }) => cache.clear(),
} satisfies Record<string, (at: Awaited<ReturnType<typeof reading>>) => unknown>;

it.each(Object.entries(MEANWHILE))("C62 a read is not the answer if %s meanwhile", async (_name, happens) => {
  const at = await reading(false, (keys) => keys.map((key) => [key, "loaded"]));
  await happens(at);
  at.answer.open();
  expect([...(await at.batch).values()]).toEqual(KEYS.map(() => "loaded"));
});

it.each(["stale", "marked"])("C62 an entry that is %s in the backend does not answer a cold process", async (state) => {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true });
  const writer = createTestCache({ clock, backend: backend.peer(), ttl: "1m", staleIfError: "1h" });
  await writer.set("a", "old");
  if (state === "stale") clock.advance(60_000);
  else await writer.markStale("a");
  const cache = createTestCache({ clock, backend, ttl: "1m", staleIfError: "1h" });
  expect(await cache.getOrSet("a", () => "loaded")).toBe("loaded");
});

it.each(["drain", "close"] as const)("%s waits for reads that are under way", async (ends) => {
  const { cache, answer, batch } = await reading();
  let isOver = false;
  const over = cache[ends]().then(() => (isOver = true));
  await flush();
  expect(isOver).toBe(false);
  answer.open();
  expect(await batch).toEqual(stored);
  await over;
});

it("C115 callers join it while a further read of the key is under way, too", async () => {
  const { cache, backend, answer, batch } = await reading(false);
  const further = gate();
  backend.script("read", { after: further });
  const got = cache.get("a");
  const one = cache.getOrSet("a", load);
  await further.arrived();
  further.open();
  answer.open();
  expect([(await batch).get("a"), await got, await one]).toEqual(KEYS.map(() => stored.get("a")));
  expect([backend.count("read"), cache.stats().coalesced]).toEqual([1, 1]);
});

it("C62 what is loaded for a read from before a delete is stored nowhere", async () => {
  const backend = scriptedBackend({ clock: new TestClock(), leases: true, tagVersions: true });
  const cache = createTestCache({ backend, ttl: "1h" });
  const answer = gate();
  backend.script("read", { after: answer });
  const one = cache.getOrSet("d", () => "loaded");
  await answer.arrived();
  await cache.delete("d");
  answer.open();
  expect([await one, await cache.get("d")]).toEqual(["loaded", undefined]);
});
