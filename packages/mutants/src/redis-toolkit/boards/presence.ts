import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "presence: members whose time is over are counted until they are removed",
    promises: ["A85"],
    rule: 'return redis.call("ZCOUNT", KEYS[1], "(" .. now, "+inf")',
    broken: 'return redis.call("ZCARD", KEYS[1])',
  },
  {
    name: "presence: a shorter life ends a longer one",
    promises: ["A85"],
    rule: '"GT", now + life',
    broken: "now + life",
  },
  {
    name: "presence: members whose time is over stay",
    promises: ["A85"],
    rule: 'if #ended > 0 then redis.call("ZREM", KEYS[1], unpack(ended)) end',
    broken: "",
  },
  {
    name: "presence: the key has no end",
    promises: ["A85"],
    rule: 'if redis.call("PTTL", KEYS[1]) < life then redis.call("PEXPIRE", KEYS[1], life) end',
    broken: "",
  },
  {
    name: "presence: a member that is gone is throttled when it is back",
    promises: ["A85"],
    rule: "for (const member of members) recent.delete(member);",
    broken: "",
  },
  {
    name: "presence: a member is throttled while its removal is under way",
    promises: ["A85"],
    rule: "forget();\n    try {",
    broken: "try {",
  },
  {
    name: "presence: a report that is answered during a removal throttles the member",
    promises: ["A85"],
    rule: "all the same.\n      forget();",
    broken: "all the same.",
  },
  {
    name: "presence: what is remembered of members grows without bound",
    promises: ["A85"],
    rule: "const MOST_REMEMBERED = 10_000;",
    broken: "const MOST_REMEMBERED = Infinity;",
  },
];
