import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: the end of freshness keeps the version of the entry",
    promises: ["C26", "C61"],
    rule: "if e[4] then redis.call('HSET', KEYS[1], 'w', string.sub(redis.sha1hex(e[4]), 1, 16)) end",
    broken: "",
  },
  {
    name: "redis: a write leaves fields of the former entry",
    promises: ["A39"],
    rule: "elseif redis.call('HLEN', KEYS[1]) * 2 ~= #ARGV - ${life + 2} then",
    broken: "elseif false then",
  },
  {
    name: "redis: a write without an end inherits the former one",
    promises: ["A39"],
    rule: "if ARGV[${life}] == '' then redis.call('PERSIST', KEYS[1]) else",
    broken: "if ARGV[${life}] ~= '' then",
  },
  {
    name: "redis: a removal leaves the lease",
    promises: ["A41"],
    rule: "redis.call('DEL', KEYS[2])\nlocal n =",
    broken: "local n =",
  },
  {
    name: "redis: markStale leaves the whole life",
    promises: ["C70"],
    rule: "if window >= 0 and (ttl < 0 or window < ttl) then",
    broken: "if false then",
  },
  {
    name: "redis: a write leaves the lease",
    promises: ["C56", "C61"],
    rule: "redis.call('DEL', KEYS[2])\n${announce()}\nreturn 1`;",
    broken: "${announce()}\nreturn 1`;",
  },
  {
    name: "redis: markStale leaves the lease",
    promises: ["C56", "C61"],
    rule: "redis.call('DEL', KEYS[2])\nlocal e =",
    broken: "local e =",
  },
  {
    name: "redis: a removal of nothing is not announced",
    promises: ["C56"],
    rule: "local n = redis.call('DEL', KEYS[1])\n${SIGNAL}",
    broken: "local n = redis.call('DEL', KEYS[1])",
  },
  {
    name: "redis: a removal of nothing is announced only if there was a lease",
    promises: ["C81"],
    rule: "redis.call('DEL', KEYS[2])\nlocal n = redis.call('DEL', KEYS[1])\n${SIGNAL}",
    broken:
      "local held = redis.call('DEL', KEYS[2])\nlocal n = redis.call('DEL', KEYS[1])\nif held == 1 then ${SIGNAL} end",
  },
  {
    name: "redis: a refused write over nothing is not announced",
    promises: ["A94"],
    rule: "redis.call('DEL', KEYS[2])\n    ${SIGNAL}\n    ${announce()}\n    return reply",
    broken: "redis.call('DEL', KEYS[2], KEYS[1])\n    ${announce()}\n    return reply",
  },
  {
    name: "redis: releasing a lease over an entry that stays wakes no waiter",
    promises: ["C56", "C61"],
    rule: "elseif left >= 0 then\n",
    broken: "elseif true then\nelseif left >= 0 then\n",
  },
  {
    name: "redis: releasing a lease over nothing wakes no waiter",
    promises: ["C56"],
    rule: "if left == -2 then\n  ${SIGNAL}",
    broken: "if left == -2 then\n",
  },
];
