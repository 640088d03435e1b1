import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "meta: of any length is parsed",
    promises: ["C143"],
    rule: "isMetaTooLong(meta) ? undefined : named(json(meta))",
    broken: "named(json(meta))",
  },
  {
    name: "meta: tags are any texts",
    promises: ["C143"],
    rule: "(g === undefined || areTags(g)) &&",
    broken: "(g === undefined || (Array.isArray(g) && g.every(isText))) &&",
  },
  {
    name: "meta: versions need not fit the tags",
    promises: ["C143"],
    rule: "versions.length !== (tags.length + 1) * levels",
    broken: "versions.length < 0 * levels * tags.length",
  },
  {
    name: "meta: parsed ones are kept without a bound of their length",
    promises: ["C143"],
    rule: "const length = meta.length + OVERHEAD;",
    broken: "const length = OVERHEAD;",
  },
  {
    name: "meta: names are quoted whole",
    promises: ["C143"],
    rule: "`${name.slice(0, 32)}…`",
    broken: "name",
  },
  {
    name: "storing: lives are rounded to the nearest millisecond",
    promises: ["C144"],
    rule: "Math.floor(ms + 0.001)",
    broken: "Math.round(ms)",
  },
];
