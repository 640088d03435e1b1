import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "streams: a lost group stays lost",
    promises: ["A53"],
    rule: 'if (isLostGroup(error)) this.#phase = "join";',
    broken: 'if (isLostGroup(error)) this.#phase = "own";',
  },
  {
    name: "streams: entries of a lost reply wait for minIdle",
    promises: ["C227"],
    rule: 'else if (this.#phase === "new") this.#phase = "own";',
    broken: "",
  },
  {
    name: "streams: own entries are read from the beginning each time",
    promises: ["C227"],
    rule: "this.#seen = deliveries.at(-1)?.entry.id ?? this.#seen;",
    broken: "",
  },
  {
    name: "streams: entries are acknowledged before they are handled",
    promises: ["A52"],
    rule: "    await batch.run();",
    broken: "    await this.#member.ack(deliveries.map(({ entry }) => entry.id));\n    await batch.run();",
  },
  {
    name: "streams: stop does not wait for handlers",
    promises: ["A55"],
    rule: "    this.#stopping.abort();\n",
    broken: "    this.#abandoned.abort();\n    this.#stopping.abort();\n",
  },
  {
    name: "streams: stop leaves behind what the server has just delivered",
    promises: ["A55"],
    rule: "      while (!this.#abandoned.signal.aborted) {",
    broken: "      while (this.#abandoned.signal.aborted) {",
  },
  {
    name: "streams: attempts to open a connection stay frequent",
    promises: ["C227"],
    rule: 'if (phase === "new") failures = 0;',
    broken: "failures = 0;",
  },
  {
    name: "streams: a consumer reads on before its acknowledgements are confirmed",
    promises: ["C227"],
    rule: "        await this.#acks.settled();\n        await this.#step();\n",
    broken: "        await this.#step();\n",
  },
];
