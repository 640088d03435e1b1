import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a lease that ends is announced twice",
    promises: ["C375"],
    rule: "redis.call('PERSIST', KEYS[1])\nend\n${announce()}`",
    broken: "redis.call('PERSIST', KEYS[1])\nend\n${announce()}\n${announce()}`",
  },
  {
    name: "redis: a write leaves fields of the former entry",
    promises: ["A39"],
    rule: "if not KEYS[3] and redis.call('HLEN', KEYS[1]) * 2 ~= #ARGV - ${life + 2} then",
    broken: "if not KEYS[3] and redis.call('HLEN', KEYS[1]) == 0 then",
  },
  {
    name: "redis: a write without an end inherits the former one",
    promises: ["A39"],
    rule: "if ARGV[${life}] == '' then redis.call('PERSIST', KEYS[1])\nelse",
    broken: "if ARGV[${life}] ~= '' then",
  },
  {
    name: "redis: a write leaves the lease",
    promises: ["C56", "C61"],
    rule: "redis.call('DEL', KEYS[2])\nif not KEYS[3] and",
    broken: "if not KEYS[3] and",
  },
  {
    name: "redis: a process that has written a key does not watch it",
    promises: ["C195"],
    rule: "if not KEYS[3] and redis.call('HLEN', KEYS[1]) * 2 ~= #ARGV - ${life + 2} then",
    broken: "if false then",
  },
  {
    name: "redis: a process whose write was refused does not watch its key",
    promises: ["C195"],
    rule: "    ${WATCH}\n    ${announce()}\n    return reply",
    broken: "    ${announce()}\n    return reply",
  },
  {
    name: "redis: a refused write over no entry is not pushed",
    promises: ["A94"],
    rule: "redis.call('DEL', KEYS[2])\n    ${SIGNAL}\n    ${WATCH}\n    ${announce()}\n    return reply",
    broken: "redis.call('DEL', KEYS[2], KEYS[1])\n    ${WATCH}\n    ${announce()}\n    return reply",
  },
  {
    name: "redis: a lease freed over an entry that stays wakes no waiter",
    promises: ["C56", "C61"],
    rule: "elseif left >= 0 then\n",
    broken: "elseif true then\nelseif left >= 0 then\n",
  },
  {
    name: "redis: a lease freed over no entry wakes no waiter",
    promises: ["C56"],
    rule: "if left == -2 then\n  ${SIGNAL}",
    broken: "if left == -2 then\n",
  },
  {
    name: "redis: keys of other programs are replaced where there is no prefix",
    promises: ["C146"],
    rule: "if type(bytes) == 'table' then return bytes end",
    broken: "if type(bytes) == 'table' then bytes = 1 end",
  },
  {
    name: "redis: hashes of other programs are replaced where there is no prefix",
    promises: ["C146"],
    rule: "if bytes == 0 and not redis.call('HGET', KEYS[1], 'd') and redis.call('HLEN', KEYS[1]) > 0 then",
    broken: "if false then",
  },
  {
    name: "redis: a write whose staged value is gone stores nothing",
    promises: ["C185"],
    rule: "if redis.call('HSTRLEN', KEYS[3], 'd') == 0 then return 2 end",
    broken: "if redis.call('HSTRLEN', KEYS[3], 'd') == 0 then return 1 end",
  },
  {
    name: "redis: a right that is missing passes for a key that holds nothing",
    promises: ["C360"],
    rule: "then\n  error(${name})\nend",
    broken: "then\nend",
  },
  {
    name: "redis: an own store that nothing reads behind is not confirmed",
    promises: ["C450"],
    rule: "  redis.call('DEL', KEYS[2])\n  ${WATCH}\n  redis.call('RENAME'",
    broken: "  ${WATCH}\n  redis.call('RENAME'",
  },
];
