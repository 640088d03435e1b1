import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "trust: a sign of life counts from when it came",
    promises: ["C86"],
    rule: "this.#source.alive(sentAtMs);",
    broken: "this.#source.alive(this.#clock.now());",
  },
  {
    name: "trust: a report that anything may have changed has no effect",
    promises: ["C86"],
    rule: "everythingChanged(): void {\n    this.#trust.renew();",
    broken: "everythingChanged(): void {",
  },
  {
    name: "trust: an attachment that was refused is not tried again",
    promises: ["C86"],
    rule: "this.#cancelRetry = this.#clock.schedule(() => void this.#attach(), RETRY_MS);",
    broken: "",
  },
  {
    name: "trust: an attachment is kept when its link is lost",
    promises: ["C86"],
    rule: "void this.#letGo();\n    this.#heard.everythingChanged();",
    broken: "this.#heard.everythingChanged();",
  },
];
