import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "streams: poison is delivered for ever",
    promises: ["A52"],
    rule: "if pending and pending[4] >= most then",
    broken: "if false then",
  },
  {
    name: "streams: a dead letter stays pending",
    promises: ["A52"],
    rule: `    buried[#buried + 1] = id
  else
    deleted = deleted + 1
  end
  redis.call('XACK', stream, group, id)`,
    broken: `    buried[#buried + 1] = id
  else
    deleted = deleted + 1
  end`,
  },
  {
    name: "streams: a look at idle entries counts as a delivery",
    promises: ["A52"],
    rule: "'COUNT', count, 'JUSTID')",
    broken: "'COUNT', count)\n  for i, entry in ipairs(found[2] or {}) do found[2][i] = entry[1] end",
  },
  {
    name: "streams: poison waits until there is memory",
    promises: ["C227"],
    rule: "    redis.call('XCLAIM', stream, group, me, 0, id, 'JUSTID')\n    local written",
    broken: "    local written",
  },
  {
    name: "streams: a dead letter that cannot be written ends the step",
    promises: ["C227"],
    rule: "local written, problem = pcall(function() return redis.call(unpack(letter)) end)",
    broken: "local written, problem = true, redis.call(unpack(letter))",
  },
  {
    name: "streams: a deleted entry stays pending",
    promises: ["A54"],
    rule: `      redis.call('XACK', stream, group, id)
      deleted = deleted + 1`,
    broken: "      local ignored = id",
  },
  {
    name: "streams: a consumer is deleted with what it holds",
    promises: ["A55"],
    rule: "if #found > 0 then return 1 end",
    broken: "",
  },
  {
    name: "streams: an entry of another consumer is taken back",
    promises: ["A52"],
    rule: "'XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])",
    broken: "'XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)",
  },
];
