/** A process that reads what others hit most before it is ready. */
import { ConfigurationError, type StandardSchema } from "@hotset/core";
import { heartbeat, warm } from "@hotset/core/inspect";
import { shaped } from "@hotset/core/shapes";
import { createTestCache, flush, gate, mapTier } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { inStep, type ProcessOptions, type Processes, type SimulatedProcess } from "../support/processes.ts";
import { never } from "../support/stacks.ts";

type Two = Processes<[SimulatedProcess, SimulatedProcess]>;

/** A process whose record names its keys: those with a lower number are hit more often. */
async function running(options: ProcessOptions = {}, keys = 20): Promise<Two> {
  const processes = await inStep(options);
  const { p1, clock } = processes;
  heartbeat(p1.cache, { hottest: 50, every: "10s" });
  const products = p1.cache.namespace("products");
  for (let i = 0; i < keys; i += 1) {
    await products.getOrSet(`p${i}`, () => `product ${i}`);
    // The copy is confirmed.
    await products.getOrSet(`p${i}`, never);
    for (let hit = 0; hit < 4_000 / (i + 1); hit += 1) products.peek(`p${i}`);
  }
  clock.advance("10s");
  await flush();
  return processes;
}

/** Writes the keys of a process that is not here. */
const record = ({ backend }: SimulatedProcess, text: string): Promise<void> =>
  backend.write("test:~hottest::7", {
    data: new TextEncoder().encode(text),
    ...{ staleInMs: 30_000, expiresInMs: 30_000, meta: "", version: "1" },
  });

