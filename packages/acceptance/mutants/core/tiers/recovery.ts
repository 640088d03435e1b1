import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "recovery: nothing is remembered",
    promises: ["C93"],
    rule: "recovery?.addKey(key);",
    broken: "",
  },
  {
    name: "recovery: nothing is replayed",
    promises: ["C93"],
    rule: "await this.#remote.remove(key);",
    broken: "",
  },
  {
    name: "recovery: tag calls are not replayed",
    promises: ["C93", "C95"],
    rule: "await this.#remote.versions!.renew(pending.keys, pending.mode);",
    broken: "",
  },
  {
    name: "recovery: a key with a pending invalidation is read from the backend",
    promises: ["C93", "C94"],
    rule: "this.#keys.has(key.backend) || ",
    broken: "",
  },
  {
    name: "recovery: a pending tag call hides nothing from reads",
    promises: ["C93"],
    rule: "|| dependsOn.some((each) => this.#tags.has(each))",
    broken: "",
  },
  {
    name: "recovery: a failed replay is forgotten",
    promises: ["C93", "C95"],
    rule: "await this.#remote.remove(key);",
    broken: "this.#keys.delete(id);\n          await this.#remote.remove(key);",
  },
  {
    name: "recovery: a read from before a replay is kept after it",
    promises: ["C93"],
    rule: "this.#issued?.addKey(key);\n          this.#replayed.key(key);",
    broken: "this.#issued?.addKey(key);",
  },
  {
    name: "recovery: nothing is tried again without a call",
    promises: ["C93"],
    rule: "if (this.#running === undefined) this.#retryLater();",
    broken: "",
  },
  {
    name: "recovery: a replay is tried while the breaker is open",
    promises: ["C131"],
    rule: "if (this.#running === undefined && this.#remote.retryInMs > 0) return Promise.resolve();",
    broken: "",
  },
  {
    name: "recovery: an overflow is lost",
    promises: ["C96"],
    rule: "for (const key of tagKeys(this.#root, []))",
    broken: "for (const key of [] as string[])",
  },
  {
    name: "recovery: pending invalidations grow without bound",
    promises: ["C96"],
    rule: "if (this.size > MAX_PENDING) {",
    broken: "if (false) {",
  },
  {
    name: "recovery: a soft tag call replaces a hard one",
    promises: ["C95"],
    rule: 'before?.mode === "hard" ? "hard" : mode,\n        callSequence',
    broken: "mode, callSequence",
  },
  {
    name: "recovery: a key with an acknowledged newer write is still replayed",
    promises: ["C95"],
    rule: "if (this.#keys.size !== 0) this.#keys.delete(key.backend);",
    broken: "",
  },
  {
    name: "recovery: keys wait for versions that may not be renewed",
    promises: ["C93"],
    rule: "// Reported by the tier, and tried again later. A user that may not renew versions may still remove keys.",
    broken: "return;",
  },
  {
    name: "reissue: removals are not remembered",
    promises: ["C93"],
    rule: "this.forgetKey(key);\n    this.#issued?.addKey(key);",
    broken: "this.forgetKey(key);",
  },
  {
    name: "reissue: tag calls are not remembered",
    promises: ["C93"],
    rule: "this.forgetTags(keys, mode, callSequence);\n    this.#issued?.addTags(keySpace, keys, mode);",
    broken: "this.forgetTags(keys, mode, callSequence);",
  },
  {
    name: "reissue: a replayed removal is not remembered",
    promises: ["C93"],
    rule: "this.#issued?.addKey(key);\n          this.#replayed.key(key);",
    broken: "this.#replayed.key(key);",
  },
  {
    name: "recovery: only the first part of a replay is said to have overflowed",
    promises: ["C96"],
    rule: "if (this.size === 0) this.#overflowed = false;",
    broken: "this.#overflowed = false;",
  },
];
