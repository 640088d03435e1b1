import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "windows: the clock of the process decides",
    promises: ["C247"],
    rule: 'if ARGV[2] ~= "0" and (now < tonumber(ARGV[1]) or now >= tonumber(ARGV[2])) then',
    broken: 'if ARGV[2] ~= "0" and tonumber(ARGV[1]) < 1e11 then',
  },
  {
    name: "windows: many are joined by one script",
    promises: ["C481"],
    rule: "while (first.length + rest.length > room) {",
    broken: "while (false) {",
  },
  {
    name: "windows: what was joined before is left out",
    promises: ["C481"],
    rule: "keys: [into, ...first, ...rest.slice(0, count)]",
    broken: "keys: [into, ...rest.slice(0, count)]",
  },
];
