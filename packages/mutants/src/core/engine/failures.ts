import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "errors: no back-off after a failed load",
    promises: ["C16", "C24"],
    rule: "if (fallback === undefined && !rememberErrors) return;",
    broken: "if (!rememberErrors) return;",
  },
  {
    name: "errors: the back-off counts from the call",
    promises: ["C24"],
    rule: "now + errorBackoffMs",
    broken: "call.startedAt + errorBackoffMs",
  },
  {
    name: "errors: an error is remembered where that was not asked for",
    promises: ["C447"],
    rule: "if (!call.policy.rememberErrors || call.isForced",
    broken: "if (call.isForced",
  },
  {
    name: "errors: a back-off covers every error",
    promises: ["C449"],
    rule: "isAskedFor ? failure : undefined",
    broken: "undefined as Failure | undefined",
  },
];
