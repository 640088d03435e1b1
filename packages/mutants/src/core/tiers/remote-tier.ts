import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "tokens: versions come from a replica that lags",
    promises: ["C426"],
    rule: "return versions && isAfter === true ? readByPin(versions) : versions;",
    broken: "return versions;",
  },
  {
    name: "tokens: versions of tags that the call does not name come from a replica that lags",
    promises: ["C426"],
    rule: "const more = request.isAfter === true ? readByPin(this.versions!) :",
    broken: "const more = request.isAfter === true ? this.versions! :",
  },
  {
    name: "batch: a key of one part has the answer of another part's key",
    promises: ["C374"],
    rule: "settled(indexes[i]!, outcome),",
    broken: "settled(i, outcome),",
  },
  {
    name: "batch: the parts of a backend are asked together, and fail together",
    promises: ["C374"],
    rule: "if (this.#backend.parts === undefined)\n      return void",
    broken: "if (true)\n      return void",
  },
  {
    name: "batch: one part that fails keeps calls of many keys from all parts",
    promises: ["C374"],
    rule: "requests: indexes.map((i) => requests[i]!), part }",
    broken: "requests: indexes.map((i) => requests[i]!), part: ONE_PART }",
  },
  {
    name: "batch: a key that could not be read is absent",
    promises: ["C161"],
    rule: "if (found instanceof Error) return settled(i, error);",
    broken: "if (found instanceof Error) return settled(i, undefined);",
  },
  {
    name: "batch: a promise for each key",
    promises: ["C336"],
    rule: "      else settled(i, entry);",
    broken: "      else settle(Promise.resolve(entry), i, settled);",
  },
  {
    name: "promotion: the life of a copy counts from the arrival of the answer",
    promises: ["C6"],
    rule: "schema, sentAt, tagSequence)",
    broken: "schema, this.#clock.now(), tagSequence)",
  },
  {
    name: "storing: a value larger than maxEntryBytes leaves the older one in the backend",
    promises: ["C102", "C99"],
    rule: 'await this.remove(key);\n    return "refused";',
    broken: 'return "refused";',
  },
  {
    name: "backend: an entry that cannot be decoded opens the breaker",
    promises: ["C98"],
    rule: "} catch (error) {\n      return this.#reportUndecodable(read.request, error as DecodeError, stored.version);",
    broken:
      '} catch (error) {\n      this.#reportUndecodable(read.request, error as DecodeError, stored.version);\n      return Promise.reject(this.#calls.refusal("read"));',
  },
  {
    name: "backend: a decoder may take as long as it likes",
    promises: ["C132"],
    rule: "within(this.#clock, this.deadlineMs, entry,",
    broken: "within(this.#clock, Infinity, entry,",
  },
  {
    name: "backend: tag versions kept as entries have no deadline where the backend bounds its calls",
    promises: ["C132"],
    rule: "backend.boundsCalls === true && (backend.tagVersions !== undefined || !this.keepsMeta)",
    broken: "backend.boundsCalls === true",
  },
  {
    name: "backend: an entry that cannot be decoded is reported with each read",
    promises: ["C98"],
    rule: "if (error === undefined || this.#undecodable.has(backendKey)) return;",
    broken: "if (error === undefined) return;",
  },
  {
    name: "aliases: tag versions kept as entries have no alias",
    promises: ["C81"],
    rule: "versionEntries(withAliases(backend, aliases), clock)",
    broken: "versionEntries(backend, clock)",
  },
  {
    name: "tokens: known versions are used for reads after a token",
    promises: ["C81"],
    rule: "const versions = asked ?? (request.isAfter === true ? undefined : this.#table?.known(expected));",
    broken: "const versions = asked ?? this.#table?.known(expected);",
  },
  {
    name: "outage: markStale over a backend that can only remove does not wait for the removal",
    promises: ["R1-10"],
    rule: '(await this.remove(key)) === "deleted"',
    broken: '((this.remove(key) as unknown)) === "deleted"',
  },
  {
    name: "bounds: every undecodable key is remembered",
    promises: ["C80"],
    rule: "if (this.#undecodable.size >= MAX_UNDECODABLE) this.#undecodable.clear();",
    broken: "",
  },
  {
    name: "answers: an object is taken as the list of a batch",
    promises: ["C348"],
    rule: "if (Array.isArray(found) && found.length === count) return found;",
    broken: "if (count > 0) return found;",
  },
  {
    name: "replicas: what a touch stores is marked as kept nowhere",
    promises: ["C361"],
    rule: "terms: { ...entry.terms, mayLag: true } });",
    broken: "terms: { ...entry.terms, localTtlMs: 0 } });",
  },
  {
    name: "broken tiers: an alias that throws leaves the flight and its callers",
    promises: ["C348"],
    rule: "    try {\n      this.#aliases?.add(request.key.backend);\n",
    broken: "    this.#aliases?.add(request.key.backend);\n    try {\n",
  },
];
