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
    rule: "if ok and pid == id and tonumber(pn) > tonumber(n) then ok = false end",
    broken: "",
  },
  {
    name: "redis: a late tag that is missing counts as unchanged",
    promises: ["C41", "C73"],
    rule: "ok = ok and at == ARGV[3]",
    broken: "",
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
];
