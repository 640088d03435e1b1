import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: commands left in the buffers of an old connection are executed",
    promises: ["C94"],
    rule: "if (previous?.id !== undefined && identity.runId !== undefined && previous.identity.runId === identity.runId)\n      await",
    broken: "if (false) await",
  },
  {
    name: "redis: a server that is busy for now is said to refuse its changes",
    promises: ["A93"],
    rule: "if (!isReply(error) || isTemporary(error)) throw error;",
    broken: "if (!isReply(error)) throw error;",
  },
  {
    name: "redis: a server that refuses to report its changes is not asked for its role",
    promises: ["C376"],
    rule: "      await this.#isPrimary(deadlineMs).catch(ignore);\n",
    broken: "",
  },
  {
    name: "redis: a connection that is lost while a refusing server is asked for its role hides the refusal",
    promises: ["C376"],
    rule: "await this.#isPrimary(deadlineMs).catch(ignore);",
    broken: "await this.#isPrimary(deadlineMs);",
  },
  {
    name: "redis: a connection that forgot its user is kept",
    promises: ["C86"],
    rule: "if (isLoggedOut(error)) link.distrust(error as Error);",
    broken: "",
  },
  {
    name: "redis: a connection that answered once while subscribing is waited for without end",
    promises: ["C86"],
    rule: "({ signsOfLife } = link);\n      arm();",
    broken: "",
  },
  {
    name: "redis: a server that stands still for a moment loses its connections",
    promises: ["C209"],
    rule: "Math.max(deadlineMs, 2 * link.queue.deadlineMs)",
    broken: "deadlineMs",
  },
  {
    name: "redis: a server that was emptied is taken for what it was",
    promises: ["C347"],
    rule: "if (current?.data.wasEmptied !== true) return true;",
    broken: "return true;",
  },
];
