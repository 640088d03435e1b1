import { readFileSync } from "node:fs";

/** The version of this package, whose `package.json` lies next to `dist` and `src`. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { readonly version: string }
).version;
