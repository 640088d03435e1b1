// Import rules: who may import whom, type imports counted.
//
//   node .ci/checks/imports.ts
//
// docs/architecture.md draws what the two tables below say.

import { readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { Visitor, parseSync } from "oxc-parser";
import { trackedFiles } from "./tracked-files.ts";

/**
 * Packages of ours that the sources of each package may import. Its tests may import every package but the consumers.
 */
export const PACKAGE_GRAPH: Readonly<Record<string, readonly string[]>> = {
  "@hotset/core": [],
  "@hotset/compose": ["@hotset/core"],
  "@hotset/sqlite": ["@hotset/core"],
  "@hotset/formats": ["@hotset/core"],
  "@hotset/memory": ["@hotset/core"],
  "@hotset/redis": ["@hotset/core"],
  "@hotset/redis-http": ["@hotset/core"],
  "@hotset/postgres": ["@hotset/core"],
  "@hotset/postgres-follow": ["@hotset/core"],
  "@hotset/keyv": ["@hotset/core"],
  "@hotset/astro": ["@hotset/core", "@hotset/http"],
  "@hotset/drizzle": ["@hotset/core"],
  "@hotset/graphql": ["@hotset/core"],
  "@hotset/nest": ["@hotset/core"],
  "@hotset/transactions": ["@hotset/core"],
  "@hotset/unstorage": ["@hotset/core"],
  "@hotset/next": ["@hotset/core", "hotset"],
  "@hotset/redis-toolkit": ["@hotset/core", "@hotset/formats", "@hotset/redis"],
  "@hotset/metrics": ["@hotset/core", "@hotset/redis-toolkit"],
  "@hotset/seal": ["@hotset/core"],
  "@hotset/testing": ["@hotset/core"],
  "@hotset/http": ["@hotset/core"],
  hotset: [
    "@hotset/compose",
    "@hotset/core",
    "@hotset/formats",
    "@hotset/memory",
    "@hotset/redis",
    "@hotset/seal",
    "@hotset/sqlite",
  ],
  "@hotset/inspector": ["@hotset/core", "@hotset/http", "@hotset/redis-toolkit"],
  "@hotset/cli": [
    "@hotset/core",
    "@hotset/http",
    "@hotset/inspector",
    "@hotset/postgres-follow",
    "@hotset/redis",
    "@hotset/redis-toolkit",
    "hotset",
  ],
  "@hotset/test-servers": [],
};

/** These import everything that is published. */
const CONSUMERS = /^(packages\/(?:stories|mutants|torture)|benchmarks|docs|\.ci)\//;

/** The folders that may import a package of consumers. */
const IMPORTERS: Readonly<Record<string, readonly string[]>> = {
  "@hotset/stories": [],
  "@hotset/mutants": ["packages/torture"],
  "@hotset/torture": [],
  "@hotset/tools": [],
};

/** For tests, benchmarks and examples alone. */
const FOR_TESTS = [
  "@hotset/testing",
  "@hotset/testing/contract-suites",
  "@hotset/test-servers",
  "@hotset/test-servers/global-setup",
];

/** Entries of `hotset` that hand such an entry on. */
const HANDED_ON: Readonly<Record<string, string>> = {
  "packages/hotset/src/testing.ts": "@hotset/testing",
  "packages/hotset/src/contract-suites.ts": "@hotset/testing/contract-suites",
};

/** Dependencies that the build puts into a package (rolldown.config.ts), so users do not install them. */
const BUILT_IN: Readonly<Record<string, readonly string[]>> = {
  "@hotset/formats": ["msgpackr"],
  "@hotset/inspector": ["preact", "rolldown"],
  "@hotset/redis-http": ["@hotset/redis"],
};

/**
 * The rooms of a package, each a folder of its `src` or `entries`, or a file there: a room imports only from the lines
 * above its own, and is free inside.
 */
export const ROOMS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  core: [
    ["contracts"],
    ["primitives"],
    ["entry", "formats", "coherence"],
    ["tags"],
    ["tiers"],
    ["engine"],
    ["cache"],
    ["internal"],
    ["index"],
    ["adapter", "decorators", "inspect", "shapes", "stores"],
  ],
  redis: [
    ["primitives"],
    ["lua"],
    ["connection"],
    ["changes"],
    ["topology", "store", "url"],
    ["held-connection"],
    ["rest", "shared-connection"],
    ["link-checks", "setters"],
    ["backend-builder"],
    ["builder", "http"],
    ["internal"],
    ["index"],
  ],
  http: [
    ["semantics"],
    ["cache"],
    ["index"],
    ["chunked-bytes", "platform", "raw-head", "reach"],
    ["held-response", "load-socket", "server"],
    ["load-pair"],
    ["load-http2"],
    ["purgers"],
    ["cdn"],
    ["fetch", "node", "undici"],
  ],
  "redis-toolkit": [
    ["client", "errors"],
    ["keys", "settings"],
    ["module"],
    ["commands"],
    ["redis"],
    ["index"],
    ["scripts"],
    ["pubsub", "streams", "locks", "limits", "sessions", "boards", "health"],
    ["queue"],
    ["inspect"],
  ],
};

export interface SourceText {
  /** From the top of the repository, with `/`. */
  readonly path: string;
  readonly text: string;
}

export interface Manifest {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, unknown>>;
}

