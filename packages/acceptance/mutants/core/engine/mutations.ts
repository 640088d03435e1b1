import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "bypass: set leaves the older value in a bypassed backend",
    promises: ["C175"],
    rule: "await remote.remove(key);\n    return { status: remote.isBypassed",
    broken: "return { status: remote.isBypassed",
  },
  {
    name: "fence: none before a delete is sent",
    promises: ["C59", "C63", "C66"],
    rule: 'this.#fence(key, "delete");\n    this.#reportKey',
    broken: "this.#reportKey",
  },
  {
    name: "fence: none after a delete was acknowledged",
    promises: ["C59", "C62", "C63"],
    rule: 'this.#acknowledged(key, "delete");',
    broken: "",
  },
  {
    name: "fence: none before a set is sent",
    promises: ["C60", "C66"],
    rule: 'this.#fence(key, "set");',
    broken: "",
  },
  {
    name: "fence: none after a set was acknowledged",
    promises: ["C60", "C62"],
    rule: 'this.#acknowledged(key, "set");',
    broken: "",
  },
  {
    name: "fence: none before a markStale is sent",
    promises: ["C60", "C66"],
    rule: 'this.#fence(key, "stale");\n    this.#reportKey',
    broken: "this.#reportKey",
  },
  {
    name: "fence: none after a markStale was acknowledged",
    promises: ["C60", "C62"],
    rule: 'this.#acknowledged(key, "stale");',
    broken: "",
  },
  {
    name: "fence: none before a tag call is sent",
    promises: ["C60", "C69"],
    rule: "tags.called(keySpace, keys, mode);\n    this.#context.decisions",
    broken: "this.#context.decisions",
  },
  {
    name: "fence: none after a tag call was acknowledged",
    promises: ["C60", "C62", "C69"],
    rule: "} finally {\n      tags.acknowledged(keySpace, keys, mode);",
    broken: "} finally {",
  },
  {
    name: "fence: a set keeps its own copy though something newer was called",
    promises: ["C60"],
    rule: "if (guard.fencedBy !== undefined || tags",
    broken: "if (tags",
  },
  {
    name: "tags: a set under versions that were seen last is not checked",
    promises: ["C60", "C72", "C73"],
    rule: 'if (compareVersions(guesses, current) === "current") return { status, versions: guesses };',
    broken: "return { status, versions: guesses };",
  },
  {
    name: "freshness: markStale keeps an entry that has no stale window",
    promises: ["C27"],
    rule: "if (lifeOf(staleNow, now).expiresInMs > 0) local",
    broken: "local",
  },
  {
    name: "storing: a set with a ttl of zero is stored",
    promises: ["C9"],
    rule: "if (life.ttlMs <= 0)\n      return",
    broken: "if (life.ttlMs < 0) return",
  },
  {
    name: "recovery: a markStale brings back what waits to be removed",
    promises: ["C93"],
    rule: "if (!isReplaced && recovery?.covers(key, NO_TAGS) !== true) return",
    broken: "return",
  },
  {
    name: "leases: what a write fences keeps its lease when that is acknowledged",
    promises: ["C61"],
    rule: "this.#context.flights.releaseFenced(key.local);",
    broken: "",
  },
  {
    name: "leases: a tag call leaves those that were granted before its acknowledgement",
    promises: ["C61"],
    rule: "// Leases granted meanwhile: the results of their loads are fenced by now.\n      for (const lease of leases) lease.releaseUnder(keys);",
    broken: "",
  },
  {
    name: "leases: a tag call releases them before it is sent",
    promises: ["C61"],
    rule: "const renewing = remote.versions.renew(keys, mode);\n",
    broken:
      "for (const lease of leases) lease.releaseUnder(keys);\n      const renewing = remote.versions.renew(keys, mode);\n",
  },
  {
    name: "changes: a set keeps its copy, though another change was received",
    promises: ["C81", "C83"],
    rule: 'status === "stored" ? flights.copyEpoch(guard) : trust.unconfirmed',
    broken: 'status === "stored" ? trust.epochOf(key.local) : trust.unconfirmed',
  },
  {
    name: "changes: the first message is taken for that of one's own write",
    promises: ["C82", "C83"],
    rule: "guard.resend(trust.epoch);\n      const written = await this.#write(remote, key, entry, encoded);",
    broken:
      "const { epoch } = trust;\n      const written = await this.#write(remote, key, entry, encoded);\n      guard.resend(epoch);",
  },
  {
    name: "tokens: what is pending has one",
    promises: ["C93"],
    rule: 'return { status: "pending" };',
    broken: 'return { status: "pending", token: this.#token() };',
  },
  {
    name: "life: close and drain do not wait for tag calls",
    promises: ["C117"],
    rule: "return this.#context.writes.include(this.#invalidate(namespace, names, mode));",
    broken: "return this.#invalidate(namespace, names, mode);",
  },
  {
    name: "storing: an overtaken set keeps its place among the reads and writes in flight",
    promises: ["C137"],
    rule: "flights.remove(waiting.guard);",
    broken: "",
  },
  {
    name: "bounds: every tag version that set saw is remembered",
    promises: ["C80"],
    rule: "const MAX_GUESSED = 10_000;",
    broken: "const MAX_GUESSED = Infinity;",
  },
  {
    name: "many keys: a later call on their tags leaves what was there without the tags",
    promises: ["C345"],
    rule: 'if (tags.wasMade(namespace.keySpace.tagPrefixes, sequence)) return "stored";',
    broken: 'return "stored" as const;',
  },
  {
    name: "many keys: markStale before the turn of a key marks what is older",
    promises: ["C345"],
    rule: "const done = this.#markStale(namespace, key, bulkWrites.has(key.local));",
    broken: "const done = this.#markStale(namespace, key, false);",
  },
  {
    name: "order: a set outlives a tag call that was made before its turn",
    promises: ["C351"],
    rule: "if (remote.isBypassed || this.#isHidden(entry)) return",
    broken: "if (remote.isBypassed) return",
  },
  {
    name: "order: a set outlives a tag call that was made while it asked for versions",
    promises: ["C351"],
    rule: "if (this.#isHidden(entry)) return this.#removeInstead(remote, key);\n    if (this",
    broken: "if (this",
  },
  {
    name: "order: the acknowledgement of an earlier clear ends a later setMany",
    promises: ["C351"],
    rule: "if (!tags.wasMade(dependsOn, sequence)) return",
    broken: "if (!tags.wasCalled(dependsOn, sequence)) return",
  },
];
