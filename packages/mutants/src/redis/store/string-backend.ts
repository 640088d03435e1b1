import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "strings: the clock is asked for with every read",
    promises: ["C311"],
    rule: "if (clock.isDue(client)) void this.#ask(clock, entryKey, client);",
    broken: "void this.#ask(clock, entryKey, client);",
  },
  {
    name: "strings: many reads are many commands",
    promises: ["C311"],
    rule: "if (this.parts !== undefined) return readInParts",
    broken: "if (true) return readInParts",
  },
  {
    name: "strings: a batch in a cluster returns nothing",
    promises: ["C114"],
    rule: "return readInParts(keys, this.batchOf(keys), (key) => this.read(key));",
    broken: "return Promise.resolve([]);",
  },
  {
    name: "strings: a key of another type is an error",
    promises: ["A33"],
    rule: "if (isWrongType(error)) command.done(undefined);",
    broken: "if (false) command.done(undefined);",
  },
  {
    name: "strings: IFEQ is tried with every store",
    promises: ["C314"],
    rule: "this.link.queue.clock.now() + TRY_IFEQ_AFTER_MS;",
    broken: "this.link.queue.clock.now();",
  },
  {
    name: "strings: who waits for a refresh tries a placeholder again and again",
    promises: ["C315"],
    rule: "acquiresPlain: (key) => this.#server(this.keys.entry(key)).refreshesUntilMs <= this.link.queue.clock.now(),",
    broken: "acquiresPlain: () => true,",
  },
];
