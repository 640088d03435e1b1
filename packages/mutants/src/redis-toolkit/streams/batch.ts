import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "streams: entries become idle while they are handled",
    promises: ["A52"],
    rule: "    this.#cancelRenewal = clock.schedule(() => void this.#renew(), renewEveryMs);",
    broken: "    void [clock, renewEveryMs];",
  },
  {
    name: "streams: an entry that another consumer has taken is handled all the same",
    promises: ["A52"],
    rule: "if (holding?.isAborted === false) await",
    broken: "if (holding !== undefined) await",
  },
  {
    name: "streams: a renewal that fails is lost in silence",
    promises: ["C256"],
    rule: "this.#settings.onRenewalFailed(error);",
    broken: "void error;",
  },
];
