import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "life: close aborts what is under way",
    promises: ["C117"],
    rule: "await this.#within(timeoutMs, this.#settled());",
    broken: "",
  },
  {
    name: "life: loads that close gave up may go on calling",
    promises: ["C117"],
    rule: "context.lifecycle.close();",
    broken: "",
  },
  {
    name: "life: close of one cache closes the backend of another",
    promises: ["C117"],
    rule: "return others === 0;",
    broken: "return true;",
  },
  {
    name: "life: close waits without end",
    promises: ["C117"],
    rule: "await this.#within(timeoutMs, this.#settled());",
    broken: "await this.#settled();",
  },
  {
    name: "life: a cache refuses calls while it closes",
    promises: ["C200"],
    rule: "context.lifecycle.drain();",
    broken: "context.lifecycle.close();",
  },
  {
    name: "bypass: a hole passes for a label",
    promises: ["C363"],
    rule: "given.findIndex((label) => !labels.includes(label as string))",
    broken: "given.findIndex((label, i) => i in given && label !== undefined && !labels.includes(label as string))",
  },
  {
    name: "life: a backend that fails to close is lost in silence",
    promises: ["C356"],
    rule: 'events["backend:error"].emit({ cache: name, namespace: [], ...failed, error });',
    broken: "void [events, name, error];",
  },
  {
    name: "timers: a process ends while drain waits",
    promises: ["C443"],
    rule: "const release = holdProcess(clock);",
    broken: "const release = undefined as (() => void) | undefined;",
  },
];
