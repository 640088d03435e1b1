import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a lost issuer comes back with its old version",
    promises: ["C73"],
    rule: "'id', ARGV[1], 'n', '0')\n  g = {ARGV[1], '0'}",
    broken: "'id', 'issuer', 'n', '0')\n  g = {'issuer', '0'}",
  },
  {
    name: "redis: a late tag that was renewed counts as unchanged",
    promises: ["C41"],
    rule: "if ok and pid == id and tonumber(pn) > tonumber(n) and isRenewed(KEYS[i]) then ok = false end",
    broken: "",
  },
  {
    name: "redis: a late tag that is missing counts as unchanged",
    promises: ["C41", "C73"],
    rule: "ok = ok and not isRenewed(KEYS[i])",
    broken: "",
  },
  {
    name: "redis: a late tag counts as unchanged where a renewal left no record",
    promises: ["C41"],
    rule: "if tonumber(m) ~= from + i then renewed['*'] = true\n      else",
    broken: "if names then",
  },
  {
    name: "redis: two renewals issue the same version",
    promises: ["C72"],
    rule: "redis.call('HINCRBY', KEYS[1], 'n', 1)",
    broken: "tonumber(g[2]) + 1",
  },
  {
    name: "redis: a counter at its end stays",
    promises: ["C181"],
    rule: "#g[2] <= 15 and ",
    broken: "",
  },
  {
    name: "redis: a version of any length fills the meta of its entries",
    promises: ["C181"],
    rule: "#v <= ${MAX_VERSION_BYTES} and ",
    broken: "",
  },
  {
    name: "redis: a renewal of many tags leaves a record of the first eight",
    promises: ["C434"],
    rule: "for i = 2, #KEYS, ${NAMES_PER_RECORD} do",
    broken: "for i = 2, 2 do",
  },
  {
    name: "redis: a late tag counts as unchanged behind more renewals than there are records",
    promises: ["C434"],
    rule: "if to - from > ${LOG_RECORDS} or to < from then renewed['*'] = true end",
    broken: "if to - from > ${LOG_RECORDS} then from = to end",
  },
];
