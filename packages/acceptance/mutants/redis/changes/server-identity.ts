import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: only the connection for calls reports another server",
    promises: ["C91"],
    rule: "const isNews = history",
    broken: "const isNews = member.isDataConnection && history",
  },
  {
    name: "redis: each connection reports the same other server",
    promises: ["C91"],
    rule: "this.#history = history ?? this.#history;",
    broken: "this.#history ??= history;",
  },
  {
    name: "redis: changes come from one server while calls go to another",
    promises: ["C91"],
    rule: 'other.distrust(new Error("another server answers now"));',
    broken: "undefined;",
  },
  {
    name: "redis: invalidations reissued before the calls moved are not reissued at the server they moved to",
    promises: ["C91"],
    rule: "const follows = member",
    broken: "const follows = false && member",
  },
  {
    name: "redis: signs of life are given while calls have no connection",
    promises: ["C91"],
    rule: "if (member.isDataConnection && !this.#connected.has(member)) return false;",
    broken: "",
  },
  {
    name: "redis: an unidentified server counts as the same one",
    promises: ["C91"],
    rule: "if (mayHaveMoved || isNews || follows) this",
    broken: "if (isNews || follows) this",
  },
];
