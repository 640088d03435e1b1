import { Console } from "node:console";
import { subscribe, tracingChannel, unsubscribe } from "node:diagnostics_channel";
import { Writable } from "node:stream";
import { BackendUnavailableError, ConfigurationError, createCache, type Cache, type CacheLogger } from "@hotset/core";
import {
  createTestCache,
  flush,
  gate,
  scriptedBackend,
  TestClock,
  type Gate,
  type ScriptedBackend,
} from "@hotset/testing";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import winston from "winston";
import { open } from "../support/stacks.ts";
import { EVENTS } from "../support/watch.ts";

/** The warnings of this process since the test began. */
const warnings: (Error & { readonly code?: string })[] = [];
const remember = (warning: Error): void => void warnings.push(warning);
beforeEach(async () => {
  // Warnings are emitted late: those of the test before.
  await nextTurn();
  warnings.length = 0;
  process.on("warning", remember);
});
afterEach(() => void process.off("warning", remember));
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Lines {
  readonly logger: CacheLogger;
  readonly lines: string[];
}

function recording(): Lines {
  const lines: string[] = [];
  const write = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  return { logger: { error: write("error"), warn: write("warn"), info: write("info") }, lines };
}

/** Where a logger writes its lines. */
function sink(): { readonly stream: Writable; readonly text: () => string } {
  let text = "";
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  return { stream, text: () => text };
}

const REFUSING_SCHEMA = {
  "~standard": { version: 1, vendor: "test", validate: () => ({ issues: [{ message: "too short" }] }) },
} as const;

/** A test cache is silent by itself. */
const WITHOUT_LOGGER = { logger: undefined as never };

describe("events of trouble", () => {
  const EVENTS = ["backend:error", "load:error", "decode:error"] as const;

  it.each(EVENTS)(
    "%s is emitted at most 10 times a second, and the last one of a second counts the others",
    async (name) => {
      const clock = new TestClock();
      const backend = scriptedBackend({ clock });
      const cache = createTestCache({ clock, backend, local: false });
      const seen: (number | undefined)[] = [];
      cache.on(name, ({ omitted }) => seen.push(omitted));
      const trouble = async (i: number): Promise<void> => {
        if (name === "load:error")
          await cache.getOrSet(`k${i}`, () => Promise.reject(new Error("down"))).catch(() => {});
        else if (name === "decode:error") {
          await cache.set(`k${i}`, "v");
          await cache.namespace("n", { schema: REFUSING_SCHEMA }).set(`k${i}`, "v");
          await cache.namespace("n", { schema: REFUSING_SCHEMA }).get(`k${i}`);
        } else {
          backend.script("read", { fail: new Error("broken") });
          await cache.get(`k${i}`);
        }
      };
      for (let i = 0; i < 137; i += 1) await trouble(i);
      expect(seen).toEqual(Array.from({ length: 10 }));
      clock.advance(999);
      expect(seen.length).toBe(10);
      clock.advance(1);
      expect(seen.slice(10)).toEqual([126]);
      for (let i = 200; i < 220; i += 1) await trouble(i);
      expect(seen.slice(11)).toEqual(Array.from({ length: 9 }));
      await cache.close();
      expect(seen.slice(20)).toEqual([10]);
    },
  );

  it("of one code do not hide another code: a refusal in a storm is emitted at once", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock });
    const cache = createTestCache({ clock, backend, local: false });
    const seen: string[] = [];
    cache.on("backend:error", ({ error, omitted }) => seen.push(`${error.code} ${omitted}`));
    const fail = async (i: number, error: Error): Promise<void> => {
      backend.script("read", { fail: error });
      await cache.get(`k${i}`);
    };
    for (let i = 0; i < 30; i += 1) await fail(i, new Error("full"));
    await fail(30, new ConfigurationError("grant the user +subscribe"));
    expect(seen.slice(10)).toEqual(["INVALID_CONFIGURATION undefined"]);
    for (let i = 31; i < 60; i += 1) await fail(i, new Error("full"));
    clock.advance(1_000);
    expect(seen.slice(11)).toEqual(["BACKEND_UNAVAILABLE 48"]);
    expect(cache.stats().tiers[0]).toMatchObject({ errors: 60 });
  });
});

