import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "strings: a lease is granted over an entry that is over",
    promises: ["C424"],
    rule: "if ARGV[5] == '1' and ${HAS_VERSION} then was = '' end\n",
    broken: "",
  },
  {
    name: "strings: a removal leaves the placeholder",
    promises: ["C313"],
    rule: "if redis.call('DEL', KEYS[1]) == 0 then\n  ${SIGNAL}\nend",
    broken: "redis.call('DEL', KEYS[2])\nif not holder then redis.call('DEL', KEYS[1]) end",
  },
  {
    name: "strings: markStale leaves the placeholder",
    promises: ["C313"],
    rule: "if was == '' or was == '-' or was == '!' then\n  redis.call('DEL', KEYS[1])\n  ${SIGNAL}",
    broken: "if was == '' or was == '-' or was == '!' then\n  ${WAKE}",
  },
  {
    name: "strings: markStale keeps the version",
    promises: ["C310"],
    rule: "3, version ..",
    broken: "3, was ..",
  },
  {
    name: "strings: markStale leaves the life",
    promises: ["C310"],
    rule: "  endAt = endAt - math.max(0, staleAt - now)\n",
    broken: "",
  },
  {
    name: "strings: markStale brings back an entry that has ended",
    promises: ["C332"],
    rule: "if endAt <= now then",
    broken: "if endAt == 0 then",
  },
  {
    name: "strings: markStale leaves a TTL that is longer than the life",
    promises: ["C332"],
    rule: "if left < 0 or endAt - now < left then",
    broken: "if false then",
  },
  {
    name: "strings: markStale trusts an entry that is cut short",
    promises: ["C318"],
    rule: "if #times == 12 then staleAt",
    broken: "if true then staleAt",
  },
  {
    name: "strings: a store by script does not compare the placeholder",
    promises: ["C315"],
    rule: "if was ~= ARGV[2] or holder and not isPlaceholder then",
    broken: "if was ~= ARGV[2] then",
  },
  {
    name: "strings: a store by script does not compare the version",
    promises: ["C315"],
    rule: "if was ~= ARGV[2] or holder and not isPlaceholder then",
    broken: "if holder and not isPlaceholder then",
  },
  {
    name: "strings: a placeholder is put beside the lease of a refresh",
    promises: ["C315"],
    rule: "local left = redis.call('PTTL', holder and not isMine and KEYS[1] or KEYS[2])",
    broken: "local left = redis.call('PTTL', KEYS[was == '' and 1 or 2])\n  if isMine then left = -2 end",
  },
  {
    name: "strings: who backs off leaves the placeholder",
    promises: ["C315"],
    rule: "    if isMine then\n      redis.call('DEL', KEYS[1])",
    broken: "    if isMine then",
  },
  {
    name: "strings: a release leaves the placeholder",
    promises: ["C322"],
    rule: "if holder == ARGV[1] then\n  redis.call('DEL', KEYS[1])\n",
    broken: "if holder == ARGV[1] then\n",
  },
  {
    name: "strings: a renewal prolongs any placeholder",
    promises: ["C313"],
    rule: "if holder ~= ARGV[1] then return 0 end",
    broken: "if not holder then return 0 end",
  },
  {
    name: "strings: a refused write leaves the lease",
    promises: ["C320"],
    rule: "  if reply.err then\n    redis.call('DEL', KEYS[2])\n    ${SIGNAL}",
    broken: "  if reply.err then\n    ${SIGNAL}",
  },
  {
    name: "strings: an own store looks like a later change",
    promises: ["C450"],
    rule: "${put(3, END_LEASE)}",
    broken: "${put(3)}",
  },
  {
    name: "strings: an own store that nothing reads behind is not confirmed",
    promises: ["C450"],
    rule: "  redis.call('DEL', KEYS[2])\n  ${WATCH}\n  redis.call('RENAME'",
    broken: "  ${WATCH}\n  redis.call('RENAME'",
  },
];
