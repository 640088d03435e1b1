import { readFileSync } from "node:fs";
import { createTestCache, flush, gate, scriptedBackend, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { Guard } from "../coherence/guards.ts";
import { BackendParts } from "../coherence/parts.ts";
import { Trust, TRUST_ALWAYS } from "../coherence/trust.ts";
import type { Backend, TagVersions } from "../contracts/capabilities.ts";
import { MetaParser } from "../entry/entry-meta.ts";
import { newEntry } from "../entry/entry.ts";
import { entryKey, keySpaceBelow, rootKeySpace } from "../entry/key.ts";
import { termsIn } from "../entry/terms.ts";
import { json, passthrough } from "../index.ts";
import { Breaker } from "../primitives/breaker.ts";
import { DecisionLog } from "../primitives/decision-log.ts";
import { EventLimit } from "../primitives/event-limit.ts";
import { createEvents } from "../primitives/event-port.ts";
import { KeyedQueue } from "../primitives/keyed-queue.ts";
import { Histogram, Meters } from "../primitives/meters.ts";
import { KnownVersions } from "../tags/known-versions.ts";
import { TagEvents } from "../tags/tag-events.ts";
import { Recovery } from "../tiers/recovery.ts";
import { Pauses } from "./backoffs.ts";
import { Flights } from "./flights.ts";
import { OwnChanges } from "./own-changes.ts";
import { VerifyFigures } from "./verify-figures.ts";

const root = rootKeySpace("shop");
const names = (count: number, prefix = "k"): readonly string[] => Array.from({ length: count }, (_, i) => prefix + i);
/** Keys of 2 KiB in `Recovery`: two bytes for each character, and 128. */
const longKeys = (count: number) =>
  Array.from({ length: count }, (_, i) => entryKey(root, String(i).padStart((2_048 - 128) / 2 - "shop::".length, "k")));
const VERSION = { hard: "v", soft: "v" };

/** Answers every version at once, and keeps nothing. */
function tagSource(): TagVersions & { readonly asked: string[]; isDown: boolean } {
  const source = {
    asked: [] as string[],
    isDown: false,
    read: async (tags: readonly string[]) => {
      if (source.isDown) throw new Error("down");
      return tags.map(() => VERSION);
    },
    pin: async (tags: readonly string[]) => {
      source.asked.push(...tags);
      return { at: "1", versions: tags.map(() => VERSION) };
    },
    unchangedSince: async (_at: string, tags: readonly string[]) => tags.map(() => VERSION),
    renew: async () => undefined,
  };
  return source;
}

/** Keeps nothing. */
const emptyBackend = (more: Partial<Backend>): Backend => ({
  label: "empty",
  format: json(),
  compressor: passthrough(),
  coherence: "sole-writer",
  read: async () => undefined,
  write: async () => undefined,
  remove: async () => "missing",
  close: async () => undefined,
  ...more,
});

function recovery(sent: string[], isDown: boolean): Recovery {
  const send = async (what: string): Promise<void> => {
    if (isDown) throw new Error("down");
    sent.push(what);
  };
  return new Recovery({
    clock: new TestClock(),
    events: createEvents(),
    cache: "shop",
    root,
    reissueWindowMs: 30_000,
    remote: {
      label: "redis",
      retryInMs: isDown ? 1_000 : 0,
      remove: (key) => send(`remove ${key.backend}`).then(() => "deleted"),
      versions: { renew: (tags, mode) => send(`${mode} ${tags.join()}`) },
    },
    replayed: { key: () => undefined, tags: () => undefined },
  });
}

/** How many of these loads run at once. */
async function runningAtOnce(begin: (load: () => Promise<number>) => void): Promise<number> {
  let running = 0;
  begin(() => {
    running += 1;
    return new Promise(() => undefined);
  });
  await flush();
  return running;
}

/** For each row: fills what it names beyond its bound. */
const CASES: Readonly<Record<string, () => void | Promise<void>>> = {
  "keys with something in flight": () => {
    const flights = new Flights(TRUST_ALWAYS);
    const guards = names(1_000).map((key): readonly [string, Guard] => [key, new Guard()]);
    for (const [key, guard] of guards) flights.add(key, guard);
    expect(flights.size).toBe(1_000);
    for (const [, guard] of guards) flights.remove(guard);
    expect([flights.size, [...flights.all()]]).toEqual([0, []]);
  },
  "callers that wait": async () => {
    const cache = createTestCache();
    const load = gate<number>();
    const calls = names(100).map(() => cache.getOrSet("k", () => load.pass()));
    await load.arrived();
    load.open(1);
    expect(new Set(await Promise.all(calls))).toEqual(new Set([1]));
    expect(cache.stats()).toMatchObject({ loads: 1, misses: 100, coalesced: 99, waiting: 0 });
    const small = createTestCache({ maxWaiting: 10 });
    const all = names(100).map((key) => small.getOrSet(key, () => new Promise(() => undefined)).catch(() => "refused"));
    expect(await Promise.all(all.slice(10))).toEqual(names(90).map(() => "refused"));
    expect(small.stats()).toMatchObject({ waiting: 10, overloaded: 90 });
  },
  "writes that are called and not settled, by key": async () => {
    const writes = new KeyedQueue();
    const blocked = gate<void>();
    const all = names(1_000).map((key) => writes.run(key, () => blocked.pass()));
    expect(writes.size).toBe(1_000);
    blocked.open();
    await Promise.all(all);
    expect([writes.size, writes.has("k0")]).toEqual([0, false]);
  },
  "until when a failed load, or a load in the background, is not tried again": () => {
    const backoffs = new Pauses<undefined>();
    for (const key of names(10_000)) backoffs.begin(key, 1_000, undefined);
    expect(backoffs.find("k0", 0)).toBeDefined();
    backoffs.begin("another", 1_000, undefined);
    expect(["k0", "k1", "another"].map((key) => backoffs.find(key, 0) !== undefined)).toEqual([false, true, true]);
  },
  "tag calls of this process": () => {
    for (const mode of ["hard", "soft"] as const) {
      const tags = new TagEvents();
      for (const tag of names(10_000)) tags.called(root, [tag], mode);
      expect(tags.wasCalled(["never called"], 0)).toBe(false);
      tags.called(root, ["another"], mode);
      expect(tags.wasCalled(["never called"], 0)).toBe(true);
      // Only the oldest tenth counts as called.
      expect(tags.wasCalled(["never called"], 1_001)).toBe(false);
      expect([tags.wasMade(["never called"], 0), tags.wasMade(["never called"], 1_001)]).toEqual([true, false]);
    }
    const elsewhere = new TagEvents();
    const space = keySpaceBelow(root, "users");
    elsewhere.changed(names(10_000, "{~n").map((name) => `${name}}::t`));
    expect(elsewhere.hasEvents(space, elsewhere.sequence, 0)).toBe(false);
    elsewhere.changed(["{~another}::t"]);
    expect(elsewhere.hasEvents(space, 0, 0)).toBe(true);
  },
  "tag versions that were seen": async () => {
    const known = new KnownVersions(
      new Trust({ parts: new BackendParts(), maxStalenessMs: 1, backendKey: String, versionsKey: "v" }),
      new TestClock(),
      () => undefined,
    );
    const source = known.recording(tagSource());
    await source.read(names(100_000));
    expect(known.size).toBe(100_000);
    await source.read(["another"]);
    expect([known.size, known.has("k0"), known.has("another")]).toEqual([90_001, false, true]);
  },
  "leases asked for or held": async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, leases: true });
    const cache = createTestCache({ clock, local: false, backend });
    const load = gate<number>();
    const calls = names(10).map((key) => cache.getOrSet(key, () => load.pass()));
    await flush();
    expect(backend.count("leases.acquire")).toBe(10);
    load.open(1);
    await Promise.all(calls);
    await flush();
    // A lease in use would be renewed.
    clock.advance(60_000);
    await flush();
    expect(backend.count("leases.renew")).toBe(0);
  },
  "invalidations acknowledged within `reissueWindow`": async () => {
    const sent: string[] = [];
    const few = recovery(sent, false);
    for (const key of longKeys(8_192)) few.acknowledgedKey(key);
    few.reissue(1);
    await flush();
    expect(sent.filter((what) => what.startsWith("remove ")).length).toBe(8_192);
    sent.splice(0);
    const many = recovery(sent, false);
    for (const key of longKeys(10_000)) many.acknowledgedKey(key);
    many.reissue(1);
    await flush();
    expect(sent[0]).toMatch(/^hard /);
    expect(sent.length).toBeLessThanOrEqual(8_705);
  },
  "keys that were issued again when another server took over": async () => {
    const one = recovery([], false);
    const keys = longKeys(10_000);
    for (const key of keys) one.acknowledgedKey(key);
    one.reissue(1);
    await flush(1_000);
    const life = { staleWhileRevalidateMs: 0, staleIfErrorMs: 0, localTtlMs: Infinity };
    const terms = termsIn(root, life, { tags: [], etag: undefined, lastModified: undefined });
    const before = newEntry({ value: "v", ttlMs: 1, terms, now: 0, tagSequence: 0, version: "1" });
    const hidden = (): number => keys.filter((key) => one.hides(key, before)).length;
    expect([one.size, hidden() >= 8_192, hidden() <= 8_704]).toEqual([0, true, true]);
  },
  "invalidations that wait for the backend": () => {
    const pending = recovery([], true);
    for (const key of longKeys(8_192)) pending.addKey(key);
    expect(pending.size).toBe(8_192);
    pending.addKey(entryKey(root, "another"));
    expect(pending.size).toBe(1);
  },
  "decisions for `explain`": () => {
    const log = new DecisionLog(new TestClock(), 3);
    for (const why of names(10)) log.note("k", "call", why);
    expect(log.about(["k"]).map(({ why }) => why)).toEqual(["k7", "k8", "k9"]);
  },
  "hits that are compared with their source": async () => {
    const cache = createTestCache({ verify: { share: 1, maxPerMinute: Infinity } });
    for (const key of names(10)) await cache.getOrSet(key, () => 1);
    expect(await runningAtOnce((load) => names(10).forEach((key) => void cache.getOrSet(key, load)))).toBe(2);
  },
  "what was found by that": () => {
    const figures = new VerifyFigures();
    const of = { group: undefined, ageMs: 1, writer: undefined, isOwn: undefined, at: 0 };
    for (const name of names(300)) figures.add({ ...of, namespace: [name] }, { kind: "same" });
    for (let i = 0; i < 300; i += 1) figures.add({ ...of, namespace: ["k0"] }, { kind: "same" });
    expect([figures.groups(0).length, figures.groups(0)[0]!.checked]).toEqual([200, 256]);
    expect(figures.groups(900_000)).toEqual([]);
  },
  "keys and tags that this process changed, for that": () => {
    const changes = new OwnChanges();
    const change = { cache: "shop", scope: "key", mode: "remove", origin: "here" } as const;
    for (const key of names(10_001)) changes.add({ ...change, namespace: [], key }, 1);
    expect([changes.of([], "k0"), changes.of([], "k1")]).toEqual([undefined, 1]);
    names(9, "n").forEach((name, at) => changes.add({ ...change, namespace: [name], key: "k1" }, at));
    expect([changes.of(["n0"], "k1"), changes.of(["n1"], "k1")]).toEqual([undefined, 1]);
  },
  "failures in a row, the next probe": () => {
    const breaker = new Breaker(new TestClock());
    for (let i = 0; i < 100_000; i += 1) breaker.failed();
    expect(breaker.isOpen).toBe(true);
    expect(breaker.probeInMs).toBeLessThanOrEqual(60_000);
  },
  "loads, and background loads": async () => {
    const clock = new TestClock();
    const cache = createTestCache({ clock, ttl: 1_000, staleWhileRevalidate: "1h" });
    expect(
      await runningAtOnce((load) => {
        for (const key of names(1_001)) cache.getOrSet(key, load).catch(() => undefined);
      }),
    ).toBe(1_000);
    const stale = createTestCache({ clock, ttl: 1_000, staleWhileRevalidate: "1h" });
    await stale.setMany(names(101).map((key) => [key, 1] as const));
    clock.advance(1_000);
    expect(
      await runningAtOnce((load) => {
        for (const key of names(101)) void stale.getOrSet(key, load);
      }),
    ).toBe(100);
  },
  "keys reported as undecodable": async () => {
    const damaged = { data: Buffer.from("v"), staleInMs: 60_000, expiresInMs: 60_000, meta: '["none.such"]' };
    const clock = new TestClock();
    const cache = createTestCache({ clock, local: false, backend: emptyBackend({ read: async () => damaged }) });
    const reported: string[] = [];
    cache.on("decode:error", ({ key }) => reported.push(key));
    for (const key of names(1_000)) {
      await cache.get(key);
      clock.advance(100);
    }
    await cache.get("k0");
    expect(reported).toEqual(names(1_000));
    await cache.get("another");
    await cache.get("k0");
    expect(reported.slice(1_000)).toEqual(["another", "k0"]);
  },
  "events left out": () => {
    const passed: (readonly [event: string, omitted: number])[] = [];
    const clock = new TestClock();
    const limit = new EventLimit<string>(clock, (event, omitted) => passed.push([event, omitted]));
    for (const event of names(5_000)) limit.offer(event);
    clock.advance(1_000);
    expect(passed).toEqual([...names(10).map((event) => [event, 0]), ["k4999", 4_989]]);
  },
  "parsed meta strings": () => {
    const parser = new MetaParser();
    // With the 64 characters that each counts as, 1,024 in all.
    const metaOf = (name: string): string => JSON.stringify([name.padEnd(1_024 - 64 - '[""]'.length, ".")]);
    const parse = (name: string): unknown => parser.parse(metaOf(name), 1);
    const first = parse("k0");
    for (const name of names(32)) parse(name);
    expect(parse("k0")).toBe(first);
    parse("another");
    expect(parse("k0")).not.toBe(first);
  },
  "what is known of the parts of a backend": () => {
    const parts = new BackendParts();
    for (const name of names(1_000, "part ")) {
      parts.of(name).isLost = true;
      parts.keep([name]);
    }
    expect([...parts.all()]).toHaveLength(1);
  },
  "counters of namespaces": () => {
    const meters = new Meters();
    const root = meters.of([]);
    for (const name of names(1_000)) expect(meters.of([name])).not.toBe(root);
    expect(meters.of(["another"])).toBe(root);
    expect(meters.of(["k7", "below"])).toBe(meters.of(["k7"]));
    expect(meters.size).toBe(1_001);
  },
  "counters and histograms": () => {
    const histogram = new Histogram();
    for (let i = 0; i < 1_000_000; i += 1) histogram.record(i * 1_000);
    expect(histogram.snapshot().count).toBe(1_000_000);
    expect(histogram.snapshot().p99Ms).toBeLessThan(2 * 70 * 60_000);
  },
};

const page = readFileSync(new URL("../../../../docs/architecture.md", import.meta.url), "utf8");
const rows = page
  .slice(page.indexOf("\n| state | owner | bound |"), page.indexOf("\nOne rule, one place:"))
  .split("\n")
  .filter((line) => line.startsWith("| ") && !/^\| (?:state \||---)/.test(line))
  .map((line) => line.slice(2, -2).split(" | ") as [state: string, owner: string, bound: string]);

it("every bound of docs/architecture.md has a case here, and every case its row", () => {
  expect(Object.keys(CASES).toSorted()).toEqual(rows.map(([state]) => state).toSorted());
});

it.each(rows)("C80 C96 the bound of %s, kept by %s: %s", async (state) => {
  const fill = CASES[state];
  expect(fill).toBeTypeOf("function");
  await fill!();
});
