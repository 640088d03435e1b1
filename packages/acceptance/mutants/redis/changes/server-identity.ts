import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: only the connection for calls tells of another server",
    promises: ["C91"],
    rule: "const isNews = history",
    broken: "const isNews = member.isDataConnection && history",
  },
  {
    name: "redis: each connection tells of the same other server",
    promises: ["C91"],
    rule: "this.#history = history ?? this.#history;",
    broken: "this.#history ??= history;",
  },
  {
    name: "redis: changes are heard from one server while calls go to another",
    promises: ["C91"],
    rule: 'other.distrust(new Error("another server answers now"));',
    broken: "undefined;",
  },
  {
    name: "redis: what was issued again before the calls had moved is not issued to where they went",
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
    name: "redis: a server that does not tell who it is stays the same",
    promises: ["C91"],
    rule: "if (mayHaveMoved || isNews || follows) this",
    broken: "if (isNews || follows) this",
  },
];
