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
    rule: "if (!(error instanceof SubscriptionRefusedError)) return error;\n",
    broken: "",
  },
  {
    name: "redis: changes are published although all track",
    promises: ["C197"],
    rule: 'this.mode === "pubsub" ? settings.keys.channel : ""',
    broken: "settings.keys.channel",
  },
  {
    name: "redis: tags in use are read again for each cache",
    promises: ["C359"],
    rule: "    if (now - this.#tagsTouchedAt < this.maxStalenessMs) return;\n",
    broken: "",
  },
];
