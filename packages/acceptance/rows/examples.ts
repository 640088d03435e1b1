import { globSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const NAMED = /^(?:\/\/| \*|#) Rows: (?<ids>R\d-\d+(?:, R\d-\d+)*)$/m;

/** By the id of a row: files below docs/examples and docs/operations with a line such as `// Rows: R3-10, R3-20`. */
export function findExamples(top: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  const exclude = (path: string): boolean => path.includes("node_modules");
  for (const file of globSync("docs/{examples,operations}/**/*", { cwd: top, exclude }).toSorted()) {
    if (file.endsWith(".test.ts") || !statSync(join(top, file)).isFile()) continue;
    const ids = NAMED.exec(readFileSync(join(top, file), "utf8"))?.groups?.["ids"]?.split(", ") ?? [];
    for (const id of ids) found.set(id, [...(found.get(id) ?? []), file]);
  }
  return found;
}
