import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "reissue: invalidations from before the window are issued again",
    promises: ["C93"],
    rule: ".filter(({ issuedAt }) => issuedAt >= since)",
    broken: "",
  },
  {
    name: "reissue: an overflow is lost",
    promises: ["C96"],
    rule: "overflowed: this.#overflowedAt >= since,\n    }",
    broken: "overflowed: false }",
  },
  {
    name: "reissue: the window goes on while the link is lost",
    promises: ["C164"],
    rule: "(this.#stoppedAt ?? this.#clock.now()) - this.#stoodStillMs",
    broken: "this.#clock.now()",
  },
  {
    name: "reissue: the window forgets the outage once the link is back",
    promises: ["C164"],
    rule: "this.#stoodStillMs += this.#clock.now() - this.#stoppedAt;",
    broken: "this.#stoodStillMs += 0;",
  },
];
