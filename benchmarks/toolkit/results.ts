import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { writePages } from "../peers/docs.ts";
import { RESULTS } from "../peers/results.ts";
import type { ToolkitResults } from "./table.ts";

const ROWS = join(import.meta.dirname, "../../packages/acceptance/rows/write.ts");

/** Keeps the results of a run, and writes the pages that show them: figures, and rows that are held or open. */
export async function keepResults(results: ToolkitResults): Promise<void> {
  writeFileSync(join(RESULTS, "toolkit.json"), `${JSON.stringify(results, null, 1)}\n`);
  await writePages();
  // In a process of its own: rows read the results when they are imported.
  execFileSync(process.execPath, ["--no-warnings", ROWS]);
}
