import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "limits: maxLoads is ignored",
    promises: ["C38", "C42"],
    rule: "    if (slots.tryTake()) return releaseOf(slots, background);",
    broken: "    if (slots.tryTake() || true) return releaseOf({ free: () => undefined }, background);",
  },
  {
    name: "limits: maxBackgroundLoads is ignored",
    promises: ["C38"],
    rule: "if (background?.tryTake() === false) return undefined;",
    broken: "background?.tryTake();",
  },
  {
    name: "limits: each item of a batch takes a slot",
    promises: ["C115"],
    rule: "const slots = batch?.loads ?? this.#limits.loads;",
    broken: "const slots = this.#limits.loads;",
  },
  {
    name: "limits: each stale item of a batch counts as a load in the background",
    promises: ["C38", "C115"],
    rule: "(batch?.backgroundLoads ?? this.#limits.backgroundLoads);",
    broken: "this.#limits.backgroundLoads;",
  },
  {
    name: "limits: a nested load waits for a slot",
    promises: ["C50"],
    rule: "if (flight.isNested) {",
    broken: "if (false) {",
  },
  {
    name: "limits: a load without callers waits for a slot",
    promises: ["C135"],
    rule: "if (flight.isUnserved) {",
    broken: "if (false) {",
  },
];
