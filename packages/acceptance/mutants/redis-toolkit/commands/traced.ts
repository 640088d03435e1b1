import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: values are on the tracing channel",
    promises: ["C262"],
    rule: "return COMMANDS.tracePromise(quiet, context).then(() => result);",
    broken: "return COMMANDS.tracePromise(body, context);",
  },
  {
    name: "toolkit: a trace has no code",
    promises: ["C262"],
    rule: 'context.code = error instanceof CacheError ? error.code : "UNKNOWN";',
    broken: "",
  },
];
