import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a release that comes late wakes those who wait for the next holder",
    promises: ["C375"],
    rule: "if lease ~= ARGV[1] then return 0 end\n${FREE}",
    broken: "if lease ~= ARGV[1] then\n  ${WAKE}\n  return 0\nend\n${FREE}",
  },
  {
    name: "redis: a lease is granted over an entry that is over",
    promises: ["C424"],
    rule: "if ARGV[4] == '1' and ${HAS_VERSION} then",
    broken: "if false then",
  },
  {
    name: "redis: each entry that is loaded again is removed",
    promises: ["C424"],
    rule: "if ARGV[4] == '1' and ${HAS_VERSION} then",
    broken: "if ${HAS_VERSION} then",
  },
  {
    name: "redis: an entry of another program is removed when it is over",
    promises: ["C424"],
    rule: "was ~= '' and was ~= '-' and was ~= '!'\"",
    broken: "was ~= '' and was ~= '!'\"",
  },
  {
    name: "redis: a process that removed an entry with its lease is not told of the next change",
    promises: ["C195"],
    rule: "${WATCH}\n  was = ''",
    broken: "was = ''",
  },
  {
    name: "redis: a version is looked for where there is no entry",
    promises: ["C339"],
    rule: "was = redis.pcall('HLEN', KEYS[1])\nif was == 0 then",
    broken: "redis.pcall('HGET', KEYS[1], 'w')\nwas = redis.pcall('HLEN', KEYS[1])\nif was == 0 then",
  },
  {
    name: "redis: a lease is granted to many",
    promises: ["C52"],
    rule: "'NX', 'PX', ARGV[2])",
    broken: "'PX', ARGV[2])",
  },
  {
    name: "redis: a lease is granted over an entry stored since",
    promises: ["C52"],
    rule: "if was ~= '' and was ~= '!' and was ~= ARGV[3] then",
    broken: "if false then",
  },
  {
    name: "redis: a forced load waits for its turn",
    promises: ["C11"],
    rule: "if ARGV[3] == '*' then",
    broken: "if false then",
  },
  {
    name: "redis: a lease is renewed without its token",
    promises: ["C54"],
    rule: "if lease ~= ARGV[1] then return 0 end\nreturn redis",
    broken: "return redis",
  },
  {
    name: "redis: a lease is released without its token",
    promises: ["C54"],
    rule: "if lease ~= ARGV[1] then return 0 end\n${FREE}",
    broken: "${FREE}",
  },
  {
    name: "redis: a release wakes no waiter",
    promises: ["C56"],
    rule: "${FREE}\nreturn 1`",
    broken: "redis.call('DEL', KEYS[2])\nreturn 1`",
  },
  {
    name: "redis: a release is a change of the entry",
    promises: ["C445"],
    rule: "${FREE}\nreturn 1`",
    broken: "${FREE}\n${WAKE}\nreturn 1`",
  },
  {
    name: "redis: a process without the lease stores",
    promises: ["C53", "C61"],
    rule: "if lease ~= ARGV[1] then\n  ${DISCARD}",
    broken: "if false then\n  ${DISCARD}",
  },
  {
    name: "redis: a load is stored over a change by another program meanwhile",
    promises: ["C61"],
    rule: "if was ~= ARGV[2] then",
    broken: "if false then",
  },
  {
    name: "redis: a refused store keeps the lease",
    promises: ["C61"],
    rule: "redis.call('DEL', KEYS[2])\n    ${WAKE}",
    broken: "${WAKE}",
  },
  {
    name: "redis: a refused store wakes no waiter",
    promises: ["C61"],
    rule: "redis.call('DEL', KEYS[2])\n    ${WAKE}",
    broken: "redis.call('DEL', KEYS[2])",
  },
  {
    name: "redis: a refused store leaves its staged value",
    promises: ["C185"],
    rule: "if was ~= ARGV[2] then\n    ${DISCARD}",
    broken: "if was ~= ARGV[2] then",
  },
  {
    name: "redis: a lease that the server's clock moved away is waited for",
    promises: ["C187"],
    rule: "if left >= 0 and left <= ${MAX_LEASE_MS} then",
    broken: "if left >= 0 then",
  },
];
