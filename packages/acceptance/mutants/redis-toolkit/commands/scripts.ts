import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a field that exists gives its hash a new life",
    promises: ["A29"],
    rule: "if added == 1 and ARGV[3] ~= '0'",
    broken: "if ARGV[3] ~= '0'",
  },
  {
    name: "toolkit: keys are set although one of them exists",
    promises: ["A27"],
    rule: "if redis.call('EXISTS', unpack(KEYS)) > 0 then return 0 end",
    broken: "",
  },
];
