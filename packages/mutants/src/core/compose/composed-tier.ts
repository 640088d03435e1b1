import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "compose: a copy in near answers a call with a token",
    promises: ["C125"],
    rule: "isAfter === true || ",
    broken: "",
  },
  {
    name: "compose: a late copy in near brings back what this process changed",
    promises: ["C124"],
    rule: " || !changes.mayServe(key.backend, entry)",
    broken: "",
  },
  {
    name: "compose: an unchecked copy in near is not served",
    promises: ["C125"],
    rule: "tags(entry).catch((): Entry => ({ ...entry, tagSequence: 0 }))",
    broken: "tags(entry)",
  },
  {
    name: "compose: tag calls of this process are not applied to an unchecked copy",
    promises: ["C124", "C125"],
    rule: "({ ...entry, tagSequence: 0 })",
    broken: "entry",
  },
  {
    name: "compose: an entry of far is served unchecked",
    promises: ["C125"],
    rule: "isNear || far instanceof ComposedTier ?",
    broken: "isNear || far !== near ?",
  },
  {
    name: "compose: an entry of far is not checked against the versions",
    promises: ["C423"],
    rule: "unlessInvalidated(far, entry, tags) : tags(entry);",
    broken: "unlessInvalidated(far, entry, tags) : Promise.resolve(entry);",
  },
];
