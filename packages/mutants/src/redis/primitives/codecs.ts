import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "builder: a configured format is read beside the shipped ones",
    promises: ["C140"],
    rule: ": [settings.valueFormat];",
    broken: ": [settings.valueFormat, ...shipped.formats];",
  },
  {
    name: "builder: a configured compressor is read beside the shipped ones",
    promises: ["C140"],
    rule: "shipped.compressors : [];",
    broken: "shipped.compressors : shipped.compressors;",
  },
];
