/** A random change that alters no behaviour that a test could rely on. */
export interface Equivalent {
  /** From the top of the repository. */
  readonly file: string;
  /** As `npm run mutants -- --random` prints them. */
  readonly before: string;
  readonly after: string;
  readonly reason: string;
}

/** Known by reading. A line that is reworded drops out by itself. */
export const EQUIVALENT: readonly Equivalent[] = [
  {
    file: "packages/redis/src/connection/session.ts",
    before: "loss.report(error as Error);",
    after: ";",
    reason: "The attempt rejects with the same error; a listener can be added only after an attempt that succeeded.",
  },
  {
    file: "packages/core/src/engine/flights.ts",
    before:
      'if (each !== stored && (each.serial < stored.serial || !(each instanceof Flight) || each.phase === "reading")) {',
    after:
      'if (each !== stored && (((each.serial) <= (stored.serial)) || !(each instanceof Flight) || each.phase === "reading")) {',
    reason: "No two guards have one serial.",
  },
  ...["call(args, options)", "burst(commands, options)"].map((call) => ({
    file: "packages/redis-toolkit/src/client/pool.ts",
    before: `return await this.#connection.${call};`,
    after: `return (this.#connection.${call});`,
    reason: "Outside of a try an async method settles as the promise that it returns.",
  })),
];
