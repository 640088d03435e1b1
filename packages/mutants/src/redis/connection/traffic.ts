import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: bytes of a closed socket are forgotten",
    promises: ["C288"],
    rule: "      this.#received += socket.bytesRead;\n",
    broken: "",
  },
];
