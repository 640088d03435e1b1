import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "keys: only the ends of a long key are hashed",
    promises: ["C136"],
    rule: "node.hash = keyedHash(this.#secret, key);",
    broken: "node.hash = keyedHash(this.#secret, key.slice(0, 32) + key.slice(-64));",
  },
  {
    name: "keys: a node is looked for among all nodes of its key",
    promises: ["C136"],
    rule: "if (previous !== undefined) previous.next = next;",
    broken:
      "let found = this.#buckets[index];\n    while (found !== undefined && found !== node) found = found.next;\n    if (previous !== undefined) previous.next = next;",
  },
];
