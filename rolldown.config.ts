// How a published package becomes JavaScript: each entry of its `exports` is one readable file. Types come from tsc.
// Runs in the folder of the package.
//
// Decision 0027 says why.

import { readFileSync } from "node:fs";
import { dirname, relative, resolve, sep } from "node:path";
import { defineConfig, type Plugin, type RolldownOptions } from "rolldown";

interface Entry {
  readonly source: string;
  readonly file: string;
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  /** Programs: `dist/bin.js` is made of `src/bin.ts`. */
  readonly bin?: string | Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, { readonly "@hotset/source": string; readonly default: string }>>;
}

const manifest = JSON.parse(readFileSync("package.json", "utf8")) as Manifest;
const { dependencies = {}, peerDependencies = {}, devDependencies = {} } = manifest;
/** Packages that become part of this one, because they are not installed with it. */
const inside = Object.keys(devDependencies).filter((name) => !(name in dependencies) && !(name in peerDependencies));
const isInside = (id: string): boolean => inside.some((name) => id === name || id.startsWith(`${name}/`));
const entries = Object.values(manifest.exports).map((conditions): Entry => ({
  source: resolve(conditions["@hotset/source"]),
  file: resolve(conditions.default),
}));
const { bin = {} } = manifest;
for (const file of typeof bin === "string" ? [bin] : Object.values(bin))
  entries.push({ source: resolve(file.replace("dist/", "src/").replace(/js$/, "ts")), file: resolve(file) });

export default defineConfig(
  entries.map((entry, i): RolldownOptions => ({
    input: entry.source,
    platform: "node",
    transform: { target: "es2023" },
    // Node's own modules, dependencies and our other packages stay imports.
    external: (id) => !/^[./]/.test(id) && !isInside(id),
    plugins: [otherEntries(entry)],
    logLevel: "warn",
    output: {
      dir: "dist",
      entryFileNames: relative("dist", entry.file),
      cleanDir: i === 0,
      format: "esm",
      minify: false,
      // Docstrings are in the types beside it.
      comments: { jsdoc: false },
    },
  })),
);

/**
 * One entry imports another from that one's file, so that a class is the same through both. Any other shared module
 * would be in both files.
 */
function otherEntries(entry: Entry): Plugin {
  const folder = dirname(entry.source) + sep;
  return {
    name: "other-entries",
    resolveId(specifier, importer) {
      if (!importer?.startsWith(folder) || !specifier.startsWith(".")) return null;
      const target = resolve(dirname(importer), specifier);
      const other = entries.find(({ source }) => source === target && source !== entry.source);
      if (other !== undefined) return { id: specifierOf(relative(dirname(entry.file), other.file)), external: true };
      if (!target.startsWith(folder))
        this.error(
          `${relative(".", importer)} imports ${specifier}, which another entry holds; import it from that entry`,
        );
      return null;
    },
  };
}

/** A file in the same folder needs the `./` too: without it, it would be a package. */
const specifierOf = (path: string): string => (path.startsWith(".") ? path : `./${path}`);
