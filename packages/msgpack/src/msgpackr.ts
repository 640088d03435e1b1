import { createRequire } from "node:module";

/** Loads msgpackr on first use: importing it takes as long as importing all of hotset may take. */
export const msgpackr = (): typeof import("msgpackr") =>
  (loaded ??= createRequire(import.meta.url)("msgpackr") as typeof import("msgpackr"));
let loaded: typeof import("msgpackr") | undefined;
