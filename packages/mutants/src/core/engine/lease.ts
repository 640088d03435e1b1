import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "leases: a forced load stores over any entry",
    promises: ["C11"],
    rule: "this.seen = seen;",
    broken: "this.seen = seen === '' ? seen : \"*\";",
  },
  {
    name: "leases: they are not renewed",
    promises: ["C54"],
    rule: "else this.#renewLater();",
    broken: "",
  },
  {
    name: "leases: they are renewed after the load",
    promises: ["C54"],
    rule: "this.#cancelRenewal?.();",
    broken: "",
  },
  {
    name: "leases: a renewal that is not answered is the last",
    promises: ["C54"],
    rule: 'if (this.#state !== "over") this.#renewLater();',
    broken: "",
  },
  {
    name: "leases: what a lost one loaded is sent all the same",
    promises: ["C54"],
    rule: 'lost("lease");',
    broken: "",
  },
  {
    name: "leases: a tag call of this process leaves them",
    promises: ["C61"],
    rule: "if (tags.some((tag) => this.#pinned?.versions.has(tag) === true)) this.release();",
    broken: "",
  },
  {
    name: "leases: every message about a tag releases them",
    promises: ["C61"],
    rule: "const isGone = tags.some((tag, i) => now[i] !== undefined && now[i].hard !== versions.get(tag)!.hard);",
    broken: "const isGone = true;",
  },
  {
    name: "leases: a tag that is missing counts as another one",
    promises: ["C61"],
    rule: "now[i] !== undefined && now[i].hard !== versions",
    broken: "now[i]?.hard !== versions",
  },
  {
    name: "leases: a message during a comparison is not looked at",
    promises: ["C61"],
    rule: 'while (changed.size !== 0 && this.#state !== "over") {',
    broken: 'if (changed.size !== 0 && this.#state !== "over") for (const _once of [0]) {',
  },
];
