import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "promotion: a copy's life counts from when the answer came",
    promises: ["C6"],
    rule: "request.schema, sentAt,",
    broken: "request.schema, this.#clock.now(),",
  },
  {
    name: "storing: a value larger than maxEntryBytes leaves the older one in the backend",
    promises: ["C102", "C99"],
    rule: 'await this.remove(key);\n    return "refused";',
    broken: 'return "refused";',
  },
  {
    name: "backend: a call waits as long as the backend takes",
    promises: ["C43", "C92"],
    rule: "this.#deadlines.start(startedAt, budgetMs, overdue)",
    broken: "this.#deadlines.start(startedAt, Infinity, overdue)",
  },
  {
    name: "backend: the breaker counts answers",
    promises: ["C97"],
    rule: "if (isTransport) this",
    broken: "if (true) this",
  },
  {
    name: "backend: undecodable bytes open the breaker",
    promises: ["C98"],
    rule: "} catch (error) {\n      return this.#reportUndecodable(request, error as DecodeError);",
    broken:
      '} catch (error) {\n      this.#reportUndecodable(request, error as DecodeError);\n      return Promise.reject(new BackendUnavailableError(""));',
  },
  {
    name: "backend: undecodable bytes are reported with each read",
    promises: ["C98"],
    rule: "if (this.#undecodable.has(backendKey)) return;",
    broken: "",
  },
  {
    name: "leases: one that was granted too late is kept",
    promises: ["C55"],
    rule: "if (isOver && answer.granted) leases.release(request.key.backend, token).catch(ignore);",
    broken: "",
  },
  {
    name: "storing: a load that lost its lease and is too large removes its successor",
    promises: ["C102"],
    rule: "leases.renew(key.backend, token, 2 * this.deadlineMs),\n            ))\n              ?",
    broken: "Promise.resolve(true))) ?",
  },
  {
    name: "aliases: a key requested only with its lease has none",
    promises: ["C81"],
    rule: "this.#aliases?.add(request.key.backend);\n        return",
    broken: "return",
  },
  {
    name: "aliases: versions that are kept as entries have none",
    promises: ["C81"],
    rule: "aliases === undefined ? backend : named(backend, aliases)",
    broken: "backend",
  },
  {
    name: "tokens: versions that are remembered will do",
    promises: ["C81"],
    rule: "const versions = asked ?? (request.isAfter === true ? undefined : this.#table?.known(expected));",
    broken: "const versions = asked ?? this.#table?.known(expected);",
  },
];
