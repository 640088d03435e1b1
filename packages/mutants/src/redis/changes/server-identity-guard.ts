import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: only the data connection reports another server",
    promises: ["C91"],
    rule: "const isAnotherServer = history",
    broken: "const isAnotherServer = connection.isDataConnection && history",
  },
  {
    name: "redis: each connection reports the same other server",
    promises: ["C91"],
    rule: "this.#history = history ?? this.#history;",
    broken: "this.#history ??= history;",
  },
  {
    name: "redis: changes are received from one server while commands go to another",
    promises: ["C91"],
    rule: 'other.distrust(new Error("another server answers now"));',
    broken: "undefined;",
  },
  {
    name: "redis: invalidations issued again before the data connection moved are not issued to its new server",
    promises: ["C91"],
    rule: "const hasFollowed = connection",
    broken: "const hasFollowed = false && connection",
  },
  {
    name: "redis: signs of life are given while the data connection is down",
    promises: ["C91"],
    rule: "if (connection.isDataConnection && !this.#connected.has(connection)) return false;",
    broken: "",
  },
  {
    name: "redis: an unidentified server is taken for the same one",
    promises: ["C91"],
    rule: "if (mayHaveMoved || isAnotherServer || hasFollowed) this",
    broken: "if (isAnotherServer || hasFollowed) this",
  },
  {
    name: "redis: an old server is used, and half works",
    promises: ["C251"],
    rule: "  refuseOld(server);\n",
    broken: "",
  },
];
