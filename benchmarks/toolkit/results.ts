import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { writePages } from "../peers/docs.ts";
import { RESULTS } from "../peers/results.ts";
import type { ToolkitResults } from "./table.ts";

/** Keeps the results of a run, and writes the pages that show them: the figures. */
export async function keepResults(results: ToolkitResults): Promise<void> {
  writeFileSync(join(RESULTS, "toolkit.json"), `${JSON.stringify(results, null, 1)}\n`);
  await writePages();
}
