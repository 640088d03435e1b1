import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a command that waits is not bounded by its view",
    promises: ["C261"],
    rule: "return await socket.call(args, { blockMs, typeMapping, ...bounds });",
    broken: "return await socket.call(args, { blockMs, typeMapping });",
  },
  {
    name: "toolkit: a call is not bounded by its view",
    promises: ["C261"],
    rule: "const signal = options.signal ?? bounds.signal;",
    broken: "const signal = options.signal;",
  },
];
