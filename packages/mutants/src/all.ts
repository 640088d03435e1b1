import { globSync } from "node:fs";
import { join, sep } from "node:path";
import { pathToFileURL } from "node:url";
import type { Breakage, Mutant } from "./mutant.ts";

const here = import.meta.dirname;

/** Every mutant under this folder. A new file needs no line anywhere. */
export const MUTANTS: readonly Mutant[] = (
  await Promise.all(
    globSync("*/**/*.ts", { cwd: here })
      .toSorted()
      .map(async (path): Promise<readonly Mutant[]> => {
        const { MUTANTS: broken } = (await import(/* @vite-ignore */ pathToFileURL(join(here, path)).href)) as {
          readonly MUTANTS: readonly Breakage[];
        };
        const [folder, ...inside] = path.split(sep);
        return broken.map((each) => ({ ...each, file: `packages/${folder}/src/${inside.join("/")}` }));
      }),
  )
).flat();
