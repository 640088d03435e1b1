/** Namespaces whose values changed their shape while processes of both shapes run: what each finds, and what reaches all. */
import type { Namespace } from "@hotset/core";
import { shaped } from "@hotset/core/shapes";
import { createTestCache, flush, gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { inStep, type ProcessOptions, type Processes, type SimulatedProcess } from "../support/processes.ts";
import { counted, never } from "../support/stacks.ts";

const products = ({ cache }: SimulatedProcess, shape: string): Namespace => shaped(cache, "products", { shape });

const RECORD = "test:products:~shapes::";

interface Both {
  readonly old: Namespace;
  readonly next: Namespace;
  readonly processes: Processes<[SimulatedProcess, SimulatedProcess]>;
}

/** Two processes of different shapes, and one entry in each. */
async function both(options: ProcessOptions = {}, nextShape = "2"): Promise<Both> {
  const processes = await inStep(options);
  const { p1, p2 } = processes;
  const [old, next] = [products(p1, "1"), products(p2, nextShape)];
  await old.getOrSet("k", () => "old 1", { tags: ["t"] });
  await next.getOrSet("k", () => "next 1", { tags: ["t"] });
  return { old, next, processes };
}

describe("C746 processes of two shapes", () => {
  it("are in one record of the namespace", async () => {
    const { processes } = await both();
    const { data } = (await processes.p1.backend.read(RECORD))!;
    const now = expect.any(Number) as number;
    expect(JSON.parse(new TextDecoder().decode(data))).toEqual({ 1: now, 2: now });
  });

  it("each keep their entries, and those of other namespaces stay", async () => {
    const { old, next, processes } = await both();
    await processes.p1.cache.namespace("users").getOrSet("ada", () => 1);
    for (let times = 0; times < 3; times += 1)
      expect([await old.getOrSet("k", never), await next.getOrSet("k", never)]).toEqual(["old 1", "next 1"]);
    expect(await processes.p2.cache.namespace("users").getOrSet("ada", never)).toBe(1);
    // A third process, of the old shape, finds what the first stored.
    const p3 = processes.start();
    expect(await products(p3, "1").getOrSet("k", never)).toBe("old 1");
  });

  const CHANGES: readonly (readonly [what: string, change: (by: Namespace) => Promise<unknown>, gives: unknown])[] = [
    ["delete", (by) => by.delete("k"), { status: "deleted" }],
    ["deleteMany", (by) => by.deleteMany(["k", "absent"]), { deleted: 1, missing: 1, pending: 0 }],
    ["set", (by) => by.set("k", "set"), { status: "stored" }],
    ["setMany", (by) => by.setMany([["k", "set"]]), { stored: 1, pending: 0, refused: 0 }],
    ["markStale", (by) => by.markStale("k"), { status: "stale" }],
    ["invalidateTags", (by) => by.invalidateTags("t"), { status: "done" }],
    ["markTagsStale", (by) => by.markTagsStale("t"), { status: "done" }],
    ["clear", (by) => by.clear(), { status: "done" }],
  ];
  describe.each(CHANGES)("%s", (_, change, gives) => {
    it.each(["old", "next"] as const)("by a process of the %s shape reaches entries of the other", async (by) => {
      const { old, next } = await both();
      const [changing, other] = by === "old" ? [old, next] : [next, old];
      expect(await change(changing)).toEqual(gives);
      await flush();
      expect(await other.getOrSet("k", () => "new")).toBe("new");
    });
  });

  it("a load of the other shape that runs while a key is deleted is not stored", async () => {
    const { old, next } = await both();
    await next.delete("k");
    const loading = gate<string>();
    const slow = next.getOrSet("k", () => loading.pass());
    await loading.arrived();
    await old.delete("k");
    loading.open("of before");
    expect(await slow).toBe("of before");
    expect(await next.getOrSet("k", () => "new")).toBe("new");
  });

  it("a hit asks nothing, and a change of a key asks for one record", async () => {
    const { next, processes } = await both();
    const { backend } = processes.p2;
    await next.getOrSet("k", never);
    const { length } = backend.calls;
    for (let times = 0; times < 10; times += 1) await next.getOrSet("k", never);
    expect(backend.calls.slice(length)).toEqual([]);
    await next.delete("k");
    const asked = backend.calls.slice(length).map(({ operation }) => operation);
    expect(asked.filter((operation) => operation === "leases.acquire")).toHaveLength(1);
  });

  it("where the record was lost, a change clears the namespace, and the others record themselves again", async () => {
    const { old, next, processes } = await both();
    await processes.p1.cache.namespace("users").set("ada", 1);
    expect(processes.store.delete(RECORD)).toBe(true);
    await old.delete("absent");
    await flush();
    expect(await next.getOrSet("k", () => "next 2")).toBe("next 2");
    expect(await processes.p1.cache.namespace("users").getOrSet("ada", never)).toBe(1);
    await old.getOrSet("k", () => "old 2");
    await old.delete("k");
    await flush();
    expect(await next.getOrSet("k", () => "next 3")).toBe("next 3");
  });

  it("a process that finds no record makes the others record themselves before they store again", async () => {
    const { next, processes } = await both();
    expect(processes.store.delete(RECORD)).toBe(true);
    const third = processes.start();
    await third.cache.connect();
    const late = products(third, "1");
    expect(await late.getOrSet("k", () => "old 2")).toBe("old 2");
    await flush();
    expect(await next.getOrSet("k", () => "next 2")).toBe("next 2");
    expect(await late.delete("k")).toEqual({ status: "deleted" });
    await flush();
    expect(await next.getOrSet("k", () => "next 3")).toBe("next 3");
  });

  it.each(["2", "toString"])("a shape that no process has used for a week begins empty: %s", async (shape) => {
    const { old, next, processes } = await both({ ttl: "365d" }, shape);
    processes.clock.advance("8d");
    await old.getOrSet("other", () => 1);
    await old.delete("k");
    await flush();
    expect(await products(processes.start(), shape).getOrSet("k", () => "next 2")).toBe("next 2");
    expect(await next.getOrSet("k", never)).toBe("next 2");
  });
});

describe("C746 while the backend does not answer", () => {
  it("a process of a shape that was forgotten finds no entry of before, while it cannot record itself", async () => {
    const { old, processes } = await both({ ttl: "365d" });
    processes.clock.advance("8d");
    await old.getOrSet("other", () => 1);
    await old.delete("k");
    await flush();
    const again = processes.start();
    const returning = products(again, "2");
    again.backend.script("leases.acquire", { fail: new Error("once") });
    const loading = gate<string>();
    const load = () => loading.pass();
    const callers = [returning.getOrSet("k", load), returning.getOrSet("k", never)];
    await loading.arrived();
    loading.open("next 2");
    expect(await Promise.all(callers)).toEqual(["next 2", "next 2"]);
    expect([...(await returning.getOrSetMany(["k"], String, () => [["k", "next 3"]]))]).toEqual([["k", "next 3"]]);
  });

  it("a new process answers and keeps nothing, and keeps it once its shape is recorded", async () => {
    const { p1, clock } = await inStep();
    const next = products(p1, "2");
    p1.backend.down();
    const { load } = counted(1, 2, 3, 4);
    expect([await next.getOrSet("k", load), await next.getOrSet("k", load)]).toEqual([1, 2]);
    expect([await next.get("k"), next.peek("k")]).toEqual([undefined, undefined]);
    p1.backend.up();
    clock.advance("1m");
    expect(await next.getOrSet("k", load)).toBe(3);
    expect(await next.getOrSet("k", never)).toBe(3);
  });

  it("a process whose shape was recorded goes on, and its changes reach the other shape afterwards", async () => {
    const { old, next, processes } = await both();
    const { p1, clock } = processes;
    p1.backend.down();
    expect(await old.getOrSet("k", never)).toBe("old 1");
    expect(await old.delete("k")).toEqual({ status: "pending" });
    p1.backend.up();
    clock.advance("1m");
    await old.getOrSet("other", () => 1);
    await flush();
    expect(await next.getOrSet("k", () => "next 2")).toBe("next 2");
  });
});

describe("C746 over memory alone", () => {
  it("a shaped namespace is one like any other", async () => {
    const pages = shaped<string>(createTestCache(), "pages", { shape: "1", ttl: "1m" });
    const render = pages.wrap((id: number) => `page ${id}`, { name: "page" });
    expect([await render(1), await pages.getOrSet(render.key(1), never)]).toEqual(["page 1", "page 1"]);
    await render.invalidate(1);
    expect(await pages.has(render.key(1))).toBe(false);
    expect(() => pages.namespace("below")).toThrow("has none below it");
  });
});
