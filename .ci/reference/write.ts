// Writes docs/reference/api from the types. The build of the site calls it; the pages are not committed.
//
//   npm run write -- reference

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandPage } from "./commands.ts";
import { readModel } from "./model.ts";
import { renderPages } from "./render.ts";

/** @returns the text of each page, by its file. */
export function writeReference(): ReadonlyMap<string, string> {
  const folder = join(import.meta.dirname, "../../docs/reference/api");
  const pages = new Map([...renderPages(readModel()), ["command-line.md", commandPage()]]);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of pages) writeFileSync(join(folder, file), text);
  return pages;
}

if (import.meta.main) console.log(`${writeReference().size} pages written to docs/reference/api`);
