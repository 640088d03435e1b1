#!/usr/bin/env node
// The command line is a separate package: services install hotset, and their images need none of it.
// Why the program is a separate package: decision 0120.

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** From the project in whose folder this runs, else where this package lies: pnpm shows it only the former. */
function findCommandLine(): string | undefined {
  for (const place of [join(process.cwd(), "package.json"), import.meta.filename])
    try {
      return createRequire(place).resolve("@hotset/cli");
    } catch {
      // The next place.
    }
  return undefined;
}

const path = findCommandLine();
if (path === undefined) {
  process.stderr.write("hotset: the command line is a separate package; npm install --save-dev @hotset/cli\n");
  process.exitCode = 2;
} else {
  const { main } = (await import(pathToFileURL(path).href)) as { readonly main: () => Promise<void> };
  await main();
}
