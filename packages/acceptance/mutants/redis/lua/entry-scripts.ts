import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: the end of freshness keeps the version of the entry",
    promises: ["C26", "C61"],
    rule: "if e[4] then redis.call('HSET', KEYS[1], 'w', string.sub(redis.sha1hex(e[4]), 1, 16)) end",
    broken: "",
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
    name: "redis: markStale leaves the lease",
    promises: ["C56", "C61"],
    rule: "redis.call('DEL', KEYS[2])\nlocal e =",
    broken: "local e =",
  },
  {
    name: "redis: a removal of a missing entry is not pushed",
    promises: ["C56"],
    rule: "if n == 0 then\n  ${SIGNAL}\nend",
    broken: "",
  },
  {
    name: "redis: a removal of an entry is signalled besides",
    promises: ["C340"],
    rule: "if n == 0 then\n  ${SIGNAL}\nend",
    broken: "${SIGNAL}",
  },
  {
    name: "redis: a removal of a missing entry is pushed only where there was a lease",
    promises: ["C81"],
    rule: "redis.call('DEL', KEYS[2])\nlocal n = redis.call('DEL', KEYS[1])\nif n == 0 then",
    broken: "local held = redis.call('DEL', KEYS[2])\nlocal n = redis.call('DEL', KEYS[1])\nif held == 1 then",
  },
];
