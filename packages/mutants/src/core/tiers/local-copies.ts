import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "bypass: copies from before are served again after it",
    promises: ["C175"],
    rule: 'this.#isBypassed = isBypassed;\n    this.#unlessBroken("clear", () => this.tier.clear());',
    broken: "this.#isBypassed = isBypassed;",
  },
  {
    name: "broken tiers: a value that the local tier refuses is lost in silence",
    promises: ["C352"],
    rule: "if (error !== undefined) this.#report(error, localKey);",
    broken: "",
  },
  {
    name: "broken tiers: markStale fails by a value that the local tier refuses",
    promises: ["C352"],
    rule: "      this.#report(this.#refused(error), localKey);",
    broken: "      throw error;",
  },
  {
    name: "broken tiers: a value that the local tier refuses to keep as stale is lost in silence",
    promises: ["C352"],
    rule: "      this.#report(this.#refused(error), localKey);",
    broken: "",
  },
  {
    name: "broken tiers: a local tier that throws ends work that no caller waits for",
    promises: ["C353"],
    rule: "    } catch (cause) {\n      const text = `${this.label}: ${operation} threw",
    broken: "    } catch (cause) {\n      throw cause;\n      const text = `${this.label}: ${operation} threw",
  },
  {
    name: "broken tiers: a local tier that throws where no caller waits is not reported",
    promises: ["C353"],
    rule: "this.#report(new ConfigurationError(text, { tier: this.label, operation, cause }), localKey);",
    broken: "void text;",
  },
  {
    name: "bypass: a bypassed local tier keeps what is loaded",
    promises: ["C175"],
    rule: " || this.#isBypassed) {",
    broken: ") {",
  },
  {
    name: "promotion: a copy may live as long as its writer allowed, and the limit of the reader is ignored",
    promises: ["C6"],
    rule: "Math.min(localTtlMs, entry.terms.localTtlMs)",
    broken: "entry.terms.localTtlMs",
  },
  {
    name: "promotion: the entry's own localTtl is forgotten",
    promises: ["C7"],
    rule: "Math.min(localTtlMs, entry.terms.localTtlMs)",
    broken: "localTtlMs",
  },
  {
    name: "freshness: an ended copy of the local tier is served",
    promises: ["C6"],
    rule: "if (entry === undefined || now >= entry.deadAt)",
    broken: "if (entry === undefined)",
  },
  {
    name: "storing: callers of cloned values share them",
    promises: ["C104"],
    rule: 'if (this.tier.values === "cloned") return structuredClone(value);',
    broken: 'if (this.tier.values === "cloned") return value;',
  },
  {
    name: "storing: a cloned value is shared with its writer",
    promises: ["C104"],
    rule: 'this.tier.values === "cloned" ? this.#clone(value) : value',
    broken: "value",
  },
  {
    name: "storing: frozen values may be changed",
    promises: ["C104"],
    rule: 'if (this.tier.values === "frozen") this.#freeze(value, deepFreeze);',
    broken: "",
  },
  {
    name: "storing: frozen values may be changed where they are not stored",
    promises: ["C104"],
    rule: "return structuredClone(value);\n      this.#freeze(value, deepFreeze);",
    broken: "return structuredClone(value);",
  },
  {
    name: "storing: nothing is frozen below what is frozen already",
    promises: ["C104"],
    rule: 'if (each === null || typeof each !== "object" || ArrayBuffer.isView(each)) continue;',
    broken:
      'if (each === null || typeof each !== "object" || ArrayBuffer.isView(each) || Object.isFrozen(each)) continue;',
  },
  {
    name: "storing: a value that cannot be cloned is shared",
    promises: ["C104"],
    rule: "const place = unwritablePlace(value,",
    broken: "return value;\n      const place = unwritablePlace(value,",
  },
  {
    name: "changes: a copy is confirmed by an answer from before the link was lost",
    promises: ["C82"],
    rule: "if (entry?.version === version && epoch === this.#trust.epoch) entry",
    broken: "if (entry?.version === version) entry",
  },
  {
    name: "changes: a message reaches a namespace that never leaves the process",
    promises: ["C90"],
    rule: "if (!(now < entry.epoch!.until)) return undefined;",
    broken: "if (!(now < entry.epoch!.until) || !(now < this.#trust.epochOf(localKey).until)) return undefined;",
  },
  {
    name: "trust: a copy that may have missed a change is served after the link is back",
    promises: ["C86"],
    rule: "if (!(now < entry.epoch!.until)) return undefined;",
    broken:
      "if (entry.epoch === this.#trust.unconfirmed || !(now < this.#trust.epochOf(localKey).until)) return undefined;",
  },
  {
    name: "trust: a copy that this process invalidated is served while the backend is unreachable",
    promises: ["C92"],
    rule: "now >= entry.deadAt ? undefined : this.#tags.applyTo(entry, now);",
    broken: "now >= entry.deadAt ? undefined : entry;",
  },
  {
    name: "tags: a copy found invalidated keeps its memory",
    promises: ["C80"],
    rule: "if (checked === undefined) this.tier.delete(localKey);",
    broken: "if (checked === undefined) void 0;",
  },
  {
    name: "storing: an error of a foreign local tier comes out as it is",
    promises: ["C99"],
    rule: "return error instanceof CacheError\n",
    broken: "return !(error instanceof CacheError)\n",
  },
  {
    name: "storing: a localTtl of 1 ms stores no copy",
    promises: ["C7"],
    rule: "if (limitMs <= 0 ||",
    broken: "if (limitMs <= 1 ||",
  },
  {
    name: "storing: shared values may be changed in development",
    promises: ["C193"],
    rule: "if (this.#freezesShared) this.#freeze(value, freezePlainData);",
    broken: "",
  },
  {
    name: "storing: instances of classes are frozen in development",
    promises: ["C193"],
    rule: "if (!isPlainData(each)) continue;",
    broken:
      "if (!isPlainData(each) && (typeof each !== 'object' || each === null || ArrayBuffer.isView(each))) continue;",
  },
  {
    name: "replicas: what they answer is kept in memory",
    promises: ["A44"],
    rule: "entry.terms.mayLag === true ||",
    broken: "",
  },
];
