import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "joining: a load from before a tag call is joined",
    promises: ["C433", "C66"],
    rule: "if (tags.hadEvents(flight.dependsOn, tagSequence, heardSequence)) return undefined;",
    broken: "",
  },
  {
    name: "joining: a caller after a tag event is not told from one before it",
    promises: ["C433"],
    rule: "tags.hasEvents(key.space, tagSequence, changedSince);",
    broken: "tags.hasEvents(key.space, tagSequence, changedSince) && false;",
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
