import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "changes: versions are recorded from answers that a message overtook",
    promises: ["C77", "C81"],
    rule: "if (this.#asked.get(tag)!.changeSequence > since) {",
    broken: "if (false) {",
  },
  {
    name: "changes: copies are not checked after a tag version was evicted",
    promises: ["C80"],
    rule: "this.#forgotten();",
    broken: "",
  },
  {
    name: "changes: known versions grow without bound",
    promises: ["C80"],
    rule: "if (this.#versions.size >= MAX_KNOWN && !this.#versions.has(tag)) this.#makeRoom();",
    broken: "",
  },
  {
    name: "tags: a version that was only read counts as pinned",
    promises: ["C133"],
    rule: "?? -Infinity });",
    broken: "?? this.#clock.now() });",
  },
  {
    name: "tags: a version is pinned once, and ends while it is in use",
    promises: ["C133"],
    rule: "known === undefined || (isReported && now - known.pinnedAt >= REPIN_MS)",
    broken: "known === undefined",
  },
  {
    name: "tags: known versions are pinned with each load",
    promises: ["C133"],
    rule: 'return { at: this.#at ?? "", versions };',
    broken: "return undefined;",
  },
  {
    name: "tags: a position from before a change is used for late tags",
    promises: ["C133"],
    rule: "if (epoch === this.#trust.epoch && since === this.#changeSequence) {",
    broken: "if (epoch === this.#trust.epoch) {",
  },
  {
    name: "tags: late tags are refused for an hour after the issuer was lost",
    promises: ["C425"],
    rule: "if (versions.includes(undefined)) this.#at = undefined;",
    broken: "",
  },
  {
    name: "tags: versions from before their part was lost are believed",
    promises: ["C168"],
    rule: "return this.#trust.isReportedInPart(now) ? now - this.#trust.maxStalenessMs : Infinity;",
    broken: "return -Infinity;",
  },
  {
    name: "tags: what was asked for is remembered for ever",
    promises: ["C80"],
    rule: "{ count: 1, changeSequence: 0 }",
    broken: "{ count: 3, changeSequence: 0 }",
  },
];
