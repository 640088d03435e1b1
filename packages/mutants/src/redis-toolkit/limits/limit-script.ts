import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "limits: the clock of a process decides",
    promises: ["A73"],
    rule: "\n      NOW,\n",
    broken: "\n      NOW.replace(\"redis.call('TIME')\", `{${Math.floor(Date.now() / 1_000)}, 0}`),\n",
  },
  {
    name: "limits: only the first rule is asked",
    promises: ["A75"],
    rule: 'this.#each(() => " and room@ >= wanted", "")',
    broken: '" and room1 >= wanted"',
  },
  {
    name: "limits: refused calls count",
    promises: ["A75"],
    rule: 'this.#options.countRefused ? count : ""',
    broken: "count",
  },
  {
    name: "limits: a block allows what fits",
    promises: ["A75"],
    rule: "local fits = blocked < 0$",
    broken: "local fits = true$",
  },
];
