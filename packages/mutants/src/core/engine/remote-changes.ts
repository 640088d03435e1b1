import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "leases: the loss of the link wakes no waiter",
    promises: ["C52", "C57"],
    rule: "context.flights.wakeAll();",
    broken: "",
  },
  {
    name: "leases: a tag changed elsewhere is not reported to leases",
    promises: ["C61"],
    rule: "for (const lease of context.leases) lease.tagsChanged(mine);",
    broken: "",
  },
  {
    name: "changes: a key that changed elsewhere keeps its copy",
    promises: ["C81"],
    rule: "local?.drop(localKey);",
    broken: "",
  },
  {
    name: "changes: a read is kept although its key changed meanwhile",
    promises: ["C61", "C81"],
    rule: "flights.taint(localKey);",
    broken: "flights.wake(localKey);",
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
    name: "trust: copies are not checked again after versions were missed",
    promises: ["C86"],
    rule: "context.tags.forgotten();\n        context.flights.wakeAll();",
    broken: "context.flights.wakeAll();",
  },
  {
    name: "aliases: a tag that was never asked for is ignored",
    promises: ["C81"],
    rule: "named.keyOf(name) ?? this.#anyTagOf(name)",
    broken: "named.keyOf(name) ?? name.slice(name.length)",
  },
  {
    name: "reissue: nothing is issued again when another server answers",
    promises: ["C93"],
    rule: "context.recovery?.reissue(context.tags.sequence, part);",
    broken: "",
  },
  {
    name: "reissue: a read that was sent before counts as one that was sent after it",
    promises: ["C427"],
    rule: "context.tags.forgotten();\n        context.recovery",
    broken: "context.recovery",
  },
  {
    name: "recovery: nothing is replayed after the subscription is attached again",
    promises: ["C93"],
    rule: "context.recovery?.linkBack(backend);\n        void context.recovery?.replayAfresh();",
    broken: "context.recovery?.linkBack(backend);",
  },
  {
    name: "refusals: a tag event leaves copies without versions",
    promises: ["C134"],
    rule: " || context.local?.hasUnversioned === true)",
    broken: ")",
  },
  {
    name: "remote changes: the window of re-issue stands still for ever",
    promises: ["C173"],
    rule: "allBack: () => context.recovery?.linkBack(backend),",
    broken: "allBack: () => undefined,",
  },
  {
    name: "changes: the end of a lease drops the copy",
    promises: ["C445"],
    rule: "if (localKey !== undefined) context.flights.leaseChanged(",
    broken:
      "if (localKey !== undefined) this.#dropCopy(localKey);\n    if (localKey !== undefined) context.flights.leaseChanged(",
  },
  {
    name: "trust: in a composition the lease of one backend hides a change in the other",
    promises: ["C450"],
    rule: 'isComposed ? "loose" : order',
    broken: "order",
  },
  {
    name: "events: an own change is reported as one from elsewhere",
    promises: ["C483"],
    rule: "const isOwn = writes.has(localKey);",
    broken: "const isOwn = false;",
  },
  {
    name: "events: tags that nothing here depends on are reported",
    promises: ["C483"],
    rule: "mine.filter((tag) => table.has(tag));",
    broken: "mine;",
  },
  {
    name: "events: a tag call elsewhere is not reported",
    promises: ["C483"],
    rule: "if (context.events.invalidate.isObserved) this.#reportTags(known);",
    broken: "",
  },
];
