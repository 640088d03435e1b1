import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "lock: a lock is released without a look at its token",
    promises: ["A62"],
    rule: "  if holder == ARGV[1] then\n    redis.call('DEL', KEYS[i])",
    broken: "  if holder then\n    redis.call('DEL', KEYS[i])",
  },
  {
    name: "lock: a lock is extended without a look at its token",
    promises: ["A62"],
    rule: "  if redis.call('GET', KEYS[i]) ~= ARGV[1] then return 0 end",
    broken: "  if not redis.call('GET', KEYS[i]) then return 0 end",
  },
  {
    name: "lock: a lock has no end",
    promises: ["A64"],
    rule: "redis.call('SET', ${key}, ARGV[1], 'PX', ARGV[2], 'NX')",
    broken: "redis.call('SET', ${key}, ARGV[1], 'NX')",
  },
  {
    name: "lock: a fence is a counter without the clock",
    promises: ["A63"],
    rule: "local fence = time[1] * 1000000 + time[2]",
    broken: "local fence = 1",
  },
  {
    name: "lock: a fence is the clock without the last one",
    promises: ["A63"],
    rule: "if last and last >= fence and last",
    broken: "if last and last >= fence and 0 > last",
  },
  {
    name: "lock: an attempt that is sent again blocks itself",
    promises: ["A66"],
    rule: "  if holder and holder ~= ARGV[1] then return {0, redis.call('PTTL', KEYS[i])} end",
    broken: "  if holder then return {0, redis.call('PTTL', KEYS[i])} end",
  },
  {
    name: "lock: a release that is sent again claims a lock that another had",
    promises: ["A66"],
    rule: "elseif holder or ARGV[3] == '0' or redis.call('GET', KEYS[i + 1]) ~= ARGV[2] then",
    broken: "elseif holder or ARGV[3] == '0' then",
  },
  {
    name: "lock: of several locks the first decides",
    promises: ["A68"],
    rule: "for i = 1, #KEYS, 2 do\n  local holder = redis.call('GET', KEYS[i])\n  if holder and",
    broken: "for i = 1, 1, 2 do\n  local holder = redis.call('GET', KEYS[i])\n  if holder and",
  },
  {
    name: "lock: a release wakes no waiter",
    promises: ["A64"],
    rule: "`redis.pcall('PUBLISH', ${key}, '')`",
    broken: "`redis.pcall('EXISTS', ${key})`",
  },
  {
    name: "lock: a right to publish is needed to release",
    promises: ["A64"],
    rule: "redis.pcall('PUBLISH'",
    broken: "redis.call('PUBLISH'",
  },
  {
    name: "lock: a semaphore has one permit more",
    promises: ["C234"],
    rule: '${present("KEYS[1]")} >= tonumber(ARGV[3])',
    broken: '${present("KEYS[1]")} > tonumber(ARGV[3])',
  },
  {
    name: "lock: a permit never ends",
    promises: ["C234"],
    rule: "`redis.call('ZCOUNT', ${key}, '(' .. now, '+inf')`",
    broken: "`redis.call('ZCARD', ${key})`",
  },
  {
    name: "lock: without memory a permit is given all the same",
    promises: ["A68"],
    rule: '${AS_TEXT}${enter("KEYS[1]")}${sweep("KEYS[1]")}',
    broken: '${AS_TEXT}${sweep("KEYS[1]")}${enter("KEYS[1]")}',
  },
  {
    name: "lock: a writer that waits does not keep readers out",
    promises: ["C235"],
    rule: "if ARGV[3] ~= '0' then redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[3]) end",
    broken: "",
  },
  {
    name: "lock: a reader does not look for a writer",
    promises: ["C235"],
    rule: "if redis.call('EXISTS', KEYS[1]) == 1 and not ${has",
    broken: "if false and not ${has",
  },
  {
    name: "lock: an extension that comes late shortens it",
    promises: ["A66"],
    rule: "  redis.call('PEXPIRE', KEYS[i], ARGV[2], 'GT')",
    broken: "  redis.call('PEXPIRE', KEYS[i], ARGV[2])",
  },
  {
    name: "lock: an extension of a permit that comes late shortens it",
    promises: ["A66"],
    rule: "redis.call('ZADD', ${key}, 'GT', now",
    broken: "redis.call('ZADD', ${key}, now",
  },
  {
    name: "lock: a reader whose reply was lost is refused for a writer that waits since",
    promises: ["A66"],
    rule: ' == 1 and not ${has("KEYS[2]")} then',
    broken: " == 1 then",
  },
];
