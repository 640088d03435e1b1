import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "events: an error of a listener is thrown to the caller",
    promises: ["C118"],
    rule: "} catch {\n    return;",
    broken: "} catch (error) {\n    throw error;",
  },
  {
    name: "events: a listener that rejects ends the process",
    promises: ["C40", "C118"],
    rule: "if (isThenable(outcome)) void outcome.then(undefined, ignore);",
    broken: "",
  },
  {
    name: "events: a storm of one error hides the only event of another",
    promises: ["C202"],
    rule: "error instanceof CacheError ? error.code : undefined",
    broken: "undefined",
  },
  {
    name: "events: spans hold the value",
    promises: ["C145"],
    rule: "tracePromise(keepResult, context()).then(() => result)",
    broken: "tracePromise(body, context())",
  },
  {
    name: "events: keys are shown although they are to be redacted",
    promises: ["C204"],
    rule: "const event = this.#redactKey === undefined ? given : redacted(given, this.#redactKey);",
    broken: "const event = given;",
  },
];
