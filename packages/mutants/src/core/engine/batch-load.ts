import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "leases: a batch waits for keys that another process loads before it loads the rest",
    promises: ["C52"],
    rule: "paused(): void {\n",
    broken: "paused(): void {\n    if (this.#outstanding > 0) return;\n",
  },
  {
    name: "leases: a batch pins once, however long it waits",
    promises: ["C52"],
    rule: "this.pinned = undefined;",
    broken: "",
  },
  {
    name: "many: an item that the loader left out is never remembered",
    promises: ["C191"],
    rule: "value === undefined ? this.#absent : value",
    broken: "value",
  },
  {
    name: "batches: tags of the function replace the options that the loader gave an item",
    promises: ["C451"],
    rule: "context.setOptions({ ...options, tags: [...(options?.tags ?? []), ...tags] });",
    broken: "context.setOptions({ tags });",
  },
  {
    name: "batches: an item of the list that is not a pair is left out",
    promises: ["C349"],
    rule: "if (!Array.isArray(pair) || pair.length !== 2) throw notPairs(`a list with ${shapeOf(pair)}`);",
    broken: "if (!Array.isArray(pair) || pair.length !== 2) continue;",
  },
  {
    name: "batches: calls that begin anew are not waited for by their batch",
    promises: ["C432"],
    rule: "  joins(flight: SettlingFlight): void {\n    this.resumed();\n    this.leavesWith(flight);\n  }",
    broken: "  joins(): void {}",
  },
  {
    name: "batches: one that waits for a call that begins anew never goes on without it",
    promises: ["C432"],
    rule: "  joins(flight: SettlingFlight): void {\n    this.resumed();\n    this.leavesWith(flight);\n  }",
    broken: "  joins(): void {\n    this.resumed();\n  }",
  },
  {
    name: "inherit: a batch inherits nothing",
    promises: ["C454"],
    rule: "batchContext.inherits ? new UsedValues(context) : undefined",
    broken: "undefined",
  },
];
