/** Serves a bundle in workerd without and with modules of Node, and prints how two requests were answered by each. */
import { readFileSync } from "node:fs";
import { startWorkerd, WORKERD_VERSION } from "./workerd.ts";

const compatibilities = [[], ["nodejs_compat"]].map((flags) => ({ date: "2026-04-20", flags }));
using workerd = await startWorkerd(readFileSync(process.argv[2]!, "utf8"), compatibilities);
const statuses: (string | null)[] = [];
for (const url of workerd.urls)
  for (let request = 0; request < 2; request += 1) statuses.push((await fetch(url)).headers.get("cache-status"));
console.log(JSON.stringify({ version: WORKERD_VERSION, statuses }));
