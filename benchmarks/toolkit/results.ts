import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writePages } from "../peers/docs.ts";
import { RESULTS } from "../peers/results.ts";
import type { ToolkitResults } from "./table.ts";

/** Keeps the results of a run, and writes the pages that show them: the figures. */
export async function keepResults(results: ToolkitResults | Pick<ToolkitResults, "prices">): Promise<void> {
  const before = JSON.parse(readFileSync(FILE, "utf8")) as ToolkitResults;
  writeFileSync(FILE, `${JSON.stringify({ ...before, ...results }, null, 1)}\n`);
  await writePages();
}

const FILE = join(RESULTS, "toolkit.json");
