// Package checks: the tarballs that `npm publish` would send, used like a stranger would use them.
//
//   node .ci/checks/packages.ts        after a build; `pnpm` on the PATH
//
// Packs every public package; publint reads the tarballs; then TypeScript and a program in plain JavaScript import each
// entry from a folder in which nothing else of this workspace can be found.

import { execFile } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import ts from "typescript-5";
import { publicPackages } from "../newcomer/pack.ts";
import { readModel } from "../reference/model.ts";
import { OF_OTHERS } from "./code-blocks.ts";
import type { Manifest } from "./imports.ts";

interface PublicPackage {
  readonly name: string;
  readonly folder: string;
}

interface PackedManifest extends Manifest {
  readonly exports: Readonly<Record<string, Readonly<Record<string, unknown>> & { readonly default: string }>>;
  readonly bin?: string | Readonly<Record<string, string>>;
}

const here = dirname(fileURLToPath(import.meta.url));
const top = dirname(dirname(here));
const tarballs = join(top, ".reports/tarballs");
const consumer = join(top, ".reports/consumer");
const installed = join(consumer, "node_modules");
const nodeTypes = join(top, "node_modules/@types");
const run = promisify(execFile);

const ALLOWED_FILES = /^(dist\/.*\.(c?js|d\.c?ts)|package\.json|README\.md|LICENSE(-[a-z]+)?)$/;
const TEST_FILES = /\.test(-d)?\./;
const REQUIRED_FILES = ["LICENSE", "README.md"];
/** Whose README has no example that runs: a command, three that need a PostgreSQL, and one a Redis over HTTP. */
const WITHOUT_EXAMPLE = [
  "@hotset/cli",
  "@hotset/postgres",
  "@hotset/postgres-follow",
  "@hotset/transactions",
  "@hotset/redis-http",
];

/** A type of another package, which a program that names it has installed; and a member that is a class. */
const NAMED_BY_HAND = /^.*: error TS(?:2883: .*from '\.pnpm\/|4094: ).*\n/gm;

const packages = publicPackages(top).map((folder) => ({ name: readManifest(folder).name, folder }));
for (const folder of [tarballs, consumer]) rmSync(folder, { recursive: true, force: true });
for (const folder of [tarballs, installed]) mkdirSync(folder, { recursive: true });

const problems = (await Promise.all(packages.map(checkPackage))).flat();
problems.push(...(await importFromOutside()));
console.log(
  problems.length === 0
    ? `${packages.length} packages can be published: ${packages.map((each) => each.name).join(", ")}`
    : problems.join("\n"),
);
process.exitCode = problems.length === 0 ? 0 : 1;

async function checkPackage({ name, folder }: PublicPackage): Promise<readonly string[]> {
  const { stdout } = await run("pnpm", ["pack", "--json", "--pack-destination", tarballs], { cwd: folder });
  const { filename } = JSON.parse(stdout) as { filename: string };
  const tarball = join(tarballs, filename.split("/").at(-1) ?? "");

  const target = join(installed, name);
  mkdirSync(target, { recursive: true });
  await run("tar", ["-xzf", tarball, "-C", target, "--strip-components=1"]);

  return [
    ...judgeContent(name, target),
    ...linkDependencies(name, folder, target),
    ...(await judgeWith("publint", ["run", tarball, "--strict"])),
  ];
}

function judgeContent(name: string, target: string): readonly string[] {
  const files = globSync("**/*.*", { cwd: target });
  const unwanted = files.filter((file) => !ALLOWED_FILES.test(file) || TEST_FILES.test(file));
  const manifest = readManifest(target);
  // Which file each condition takes, publint and the consumer check.
  const entries = Object.entries(manifest.exports).flatMap(([entry, conditions]) =>
    Object.keys(conditions).join(" ") === "module-sync module bun require types default"
      ? []
      : [`${name}: the export "${entry}" must come from .pnpmfile.mjs: "@hotset/source" and "default", a file of dist`],
  );
  const { bin = {} } = manifest;
  const programs = typeof bin === "string" ? [bin] : Object.values(bin);
  const modules = Object.values(manifest.exports).map((entry) => entry.default);
  const entryFiles = new Set([...programs, ...modules, ...modules.map((file) => file.replace(/js$/, "cjs"))]);
  // Importing the package has to find, read and link each further file.
  const chunks = files
    .filter((file) => /\.c?js$/.test(file) && !entryFiles.has(`./${file}`))
    .map((file) => `${name}: ${file} is not an entry; have one entry import from the other`);
  const internal = files
    .filter((file) => /\.d\.c?ts$/.test(file) && readFileSync(join(target, file), "utf8").includes("@internal"))
    .map((file) => `${name}: ${file} shows an @internal member: keep it where users cannot reach it`);
  const missing = REQUIRED_FILES.filter((file) => !existsSync(join(target, file)));
  const hasExample = readFileSync(join(target, "README.md"), "utf8").includes("\n```ts run\n");
  return [
    ...missing.map((file) => `${name}: the package has no ${file}`),
    ...(hasExample || WITHOUT_EXAMPLE.includes(name) ? [] : [`${name}: README.md has no example that runs`]),
    ...unwanted.map((file) => `${name}: ${file} does not belong into the package`),
    ...[...chunks, ...entries, ...internal],
  ];
}

/** Links the dependencies that a package manager would install beside the packages, and the peers of a user. */
function linkDependencies(name: string, folder: string, target: string): readonly string[] {
  const { dependencies = {}, optionalDependencies = {}, peerDependencies = {} } = readManifest(target);
  const missing: string[] = [];
  const names = Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies });
  for (const dependency of names.flatMap((each) => [each, `@types/${each}`])) {
    const source = join(folder, "node_modules", dependency);
    const link = join(installed, dependency);
    if (packages.some((each) => each.name === dependency) || existsSync(link)) continue;
    mkdirSync(dirname(link), { recursive: true });
    if (existsSync(source)) symlinkSync(source, link);
    else if (dependency in dependencies) missing.push(`${name}: its dependency ${dependency} is not installed`);
  }
  return missing;
}

