import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a key that looks like a hashed one is kept as it is",
    promises: ["C108", "C110", "R1-07"],
    rule: "/[{}]|^#|%(?=",
    broken: "/[{}]|%(?=",
  },
  {
    name: "redis: braces in a key are kept, and break its slot",
    promises: ["C108", "C110", "R1-07"],
    rule: "if (!hasHashTag(key)) return key.replace",
    broken: "if (false) return key.replace",
  },
  {
    name: "redis: a key of a cache with a name is kept as it is where there is no prefix",
    promises: ["C146"],
    rule: "throw new InvalidArgumentError('keyPrefix(\"\") needs a cache without a name and without a version');",
    broken: "return key;",
  },
  {
    name: "redis: renewals of tags that were not read are not reported",
    promises: ["C196"],
    rule: "return redisKey.startsWith(this.#issuer) ?",
    broken: "return redisKey === this.#issuer ?",
  },
];
