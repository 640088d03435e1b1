import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "leases: a lease granted after the deadline is kept",
    promises: ["C55"],
    rule: "asked?.then(({ granted }) => (granted ? leases.release(key.backend, token) : undefined)).catch(ignore);",
    broken: "",
  },
  {
    name: "storing: a load that lost its lease removes the newer entry when its own is too large",
    promises: ["C102"],
    rule: "return isHolder ?",
    broken: "return true || isHolder ?",
  },
  {
    name: "aliases: a key that is asked for with the lease alone has no alias",
    promises: ["C81"],
    rule: "aliases?.add(key.backend);",
    broken: "",
  },
  {
    name: "seal: a load is kept although the entry changed",
    promises: ["C154"],
    rule: 'if ((await call(key, () => leases.confirm(key.backend))) !== seen) return "overtaken";',
    broken: "",
  },
];
