import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { rolldown } from "rolldown";
import type { Product } from "../contenders/contender.ts";
import type { Scenario } from "./scenario.ts";

const HERE = join(import.meta.dirname, "..");

/** Importing the packages of a contender in a new process, and their size where they are bundled. */
export const imports: Scenario = {
  name: "import",
  what: "importing all packages of the set-up in a new process, less an empty one; minified and bundled, with clients",
  shows: { metric: "ms", unit: " ms", better: "less" },
  takesPart: ({ name, packages }) => packages.length > 0 && !name.includes(","),
  async open(product) {
    importOnce(product.packages);
    return {
      round: async () => {
        const empty = importOnce([]);
        const { ms, cpuMs } = importOnce(product.packages);
        return { ms: ms - empty.ms, cpuMs: cpuMs - empty.cpuMs };
      },
      last: async () => ({ minifiedKb: (await bundledBytes(product)) / 1_000 }),
      close: async () => undefined,
    };
  },
};

/** Everything that npm brings for the packages of a contender. */
export const installs: Scenario = {
  name: "install",
  what: "the packages of the set-up with all that they depend on, as npm installs them",
  shows: { metric: "kb", unit: " KB", better: "less" },
  takesPart: ({ name, packages }) => packages.length > 0 && !name.includes(","),
  rounds: 1,
  async open({ packages }) {
    return {
      async round() {
        const folders = new Set<string>();
        for (const name of packages) addWithDependencies(realpathSync(join(HERE, "node_modules", name)), folders);
        const bytes = [...folders].reduce((sum, folder) => sum + publishedBytes(folder), 0);
        return { kb: bytes / 1_000, packages: folders.size };
      },
      close: async () => undefined,
    };
  },
};

function importOnce(packages: readonly string[]): { readonly ms: number; readonly cpuMs: number } {
  // Not performance.now(), whose first use loads a module of Node that packages need as well.
  const script = `
    const before = { usage: process.cpuUsage(), at: process.hrtime.bigint() };
    ${packages.map((name) => `await import(${JSON.stringify(name)});`).join("\n")}
    const ms = Number(process.hrtime.bigint() - before.at) / 1e6;
    const { user, system } = process.cpuUsage(before.usage);
    console.log(JSON.stringify({ ms, cpuMs: (user + system) / 1e3 }));
    process.exit();`;
  const printed = execFileSync(process.execPath, ["--no-warnings", "--input-type=module", "-e", script], {
    cwd: HERE,
    encoding: "utf8",
  });
  return JSON.parse(printed) as { ms: number; cpuMs: number };
}

async function bundledBytes({ packages }: Product): Promise<number> {
  const entry = "\0entry";
  const bundle = await rolldown({
    input: entry,
    platform: "node",
    external: [/^node:/, /\.node$/, "zstd-napi"],
    logLevel: "silent",
    plugins: [
      {
        name: "entry",
        resolveId: (id) => (id === entry ? entry : null),
        load: (id) => (id === entry ? packages.map((name, i) => `export * as p${i} from "${name}";`).join("\n") : null),
      },
    ],
    cwd: HERE,
  });
  const { output } = await bundle.generate({ format: "esm", minify: true });
  await bundle.close();
  return output.reduce((sum, part) => sum + (part.type === "chunk" ? Buffer.byteLength(part.code) : 0), 0);
}

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly files?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

function addWithDependencies(folder: string, folders: Set<string>): void {
  if (folders.has(folder)) return;
  folders.add(folder);
  const manifest = manifestOf(folder);
  const { dependencies = {}, optionalDependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} } = manifest;
  const peers = Object.keys(peerDependencies).filter((name) => peerDependenciesMeta[name]?.optional !== true);
  for (const name of [...Object.keys(dependencies), ...Object.keys(optionalDependencies), ...peers]) {
    const found = resolved(folder, name);
    // Optional ones for other systems are not there.
    if (found !== undefined) addWithDependencies(found, folders);
  }
}

/** Where Node would look: beside the package, and above it. */
function resolved(from: string, name: string): string | undefined {
  for (let folder = from; dirname(folder) !== folder; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    if (existsSync(join(candidate, "package.json"))) return realpathSync(candidate);
  }
  return undefined;
}

/** A package of this workspace counts with what it publishes. */
function publishedBytes(folder: string): number {
  const { files } = manifestOf(folder);
  if (folder.includes("node_modules")) return bytesBelow(folder);
  const published = [...(files ?? []), "package.json", "README.md", "LICENSE"];
  return published.reduce(
    (sum, name) => sum + (existsSync(join(folder, name)) ? bytesBelow(join(folder, name)) : 0),
    0,
  );
}

function bytesBelow(path: string): number {
  const found = statSync(path);
  if (!found.isDirectory()) return found.size;
  return readdirSync(path)
    .filter((name) => name !== "node_modules")
    .reduce((sum, name) => sum + bytesBelow(join(path, name)), 0);
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
}
