import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: keepTtl sets a key that is absent, for ever",
    promises: ["A25"],
    rule: 'args.push("KEEPTTL", "XX")',
    broken: 'args.push("KEEPTTL")',
  },
  {
    name: "toolkit: a hash gets no life",
    promises: ["A28"],
    rule: 'if (life === "0")',
    broken: "if (life.length > 0)",
  },
  {
    name: "toolkit: the keys of a script have no prefix",
    promises: ["A86"],
    rule: 'const inside = keys.map((key) => space.inside(checkKey("script", key)));',
    broken: 'const inside = keys.map((key) => checkKey("script", key));',
  },
  {
    name: "toolkit: text is taken for the fields of a hash",
    promises: ["C364"],
    rule: 'typeof fields === "object" && fields !== null && !Array.isArray(fields)',
    broken: "fields !== null",
  },
  {
    name: "toolkit: an option of a command that does not exist is ignored",
    promises: ["C363"],
    rule: '    checkOptions("set", options, SET_OPTIONS);\n',
    broken: '    checkOptions("set", options, Object.keys(options ?? {}));\n',
  },
  {
    name: "commands: any number of keys is one script",
    promises: ["C481"],
    rule: "if (keys.length <= MOST_SCRIPT_KEYS) return keys;",
    broken: "return keys;",
  },
];
