import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: trouble is a line each time",
    promises: ["C256"],
    rule: "this.clock.now() - last.at < REPORT_EVERY_MS",
    broken: "false",
  },
  {
    name: "toolkit: the text of any error is logged",
    promises: ["C256"],
    rule: "error instanceof CacheError ? error.message : error instanceof Error ? error.name",
    broken: "error instanceof Error ? error.message",
  },
  {
    name: "toolkit: a module that fails to stop keeps the others running",
    promises: ["C257"],
    rule: '      this.report("stop", error);\n',
    broken: "      throw error;\n",
  },
  {
    name: "toolkit: what begins after the stop is never stopped",
    promises: ["C257"],
    rule: "if (this.#begun.has(stage)) queueMicrotask",
    broken: "if (stops.size < 0) queueMicrotask",
  },
  {
    name: "toolkit: waits end while handlers that wait for them still run",
    promises: ["C371"],
    rule: '["workers", "listeners", "waits"]',
    broken: '["waits", "workers", "listeners"]',
  },
];