describe("warm", () => {
  it("has what others hit most in memory, the most hit first, and loads nothing", async () => {
    const { start } = await running();
    const { cache, backend } = start();
    const products = cache.namespace("products");
    const result = await warm(cache, { from: "fleet", namespaces: [products], maxKeys: 5 });
    expect(result).toEqual({
      read: 5,
      found: 5,
      bytes: expect.any(Number) as number,
      ms: 0,
      processes: 1,
      ended: "keys",
    });
    expect(result.bytes).toBeGreaterThan(0);
    // Samples decide between keys that are hit about as often.
    expect([0, 1, 2].map((i) => products.peek(`p${i}`))).toEqual(["product 0", "product 1", "product 2"]);
    const { length } = backend.calls;
    expect(await products.getOrSet("p0", never)).toBe("product 0");
    expect(backend.calls.slice(length).filter(({ operation }) => operation === "read")).toEqual([]);
  });

  it("obeys a change that comes meanwhile and afterwards, as any copy does", async () => {
    const { p1, start } = await running();
    await p1.cache.namespace("products").delete("p0");
    const { cache } = start();
    const products = cache.namespace("products");
    const { read, found } = await warm(cache, { from: "fleet", namespaces: [products] });
    expect(found).toBe(read - 1);
    await p1.cache.namespace("products").set("p1", "changed");
    await flush();
    expect([products.peek("p0"), await products.getOrSet("p1", never)]).toEqual([undefined, "changed"]);
  });

  it("reads the namespaces that it was given, with their schema, and the shape that is theirs", async () => {
    const processes = await inStep();
    const { p1, clock, start } = processes;
    heartbeat(p1.cache, { hottest: 50, every: "10s" });
    const [orders, items] = [p1.cache.namespace("orders"), shaped(p1.cache, "items", { shape: "1" })];
    await items.getOrSet("i", () => "item");
    await orders.getOrSet("o", () => "not a number");
    await p1.cache.getOrSet("root", () => 1);
    for (const [space, key] of [
      [orders, "o"],
      [items, "i"],
      [p1.cache, "root"],
    ] as const)
      await space.get(key);
    for (let hit = 0; hit < 1_000; hit += 1) {
      for (const [space, key] of [
        [orders, "o"],
        [items, "i"],
        [p1.cache, "root"],
      ] as const)
        space.peek(key);
    }
    clock.advance("10s");
    await flush();

    const number: StandardSchema<number> = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value) => (typeof value === "number" ? { value } : { issues: [{ message: "no number" }] }),
      },
    };
    const { cache } = start();
    const strict = cache.namespace("orders", { schema: number });
    const [same, other] = [shaped(cache, "items", { shape: "1" }), shaped(cache, "items", { shape: "2" })];
    expect(await warm(cache, { from: "fleet", namespaces: [strict] })).toMatchObject({
      read: 2,
      found: 1,
      ended: "done",
    });
    expect([strict.peek("o"), cache.peek("root")]).toEqual([undefined, 1]);
    expect(await warm(cache, { from: "fleet", namespaces: [other] })).toMatchObject({ read: 1, found: 1 });
    expect(await warm(cache, { from: "fleet", namespaces: [same] })).toMatchObject({ read: 2, found: 2 });
    expect([same.peek("i"), other.peek("i")]).toEqual(["item", undefined]);
  });

  it("ends at its bounds of bytes and of time, and where the backend does not answer", async () => {
    const { p1, clock, start } = await inStep();
    for (let i = 0; i < 250; i += 1) await p1.cache.set(`k${i}`, "a value of some size".repeat(50));
    const listed = Array.from({ length: 250 }, (_, i) => [[], `k${i}`, 1_000 - i]);
    await record(p1, JSON.stringify(listed));
    expect(await warm(start().cache, { from: "fleet" })).toMatchObject({ read: 250, found: 250, ended: "done" });
    expect(await warm(start().cache, { from: "fleet", maxBytes: 1 })).toMatchObject({ read: 100, ended: "bytes" });
    const down = start();
    down.backend.down();
    expect(await warm(down.cache, { from: "fleet" })).toMatchObject({ read: 0, ended: "unreachable" });
    const slow = start();
    slow.backend.script("*", { before: gate() });
    const warming = warm(slow.cache, { from: "fleet", timeout: 300 });
    await flush();
    clock.advance(300);
    expect(await warming).toMatchObject({ read: 0, ms: 300, ended: "time" });
  });

  it("takes from a record what has the form of a key, since others can write to the store", async () => {
    const { p1, start } = await inStep();
    await p1.cache.set("k", 1);
    const junk = [1, null, [], [[], "k"], [[1], "k", 1], ["", "k", 1], [[], "", 1], [[], "k", "1"], [[], 7, 1]];
    await record(p1, JSON.stringify([...junk, [[], "k", 1], [["__proto__"], "k", 1]]));
    expect(await warm(start().cache, { from: "fleet" })).toMatchObject({ read: 1, found: 1, processes: 1 });
    for (const text of ["", "{", "null", "{}"]) {
      await record(p1, text);
      expect(await warm(start().cache, { from: "fleet" })).toMatchObject({ read: 0, processes: 0, ended: "done" });
    }
  });

  it("finds no keys where they are redacted, after a close, and without the option", async () => {
    const redacting = await running({ redactKeys: true });
    const nothing = { read: 0, found: 0, processes: 0, ended: "done" };
    expect(await warm(redacting.start().cache, { from: "fleet" })).toMatchObject(nothing);
    const closed = await running();
    expect(closed.store.keys().filter((key) => key.includes("~hottest"))).toHaveLength(1);
    await closed.p1.cache.close({ timeout: 0 });
    expect(closed.store.keys().filter((key) => key.includes("~hottest"))).toEqual([]);
  });

  it("is checked", async () => {
    const { cache } = (await inStep()).p1;
    const wrong = (options: object): Promise<unknown> => warm(cache, options as { readonly from: "fleet" });
    await expect(wrong({})).rejects.toThrow(new ConfigurationError('warm: from must be "fleet"'));
    await expect(wrong({ from: "fleet", maxBytes: 0 })).rejects.toThrow("warm: maxBytes must be above 0");
    await expect(wrong({ from: "fleet", namespaces: [{}] })).rejects.toThrow("warm: namespaces must be a list");
    const foreign = createTestCache({ backend: true });
    await expect(wrong({ from: "fleet", namespaces: [foreign] })).rejects.toThrow("warm: namespaces must be a list");
    await expect(warm(createTestCache({ local: mapTier() }), { from: "fleet" })).rejects.toThrow("and a backend");
    expect(() => heartbeat(cache, { hottest: -1 })).toThrow(
      "heartbeat: hottest must be a whole number from 0 to 10000",
    );
  });
});
