// How a published package becomes JavaScript and declarations. Each entry of its `exports` is one readable file of ES
// modules and one of CommonJS, each with its types; what `pnpm pack` writes into `package.json` is in `.pnpmfile.mjs`.
// Runs in the folder of the package.
//
// Decisions 0027 and 0250 say why.

import { existsSync, readFileSync } from "node:fs";
import { dirname, relative, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { defineConfig, type Plugin, type RolldownOptions } from "rolldown";
import { dts } from "rolldown-plugin-dts";

interface Entry {
  readonly source: string;
  /** Without its extension. */
  readonly file: string;
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, unknown>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  /** Programs: `dist/bin.js` is made of `src/bin.ts`. */
  readonly bin?: string | Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, { readonly "@hotset/source": string; readonly default: string }>>;
}

const manifest = JSON.parse(readFileSync("package.json", "utf8")) as Manifest;
const { dependencies = {}, peerDependencies = {}, peerDependenciesMeta = {}, devDependencies = {} } = manifest;
/** Packages that become part of this one, because they are not installed with it. */
const inside = Object.keys(devDependencies).filter(
  (name) => !(name in dependencies) && !(name in peerDependencies) && !(name in peerDependenciesMeta),
);
const isInside = (id: string): boolean => inside.some((name) => id === name || id.startsWith(`${name}/`));
const entries = Object.values(manifest.exports).map((conditions): Entry => ({
  source: resolve(conditions["@hotset/source"]),
  file: relative("dist", conditions.default).replace(/\.js$/, ""),
}));
const { bin = {} } = manifest;
const programs = (typeof bin === "string" ? [bin] : Object.values(bin)).map((path): Entry => {
  const file = relative("dist", path).replace(/\.js$/, "");
  return { source: resolve(`src/${file}.ts`), file };
});

/** A package whose files are made of more than its modules has a plugin that makes them. */
const own = resolve("src/build-client.ts");
const { plugin } = existsSync(own)
  ? ((await import(pathToFileURL(own).href)) as { readonly plugin: Plugin })
  : { plugin: undefined };

const shared = {
  platform: "node",
  transform: { target: "es2023" },
  logLevel: "warn",
} as const satisfies RolldownOptions;

export default defineConfig([
  ...[...entries, ...programs].map((entry, i) => code(entry, "js", i === 0)),
  ...entries.map((entry) => code(entry, "cjs")),
  types("ts"),
  types("cts"),
]);

function code(entry: Entry, extension: "js" | "cjs", cleanDir = false): RolldownOptions {
  return {
    ...shared,
    input: entry.source,
    // Node's own modules, dependencies and our other packages stay imports.
    external: (id) => !/^[./]/.test(id) && !isInside(id),
    plugins: [plugin, otherEntries(entry, extension)],
    output: {
      dir: "dist",
      entryFileNames: `${entry.file}.${extension}`,
      cleanDir,
      format: extension === "js" ? "esm" : "cjs",
      footer: extension === "js" ? "" : defaultAlone,
      // Jest's own `require` has no `import()`.
      dynamicImportInCjs: false,
      minify: false,
      // Docstrings are in the types beside it.
      comments: { jsdoc: false },
    },
  };
}

/**
 * A file whose only export is a default is that value for who imports its path, as Next does, and has the name that its
 * types promise.
 */
function defaultAlone({ exports }: { readonly exports: readonly string[] }): string {
  return exports.join() === "default" ? "module.exports.default = module.exports;" : "";
}

/** One declaration for each entry; a type that several have is in a file that they share, so that it is one type. */
function types(extension: "ts" | "cts"): RolldownOptions {
  return {
    ...shared,
    input: Object.fromEntries(entries.map(({ file, source }) => [file, source])),
    external: (id) => !/^[./]/.test(id) && !isInside(id),
    plugins: [dts({ dtsOnly: true, generator: "oxc", tsconfig: false })],
    output: {
      dir: "dist",
      entryFileNames: `[name].d.${extension}`,
      chunkFileNames: `types.d.${extension}`,
    },
  };
}

/** Tables of names and scripts: each file that uses them may have its own copy. */
const COPIED = ["src/limits/rule-scripts.ts", "src/locks/forms.ts", "src/queue/keys.ts"].map((path) => resolve(path));

/**
 * One entry imports another from that one's file, so that a class is the same through both. Any other shared module
 * would be in both files.
 */
function otherEntries(entry: Entry, extension: string): Plugin {
  const folder = dirname(entry.source) + sep;
  return {
    name: "other-entries",
    resolveId(specifier, importer) {
      if (!importer?.startsWith(folder) || !specifier.startsWith(".")) return null;
      const target = resolve(dirname(importer), specifier);
      const other = entries.find(({ source }) => source === target && source !== entry.source);
      if (other !== undefined)
        return { id: specifierOf(relative(dirname(entry.file), `${other.file}.${extension}`)), external: true };
      if (!target.startsWith(folder) && !COPIED.includes(target))
        this.error(
          `${relative(".", importer)} imports ${specifier}, which another entry holds; import it from that entry`,
        );
      return null;
    },
  };
}

/** A file in the same folder needs the `./` too: without it, it would be a package. */
const specifierOf = (path: string): string => (path.startsWith(".") ? path : `./${path}`);
