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
    rule: "if redis.call('EXISTS', key) == 1 then return 0 end",
    broken: "",
  },
  {
    name: "toolkit: the fields of a hash go to Redis at once",
    promises: ["A28"],
    rule: "for i = 2, #ARGV, 2000 do",
    broken: "for i = 2, 2 do",
  },
  {
    name: "toolkit: fields before one that is not a number grow all the same",
    promises: ["C398"],
    rule: "for done = i - 2, 2, -2 do",
    broken: "for done = 0, 2, -2 do",
  },
  {
    name: "toolkit: counters before one that is not a number grow all the same",
    promises: ["C398"],
    rule: "for done = i - 1, 1, -1 do",
    broken: "for done = 0, 1, -1 do",
  },
];
