import { readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Row, Section } from "./row.ts";

const folder = join(import.meta.dirname, "sections");

/** Every section, in the order of their files. */
export const SECTIONS: readonly Section[] = await Promise.all(
  readdirSync(folder)
    .toSorted()
    .map(async (file) => {
      const { SECTION } = (await import(/* @vite-ignore */ pathToFileURL(join(folder, file)).href)) as {
        readonly SECTION: Section;
      };
      return SECTION;
    }),
);

export const ROWS: readonly Row[] = SECTIONS.flatMap(({ rows }) => rows);
