import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: the last change of another cache over the same backend counts as one's own",
    promises: ["C81"],
    rule: "sender === ownSender && !this.#wasShared",
    broken: "sender === ownSender && this.#detachers.size <= 1",
  },
  {
    name: "redis: a fault that passes while subscribing is reported as a refusal of the server",
    promises: ["A93"],
    rule: "if (!(error instanceof SubscriptionRefusedError)) throw error;\n      throw new",
    broken: "throw new",
  },
];
