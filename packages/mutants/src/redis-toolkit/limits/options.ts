import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: null takes the default of a rate limit",
    promises: ["C363"],
    rule: 'const { blockFor, countRefused = false, rememberRefusals = "1s", maxKeys = 10_000, headers = "draft-8" } = options;',
    broken:
      'const { blockFor, countRefused = false, rememberRefusals = "1s", headers = "draft-8" } = options;\n  const maxKeys = options.maxKeys ?? 10_000;',
  },
];
