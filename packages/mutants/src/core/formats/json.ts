import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "json: values of any depth are read",
    promises: ["C142"],
    rule: "if (!isFlat(text, value)) reason = tooDeep;",
    broken: "if (!isFlat(text, value) && value === undefined) reason = tooDeep;",
  },
  {
    name: "json: values of any depth are written",
    promises: ["C142"],
    rule: "?? (isFlat(text, value) || walkJson(bytes) ? undefined : tooDeep)",
    broken: "?? undefined",
  },
  {
    name: "json: a toJSON hides depth from the check on writing",
    promises: ["C142"],
    rule: "(isFlat(text, value) || walkJson(bytes) ? undefined : tooDeep)",
    broken: "(isFlat(text, value) ? undefined : tooDeep)",
  },
];