async function judgeWith(command: string, parameters: readonly string[]): Promise<readonly string[]> {
  try {
    await run(command, parameters);
    return [];
  } catch (error) {
    const { message, stdout = "" } = error as Error & { stdout?: string };
    const ours = stdout.replaceAll(OF_OTHERS, "").replaceAll(NAMED_BY_HAND, "");
    return command === "tsc" && ours.trim() === "" && stdout !== "" ? [] : [`${message}\n${ours}`];
  }
}

async function importFromOutside(): Promise<readonly string[]> {
  copyFileSync(join(here, "consumer.mjs"), join(consumer, "consumer.mjs"));
  const specifiers = packages.flatMap(({ name }) =>
    Object.keys(readManifest(join(installed, name)).exports).map((entry) => join(name, entry)),
  );
  for (const file of ["consumer.mts", "consumer.cts"]) writeFileSync(join(consumer, file), declaring(specifiers));
  const strictly = [
    ...["--ignoreConfig", "--declaration", "--emitDeclarationOnly", "--outDir", join(consumer, "declared")],
    ...["--strict", "--lib", "es2023", "--types", "node", "--typeRoots", nodeTypes],
  ];
  const judge = (compiler: string, ...options: readonly string[]): Promise<readonly string[]> =>
    judgeWith(compiler, [...strictly, ...options, join(consumer, "consumer.mts"), join(consumer, "consumer.cts")]);
  const program = [join(consumer, "consumer.mjs"), ...specifiers];
  const judged = await Promise.all([
    judge("tsc", "--module", "nodenext"),
    judge("tsc", "--module", "preserve"),
    judgeWith(process.execPath, program),
    judgeWith(process.execPath, ["--no-experimental-require-module", ...program]),
  ]);
  return judged.flat();
}

/** Exports each function and each member of each type: its declarations must be able to name all that these have. */
function declaring(specifiers: readonly string[]): string {
  const { checker, names } = readModel([]);
  const isOwn = ({ name, declarations: [first] = [] }: ts.Symbol): boolean =>
    /^\w+$/.test(name) &&
    first?.getSourceFile().fileName.startsWith(join(top, "packages")) === true &&
    !(ts.getCombinedModifierFlags(first) & ts.ModifierFlags.NonPublicAccessibilityModifier);
  const exported = names.flatMap(({ name, specifiers: [specifier = ""], symbol, declarations: [first] }) => {
    const full = `e${specifiers.indexOf(specifier)}.${name}`;
    if (!(symbol.flags & ts.SymbolFlags.Type)) return [full];
    const parameters = (first as ts.InterfaceDeclaration).typeParameters?.map(() => "any") ?? [];
    const given = `(null! as ${full}${parameters.length > 0 ? `<${parameters.join(", ")}>` : ""})`;
    const members = checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol)).filter(isOwn);
    return members.map((member) => `${given}["${member.name}"]`);
  });
  return [
    ...specifiers.map((specifier, i) => `import * as e${i} from "${specifier}";\n`),
    ...exported.map((expression, i) => `export const x${i} = ${expression};\n`),
  ].join("");
}

function readManifest(target: string): PackedManifest {
  return JSON.parse(readFileSync(join(target, "package.json"), "utf8")) as PackedManifest;
}