/** @param manifests the package.json of each folder under `packages/`, by the folder's name. */
export function findViolations(
  sources: readonly SourceText[],
  manifests: ReadonlyMap<string, Manifest>,
): readonly string[] {
  const violations: string[] = [];
  const graph = new Map<string, readonly string[]>();

  for (const source of sources) {
    const { specifiers, exportsAll } = readImports(source);
    const relative = specifiers.filter((specifier) => specifier.startsWith("."));
    const bare = specifiers.filter((specifier) => !specifier.startsWith(".") && !isBuiltin(specifier));
    const targets = relative.map((specifier) => posix.join(posix.dirname(source.path), specifier));
    graph.set(source.path, targets);

    if (exportsAll) violations.push(`${source.path}: "export *" hides what is public; list the names`);
    for (const target of targets) violations.push(...judgeRelative(source.path, target));
    for (const specifier of bare) violations.push(...judgeBare(source.path, specifier, manifests));
  }
  return [...new Set(violations), ...findRings(graph)];
}

function readImports({ path, text }: SourceText): { specifiers: readonly string[]; exportsAll: boolean } {
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path} cannot be parsed: ${errors[0]?.message}`);

  const specifiers = new Set<string>();
  let exportsAll = false;
  new Visitor({
    ImportDeclaration: (node) => void specifiers.add(node.source.value),
    ExportNamedDeclaration: (node) => void (node.source && specifiers.add(node.source.value)),
    ExportAllDeclaration: (node) => {
      specifiers.add(node.source.value);
      exportsAll = true;
    },
    ImportExpression: (node) => void (node.source.type === "Literal" && specifiers.add(String(node.source.value))),
    TSImportType: (node) => void specifiers.add(node.source.value),
  }).visit(program);
  return { specifiers: [...specifiers], exportsAll };
}

function judgeRelative(from: string, to: string): readonly string[] {
  const isShared = CONSUMERS.test(from) && (!to.includes("/") || to.endsWith("/support/chromium.ts"));
  if (packageFolder(from) !== packageFolder(to) && !isShared)
    return [`${from} reaches into ${to}: import the package by its name`];
  const rooms = ROOMS[from.split("/")[1] ?? ""];
  if (rooms === undefined || isTest(from) || !/^packages\/[^/]+\/(?:src|entries)\//.test(from)) return [];

  const importer = roomOf(from);
  const imported = roomOf(to);
  if (importer === imported) return [];

  const line = (room: string): number => rooms.findIndex((names) => names.includes(room));
  const unknown = [...(line(importer) < 0 ? [from] : []), ...(line(imported) < 0 ? [to] : [])];
  if (unknown.length > 0) return unknown.map((path) => `${path} is in no room of ROOMS (.ci/checks/imports.ts)`);
  return line(imported) < line(importer)
    ? []
    : [`${from} imports ${to}: in ROOMS, ${imported} does not stand above ${importer}`];
}

function judgeBare(from: string, specifier: string, manifests: ReadonlyMap<string, Manifest>): readonly string[] {
  const imported = packageName(specifier);
  const importers = IMPORTERS[imported];
  if (importers !== undefined && !importers.includes(packageFolder(from)))
    return [`${from} imports ${specifier}, which ${importers.join(" and ") || "nothing"} may import`];
  if (!from.startsWith("packages/") || CONSUMERS.test(from)) return [];
  const manifest = manifests.get(from.split("/")[1] ?? "");
  if (manifest === undefined || imported === manifest.name) return [];
  if (isTest(from)) return [];

  if (HANDED_ON[from] === specifier || BUILT_IN[manifest.name]?.includes(imported)) return [];
  if (FOR_TESTS.includes(specifier)) return [`${from} imports ${specifier}: only tests, benchmarks and examples do`];
  if (imported === "hotset" || imported.startsWith("@hotset/")) {
    const allowed = PACKAGE_GRAPH[manifest.name];
    if (allowed === undefined) return [`${manifest.name} has no line in PACKAGE_GRAPH (.ci/checks/imports.ts)`];
    return allowed.includes(imported) ? [] : [`${from} imports ${specifier}, which ${manifest.name} may not`];
  }
  const { dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta } = manifest;
  const declared = { ...dependencies, ...optionalDependencies, ...peerDependencies, ...peerDependenciesMeta };
  return imported in declared ? [] : [`${from} imports ${specifier}, which its package.json does not declare`];
}

/** One line for each ring of files, found once, at the file where the walk entered it. */
function findRings(graph: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const rings: string[] = [];
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      rings.push(`ring: ${[...trail.slice(start), path].join(" -> ")}`);
      return;
    }
    if (done.has(path)) return;
    for (const next of graph.get(path) ?? []) walk(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) walk(path, []);
  return rings;
}

function isTest(path: string): boolean {
  return /\.test(-d)?\.ts$/.test(path) || /^packages\/[^/]+\/test\//.test(path);
}

function packageFolder(path: string): string {
  const [first = "", second = ""] = path.split("/");
  return first === "packages" ? `${first}/${second}` : first;
}

function packageName(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

/** `cache` for packages/core/src/cache/wrap.ts, `index` for packages/core/src/index.ts. */
function roomOf(path: string): string {
  return (path.split("/")[3] ?? "").replace(/\.ts$/, "");
}

function main(): void {
  const top = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const files = trackedFiles(top);
  const manifests = new Map<string, Manifest>();
  for (const path of files.filter((file) => /^packages\/[^/]+\/package\.json$/.test(file))) {
    manifests.set(path.split("/")[1] ?? "", JSON.parse(readFileSync(join(top, path), "utf8")) as Manifest);
  }
  const sources = files
    .filter((path) => /\.tsx?$/.test(path))
    .map((path) => ({ path, text: readFileSync(join(top, path), "utf8") }));

  const violations = findViolations(sources, manifests);
  console.log(violations.length === 0 ? `${sources.length} files keep the import rules` : violations.join("\n"));
  process.exitCode = violations.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