describe("without a logger", () => {
  it("the first trouble of each kind is a warning of Node's, once for each cache", async () => {
    const backend = scriptedBackend({ clock: new TestClock() });
    const caches = ["one", "two"].map((name) => createTestCache({ name, backend, local: false, ...WITHOUT_LOGGER }));
    for (const cache of caches) {
      backend.down();
      await cache.get("k");
      await cache.get("k");
      backend.up();
      await cache.getOrSet("fn", () => ({ secret: 1n }));
      await cache.set("k", "v");
      await cache.namespace("n").set("k", "v");
      await cache.namespace("n", { schema: REFUSING_SCHEMA }).get("k");
    }
    await nextTurn();
    expect(warnings.map(({ name, code }) => `${name} ${code}`)).toEqual(
      caches.flatMap(() => [
        "HotsetWarning HOTSET_BACKEND_UNAVAILABLE",
        "HotsetWarning HOTSET_ENCODE_FAILED",
        "HotsetWarning HOTSET_DECODE_FAILED",
      ]),
    );
    expect(warnings[0]!.message).toBe(
      'hotset: cache "one": scripted: read failed, as scripted by the test. Shown once for this cache; pass createCache({ logger }), or listen to "backend:error", for all',
    );
    expect(warnings[1]!.message).toContain('(key "fn")');
  });

  it("each cause for which a value cannot be written is one warning, whatever key and size it has", async () => {
    const backend = scriptedBackend({ clock: new TestClock(), maxDecodedBytes: 100 });
    const cache = createTestCache({ name: "one", backend, ...WITHOUT_LOGGER });
    const values: (() => unknown)[] = [
      () => ({ total: 1n }),
      () => ({ sums: [1n] }),
      () => ({ sums: [1, 2n] }),
      () => "x".repeat(200),
    ];
    for (let time = 0; time < 3; time += 1)
      for (const [i, load] of values.entries()) await cache.getOrSet(`k${i}`, load, { forceRefresh: true });
    await cache.getOrSet("larger", () => "x".repeat(300));
    await nextTurn();
    expect(warnings.map(({ message, code }) => [code, /(sums|total|bytes).*?[a-z]\b/.exec(message)?.[1]])).toEqual([
      ["HOTSET_ENCODE_FAILED", "total"],
      ["HOTSET_ENCODE_FAILED", "sums"],
      ["HOTSET_ENCODE_FAILED", "bytes"],
    ]);
    for (const { message } of warnings) expect(message).toContain("Shown once for this cause;");
  });

  it.for(["a listener", "a channel", "a logger"] as const)("%s is enough: no warning is emitted", async (observer) => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock });
    const ignore = (): void => {};
    const { logger, lines } = recording();
    const cache = createTestCache({ clock, backend, ...(observer === "a logger" ? { logger } : WITHOUT_LOGGER) });
    if (observer === "a listener") cache.on("backend:error", ignore);
    if (observer === "a channel") subscribe("hotset:backend:error", ignore);
    backend.down();
    await cache.get("k");
    await nextTurn();
    unsubscribe("hotset:backend:error", ignore);
    expect(warnings).toEqual([]);
    expect(lines).toEqual(
      observer === "a logger" ? ['warn hotset: cache "test": scripted: read failed, as scripted by the test'] : [],
    );
  });
});

it.each(["a warning", "a line of the logger"] as const)("C615 what close gives up is %s", async (how) => {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock });
  const { logger, lines } = recording();
  const cache = createTestCache({ clock, backend, ...(how === "a warning" ? WITHOUT_LOGGER : { logger }) });
  backend.down();
  await cache.delete("k");
  await cache.delete("l");
  await cache.close();
  await nextTurn();
  const text =
    'hotset: cache "test": close() gave up 2 pending values and invalidations that scripted had not acknowledged; it may keep what they replace until that expires: give close({ timeout }) more time, or call drain() while it can be reached';
  const lost = warnings
    .filter(({ code }) => code === "HOTSET_PENDING_LOST")
    .map(({ message }) => message.split(". Shown")[0]);
  expect([lost, lines.at(-1)]).toEqual(how === "a warning" ? [[text], undefined] : [[], `error ${text}`]);
});

