import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { spread, type Spread } from "../measure.ts";

export interface ImportCost {
  readonly name: string;
  readonly ms: Spread;
  readonly maxMs: number;
}

/** What importing the built package costs a new process, before anything of it is used. */
export function importCosts(rounds: number): readonly ImportCost[] {
  const packages = join(import.meta.dirname, "../../packages");
  return ([["hotset", "hotset", 20], ["@hotset/core", "core", 5]] as const).map(([name, folder, maxMs]) => {
    const url = pathToFileURL(join(packages, folder, "dist/index.js")).href;
    const script = `const before = performance.now(); await import(${JSON.stringify(url)}); console.log(performance.now() - before)`;
    const once = (): number => Number(execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" }));
    once();
    return { name, ms: spread(Array.from({ length: rounds * 3 }, once)), maxMs };
  });
}
