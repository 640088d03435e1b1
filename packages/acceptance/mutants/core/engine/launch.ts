import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "joining: a load from before a tag call is joined",
    promises: ["C49", "C66"],
    rule: "return tags.hasEvents(call.namespace.keySpace, flight.tagSequence, flight.heardSequence) ? undefined : flight;",
    broken: "return flight;",
  },
  {
    name: "joining: later callers join a load that a forced one has overtaken",
    promises: ["C11"],
    rule: "flights.supersede(call.key.local, flight);",
    broken: "{}",
  },
  {
    name: "limits: waitUntil is called when the work is done",
    promises: ["C44"],
    rule: 'if (side === "background" && flight.outlive()) waitUntil?.(flight.whenSettled());',
    broken: 'if (side === "background") void flight.whenSettled().then(() => waitUntil?.(flight.whenSettled()));',
  },
  {
    name: "limits: waitUntil is called outside of the caller's context",
    promises: ["C44"],
    rule: 'if (side === "background" && flight.outlive()) waitUntil?.(flight.whenSettled());',
    broken:
      'if (side === "background") ((globalThis as { outside?: (run: () => void) => void }).outside ??= process.getBuiltinModule("node:async_hooks").AsyncLocalStorage.snapshot())(() => waitUntil?.(flight.whenSettled()));',
  },
  {
    name: "life: a load that began while the cache closed is stored",
    promises: ["C200"],
    rule: "if (!lifecycle.isOpen) flight.storeNothing();",
    broken: "",
  },
];
