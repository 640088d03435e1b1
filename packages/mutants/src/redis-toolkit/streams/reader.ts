import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "streams: a reader looks up the end of the stream at each read",
    promises: ["A49"],
    rule: 'if (this.#after === "$") this.#after = await this.#findLast();',
    broken: "",
  },
  {
    name: "streams: a reader that is left forgets entries that were read ahead",
    promises: ["A49"],
    rule: "          this.#after = entry.id;\n          yield entry;",
    broken: "          yield entry;\n          this.#after = entry.id;",
  },
];
