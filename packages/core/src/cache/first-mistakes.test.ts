import { createTestCache, scriptedBackend, TestClock } from "@hotset/testing";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { systemClock } from "../contracts/clock.ts";
import { keyOf } from "../entry/key-of.ts";
import type { CacheOptions } from "./cache-options.ts";

afterEach(() => vi.unstubAllEnvs());

class User {
  name = "Ada";
  greet(): string {
    return `Hello ${this.name}`;
  }
}

function open(options: Partial<CacheOptions> = {}, ttl: number | `${number}m` = "1m") {
  const lines: string[] = [];
  const warn = (text: string): void => void lines.push(text);
  const clock = systemClock;
  const logger = { info: () => undefined, warn, error: warn };
  const cache = createTestCache({ name: "shop", clock, backend: scriptedBackend({ clock }), logger, ttl, ...options });
  onTestFinished(() => cache.close());
  return { cache, lines };
}

describe("outside production a cache warns, once, of a first mistake", () => {
  it.each([
    ["the defaults", 60, undefined],
    ["a call", "1m", 60],
  ] as const)("a ttl of seconds given as a number by %s", async (_by, byDefault, ofCall) => {
    const { cache, lines } = open({}, byDefault);
    const options = ofCall === undefined ? undefined : { ttl: ofCall };
    await cache.getOrSet("a", () => 1, options);
    await cache.getOrSet("b", () => 1, options);
    expect(lines).toEqual([
      'hotset: cache "shop": key "a": its ttl is 60 ms; did you mean "60s"? If not, "60ms". Shown once, outside production',
    ]);
  });

  it.each(["user:undefined", "user:[object Object]:posts", "price:NaN", "undefined/x", "user-undefined"])(
    "the key %s, which all callers without an id share",
    async (key) => {
      const { cache, lines } = open();
      await cache.getOrSet(key, () => 1);
      await cache.getOrSet(`${key}:undefined`, () => 1);
      expect(lines.length).toBe(1);
      expect(lines[0]).toContain(`cache "shop": key ${JSON.stringify(key)}: it has "`);
    },
  );

  it("an instance of a class, which loses its methods in the backend", async () => {
    const { cache, lines } = open();
    await cache.set("a", { users: [new User()] });
    await cache.getOrSet("b", () => new User());
    expect(lines.length).toBe(1);
    expect(lines[0]).toContain('key "a": instances of User lose their methods in scripted; cache plain data: https://');
  });

  it("and of nothing else", async () => {
    const { cache, lines } = open();
    const values = [new Date(), { n: 1, list: [1, "a", null] }, Object.create(null) as unknown, [[new Date()]]];
    for (const [i, value] of values.entries()) await cache.getOrSet(`k${i}`, () => value);
    for (const key of ["undefined-behaviour", "NaNcy", "user:undefinedX", "a.b"]) await cache.set(key, 1);
    const parts = [undefined, "undefined", "NaN", [undefined, "NaN"], { a: [1, undefined, 2] }, "a"] as const;
    for (const part of parts) await cache.set(keyOf("list", part, undefined, "new"), 1);
    await cache.set("short", 1, { ttl: "500ms" });
    await cache.set("none", 1, { ttl: 0 });
    // As adapters do, which know how long a value is still fresh.
    await cache.set("left", 1, { ttl: 300 });
    await cache.set("long", 1, { ttl: 60_000 });
    const schema = { "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) } } as const;
    await cache.namespace("revived", { schema }).set("u", new User());
    expect(lines).toEqual([]);
  });

  it("shows no key with redactKeys, and a value that throws as it is looked at changes nothing", async () => {
    const { cache, lines } = open({ redactKeys: true });
    await cache.set("user:undefined", 1);
    expect(lines[0]).toContain('key "[redacted]"');
    const throwing = {
      get name(): string {
        throw new Error("no");
      },
    };
    expect(await cache.getOrSet("p", () => throwing).then(() => "answered")).toBe("answered");
  });

  it("neither in production nor on the clock of a test", async () => {
    const onClock = open({ clock: new TestClock() }, 60);
    await onClock.cache.getOrSet("undefined", () => new User());
    vi.stubEnv("NODE_ENV", "production");
    const inProduction = open({}, 60);
    await inProduction.cache.getOrSet("undefined", () => new User());
    expect([...onClock.lines, ...inProduction.lines]).toEqual([]);
  });
});
