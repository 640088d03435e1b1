// The build makes the declarations of each file alone, and refuses an export without its type. `tsc` does not see that.
//
//   node .ci/checks/declarations.ts

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isolatedDeclarationSync } from "rolldown/experimental";
import { trackedFiles } from "./tracked-files.ts";

const entries = trackedFiles(".").flatMap((path) => {
  const text = /^packages\/[^/]+\/package\.json$/.test(path) ? readFileSync(path, "utf8") : "";
  if (text.includes('"private": true')) return [];
  return [...text.matchAll(/"@hotset\/source": "(.+)"/g)].map(([, source]) => join(path, "..", source!));
});
const reached = new Set(entries);
for (const path of reached) {
  const { code, errors } = isolatedDeclarationSync(path, readFileSync(path, "utf8"));
  for (const { codeframe, message } of errors) console.error(codeframe ?? `${path}: ${message}`);
  if (errors.length > 0) process.exitCode = 1;
  for (const [, to] of code.matchAll(/(?:from|import\()\s*"(\.[^"]+\.ts)"/g)) reached.add(join(path, "..", to!));
}
if (reached.size < 100) throw new Error(`only ${reached.size} files were found`);
