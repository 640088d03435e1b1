import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import * as core from "@hotset/core";
import { compose } from "@hotset/compose";
import { CacheError, createCache, type CacheEvents } from "@hotset/core";
import { gzip } from "@hotset/formats";
import { createTestCache, flush, gate, scriptedBackend, TestClock } from "@hotset/testing";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import * as toolkit from "@hotset/redis-toolkit";
import * as lock from "@hotset/redis-toolkit/lock";
import * as queue from "@hotset/redis-toolkit/queue";
import * as rateLimit from "@hotset/redis-toolkit/rate-limit";
import * as sessions from "@hotset/redis-toolkit/sessions";
import { brotli, zstd } from "hotset";
import { describe, expect, it } from "vitest";
import { longKeys, MOST_PENDING } from "../support/long-keys.ts";

const readPage = (name: string): string =>
  readFileSync(new URL(`../../../../docs/reference/${name}.md`, import.meta.url), "utf8");

/** The cells of each row whose first cell is one name in code, under one heading; of the whole page without one. */
function rowsOf(page: string, heading?: string): ReadonlyMap<string, readonly string[]> {
  const begin = heading === undefined ? 0 : page.indexOf(`\n## ${heading}\n`);
  expect(begin, `a section "${heading}"`).toBeGreaterThanOrEqual(0);
  const end = heading === undefined ? -1 : page.indexOf("\n## ", begin + 1);
  const rows = page.slice(begin, end < 0 ? undefined : end).matchAll(/^\| `(?<name>[^`]+)` \|(?<cells>.*)\|$/gm);
  return new Map([...rows].map(({ groups }) => [groups!["name"]!, groups!["cells"]!.split(" | ")]));
}

const sorted = (names: Iterable<string>): readonly string[] => [...new Set(names)].toSorted();

/** The names that the error about an unknown name lists. */
async function acceptedBy(call: () => unknown): Promise<readonly string[]> {
  try {
    await call();
  } catch (error) {
    const listed = /(?:accepted are|there are|the options are|must be one of) (?<names>[\w:, -]+?)(?:, got .*)?$/.exec(
      (error as Error).message,
    )?.groups?.["names"];
    expect(listed, (error as Error).message).toBeDefined();
    return sorted(listed!.split(/, | and /));
  }
  throw new Error("an unknown name was accepted");
}

describe("docs/reference/options.md", () => {
  const page = readPage("options");
  const section = (...headings: string[]): readonly string[] =>
    sorted(headings.flatMap((heading) => [...rowsOf(page, heading).keys()]));
  const unknown = { nope: true } as never;
  const cache = createTestCache();
  const backend = () => scriptedBackend({ clock: new TestClock() });

  it.for<[string, readonly string[], () => unknown]>([
    ["createCache", ["createCache"], () => createCache(unknown)],
    ["defaults", ["Lifetimes", "Loads"], () => createCache({ name: "a" }).defaults(unknown)],
    ["namespace", ["Lifetimes", "Loads", "namespace"], () => cache.namespace("a", unknown)],
    ["wrap", ["Lifetimes", "Loads", "wrap"], () => cache.wrap(() => 1, unknown)],
    ["getOrSet", ["Lifetimes", "Loads", "getOrSet"], () => cache.getOrSet("a", () => 1, unknown)],
    ["set", ["Lifetimes", "set"], () => cache.set("a", 1, unknown)],
    ["setMany", ["Lifetimes", "set"], () => cache.setMany([["a", 1]], unknown)],
    [
      "setOptions",
      ["Lifetimes", "set", "setOptions"],
      () => cache.getOrSet("b", ({ setOptions }) => setOptions(unknown)),
    ],
    ["touch", ["touch"], () => cache.touch("a", unknown)],
    ["get", ["getMany", "get"], () => cache.get("a", unknown)],
    ["getMany", ["getMany"], () => cache.getMany(["a"], unknown)],
    ["clear", ["clear"], () => cache.clear(unknown)],
    ["close", ["close"], () => cache.close(unknown)],
    ["compose", ["compose"], () => compose(backend(), backend(), unknown)],
    ["memory", ["memory"], () => memory(unknown)],
    ["gzip", ["Compressors"], () => gzip(unknown)],
    ["brotli", ["Compressors"], () => brotli(unknown)],
    ["zstd", ["Compressors"], () => zstd(unknown)],
  ])("has every option of %s, and no other", async ([, headings, call]) => {
    expect(section(...headings)).toEqual(await acceptedBy(call));
  });

  it("has every option of getOrSetMany: those of getOrSet but onServed, and its own", async () => {
    const accepted = await acceptedBy(() => cache.getOrSetMany([1], String, () => [], unknown));
    const own = section("getOrSetMany");
    expect(
      sorted([...section("Lifetimes", "Loads", "getOrSet").filter((name) => name !== "onServed"), ...own]),
    ).toEqual(accepted);
  });

  it("has every method of the Redis builder, and no other", () => {
    const builder: object = redis("redis://localhost");
    const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(builder)).filter((name) => name !== "constructor");
    expect(section("redis")).toEqual(sorted(methods));
  });
});

describe("docs/reference/events.md", () => {
  const rows = rowsOf(readPage("events"));

  it("has every event, and no other", async () => {
    expect(sorted(rows.keys())).toEqual(await acceptedBy(() => createTestCache().on("nope" as never, () => undefined)));
  });

  it("names every field of every event that occurs", async () => {
    const seen = await observeEveryEvent([...rows.keys()] as (keyof CacheEvents)[]);
    expect(sorted(seen.keys())).toEqual(sorted(rows.keys()));
    for (const [event, fields] of seen) {
      const told = rows.get(event)!.at(-1)!;
      for (const field of fields) expect(told, `${event}.${field}`).toContain(`\`${field}\``);
    }
  });
});

