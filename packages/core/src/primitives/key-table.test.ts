import fc from "fast-check";
import { expect, it } from "vitest";
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
