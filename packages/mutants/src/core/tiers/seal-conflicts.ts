import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "seal: two secrets replace each other's entries for ever",
    promises: ["C154"],
    rule: "return known !== undefined && known.version === version && isRecent(known, now);",
    broken: "return known !== undefined && known.version === version && now < 0;",
  },
  {
    name: "seal: an entry of a lost key is never replaced",
    promises: ["C154"],
    rule: "return known !== undefined && known.version === version && isRecent(known, now);",
    broken: "return known !== undefined && known.version === version;",
  },
  {
    name: "seal: another entry than the one that cannot be opened is left in place",
    promises: ["C154"],
    rule: "return known !== undefined && known.version === version && isRecent(known, now);",
    broken: "return known !== undefined && isRecent(known, now);",
  },
  {
    name: "seal: a kept load is not confirmed by the entry in its place",
    promises: ["C154"],
    rule: "known?.token !== undefined && known.version === version ? known.token : version",
    broken: "version",
  },
  {
    name: "seal: a conflict is reported each time",
    promises: ["C154"],
    rule: "this.#isReported = true;",
    broken: "",
  },
];
