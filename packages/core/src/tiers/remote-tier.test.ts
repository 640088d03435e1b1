import { TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import type { StoredEntry } from "../contracts/backend.ts";
import type { Backend } from "../contracts/capabilities.ts";
import { BackendUnavailableError } from "../contracts/errors.ts";
import { entryKey, rootKeySpace } from "../entry/key.ts";
import { json } from "../formats/json.ts";
import { passthrough } from "../formats/passthrough.ts";
import { createEvents } from "../primitives/event-port.ts";
import { RemoteTier } from "./remote-tier.ts";

const space = rootKeySpace("shop");
/** For a call, below the deadline of the backend. */
const BUDGET_MS = 300;
const LOST = new BackendUnavailableError("the part is lost");

/** A tier over a backend where each key has its own value, and lies in the part of its first letter, `a` or `b`. */
function tierOf({ hasParts = true, hasBatch = true } = {}) {
  const clock = new TestClock();
  const reads: string[] = [];
  const batches: string[] = [];
  const answers = new Map<string, "lost" | "silent">();
  const partOf = (backendKey: string): string => backendKey.slice("shop::".length, "shop::".length + 1);
  const stored = (backendKey: string): StoredEntry => ({
    data: json().encode(`value of ${backendKey}`),
    staleInMs: 60_000,
    expiresInMs: 60_000,
    meta: "",
    version: `version of ${backendKey}`,
  });
  const backend: Backend = {
    label: "far",
    format: json(),
    compressor: passthrough(),
    keepsMeta: false,
    breaker: { failures: 2, waitMs: 1_000, longestWaitMs: 1_000 },
    read: (key) => {
      reads.push(key);
      return Promise.resolve(stored(key));
    },
    write: () => Promise.resolve(),
    remove: () => Promise.resolve("missing"),
    connect: () => Promise.resolve(),
    close: () => Promise.resolve(),
    ...(hasParts && { parts: { names: () => ["a", "b"], of: partOf } }),
    ...(hasBatch && {
      batch: {
        read: (keys) => {
          batches.push(keys.join(" "));
          const answer = answers.get(partOf(keys[0]!));
          if (answer === "silent") return new Promise(() => undefined);
          return answer === "lost" ? Promise.reject(LOST) : Promise.resolve(keys.map(stored));
        },
      },
    }),
  };
  const tier = new RemoteTier(backend, clock, createEvents(), "shop");
  return {
    reads,
    batches,
    /** By part, where it does not answer as it should. */
    answers,
    /** For each key its value, the text of its error, or `undefined` while it is awaited; and the versions seen. */
    async readMany(names: readonly string[], { forMs = 0 } = {}) {
      const versions: Record<string, string> = {};
      const outcomes: unknown[] = names.map(() => undefined);
      const settled: number[] = [];
      const requests = names.map((name) => ({
        key: entryKey(space, name),
        schema: undefined,
        expectedTags: [],
        tagSequence: 0,
        saw: (version: string) => void (versions[name] = version),
      }));
      tier.reads.readMany(requests, BUDGET_MS, (request, outcome) => {
        const i = requests.indexOf(request);
        settled.push(i);
        outcomes[i] = outcome instanceof Error ? outcome.message : outcome?.value;
      });
      await nextTurn();
      clock.advance(forMs);
      await nextTurn();
      expect(new Set(settled).size).toBe(settled.length);
      return { outcomes, versions };
    },
  };
}

/** Then all has happened that waits for no time. */
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const valuesOf = (...names: readonly string[]): readonly string[] => names.map((name) => `value of shop::${name}`);

describe("a call of many keys", () => {
  it("asks each part once, and gives each key its own answer", async () => {
    const { batches, reads, readMany } = tierOf();
    const names = ["b1", "a1", "a2", "b2", "a3"];
    const { outcomes, versions } = await readMany(names);
    expect(outcomes).toEqual(valuesOf(...names));
    expect(versions).toEqual(Object.fromEntries(names.map((name) => [name, `version of shop::${name}`])));
    expect(batches).toEqual(["shop::b1 shop::b2", "shop::a1 shop::a2 shop::a3"]);
    expect(reads).toEqual([]);
  });

  it("asks the only part in one trip", async () => {
    const { batches, reads, readMany } = tierOf({ hasParts: false });
    expect((await readMany(["b1", "a1"])).outcomes).toEqual(valuesOf("b1", "a1"));
    expect([batches, reads]).toEqual([["shop::b1 shop::a1"], []]);
  });

  it("fails for the keys of a part that fails, and for no others", async () => {
    const { answers, readMany } = tierOf();
    answers.set("a", "lost");
    const [b1, b2] = valuesOf("b1", "b2");
    expect((await readMany(["a1", "b1", "a2", "b2"])).outcomes).toEqual([LOST.message, b1, LOST.message, b2]);
  });

  it("waits for a silent part within its budget, and for the others not at all", async () => {
    const { answers, readMany } = tierOf();
    answers.set("a", "silent");
    const [b1] = valuesOf("b1");
    expect((await readMany(["a1", "b1"], { forMs: BUDGET_MS - 1 })).outcomes).toEqual([undefined, b1]);
    expect((await readMany(["a1", "b1"], { forMs: BUDGET_MS })).outcomes).toEqual([
      "far: no answer to read within 300 ms",
      b1,
    ]);
  });

  it("is not sent to a part that failed, and goes on being sent to the others", async () => {
    const { answers, batches, readMany } = tierOf();
    answers.set("a", "lost");
    for (let i = 0; i < 2; i += 1) await readMany(["a1", "b1"]);
    batches.length = 0;
    expect((await readMany(["a1", "b1"])).outcomes).toEqual([
      "far: read skipped: circuit breaker is open",
      ...valuesOf("b1"),
    ]);
    expect(batches).toEqual(["shop::b1"]);
  });

  it.each([
    ["of one key is a single read", ["a1"], {}],
    ["over a backend without batches is single reads", ["b1", "a1", "a2"], { hasBatch: false }],
    ["of no key asks for nothing", [], {}],
  ] as const)("%s", async (_, names, settings) => {
    const { batches, reads, readMany } = tierOf(settings);
    expect((await readMany(names)).outcomes).toEqual(valuesOf(...names));
    expect([reads, batches]).toEqual([names.map((name) => `shop::${name}`), []]);
  });
});
