import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { CacheError } from "@hotset/core";
import { expect, it } from "vitest";

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly exports: Readonly<Record<string, { readonly "@hotset/source": string }>>;
}

const packages = join(dirname(fileURLToPath(import.meta.url)), "../../..");

/** Every specifier for users, with its source: `/internal` is for packages of hotset. */
const entryPoints = globSync("*/package.json", { cwd: packages })
  .toSorted()
  .map((path) => ({
    folder: join(packages, dirname(path)),
    manifest: JSON.parse(readFileSync(join(packages, path), "utf8")) as Manifest,
  }))
  .filter(({ manifest }) => manifest.private !== true)
  .flatMap(({ folder, manifest }) =>
    Object.entries(manifest.exports)
      .filter(([entry]) => entry !== "./internal")
      .map(([entry, conditions]) => ({
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

it("each error has the address of its code on the page of errors, and shows it where it is printed", async () => {
  const page = readFileSync(join(packages, "../docs/reference/errors.md"), "utf8");
  const isErrorClass = (value: unknown): value is new (message: string, details?: unknown) => CacheError =>
    typeof value === "function" && value.prototype instanceof CacheError;
  const exported = await Promise.all(entryPoints.map(({ source }) => import(source) as Promise<object>));
  const classes = new Set(exported.flatMap((names) => Object.values(names).filter(isErrorClass)));
  expect(classes.size).toBeGreaterThan(15);
  for (const Class of classes) {
    const error = new Class("a test", { code: "REFUSED", operation: "GET" });
    const { code, url } = error;
    expect(page, Class.name).toContain(`\n### ${code}\n`);
    expect(url).toBe(`https://github.com/hotset/hotset/blob/main/docs/reference/errors.md#${code.toLowerCase()}`);
    expect(inspect(error)).toContain(`url: '${url}'`);
  }
});
