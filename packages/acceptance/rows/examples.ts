import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

const NAMED = /^(?:\/\/|#) Rows: (?<ids>R\d-\d+(?:, R\d-\d+)*)$/m;

/** By the id of a row: programs below docs/examples that name it, in a line such as `// Rows: R3-10, R3-20`. */
export function findExamples(top: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const file of globSync("docs/examples/**/*.{ts,js,mjs,sh,yaml}", { cwd: top }).toSorted()) {
    if (file.includes("node_modules") || file.endsWith(".test.ts")) continue;
    const ids = NAMED.exec(readFileSync(join(top, file), "utf8"))?.groups?.["ids"]?.split(", ") ?? [];
    for (const id of ids) found.set(id, [...(found.get(id) ?? []), file]);
  }
  return found;
}
