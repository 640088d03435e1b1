import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: the keys of a command by name have no prefix",
    promises: ["A35"],
    rule: "new Parser(space.prefix)",
    broken: "new Parser()",
  },
  {
    name: "toolkit: a tenant may use commands without a key",
    promises: ["A36"],
    rule: "if (space.isTenant && keys.length === 0 && !CHANNELS.has(name))",
    broken: "if (false)",
  },
];