describe("a load without a lease", () => {
  const TAGS = { tags: ["t"] };
  const DEADLINE_MS = 1_000;
  const causes: readonly (readonly [
    name: string,
    begin: (backend: ScriptedBackend, clock: TestClock) => void,
    cause: "unreachable" | "refused",
    code: string,
  ])[] = [
    ["the backend is down", (backend) => backend.down(), "unreachable", "HOTSET_BACKEND_UNAVAILABLE"],
    [
      "its request fails",
      (backend) => backend.script("leases.acquire", { fail: new BackendUnavailableError("cut") }),
      "unreachable",
      "HOTSET_BACKEND_UNAVAILABLE",
    ],
    [
      "it is refused",
      (backend) => backend.script("leases.acquire", { fail: new Error("full") }),
      "refused",
      "HOTSET_BACKEND_REFUSED",
    ],
    [
      "a slow read has left too little time for it",
      (backend, clock) => {
        backend.script("read", { after: gateAt(clock, DEADLINE_MS * 0.6) });
        backend.script("leases.acquire", { after: gateAt(clock, DEADLINE_MS * 0.7) });
      },
      "unreachable",
      "HOTSET_LOAD_UNLEASED",
    ],
  ];
  const gateAt = (clock: TestClock, ms: number): Gate => {
    const one = gate();
    void one.arrived().then(() => clock.schedule(() => one.open(), ms));
    return one;
  };
  const opened = async (begin: (typeof causes)[number][1], settings: object = WITHOUT_LOGGER) => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, leases: true, tagVersions: true, deadlineMs: DEADLINE_MS });
    const cache = createTestCache({ clock, backend, ...settings });
    await cache.getOrSet("other", () => 0, TAGS);
    begin(backend, clock);
    return { clock, backend, cache };
  };
  const loaded = async (cache: Cache, clock: TestClock): Promise<void> => {
    const value = cache.getOrSet("k", () => 1, TAGS);
    for (let i = 0; i < 30; i += 1) {
      await flush();
      clock.advance(DEADLINE_MS / 10);
    }
    expect(await value).toBe(1);
    await nextTurn();
  };

  it.for(causes)("since %s: one event", async ([, begin, cause]) => {
    const { cache, clock } = await opened(begin);
    const seen: unknown[] = [];
    cache.on("load:unleased", (event) => seen.push(event));
    cache.on("backend:error", () => undefined);
    await loaded(cache, clock);
    expect(seen).toEqual([{ cache: "test", namespace: [], key: "k", tier: "scripted", cause }]);
    expect(warnings).toEqual([]);
  });

  it.for(causes)("since %s: one warning", async ([, begin, , code]) => {
    const { cache, clock } = await opened(begin);
    await loaded(cache, clock);
    expect(warnings.map((warning) => warning.code)).toEqual([code]);
  });

  it("says what it means, to a logger too", async () => {
    const { logger, lines } = recording();
    const { cache, clock } = await opened(causes[3]![1], { logger });
    lines.length = 0;
    await loaded(cache, clock);
    expect(lines).toEqual([
      'warn hotset: cache "test": loaded without a lease, since scripted did not answer in time; other processes may load the same key, and it keeps nothing of this load (key "k")',
    ]);
  });
});

