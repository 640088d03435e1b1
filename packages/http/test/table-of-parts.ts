// The table of docs/guide/http.md: what a request brings, and what a load sees of it. `npm run write -- http` writes
// it.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PARTS } from "../src/cache/load-request.ts";

const PAGE = join(import.meta.dirname, "../../../docs/guide/http.md");
const HEAD = "| what a request brings | what a load sees of it |\n|---|---|\n";

/** The page as it is, and as {@link PARTS} says that it should be. */
export function pages(): { readonly written: string; readonly generated: string } {
  const written = readFileSync(PAGE, "utf8");
  const begin = written.indexOf(HEAD);
  if (begin < 0) throw new Error(`${PAGE} has no table that begins with ${HEAD}`);
  const rows = PARTS.map(({ brings, sees }) => `| ${brings} | ${sees} |\n`).join("");
  const end = written.indexOf("\n\n", begin) + 1;
  return { written, generated: `${written.slice(0, begin)}${HEAD}${rows}${written.slice(end)}` };
}

if (import.meta.main) writeFileSync(PAGE, pages().generated);
