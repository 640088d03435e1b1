import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a write is two commands",
    promises: ["A43"],
    rule: 'this.script("write", WRITE, key, args, nothing)',
    broken:
      'this.send(this.origins.write, ["HSET", this.keys.entry(key), ...args.slice(1)], nothing).then(() => ' +
      'this.send(this.origins.write, ["PEXPIRE", this.keys.entry(key), args[0] as string], nothing))',
  },
  {
    name: "redis: a key of another type is an error",
    promises: ["A33"],
    rule: "if (isWrongType(error)) {",
    broken: "if (false) {",
  },
];
