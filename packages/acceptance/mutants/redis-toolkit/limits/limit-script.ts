import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "limits: a fixed window has no end",
    promises: ["A72"],
    rule: "redis.call('SET', rule.key, units, 'PX', left)",
    broken: "redis.call('SET', rule.key, units)",
  },
  {
    name: "limits: a log has no end",
    promises: ["A72"],
    rule: "redis.call('PEXPIRE', rule.key, newest + rule.window - now)",
    broken: "",
  },
  {
    name: "limits: the clock of a process decides",
    promises: ["A73"],
    rule: "return [CLOCK, ...",
    broken: "return [CLOCK.replace(\"redis.call('TIME')\", `{${Math.floor(Date.now() / 1_000)}, 0}`), ...",
  },
  {
    name: "limits: only the first rule is asked",
    promises: ["A75"],
    rule: "for _, rule in ipairs(rules) do if rule.room < units then return false end end",
    broken: "if rules[1].room < units then return false end",
  },
  {
    name: "limits: refused calls count",
    promises: ["A75"],
    rule: "if fits or (ARGV[5] == '1' and blocked < 0) then",
    broken: "if true then",
  },
  {
    name: "limits: a unit of a log counts at the end of its window",
    promises: ["A74"],
    rule: "if first <= now - rule.window then",
    broken: "if first < now - rule.window then",
  },
  {
    name: "limits: a part of a slice does not count",
    promises: ["A74"],
    rule: "math.floor((now - rule.window) / slice)",
    broken: "math.floor((now - rule.window) / slice) + 1",
  },
  {
    name: "limits: a bucket forgets parts of a millisecond",
    promises: ["A74"],
    rule: "now + math.floor(debt / rule.limit), debt % rule.limit)",
    broken: "now + math.floor(debt / rule.limit), 0)",
  },
  {
    name: "limits: a slot that was not released never ends",
    promises: ["A69"],
    rule: "'(' .. now, '+inf')",
    broken: "'-inf', '+inf')",
  },
];