/** Complete: the compiler asks for each. */
const COMMAND_CODES: Readonly<Record<toolkit.CommandErrorCode, true>> = {
  WRONG_TYPE: true,
  NOT_A_NUMBER: true,
  CORRUPT_VALUE: true,
  OUT_OF_MEMORY: true,
  PERSISTENCE_FAILED: true,
  TOO_FEW_REPLICAS: true,
  READ_ONLY: true,
  TRY_AGAIN: true,
  UNBLOCKED: true,
  NO_PERMISSION: true,
  CROSS_SLOT: true,
  UNKNOWN_COMMAND: true,
  ABORTED: true,
  SCRIPT_FAILED: true,
  REDIS_DISABLED: true,
  REFUSED: true,
};

describe("docs/reference/errors.md", () => {
  const isErrorClass = (value: unknown): value is new (message: string, details?: unknown) => CacheError =>
    typeof value === "function" && value.prototype instanceof CacheError;
  const classes = [core, toolkit, lock, queue, rateLimit, sessions]
    .flatMap((entry) => Object.values(entry) as readonly unknown[])
    .filter((value) => isErrorClass(value));
  const errors = [
    ...classes.map((Class) => new Class("a test", { code: "REFUSED" })),
    ...(Object.keys(COMMAND_CODES) as toolkit.CommandErrorCode[]).map(
      (code) => new toolkit.CommandError("a test", { code, operation: "GET" }),
    ),
  ];

  it("has every code with its class, and no other", () => {
    const sections = readPage("errors")
      .split(/^### (?=[A-Z_]+$)/m)
      .slice(1);
    const texts = new Map(sections.map((section) => [section.split("\n", 1)[0]!, section]));
    expect(sorted(texts.keys())).toEqual(sorted(errors.map(({ code }) => code)));
    for (const { code, name } of errors) if (name !== "CommandError") expect(texts.get(code)).toContain(`\`${name}\``);
  });

  it("C571: each error has the address of its code on this page, and shows it where it is printed", () => {
    const settings = readFileSync(new URL("../../../../docs/.vitepress/config.ts", import.meta.url), "utf8");
    const site = /HOTSET_SITE"\] \?\? "(?<site>[^"]+)"/.exec(settings)?.groups?.["site"];
    for (const error of errors) {
      expect(error.url).toBe(`${site}/reference/errors#${error.code.toLowerCase()}`);
      expect(inspect(error)).toContain(`url: '${error.url}'`);
    }
  });
});

describe("docs/reference/stats.md", () => {
  it.for(["cache", "tier", "latency"] as const)("has every number of a %s, and no other", (of) => {
    const stats = createTestCache({ local: memory({ maxBytes: 1_000 }), backend: true }).stats();
    const shown = { cache: stats, tier: stats.tiers[0]!, latency: stats.loadLatency }[of];
    expect(sorted(rowsOf(readPage("stats"), `Of ${of === "cache" ? "the" : "a"} ${of}`).keys())).toEqual(
      sorted(Object.keys(shown)),
    );
  });
});

/** Makes each event happen at least once. Returns its fields, without those that every event has. */
async function observeEveryEvent(
  events: readonly (keyof CacheEvents)[],
): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const seen = new Map<string, Set<string>>();
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true });
  const cache = createTestCache({
    clock,
    backend,
    local: memory({ maxEntries: 2 }),
    ttl: 100,
    staleWhileRevalidate: 100,
  });
  for (const event of events)
    cache.on(event, (fields) => {
      const names = seen.get(event) ?? new Set();
      for (const name of Object.keys(fields)) if (name !== "cache" && name !== "namespace") names.add(name);
      seen.set(event, names);
    });
  const failing = (): never => {
    throw new Error("db down");
  };

  for (const key of ["a", "b", "c"]) await cache.set(key, 1); // store, invalidate, evict
  await cache.getOrSet("c", () => 2); // hit
  await cache.invalidateTags("t"); // invalidate, of tags
  clock.advance(100);
  await cache.getOrSet("c", () => 2); // stale
  await cache.drain();

  const loading = gate<number>();
  const both = [cache.getOrSet("d", () => loading.pass()), cache.getOrSet("d", () => 0)]; // coalesced
  await loading.arrived();
  await cache.delete("d");
  loading.open(1);
  await Promise.all(both); // miss, load, fenced
  await cache.getOrSet("e", failing).catch(() => undefined); // load:error

  backend.script("read", { answer: (entry) => entry && { ...entry, data: Uint8Array.of(0) } });
  await cache.get("a"); // decode:error
  backend.down();
  await cache.getOrSet("g", () => 1); // load:unleased
  for (let i = 0; i < 5; i++) await cache.delete("a"); // backend:error, backend:state
  await cache.deleteMany(longKeys(MOST_PENDING, "test::")); // pending:overflow
  backend.up();
  clock.advance("1s");
  await flush(); // recover
  await cache.close();
  return seen;
}
