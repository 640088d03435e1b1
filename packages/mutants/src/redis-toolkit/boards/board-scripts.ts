import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "boards: scores lose their last digits",
    promises: ["A84"],
    rule: 'string.format("%.17g", score + 0)',
    broken: 'string.format("%.14g", score + 0)',
  },
  {
    name: "boards: the member that reached a score last is first",
    promises: ["A84"],
    rule: 'if tieOrder == "highest" then',
    broken: 'if tieOrder == "lowest" then',
  },
  {
    name: "boards: setting the same score again loses the place among ties",
    promises: ["A84"],
    rule: 'if old and tonumber(old) == new then return "unchanged" end',
    broken: "",
  },
  {
    name: "boards: a writer without dense ranks leaves their index as it is",
    promises: ["A84"],
    rule: 'local hasLevels = wantsLevels or redis.call("EXISTS", levels) == 1',
    broken: "local hasLevels = wantsLevels",
  },
  {
    name: "boards: a writer without ties leaves their index as it is",
    promises: ["A84"],
    rule: "local hasTies = wantsTies or tieOrder ~= nil\n",
    broken: "local hasTies = wantsTies\n",
  },
  {
    name: "boards: a score that its last member has left still counts as a rank",
    promises: ["A84"],
    rule: 'if hasLevels and redis.call("ZCOUNT", scores, score, score) == 0 then',
    broken: "if false then",
  },
  {
    name: "boards: an index of ties that is not complete is read",
    promises: ["C246"],
    rule: 'if not tieOrder or redis.call("ZCARD", reached) ~= count then return {"index"} end',
    broken: 'if not tieOrder then return {"index"} end',
  },
  {
    name: "boards: an index of dense ranks that is not complete is read",
    promises: ["C246"],
    rule: ' or redis.call("ZSCORE", levels, "")) then return {"index"} end',
    broken: ') then return {"index"} end',
  },
  {
    name: "boards: an index that was lost while it was made is made from the middle on",
    promises: ["C246"],
    rule: 'making == ARGV[7] and ARGV[8] or "0"',
    broken: "ARGV[8]",
  },
  {
    name: "boards: an index outlives the scores that it is of",
    promises: ["C246"],
    rule: 'if count == 0 then\n  redis.call("UNLINK", levels, stamps, reached)\n',
    broken: "if count == 0 then\n",
  },
  {
    name: "boards: best of times is the longest one",
    promises: ["A84"],
    rule: '(order == "lowest" and new < tonumber(old))',
    broken: '(order == "lowest" and new > tonumber(old))',
  },
  {
    name: "boards: a sum that no double holds is rounded",
    promises: ["A84"],
    rule: "if math.abs(sum) > LARGEST and math.abs(from) ~= math.huge then",
    broken: "if false then",
  },
  {
    name: "boards: a window of a board has no end",
    promises: ["A85"],
    rule: 'if ARGV[3] ~= "0" then',
    broken: "if false then",
  },
  {
    name: "boards: the sources of a union are counted once",
    promises: ["A85"],
    rule: 'args[#args + 1], args[#args + 2] = "AGGREGATE", ARGV[3]',
    broken: 'args[#args + 1], args[#args + 2] = "AGGREGATE", "MAX"',
  },
  {
    name: "boards: a union stays",
    promises: ["A85"],
    rule: 'redis.call("UNLINK", scores, levels)\nelse',
    broken: "\nelse",
  },
  {
    name: "boards: a standard rank in the middle of ties is the position",
    promises: ["A84"],
    rule: 'if rows[1] and ranks ~= "ordinal" then',
    broken: 'if rows[1] and ranks == "dense" then',
  },
  {
    name: "boards: two large scores add up to an infinite one",
    promises: ["A84"],
    rule: "and math.abs(from) ~= math.huge then",
    broken: "and math.abs(sum) ~= math.huge then",
  },
  {
    name: "boards: what a union was joined in stays",
    promises: ["C481"],
    rule: 'if ARGV[12] == "1" then redis.call("UNLINK", KEYS[3]) end',
    broken: "",
  },
];
