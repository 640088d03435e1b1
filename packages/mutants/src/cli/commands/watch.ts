import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: watch keys waits in silence where the server sends nothing",
    promises: ["C378"],
    rule: 'setting.includes("K") && /[^KE]/.test(setting)',
    broken: 'setting !== "absent"',
  },
  {
    name: "cli: names of events steer the terminal",
    promises: ["C280"],
    rule: "cut(safe(event), 40)",
    broken: "event",
  },
];
