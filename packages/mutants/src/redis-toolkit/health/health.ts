import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a probe waits as long as a command does",
    promises: ["A87"],
    rule: "servers = await within(module, deadlineMs, askEach(module, deadlineMs));",
    broken: "servers = await askEach(module, undefined);",
  },
  {
    name: "toolkit: each caller is a probe of its own",
    promises: ["A87"],
    rule: "(probing ??= probe(module, deadlineMs)",
    broken: "(probing = probe(module, deadlineMs)",
  },
  {
    name: "toolkit: a service that is not ready answers 200",
    promises: ["A87"],
    rule: 'body.status === "unready" ? 503 : 200',
    broken: 'body.status === "unready" ? 200 : 200',
  },
  {
    name: "toolkit: a probe answers a request that has an answer",
    promises: ["A87"],
    rule: "if (response.headersSent) return;",
    broken: "",
  },
];
