import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "freshness: an answer within a back-off is reported as if a load ran",
    promises: ["C24", "C33"],
    rule: 'situation === "found" ? "revalidating" : "error"',
    broken: '"revalidating"',
  },
  {
    name: "errors: staleIfError covers no call during a back-off",
    promises: ["C16", "C24"],
    rule: 'situation === "backing-off" && canServeOnError',
    broken: "false && canServeOnError",
  },
  {
    name: "errors: staleIfError covers calls whose load did not fail",
    promises: ["C16", "C25"],
    rule: 'situation === "backing-off" && canServeOnError',
    broken: "canServeOnError",
  },
];
