import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "limits: a fixed window has no end",
    promises: ["A72"],
    rule: "redis.call('SET', key@, ARGV[1], 'PX', window@)",
    broken: "redis.call('SET', key@, ARGV[1])",
  },
  {
    name: "limits: a log has no end",
    promises: ["A72"],
    rule: "room@, reset@ = limit@ - length@, newest@ + window@ - now\nredis.call('PEXPIRE', key@, reset@)",
    broken: "room@, reset@ = limit@ - length@, newest@ + window@ - now",
  },
  {
    name: "limits: a unit of a log counts at the end of its window",
    promises: ["A74"],
    rule: "if instant(key, 0) > start then",
    broken: "if instant(key, 0) >= start then",
  },
  {
    name: "limits: a part of a slice does not count",
    promises: ["A74"],
    rule: "local oldest@ = math.floor((now - window@) / slice@)",
    broken: "local oldest@ = math.floor((now - window@) / slice@) + 1",
  },
  {
    name: "limits: a bucket forgets parts of a millisecond",
    promises: ["A74"],
    rule: "now + math.floor(debt@ / limit@), debt@ % limit@)",
    broken: "now + math.floor(debt@ / limit@), 0)",
  },
  {
    name: "limits: a clock that was set back empties a bucket",
    promises: ["C240"],
    rule: "debt@ = math.min((ms - now) * limit@ + rest, 2 * burst@ * window@)",
    broken: "debt@ = (ms - now) * limit@ + rest",
  },
  {
    name: "limits: a slot that was not released never ends",
    promises: ["A69"],
    rule: "'(' .. now, '+inf')",
    broken: "'-inf', '+inf')",
  },
  {
    name: "limits: a slot that has ended is held until it is removed",
    promises: ["C417"],
    rule: "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)",
    broken: "",
  },
];
