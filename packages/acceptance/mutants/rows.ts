import { globSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { MUTANTS } from "./all.ts";
import type { BrokenRule } from "./mutant.ts";
import { isHeld, type Held, type Row } from "../rows/row.ts";

const folder = join(import.meta.dirname, "rows");

/** Mutants of rows that no other mutant removes. Their names begin with the id of their row. */
export const ROW_MUTANTS: readonly BrokenRule[] = (
  await Promise.all(
    globSync("*.ts", { cwd: folder })
      .toSorted()
      .map(async (file) => {
        const { MUTANTS: broken } = (await import(/* @vite-ignore */ pathToFileURL(join(folder, file)).href)) as {
          readonly MUTANTS: readonly BrokenRule[];
        };
        return broken;
      }),
  )
).flat();

/** The mutant without the function of a row, or the reason why there is none. */
export function mutantOf(row: Row & Held): BrokenRule | string {
  const all: readonly BrokenRule[] = row.mutant === undefined ? ROW_MUTANTS : [...MUTANTS, ...ROW_MUTANTS];
  const found = all.filter(({ name }) =>
    row.mutant === undefined ? name.startsWith(`${row.id} `) : name === row.mutant,
  );
  if (found[0] !== undefined && found.length === 1) return found[0];
  return `${row.id}: ${found.length} mutants are named ${row.mutant ?? `"${row.id} ..."`}`;
}

export const heldRows = (rows: readonly Row[]): readonly (Row & Held)[] => rows.filter(isHeld);
