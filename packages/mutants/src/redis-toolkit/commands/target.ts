import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a command that waits is not bounded by its view",
    promises: ["C261"],
    rule: "return await socket.call(args, { blockMs, typeMapping, ...leftOf(bounds, clock.now() - startedAt) });",
    broken: "return await socket.call(args, { blockMs, typeMapping });",
  },
  {
    name: "toolkit: a call is not bounded by its view",
    promises: ["C261"],
    rule: "const signal = options.signal ?? bounds.signal;",
    broken: "const signal = options.signal;",
  },
  {
    name: "toolkit: the wait for a socket does not count for a command that waits",
    promises: ["C261"],
    rule: "bounds.deadlineMs - passedMs",
    broken: "bounds.deadlineMs",
  },
];
