import { globSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import type { Mutant } from "./mutant.ts";
import { mutantsOf } from "./table.ts";

const folder = join(import.meta.dirname, "../table");

/** Every mutant of the tables, one for each room of a package. A new table needs no line anywhere. */
export const MUTANTS: readonly Mutant[] = globSync("**/*.txt", { cwd: folder })
  .toSorted()
  .flatMap((path) => mutantsOf(path.replaceAll(sep, "/"), readFileSync(join(folder, path), "utf8")));
