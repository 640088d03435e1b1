import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "wrap: a wrapped function loses its this",
    promises: ["C473"],
    rule: "receiver === call ? undefined : receiver",
    broken: "undefined",
  },
  {
    name: "arguments: tags of a wrapped function that are no list are dropped",
    promises: ["C10"],
    rule: 'if (tags !== undefined && typeof tags !== "function") checkTags(tags);',
    broken: "",
  },
  {
    name: "wrap: a key of another type is written as it is",
    promises: ["C365"],
    rule: 'if (typeof part === "string") return part;',
    broken: "return part as string;",
  },
  {
    name: "wrap: a load reads the arguments when it begins",
    promises: ["C404"],
    rule: "args.map((part) => copied(part))",
    broken: "args",
  },
  {
    name: "wrap: only the arguments are copied, and not the data in them",
    promises: ["C404"],
    rule: "copy[name] = copied(copy[name])",
    broken: "copy[name] = copy[name]",
  },
  {
    name: "wrap: a value that is not to be stored is stored",
    promises: ["C475"],
    rule: "return context.noStore(value);",
    broken: "return value;",
  },
  {
    name: "wrap: ttl of the result is not that of the value",
    promises: ["C475"],
    rule: "{ ttl: ttl(value, ...given) }",
    broken: "{ ttl: void ttl(value, ...given) }",
  },
  {
    name: "wrap: anything that shouldStore gives is taken for yes or no",
    promises: ["C475"],
    rule: 'if (typeof given === "boolean") return given;',
    broken: "return given as boolean;",
  },
  {
    name: "wrap: tags are asked for what is not stored",
    promises: ["C475"],
    rule: "if (shouldStore !== undefined && !isTrue(shouldStore(value, ...given))) return context.noStore(value);",
    broken: "if (shouldStore !== undefined && !isTrue(shouldStore(value, ...given))) context.noStore(value);",
  },
];
