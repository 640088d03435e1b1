import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "leases: the loss of the link wakes no waiter",
    promises: ["C52", "C57"],
    rule: "context.flights.wakeAll();",
    broken: "",
  },
  {
    name: "leases: a tag that changed elsewhere leaves them",
    promises: ["C61"],
    rule: "for (const lease of context.leases) lease.tagsChanged(mine);",
    broken: "",
  },
  {
    name: "changes: a key that changed elsewhere keeps its copy",
    promises: ["C81"],
    rule: "if (local?.tier.delete(at) !== true || !events",
    broken: "if (local?.tier.get(at) === undefined || !events",
  },
  {
    name: "changes: an entry is kept, though it changed during its read",
    promises: ["C61", "C81"],
    rule: "flights.taint(at);",
    broken: "flights.wake(at);",
  },
  {
    name: "changes: a tag that changed elsewhere is still known",
    promises: ["C67", "C81"],
    rule: "table?.forget(mine);",
    broken: "",
  },
  {
    name: "trust: known versions outlive the loss of the link",
    promises: ["C86"],
    rule: "table?.clear();",
    broken: "",
  },
  {
    name: "trust: copies are checked against versions from before the loss of the link",
    promises: ["C86"],
    rule: "context.tags.forgotten();",
    broken: "",
  },
  {
    name: "aliases: a message about a tag that was never requested is ignored",
    promises: ["C81"],
    rule: "named.keyOf(name) ?? this.#unnamed(name)",
    broken: "named.keyOf(name) ?? name.slice(name.length)",
  },
  {
    name: "reissue: another server changes nothing",
    promises: ["C93"],
    rule: "replaced: () => context.recovery?.reissue(),",
    broken: "replaced: () => undefined,",
  },
  {
    name: "recovery: nothing is replayed when the link is back",
    promises: ["C93"],
    rule: "if (context.recovery !== undefined && context.recovery.size !== 0) void context.recovery.replay();",
    broken: "",
  },
];
