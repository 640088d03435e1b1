import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "unique counts: only the first counter is counted",
    promises: ["C248"],
    rule: 'return {"done", redis.call("PFCOUNT", unpack(KEYS))}',
    broken: 'return {"done", redis.call("PFCOUNT", KEYS[1])}',
  },
  {
    name: "unique counts: a member of two counters counts twice",
    promises: ["C248"],
    rule: 'return {"done", redis.call("PFCOUNT", unpack(KEYS))}',
    broken:
      'local sum = 0; for _, key in ipairs(KEYS) do sum = sum + redis.call("PFCOUNT", key) end; return {"done", sum}',
  },
];
