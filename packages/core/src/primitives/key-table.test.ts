import fc from "fast-check";
import { expect, it, vi } from "vitest";
import { KeyNode, KeyTable } from "./key-table.ts";

class Named extends KeyNode {
  readonly name: string;

  constructor(name: string) {
    super();
    this.name = name;
  }
}

/** Names of all nodes of one key, in the order in which they are found. */
function under(table: KeyTable<Named>, key: string): string[] {
  const names = [];
  for (let each = table.first(key); each !== undefined; each = table.after(each)) names.push(each.name);
  return names;
}

it("finds the nodes of a key, the last added first, and no others", () => {
  const table = new KeyTable<Named>();
  const [a, b, c] = [new Named("a"), new Named("b"), new Named("c")];
  table.add("k", a);
  table.add("other", b);
  table.add("k", c);
  expect([under(table, "k"), under(table, "other"), under(table, "none")]).toEqual([["c", "a"], ["b"], []]);
  table.remove(a);
  expect([under(table, "k"), table.size]).toEqual([["c"], 2]);
});

it("does nothing for a node that is not in the table", () => {
  const table = new KeyTable<Named>();
  const node = new Named("n");
  table.remove(node);
  table.add("k", node);
  table.remove(node);
  table.remove(node);
  expect([table.size, under(table, "k")]).toEqual([0, []]);
});

/** Adds nodes under these keys, and returns how many of them share the fullest of 16,384 places. */
function fullest(keys: readonly string[]): number {
  const table = new KeyTable<Named>();
  const counts = new Map<number, number>();
  for (const key of keys) {
    const node = new Named(key);
    table.add(key, node);
    const place = node.hash & 16_383;
    counts.set(place, (counts.get(place) ?? 0) + 1);
  }
  return Math.max(...counts.values());
}

it.for([
  [
    "in the middle of a long key",
    (i: number) => `${"/".repeat(40)}${i.toString(2).padStart(14, "0")}${"/".repeat(80)}`,
  ],
  ["in the first characters", (i: number) => `${i}${"/".repeat(200)}`],
  ["in the last characters", (i: number) => `${"/".repeat(200)}${i}`],
  [
    "in the high bits of each character",
    (i: number) =>
      Array.from(i.toString(2), (bit) => (bit === "1" ? "耀" : "\0"))
        .join("")
        .padStart(14, "\0"),
  ],
] as const)("spreads 16,000 keys that differ only %s", ([, key]) => {
  // A random spread puts at most 7 or 8 into one place; 16 happens once in a billion tables.
  expect(fullest(Array.from({ length: 16_000 }, (_, i) => key(i)))).toBeLessThan(16);
});

it("hashes equal keys differently in each process, and alike in all tables of one", async () => {
  const hashOf = (Table: typeof KeyTable): number => {
    const node = new Named("n");
    new Table<Named>().add("other", new Named("o"));
    new Table<Named>().add("user:42", node);
    return node.hash;
  };
  const hashes: number[] = [];
  for (let i = 0; i < 20; i += 1) {
    vi.resetModules();
    const { KeyTable: Table } = await import("./key-table.ts");
    hashes.push(hashOf(Table));
    expect(hashOf(Table)).toBe(hashes.at(-1));
  }
  expect(new Set(hashes).size).toBe(20);
});

it("removes the oldest node of a key without visiting the younger ones", () => {
  const table = new KeyTable<Named>();
  const nodes = Array.from({ length: 200 }, (_, i) => new Named(String(i)));
  let visits = 0;
  for (const node of nodes) {
    let next: KeyNode | undefined;
    Object.defineProperty(node, "next", {
      get: () => ((visits += 1), next),
      set(each: KeyNode | undefined) {
        next = each;
      },
    });
  }
  for (const node of nodes) table.add("hot", node);
  visits = 0;
  for (const node of nodes) table.remove(node);
  expect(table.size).toBe(0);
  expect(visits).toBeLessThan(5 * nodes.length);
});

it("behaves like lists in a Map, also while it grows", () => {
  const key = fc.oneof(
    fc.integer({ min: 0, max: 9 }).map((i) => `k${i}`),
    fc.integer({ min: 0, max: 3_000 }).map((i) => `${"x".repeat(200)}${i}${"y".repeat(10)}`),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), key, fc.nat()), { maxLength: 2_000, size: "max" }), (steps) => {
      const table = new KeyTable<Named>();
      const model = new Map<string, Named[]>();
      const all: Named[] = [];
      for (const [adds, at, pick] of steps) {
        if (adds || all.length === 0) {
          const node = new Named(String(all.length));
          table.add(at, node);
          model.set(at, [node, ...(model.get(at) ?? [])]);
          all.push(node);
        } else {
          const node = all[pick % all.length]!;
          table.remove(node);
          model.set(
            node.tableKey,
            (model.get(node.tableKey) ?? []).filter((each) => each !== node),
          );
        }
      }
      for (const [at, nodes] of model) expect(under(table, at)).toEqual(nodes.map(({ name }) => name));
      expect([...table].length).toBe(table.size);
      expect(table.size).toBe([...model.values()].flat().length);
    }),
    { numRuns: 60, seed: 7 },
  );
});
