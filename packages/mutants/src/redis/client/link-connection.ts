import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "context: a socket of the pool lives in the request that opened it",
    promises: ["C394"],
    rule: "inNoCall(() => servers.openSession({ key: options.key, aborted, prepare: nothing })),",
    broken: "servers.openSession({ key: options.key, aborted, prepare: nothing }),",
  },
];
