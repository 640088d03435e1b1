import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: the arguments that a server quotes stay in its error",
    promises: ["C145"],
    rule: '.replace(QUOTED_ARGUMENTS, "")',
    broken: "",
  },
  {
    name: "redis: a secret stays in the error of a server",
    promises: ["C145"],
    rule: 'text = text.replaceAll(form, "***");',
    broken: "text = text.replaceAll(form, form);",
  },
  {
    name: "redis: a secret is replaced in redirections, too",
    promises: ["C145"],
    rule: "if (REDIRECTION.test(message)) return;",
    broken: "",
  },
];
