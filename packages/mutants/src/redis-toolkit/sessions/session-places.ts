import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "sessions: ids are stored as they are",
    promises: ["A78"],
    rule: 'createHmac("sha256", this.#secret).update(id).digest("base64url")',
    broken: 'id.padEnd(43, "x")',
  },
  {
    name: "sessions: a new id lies in another slot",
    promises: ["A82"],
    rule: "like === undefined ?",
    broken: "true ?",
  },
];
