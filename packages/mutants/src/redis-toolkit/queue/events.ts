import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "queue: finished says gone before the event of the end can come",
    promises: ["C231"],
    rule: "await new Promise<void>((resolve) => this.#module.clock.schedule(resolve, EVENT_MS));",
    broken: "",
  },
  {
    name: "queue: finished says gone at any other event of its job",
    promises: ["C231"],
    rule: 'else if (event.kind === "removed") ended.resolve({ status: "gone" });',
    broken: 'else ended.resolve({ status: "gone" });',
  },
  {
    name: "queue: finished says gone for a job that has completed",
    promises: ["C231"],
    rule: 'if (job.state === "completed") return completed(job.result);',
    broken: 'if (job.state === "completed") return { status: "gone" };',
  },
];
