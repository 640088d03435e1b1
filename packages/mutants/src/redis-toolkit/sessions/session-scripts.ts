import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "sessions: touch brings back a session that has ended",
    promises: ["A81"],
    rule: "export const TOUCH: string = `${STEP}\nlocal session = held(KEYS[1])\n",
    broken:
      "export const TOUCH: string = `${STEP}\nlocal session = held(KEYS[1]) or {active = 0, idle = 60000, ends = " +
      "clock() + 60000}\n",
  },
  {
    name: "sessions: an update makes a session that has ended",
    promises: ["A81"],
    rule: "local session = held(KEYS[1])\nif not session then return report(KEYS[1], 0) end\nif ARGV[3] ~= '' and",
    broken:
      "local session = held(KEYS[1]) or {active = 0, idle = 60000, ends = clock() + 60000, version = 0}\nif " +
      "ARGV[3] ~= '' and",
  },
  {
    name: "sessions: the version of an update is not compared",
    promises: ["A81"],
    rule: "if ARGV[3] ~= '' and ARGV[3] ~= session.version then",
    broken: "if false then",
  },
  {
    name: "sessions: activity moves the end beyond the absolute time",
    promises: ["A80"],
    rule: "return math.max(1, math.min(idle, ends - now))",
    broken: "return math.max(1, idle)",
  },
  {
    name: "sessions: each touch writes",
    promises: ["A80"],
    rule: "if not due(session, idle, now) then return answer(KEYS[1], session, 0, ARGV[1]) end",
    broken: "",
  },
  {
    name: "sessions: touch does not move the end",
    promises: ["A80"],
    rule:
      "redis.call('PEXPIRE', KEYS[1], life(session.ends, idle, now))\nredis.call('HSET', KEYS[1], 'a', now, 'i', " +
      "idle)\n",
    broken: "redis.call('HSET', KEYS[1], 'a', now, 'i', idle)\n",
  },
  {
    name: "sessions: touch waits for a minute, however short the idle time is",
    promises: ["A80"],
    rule: "local slack = math.min(60000, idle / 10)",
    broken: "local slack = 60000",
  },
  {
    name: "sessions: the old id stays valid after a new one",
    promises: ["A82"],
    rule: "redis.call('RENAME', KEYS[1], KEYS[2])",
    broken: "redis.call('COPY', KEYS[1], KEYS[2])",
  },
  {
    name: "sessions: the grace of an old id has no end",
    promises: ["A82"],
    rule: "  redis.call('PEXPIRE', KEYS[1], ARGV[1])\nend\nreturn report(KEYS[2], 1)",
    broken: "end\nreturn report(KEYS[2], 1)",
  },
  {
    name: "sessions: a login keeps the absolute end of the visit before it",
    promises: ["A82"],
    rule: "  ends = now + ARGV[5]\n",
    broken: "",
  },
  {
    name: "sessions: the life in Redis is not that of the session",
    promises: ["A80"],
    rule: "redis.call('PEXPIRE', KEYS[1], math.max(1, math.min(ARGV[1], ends - now)))",
    broken: "redis.call('PEXPIRE', KEYS[1], ARGV[2])",
  },
  {
    name: "sessions: destroyAll leaves the epoch of the user",
    promises: ["C242"],
    rule: "redis.call('DEL', KEYS[1], KEYS[2])",
    broken: "redis.call('DEL', KEYS[2])",
  },
  {
    name: "sessions: a session of connect-redis lives anew when it is read",
    promises: ["C244"],
    rule: "local left = redis.call('PTTL', KEYS[1])",
    broken: "local left = -1",
  },
  {
    name: "sessions: full memory keeps sessions from being touched",
    promises: ["C245"],
    rule:
      "redis.call('PEXPIRE', KEYS[1], life(session.ends, idle, now))\nredis.call('HSET', KEYS[1], 'a', now, 'i', " +
      "idle)",
    broken:
      "redis.call('HSET', KEYS[1], 'a', now, 'i', idle)\nredis.call('PEXPIRE', KEYS[1], life(session.ends, idle, now))",
  },
];