describe("a logger", () => {
  it("receives one text for each trouble, with the level that it deserves, and how many were left out", async () => {
    const { logger, lines } = recording();
    const { cache, clock, backend } = open("memory over backend", { logger, ttl: 100, staleWhileRevalidate: 1_000 });
    await cache.set("stale", "old");
    clock.advance(100);
    const reset = Object.assign(new TypeError("hunter2"), { code: "ECONNRESET" });
    await cache.getOrSet("stale", () => Promise.reject(reset));
    await flush();
    await cache.getOrSet("k", () => ({ password: "hunter2", secret: 1n }));
    for (let i = 0; i < 20; i += 1) {
      backend.script("read", { fail: new Error("refused") });
      await cache.get(`k${i}`);
    }
    clock.advance(1_000);
    expect(lines.splice(0, 1)).toEqual(['info hotset: cache "test": scripted is up']);
    expect(lines[0]).toBe(
      'warn hotset: cache "test": a load in the background failed: TypeError ECONNRESET (key "stale")',
    );
    expect(lines[1]).toMatch(/^error hotset: cache "test": .*json.* \(key "k"\)$/);
    expect(lines.filter((line) => line.includes("read was refused")).length).toBe(11);
    expect(lines.at(-1)).toMatch(/; 9 more like it were left out$/);
    expect(lines.join("\n")).not.toContain("hunter2");
  });

  it.for(["console", "pino", "winston"] as const)("may be %s", async (kind) => {
    const { stream, text } = sink();
    const logger: CacheLogger =
      kind === "console"
        ? new Console(stream)
        : kind === "pino"
          ? pino(stream)
          : winston.createLogger({ transports: [new winston.transports.Stream({ stream })] });
    const clock = new TestClock();
    const backend = scriptedBackend({ clock });
    const cache = createTestCache({ clock, backend, logger });
    backend.down();
    await cache.get("k");
    backend.up();
    clock.advance(1_000);
    await cache.get("k");
    await nextTurn();
    const lines = text().trimEnd().split("\n");
    const messages = lines.map((line) =>
      kind === "pino"
        ? (JSON.parse(line) as { msg: string }).msg
        : kind === "winston"
          ? (JSON.parse(line) as { message: string }).message
          : line,
    );
    expect(messages).toEqual([
      'hotset: cache "test": scripted: read failed, as scripted by the test',
      'hotset: cache "test": scripted is up',
    ]);
  });

  it("C118 that throws or rejects changes nothing", async () => {
    const fail = (): never => {
      throw new Error("logger");
    };
    const reject = (): Promise<never> => Promise.reject(new Error("logger"));
    const { cache, backend } = open("backend", { logger: { error: fail, warn: reject, info: fail } });
    backend.down();
    expect(await cache.getOrSet("k", () => 1)).toBe(1);
    expect(await cache.getOrSet("k", () => ({ big: 1n }))).toEqual({ big: 1n });
  });

  it.for([[{}], ["console"], [{ error() {}, warn() {} }], [null]] as const)("%j is refused", ([logger]) => {
    expect(() => createTestCache({ logger: logger as never })).toThrow(
      expect.objectContaining({
        code: "INVALID_CONFIGURATION",
        message: expect.stringContaining("logger must be an object with the functions error, warn, info") as string,
      }) as Error,
    );
  });
});

