import { memory } from "@hotset/memory";
import { createTestCache, mapTier, scriptedBackend, TestClock } from "@hotset/testing";
import { afterEach, describe, expect, it, vi } from "vitest";

interface Order {
  lines: { price: number }[];
  readonly at: Date;
  readonly bySku: Map<string, { count: number }>;
  readonly customer: Customer;
  readonly bytes: Uint8Array;
}
class Customer {
  name = "Ada";
  readonly tags = { vip: false };
}
const order = (): Order => ({
  lines: [{ price: 1 }],
  at: new Date(0),
  bySku: new Map([["a", { count: 1 }]]),
  customer: new Customer(),
  bytes: Buffer.from("x"),
});

afterEach(() => vi.unstubAllEnvs());

describe.for([
  ["memory", () => memory()],
  ["memory, shared", () => memory({ values: "shared" })],
  ["a tier of tests", () => mapTier()],
] as const)("outside production, in %s, a change of a shared value", ([, local]) => {
  it("throws in plain objects and arrays, for the loader, its callers and later ones", async () => {
    const cache = createTestCache({ local: local() });
    const loaded = order();
    const first = await cache.getOrSet("k", () => loaded);
    for (const shared of [loaded, first, await cache.getOrSet("k", order), (await cache.get<Order>("k"))!]) {
      expect(() => (shared.lines[0]!.price = 2)).toThrow(TypeError);
      expect(() => shared.lines.push({ price: 3 })).toThrow(TypeError);
      expect(() => (shared.lines = [])).toThrow(TypeError);
    }
    expect((await cache.get<Order>("k"))!.lines).toEqual([{ price: 1 }]);
    const given = { n: 1 };
    await cache.set("set", given);
    expect(() => (given.n = 2)).toThrow(TypeError);
  });

  it("does not throw in instances of classes, collections, dates and bytes", async () => {
    const cache = createTestCache({ local: local() });
    const shared = await cache.getOrSet("k", order);
    shared.customer.name = "Bob";
    shared.customer.tags.vip = true;
    shared.bySku.get("a")!.count = 2;
    shared.at.setTime(1);
    shared.bytes[0] = 0;
    expect((await cache.get<Order>("k"))!.customer).toMatchObject({ name: "Bob", tags: { vip: true } });
  });
});

describe("shared values", () => {
  it("from a backend are frozen too", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock });
    await createTestCache({ clock, backend, local: false }).set("k", { n: 1 });
    const value = (await createTestCache({ clock, backend }).get<{ n: number }>("k"))!;
    expect(() => (value.n = 2)).toThrow(TypeError);
  });

  it.for([
    ["in production", "production", undefined],
    ["with freezeShared: false", "test", false],
  ] as const)("may be changed %s, which is then seen by all", async ([, env, freezeShared]) => {
    vi.stubEnv("NODE_ENV", env);
    const cache = createTestCache(freezeShared === undefined ? {} : { freezeShared });
    const value = await cache.getOrSet("k", () => ({ n: 1 }));
    value.n = 2;
    expect(cache.peek("k")).toEqual({ n: 2 });
  });

  it("are frozen in production with freezeShared: true", async () => {
    vi.stubEnv("NODE_ENV", "production");
    const value = await createTestCache({ freezeShared: true }).getOrSet("k", () => ({ n: 1 }));
    expect(() => (value.n = 2)).toThrow(TypeError);
  });

  it("a freezeShared that is neither true nor false is refused", () => {
    expect(() => createTestCache({ freezeShared: "no" as never })).toThrow(
      'freezeShared must be true or false, got "no"',
    );
  });
});
