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
    rule: 'situation === "backing-off" && covers',
    broken: "false && covers",
  },
  {
    name: "errors: staleIfError covers calls whose load did not fail",
    promises: ["C16", "C25"],
    rule: 'situation === "backing-off" && covers',
    broken: "covers",
  },
  {
    name: "errors: a value covers every error",
    promises: ["C449"],
    rule: "if (!isSaidTo(windows.coversError) || !isSaidTo(options?.coversError)) return false;",
    broken: "",
  },
  {
    name: "errors: a loader cannot narrow what is covered",
    promises: ["C449"],
    rule: "if (!isSaidTo(windows.coversError) || !isSaidTo(options?.coversError)) return false;",
    broken: "if (!isSaidTo(windows.coversError)) return false;",
  },
  {
    name: "errors: a predicate of promises covers every error",
    promises: ["C449"],
    rule: "coversError(error) === true",
    broken: "Boolean(coversError(error))",
  },
  {
    name: "errors: a failing loader cannot set staleIfError",
    promises: ["C448"],
    rule: "return canServeOnError(entry, now, { ...windows, staleIfErrorMs });",
    broken: "return true;",
  },
];
