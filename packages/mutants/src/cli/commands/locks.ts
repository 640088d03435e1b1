import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: a lock that is named is looked for in a sample",
    promises: ["C280"],
    rule: "name === undefined ? await sampled(session) : named(session, name)",
    broken: "await sampled(session)",
  },
  {
    name: "cli: holders of a semaphore whose time is over hold it",
    promises: ["C280"],
    rule: "`(${await serverNow(session)}`",
    broken: '"-inf"',
  },
];
