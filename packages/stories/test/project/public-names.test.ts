import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly exports: Readonly<Record<string, { readonly "@hotset/source": string }>>;
}

const packages = join(dirname(fileURLToPath(import.meta.url)), "../../..");

/** Every specifier that can be imported from a public package, with its source. */
const entryPoints = globSync("*/package.json", { cwd: packages })
  .toSorted()
  .map((path) => ({
    folder: join(packages, dirname(path)),
    manifest: JSON.parse(readFileSync(join(packages, path), "utf8")) as Manifest,
  }))
  .filter(({ manifest }) => manifest.private !== true)
  .flatMap(({ folder, manifest }) =>
    Object.entries(manifest.exports).map(([entry, conditions]) => ({
      specifier: join(manifest.name, entry),
      source: join(folder, conditions["@hotset/source"]),
    })),
  );

// A name more or less is a change for users: `npm test` shows it, `vitest run -u
// packages/stories/test/project/public-names.test.ts` accepts it.
it.for(entryPoints)("$specifier exports what it did", async ({ source }) => {
  const names = Object.keys((await import(source)) as object).toSorted();
  expect(names).toMatchSnapshot();
});
