import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "express-session: the session that was read is not remembered",
    promises: ["A81"],
    rule: "if (known !== undefined) this.#known.set(made, known);",
    broken: "",
  },
  {
    name: "express-session: a session that was stored once is created again",
    promises: ["A81"],
    rule: "    this.#remember(data, { sid, fields, userId }, stored);\n  }\n\n  async #change(",
    broken: "  }\n\n  async #change(",
  },
  {
    name: "express-session: cookie.expires is the end from before the touch",
    promises: ["A83"],
    rule: 'cookie["expires"] = new Date(endsAt).toISOString();',
    broken: 'cookie["expires"] = new Date(endsAt - 30_000).toISOString();',
  },
  {
    name: "express-session: the defaults of a cookie are stored with each session",
    promises: ["C501"],
    rule: "if (stored[name] === value) delete stored[name];",
    broken: "",
  },
  {
    name: "express-session: a session object that is kept for long is never touched",
    promises: ["A80"],
    rule: "if (isSame && this.#module.clock.now() < known.quietUntil) return;",
    broken: "if (isSame) return;",
  },
];
