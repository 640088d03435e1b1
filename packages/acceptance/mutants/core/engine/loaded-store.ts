import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "tags: versions are taken after the load",
    promises: ["C18", "C60", "C61"],
    rule: "this.#versionsFor(draft, pinned!)",
    broken:
      "this.#versionsFor(draft, await remote.versions.pin([...pinned!.versions.keys()]).then(({ at, versions: " +
      "found }) => ({ at, versions: new Map([...pinned!.versions.keys()].map((each, i) => [each, found[i]!])) })))",
  },
  {
    name: "fence: a fenced load is stored locally",
    promises: ["C59", "C60"],
    rule: 'if (flight.isOver || fencedBy(this.#context, flight, entry.terms.dependsOn) !== undefined) return "refused";',
    broken: 'if (flight.isOver) return "refused";',
  },
  {
    name: "fence: a fenced load is stored in the backend",
    promises: ["C59", "C60"],
    rule: 'if (fencedBy(this.#context, flight, draft.entry.terms.dependsOn) !== undefined) return "refused";\n    // Without leases nothing else keeps it from undoing a change of another process.\n    if (lease === undefined && flight.isTainted) {\n      flight.lose();\n      return "refused";\n    }',
    broken: "",
  },
  {
    name: "fence: a stored load leaves older ones to be stored over it",
    promises: ["C11", "C60"],
    rule: "flights.fenceOlder(key.local, flight);\n    const isKept",
    broken: "const isKept",
  },
  {
    name: "tags: a reload keeps the old ones",
    promises: ["C75"],
    rule: "...(kept?.terms.tags ?? []), ...(loaded",
    broken: "...(flight.fallback?.terms.tags ?? []), ...(loaded",
  },
  {
    name: "tags: notModified loses them",
    promises: ["C18"],
    rule: "...(kept?.terms.tags ?? []), ...(loaded",
    broken: "...(loaded",
  },
  {
    name: "storing: a loaded value is kept in the backend alone",
    promises: ["C8"],
    rule: 'this.#keepLocally(draft, entry, status === "stored" ? flights.copyEpoch(flight) : trust.unconfirmed);',
    broken: "",
  },
  {
    name: "storing: a load without a lifetime leaves what was there",
    promises: ["C9"],
    rule: "if (life.ttlMs <= 0) return this.#remove(flight, dependsOn);",
    broken: 'if (life.ttlMs <= 0) return Promise.resolve("refused");',
  },
  {
    name: "storing: a ttl of zero is stored",
    promises: ["C9"],
    rule: "if (life.ttlMs <= 0) return",
    broken: "if (life.ttlMs < 0) return",
  },
  {
    name: "storing: options of a loader in the background are dropped",
    promises: ["C14"],
    rule: "lifetimeOf(loaded.value, policy, loaded.options, random)",
    broken: "lifetimeOf(loaded.value, policy, flight.isAwaited ? loaded.options : undefined, random)",
  },
  {
    name: "storing: notModified loses the validators",
    promises: ["C18"],
    rule: "options?.etag ?? kept?.terms.etag",
    broken: "options?.etag",
  },
  {
    name: "storing: a tier that breaks its contract is reported as a value that cannot be encoded",
    promises: ["C348"],
    rule: "if (!(error instanceof EncodeError)) throw error;",
    broken: "",
  },
  {
    name: "backend: the store of a load is waited for as long as it takes",
    promises: ["C43", "C92"],
    rule: "(this.#context.clock, flight.backendLeftMs, write,",
    broken: "(this.#context.clock, Infinity, write,",
  },
  {
    name: "changes: a load keeps its copy, though another change was received",
    promises: ["C61"],
    rule: 'this.#keepLocally(draft, entry, status === "stored" ? flights.copyEpoch(flight) : trust.unconfirmed);',
    broken: 'this.#keepLocally(draft, entry, status === "stored" ? trust.epochOf(key.local) : trust.unconfirmed);',
  },
  {
    name: "changes: a store that was refused leaves a copy",
    promises: ["C11", "C61", "C105"],
    rule: 'if (status === "overtaken") {\n        flight.lose();\n        return "refused";\n      }',
    broken: 'if (status === "overtaken") return this.#keepLocally(draft, entry, trust.epochOf(key.local));',
  },
  {
    name: "changes: a copy that one's own message made unconfirmed stays so",
    promises: ["C82"],
    rule: "if (now === version) local.confirm(key.local, version, epoch);",
    broken: "",
  },
  {
    name: "changes: a copy is confirmed without a comparison",
    promises: ["C82"],
    rule: "if (now === version) local",
    broken: "local",
  },
  {
    name: "trust: a value loaded while the backend is unreachable is trusted",
    promises: ["C55", "C92"],
    rule: "underPinned(entry, pinned), this.#epochOfRefused(flight));",
    broken: "underPinned(entry, pinned), trust.epoch);",
  },
  {
    name: "trust: a value whose store was not answered is trusted",
    promises: ["C92"],
    rule: "isRefused ? this.#epochOfRefused(flight) : trust.unconfirmed",
    broken: "trust.epochOf(key.local)",
  },
  {
    name: "reissue: a forced load is not remembered",
    promises: ["C93"],
    rule: "if (flight.call.isForced) recovery?.acknowledgedKey(key);\n      else recovery",
    broken: "recovery",
  },
  {
    name: "leases: a store compares what was read, not what was there when the lease was granted",
    promises: ["C52"],
    rule: "lease.token, lease.seen);",
    broken: "lease.token, flight.seen);",
  },
  {
    name: "leases: a forced load that was stored fences nothing",
    promises: ["C11"],
    rule: "flights.fenceOlder(key.local, flight);\n    const isKept",
    broken: "if (!flight.call.isForced) flights.fenceOlder(key.local, flight);\n    const isKept",
  },
  {
    name: "leases: a value loaded without one is stored",
    promises: ["C55"],
    rule: " ||\n        (remote.leases !== undefined && flight.lease === undefined)",
    broken: "",
  },
  {
    name: "leases: a load without a lifetime whose removal failed keeps its lease",
    promises: ["C56"],
    rule: '!== "pending") lease?.end();',
    broken: '!== "never") lease?.end();',
  },
  {
    name: "refusals: a value that the backend refused is loaded with each call",
    promises: ["C134"],
    rule: "return flight.isUnreachable || !wasRead ? trust.unconfirmed : flights.copyEpoch(flight);",
    broken: "return trust.unconfirmed;",
  },
  {
    name: "refusals: a value whose key changed while it was loaded is trusted",
    promises: ["C134"],
    rule: "return flight.isUnreachable || !wasRead ? trust.unconfirmed : flights.copyEpoch(flight);",
    broken: "return flight.isUnreachable || !wasRead ? trust.unconfirmed : trust.epoch;",
  },
  {
    name: "seal: a load that is kept is confirmed after its caller was answered",
    promises: ["C154"],
    rule: 'if (status === "kept") await this.confirm(',
    broken: 'if (status === "kept") void this.confirm(',
  },
  {
    name: "refusals: a forced load whose lease was refused is trusted, although its key was not read",
    promises: ["C198"],
    rule: "const wasRead = flight.lease !== undefined || !(isForced || isAfter);",
    broken: "const wasRead = true;",
  },
  {
    name: "storing: a value that cannot be encoded is kept nowhere",
    promises: ["C205"],
    rule: "return this.#keepLocally(draft, { ...entry, versions }, this.#epochOfRefused(flight));",
    broken: 'return "refused";',
  },
  {
    name: "many keys: a load from before the call takes the turn of its key",
    promises: ["C345"],
    rule: "if (flight.fencedBy === undefined) this.#context.bulkWrites",
    broken: "this.#context.bulkWrites",
  },
  {
    name: "many keys: a load that was not stored takes the turn of its key",
    promises: ["C345"],
    rule: "flights.fenceOlder(key.local, flight);\n    const isKept",
    broken:
      "flights.fenceOlder(key.local, flight);\n    this.#context.bulkWrites.overtake(key.local, DONE);\n    const isKept",
  },
  {
    name: "fence: a read before the acknowledgement of a removal leaves the removed entry as copy",
    promises: ["C62"],
    rule: "flights.outdateReads(key.local);",
    broken: "",
  },
  {
    name: "lease: the acknowledged removal of a load fences a newer load",
    promises: ["C52"],
    rule: "flights.outdateReads(key.local);",
    broken: "flights.fenceOlder(key.local, flight);",
  },
  {
    name: "async context: waitUntil is called by a timer that other calls share",
    promises: ["C44"],
    rule: "write, () => LATE);",
    broken:
      "write, () => {\n      this.#waiters.answerAll(flight, loadedAnswer(flight.loaded?.value));\n      return LATE;\n    });",
  },
  {
    name: "close: it does not wait for confirmations",
    promises: ["C117"],
    rule: "return writes.include(confirming);",
    broken: "return confirming;",
  },
];