describe("C204 redactKeys", () => {
  const SECRET = "ada@example.org";

  it.for([
    ["true", true, "[redacted]"],
    ["a function", (key: string) => `#${key.length}`, `#${SECRET.length}`],
    ["a function that throws", () => JSON.parse("{") as string, "[redacted]"],
    ["a function that gives no text", (() => undefined) as never, "[redacted]"],
  ] as const)(
    "%s: no key and no tag leaves by events, channels, logs, warnings and errors",
    async ([, redactKeys, shown]) => {
      const clock = new TestClock();
      const backend = scriptedBackend({ clock, tagVersions: true });
      const seen: unknown[] = [];
      const note = (event: unknown): void => void seen.push(event);
      for (const name of EVENTS) subscribe(`hotset:${name}`, note);
      const tracing = { start: note, end: note, asyncStart: note, asyncEnd: note, error: note };
      tracingChannel("hotset:load").subscribe(tracing);
      const { logger, lines } = recording();
      const cache = createTestCache({ clock, backend, logger, redactKeys, ttl: 100, staleIfError: 1_000 });
      for (const name of EVENTS) cache.on(name, note);
      const reentrant: unknown = await cache
        .getOrSet(SECRET, () => cache.getOrSet(SECRET, () => 1))
        .catch((error: unknown) => error);
      await Promise.all([cache.getOrSet(SECRET, () => 1, { tags: [SECRET] }), cache.getOrSet(SECRET, () => 1)]);
      await cache.getOrSet(SECRET, () => 1);
      await cache.get(SECRET);
      clock.advance(100);
      await cache.getOrSet(SECRET, () => Promise.reject(new Error("down")));
      await cache.delete(SECRET);
      await cache.invalidateTags(SECRET);
      await cache.getOrSet(SECRET, () => ({ big: 1n }));
      await cache.set(SECRET, "v");
      await cache.namespace("n").set(SECRET, "v");
      await cache.namespace("n", { schema: REFUSING_SCHEMA }).get(SECRET);
      await flush();
      for (const name of EVENTS) unsubscribe(`hotset:${name}`, note);
      tracingChannel("hotset:load").unsubscribe(tracing);
      const silent = createTestCache({ name: "silent", clock, backend, redactKeys, ...WITHOUT_LOGGER });
      await silent.getOrSet(SECRET, () => ({ big: 1n }));
      await nextTurn();
      const all = JSON.stringify([seen, lines, String(reentrant), warnings.map(String)]);
      expect(warnings.length).toBe(1);
      expect(reentrant).toMatchObject({ code: "REENTRANT_LOAD" });
      expect(all).not.toContain(SECRET);
      expect(seen).toContainEqual(expect.objectContaining({ key: shown }));
      expect(seen).toContainEqual(expect.objectContaining({ scope: "tags", tags: [shown] }));
      expect(lines.join()).toContain(`(key ${JSON.stringify(shown)})`);
    },
  );
});

describe("many open caches of one name over a backend", () => {
  const build = (name: string, options: object = {}) =>
    createCache({ name, ...options })
      .tier(scriptedBackend({ clock: new TestClock() }))
      .build();

  it("are one warning that says what hot reload needs, at the twentieth", async () => {
    const caches = Array.from({ length: 19 }, () => build("hot"));
    caches.push(...Array.from({ length: 30 }, (_, i) => build(`hot${i}`)));
    await nextTurn();
    expect(warnings).toEqual([]);
    caches.push(build("hot"), build("hot"));
    await nextTurn();
    expect(warnings.map(({ message, code }) => [message, code])).toEqual([
      [
        'hotset: cache "hot": 20 caches of this name are open, each with its own connections and copies: ' +
          "share one; where hot reload loads modules again, keep it on globalThis",
        "HOTSET_OPEN_CACHES",
      ],
    ]);
    for (const cache of caches) await cache.close();
  });

  it("are none of these where they have a clock of a test", async () => {
    for (let i = 0; i < 20; i += 1) createTestCache({ name: "of tests", backend: true, ...WITHOUT_LOGGER });
    await nextTurn();
    expect(warnings).toEqual([]);
  });
});

describe("a backend without leases, over which a load may undo a delete of another process", () => {
  const build = (label: string, options: object = {}, capabilities: object = { coherence: "none" }) =>
    createCache({ name: "shop", ...options })
      .tier(scriptedBackend({ clock: new TestClock(), label, ...capabilities }))
      .build();

  it("is one warning of build, by the name of the backend and with the page", async () => {
    build("files");
    build("files");
    build("others");
    await nextTurn();
    expect(warnings.map(({ message, code }) => [message, code])).toEqual(
      ["files", "others"].map((label) => [
        `hotset: cache "shop": ${label} has no leases: each process loads a missing key itself, and a load that ` +
          "began before a delete may store its value after it. Invalidate by tag, or let the backend state that " +
          "no other process writes; see docs/guide/which-store.md",
        "HOTSET_NO_LEASES",
      ]),
    );
  });

  it.each([
    ["leases", { coherence: "none", leases: true }],
    ["one writer", { coherence: "sole-writer" }],
  ])("is none with %s", async (label, capabilities) => {
    build(label, {}, capabilities);
    await nextTurn();
    expect(warnings).toEqual([]);
  });
});
