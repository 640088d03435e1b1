import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "bypass: a bypassed backend is used",
    promises: ["C175"],
    rule: "return !this.#isBypassed && this",
    broken: "return this",
  },
  {
    name: "bypass: a bypassed backend gets no invalidations",
    promises: ["C175"],
    rule: "if (target.ends === true) {",
    broken: "if (target.ends === true && !this.#isBypassed) {",
  },
  {
    name: "backend: a call waits as long as the backend takes",
    promises: ["C43", "C92"],
    rule: "start(budgetMs, passed)",
    broken: "start(Infinity, passed)",
  },
  {
    name: "backend: a call has a second deadline beside that of its backend",
    promises: ["C132"],
    rule: "return this.#of.boundsCalls && budgetMs",
    broken: "return false && budgetMs",
  },
  {
    name: "backend: the failure of one part is a failure of all",
    promises: ["C167"],
    rule: "return this.#breakers.get(part)?.admits(",
    broken: "return [...this.#breakers.values()][0]?.admits(",
  },
  {
    name: "backend: an answer does not close the breaker",
    promises: ["C97"],
    rule: "if (this.#breakers.size !== 0) this.#breakers.delete(part);",
    broken: "",
  },
  {
    name: "backend: the breaker counts answers",
    promises: ["C97"],
    rule: "if (isTransport && target",
    broken: "if (target",
  },
  {
    name: "backend: failures of calls that it bounds do not count",
    promises: ["C97"],
    rule: "throw this.failed(operation, target, error);",
    broken: "throw error;",
  },
  {
    name: "backend: answers to calls that it bounds do not count",
    promises: ["C97"],
    rule: "this.#succeeded(operation, target.part, startedAt);",
    broken: "",
  },
  {
    name: "core: an answered heartbeat leaves the breaker open",
    promises: ["C328"],
    rule: "    if (isAnswering) this.#breakers.delete(part);\n",
    broken: "",
  },
  {
    name: "core: connections are watched after the end of the cache",
    promises: ["C329"],
    rule: "    if (!this.#isStopped)\n      this.#stopWatching",
    broken: "    this.#stopWatching",
  },
  {
    name: "breaker: a heartbeat forgets the failures of a closed one",
    promises: ["C328"],
    rule: "breaker?.isOpen === true && breaker.isDisprovedBy(sentAt, this.deadlineMs)",
    broken: "breaker?.isDisprovedBy(sentAt, this.deadlineMs) === true",
  },
  {
    name: "errors: those of a second copy of the package are none of ours",
    promises: ["C350"],
    rule: "if (given instanceof CacheError || !(given instanceof Error)) return given;",
    broken: "if (given instanceof CacheError || given instanceof Error) return given;",
  },
  {
    name: "broken tiers: a read that returns no promise is reported as one without an answer",
    promises: ["C348"],
    rule: "      } catch (error) {\n        fail(error);\n      }",
    broken: "      } catch (error) {\n        throw error;\n      }",
  },
  {
    name: "broken tiers: a watch of connections that throws leaves the call unsettled",
    promises: ["C348"],
    rule: 'this.report("breaker", undefined, error);\n      return undefined;',
    broken: "throw error;",
  },
  {
    name: "backend: a part that refuses to report changes is not reported",
    promises: ["C366"],
    rule: "    this.#notReporting(part, error);\n",
    broken: "",
  },
  {
    name: "backend: a slow read at first is taken for a connection",
    promises: ["C43"],
    rule: "this.meter.answered + (this.#of.boundsCalls ? 0 : 1)",
    broken: "this.meter.answered",
  },
];
