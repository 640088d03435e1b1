// How a published package becomes JavaScript: each entry of its `exports` one readable file, and what two entries share a third,
// so that a class stays the same class through both. Types come from tsc. Runs in the folder of the package.
//
// docs/decisions/0027-one-file-for-each-entry.md says why.

import { readFileSync } from "node:fs";
import { defineConfig } from "rolldown";

interface Manifest {
  readonly exports: Readonly<Record<string, { readonly "@hotset/source": string; readonly default: string }>>;
}

const { exports: entries } = JSON.parse(readFileSync("package.json", "utf8")) as Manifest;

export default defineConfig({
  input: Object.fromEntries(Object.values(entries).map((entry) => [entry.default.replace(/^\.\/dist\/(.*)\.js$/, "$1"), entry["@hotset/source"]])),
  platform: "node",
  transform: { target: "es2023" },
  // Node's own modules, dependencies and our other packages stay imports.
  external: (id) => !/^[./]/.test(id),
  logLevel: "warn",
  output: { dir: "dist", cleanDir: true, format: "esm", chunkFileNames: "shared.js", minify: false, minifyInternalExports: false },
});
