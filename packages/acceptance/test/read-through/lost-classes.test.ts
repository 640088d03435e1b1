import { json, v8, type Format } from "@hotset/core";
import { createTestCache, flush, scriptedBackend, TestClock } from "@hotset/core/testing";
import { msgpack } from "@hotset/msgpack";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { open } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

class Money {
  readonly cents: number;
  constructor(cents: number) {
    this.cents = cents;
  }
}

const FORMATS: readonly (readonly [name: string, format: Format])[] = [
  ["json", json()],
  ["v8", v8()],
  ["msgpack", msgpack()],
];

describe("C190 a class instance that comes back as a plain object", () => {
  it.for(FORMATS)("is reported with its place when it is loaded, once, in %s", async ([, format]) => {
    const clock = new TestClock();
    const cache = createTestCache({ clock, backend: scriptedBackend({ clock, format }) });
    const seen = watch(cache, "class:lost");
    for (const key of ["a", "b"])
      await cache.getOrSet(key, () => ({ items: [{ price: new Money(1) }, { price: new Money(2) }], at: null }));
    await cache.namespace("n").set("c", new Money(3));
    const common = { cache: "test", tier: "scripted", className: "Money" };
    expect(seen.map(([, event]) => event)).toEqual([
      { ...common, namespace: [], key: "a", place: "items[].price" },
      { ...common, namespace: ["n"], key: "c", place: "" },
    ]);
  });

  it("is not reported where nothing is lost", async () => {
    const clock = new TestClock();
    const schema = {
      "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) },
    } as const;
    const kept = {
      at: new Date(0),
      tags: new Map([["a", new Set([1])]]),
      bytes: Buffer.from("x"),
      bare: Object.create(null) as object,
    };
    for (const format of [v8(), msgpack()]) {
      const cache = createTestCache({ clock, backend: scriptedBackend({ clock, format }) });
      const seen = watch(cache, "class:lost");
      await cache.set("kept", kept);
      await cache.namespace("restored", { schema }).set("k", new Money(1));
      await cache.namespace("here", { localOnly: true }).set("k", new Money(1));
      expect(seen).toEqual([]);
    }
    const local = createTestCache();
    const seen = watch(local, "class:lost");
    await local.set("k", new Money(1));
    expect(seen).toEqual([]);
  });

  it("costs a hit nothing: the value is looked at when it is written", async () => {
    let looks = 0;
    const value = new Proxy(
      { a: 1 },
      {
        getPrototypeOf(target) {
          looks += 1;
          return Reflect.getPrototypeOf(target);
        },
      },
    );
    const clock = new TestClock();
    const cache = createTestCache({ clock, backend: scriptedBackend({ clock, format: json() }) });
    await cache.getOrSet("k", () => value);
    const looksOfWrite = looks;
    expect(looksOfWrite).toBeGreaterThan(0);
    for (let i = 0; i < 10; i += 1) await cache.getOrSet("k", () => value);
    expect(looks).toBe(looksOfWrite);
  });

  describe("without a listener", () => {
    const warnings: (Error & { readonly code?: string })[] = [];
    const remember = (warning: Error): void => void warnings.push(warning);
    const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    beforeEach(async () => {
      await nextTurn();
      warnings.length = 0;
      process.on("warning", remember);
    });
    afterEach(() => void process.off("warning", remember));

    it("is one warning", async () => {
      const clock = new TestClock();
      const backend = scriptedBackend({ clock, format: v8() });
      const cache = createTestCache({ clock, backend, logger: undefined as never });
      await cache.set("a", { price: new Money(1) });
      await cache.set("b", { other: new Money(1) });
      await flush();
      await nextTurn();
      expect(warnings.map(({ code }) => code)).toEqual(["HOTSET_CLASS_LOST"]);
      expect(warnings[0]!.message).toBe(
        'hotset: cache "test": scripted: price is an instance of Money, and is read back as a plain object; store plain data, or make instances in the schema of the namespace (key "a"). Shown once for this cache; pass createCache({ logger }), or listen to "class:lost", for all',
      );
    });
  });

  it("is a line of a logger", async () => {
    const lines: string[] = [];
    const write = (line: string): void => void lines.push(line);
    const { cache } = open("backend", { logger: { error: write, warn: write, info: () => {} } });
    await cache.set("a", { price: new Money(1) });
    expect(lines).toEqual([expect.stringContaining("price is an instance of Money")]);
  });
});
