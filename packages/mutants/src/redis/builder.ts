import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a prefix lies inside another",
    promises: ["C146"],
    rule: "if (/[:~]/.test(keyPrefix))",
    broken: "if (false)",
  },
  {
    name: "redis: without invalidations a new connection leaves the breaker open",
    promises: ["C329"],
    rule: "breaker: { ...settings.breaker, onReconnect: (listener) => onReconnect(link, listener) },",
    broken: "breaker: settings.breaker,",
  },
];
