import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "trust: a sign of life counts from its arrival",
    promises: ["C86"],
    rule: "const isRegained = this.#source.alive(sentAtMs, part);",
    broken: "const isRegained = this.#source.alive(this.#clock.now(), part);",
  },
  {
    name: "trust: everythingChanged ends no trust",
    promises: ["C86"],
    rule: "everythingChanged(): void {\n    this.#trust.renew();",
    broken: "everythingChanged(): void {",
  },
  {
    name: "trust: a refused attempt to attach is not tried again",
    promises: ["C86"],
    rule: "this.#cancelRetry = this.#clock.schedule(() => void this.#attach(), RETRY_MS);",
    broken: "",
  },
  {
    name: "trust: a lost subscription is not detached",
    promises: ["C86"],
    rule: "void this.#detachNow();\n    this.#listener.everythingChanged();",
    broken: "this.#listener.everythingChanged();",
  },
  {
    name: "async context: a subscription is attributed to the call that happens to begin it",
    promises: ["C394"],
    rule: "inNoCall(() => this.#attach());",
    broken: "this.#attach();",
  },
];
