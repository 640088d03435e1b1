import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: the end of freshness keeps the version of the entry",
    promises: ["C26", "C61"],
    rule: "if e[3] then redis.call('HSET', KEYS[1], 'w', string.sub(redis.sha1hex(e[3]), 1, 16)) end",
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
    rule: "'s', 'm', 'w'\")}\nredis.call('DEL', KEYS[2])",
    broken: "'s', 'm', 'w'\")}",
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
  {
    name: "redis: markStale reads the value in its script",
    promises: ["C358"],
    rule: "redis.call('HSTRLEN', KEYS[1], 'd') == 0 and not redis.call('HGET', KEYS[1], 'd')",
    broken: "not redis.call('HGET', KEYS[1], 'd')",
  },
  {
    name: "redis: markStale takes an empty value for none",
    promises: ["C358"],
    rule: "redis.call('HSTRLEN', KEYS[1], 'd') == 0 and not redis.call('HGET', KEYS[1], 'd')",
    broken: "redis.call('HSTRLEN', KEYS[1], 'd') == 0",
  },
  {
    name: "redis: without a prefix, markStale removes bytes of another program",
    promises: ["C146"],
    rule: "if e.err and ${HAS_PREFIX} and",
    broken: "if e.err and",
  },
  {
    name: "redis: markStale writes an instant that is not a number",
    promises: ["C70"],
    rule: "math.max(0, math.min(s or now, now))",
    broken: "math.min(s or now, now)",
  },
];
