// The newcomer: everything that a stranger does first, with the packed packages, in projects outside the repository.
//
//   npm run tool -- newcomer              after nothing: it builds and packs; needs the registry of npm
//   npm run tool -- newcomer bundle Bun   steps with one of these in their names
//   npm run tool -- newcomer --runtimes   runtimes and bundles; writes the table of docs/guide/serverless.md
//   npm run tool -- importers             test runners and compilers; writes the tables of docs/guide/testing.md
//   npm run tool -- newcomer --brief      the first steps, without the network: in `npm run test:all`
//
// Installs by npm and pnpm, programs of the documents, bundles, CommonJS, Bun, Deno, stores by their READMEs, lowest
// versions of shared dependencies, the toolkit, the command line, a dashboard. Prints what is installed.

import { existsSync, globSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isNightly, startOwnRedis } from "@hotset/test-servers";
import { DOCUMENTED_REDIS_URL, makePrograms, readPages } from "../checks/code-blocks.ts";
import { commandLine } from "./command-line.ts";
import { dashboard } from "./dashboard.ts";
import { examples } from "./examples.ts";
import { importers, importersBriefly } from "./importers.ts";
import { InstalledPackages } from "./installed.ts";
import { NEXT, nextApplication } from "./next.ts";
import { byName, pack, upstream } from "./pack.ts";
import { bundles, newcomerProgram, workerBundle, type Bundle } from "./programs.ts";
import { latest, Project } from "./project.ts";
import { record, recorded, sizeOf, type Ran } from "./ran.ts";
import { startRegistry, type PackedOf } from "./registry.ts";
import { stores } from "./stores.ts";
import { toolkit } from "./toolkit.ts";

const top = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const PLATFORM = `${process.platform}-${process.arch}`;
/** Tools and runtimes of one project, so that each is installed once. */
const TOOLS = {
  node22: `npm:node-${PLATFORM}@22.15.0`,
  node24: `npm:node-${PLATFORM}@24.21.0`,
  node26: `npm:node-${PLATFORM}@26.12.1`,
  bun: `npm:@oven/bun-${PLATFORM}@1.4.5`,
  deno: `npm:@deno/${PLATFORM}${process.platform === "linux" ? "-glibc" : ""}@2.9.6`,
  esbuild: "0.28.2",
  rolldown: "1.2.19",
  webpack: "5.112.2",
  ...{ "@rspack/core": "2.3.4", rollup: "4.68.8", vite: "8.4.0", "@rollup/plugin-node-resolve": "16.0.3" },
  ...{ "@rollup/plugin-commonjs": "29.0.3", "@rollup/plugin-json": "6.1.0" },
};

const isBrief = process.argv.includes("--brief");
const isOfRuntimes = process.argv.includes("--runtimes");
const isOfImporters = process.argv.includes("--importers");
const wanted = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const GUIDE = join(top, "docs/guide/testing.md");
const TABLES = /(?<=<!-- importers -->\n)[^]*(?=<!-- \/importers -->)/;
const failures: string[] = [];
let passed = 0;

const ours = byName(pack(top));
using installed = new InstalledPackages(top);
const packedOf: PackedOf = (name) => {
  const packed = ours(name);
  return packed.length > 0 || !isBrief ? packed : installed.of(name);
};
await using registry = await startRegistry(packedOf, isBrief ? undefined : upstream());
await using redis = await startOwnRedis();
const projects: Project[] = [];
const project = (name: string, manifest?: object): Project => {
  const made = new Project(name, registry.url, manifest);
  projects.push(made);
  return made;
};

try {
  if (isOfImporters) await writeImporters();
  else if (isBrief) await briefly();
  else await inFull();
} finally {
  for (const each of projects) each.remove();
}
console.log(failures.length === 0 ? `${passed} steps of a newcomer passed` : failures.join("\n\n"));
process.exitCode = failures.length === 0 ? 0 : 1;

async function briefly(): Promise<void> {
  await figures();
  await pnpmInstall();
  await productionInstall();
  await importersBriefly(importing());
  await documents({ "this Node": process.execPath }, /^(?:packages\/hotset\/)?README\.md$/);
  await examples({ project, step, check }, process.execPath, { top, redisUrl: redis.url });
  // Takes half a minute.
  if (isNightly)
    await stores({ project, step, check }, { "this Node": process.execPath }, { top, tools: top, redisUrl: redis.url });
  await commandLine({ project, step, check }, redis.url);
}

async function inFull(): Promise<void> {
  const tools = project("tools", { devDependencies: TOOLS });
  await tools.run("npm", ["install", "--ignore-scripts"]);
  const bin = (name: string): string => join(tools.folder, "node_modules", name, "bin", name.replace(/\d+$/, ""));
  const nodes = { "Node 22.15": bin("node22"), "Node 24": bin("node24") };
  const others = { "Node 26": bin("node26"), Bun: bin("bun"), Deno: join(tools.folder, "node_modules/deno/deno") };
  const ran = [...(await runtimes({ ...nodes, ...others })), ...(await bundled(tools, nodes["Node 22.15"]))];
  await compareWithRecord(ran);
  if (isOfRuntimes) return;
  await figures();
  await pnpmInstall();
  await productionInstall();
  await documents(nodes, /^(?:(?:packages\/hotset\/)?README|docs\/guide\/.+)\.md$/);
  await stores({ project, step, check }, nodes, { top, tools: tools.folder, redisUrl: redis.url });
  await lowestVersions();
  await toolkit({ project, step, check }, nodes);
  await examples({ project, step, check }, nodes["Node 24"], { top, redisUrl: redis.url });
  await commandLine({ project, step, check }, redis.url);
  await dashboard({ project, step, check }, { top, node: nodes["Node 24"], environment: over("metrics") });
}

async function step(name: string, work: () => Promise<void>): Promise<void> {
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) return;
  const startedAt = performance.now();
  try {
    await work();
    passed += 1;
    console.log(`✓ ${name} (${((performance.now() - startedAt) / 1_000).toFixed(1)} s)`);
  } catch (error) {
    failures.push(`✗ ${name}: ${(error as Error).message}`);
    console.log(`✗ ${name}`);
  }
}

function check(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

/** The environment of a program with keys of its own. */
function over(prefix: string): NodeJS.ProcessEnv {
  return { REDIS_URL: redis.url, KEY_PREFIX: prefix };
}

/** Packages, megabytes and seconds of an install. */
function figures(): Promise<void> {
  return step("npm install: hotset", async () => {
    const made = project("install");
    const startedAt = performance.now();
    const { stderr } = await made.run("npm", ["install", "hotset"]);
    const seconds = (performance.now() - startedAt) / 1_000;
    const { packages, megabytes } = made.installed();
    console.log(`  ${packages} packages, ${megabytes.toFixed(1)} MB, ${seconds.toFixed(1)} s`);
    // 12.02 MB, since the inspector's records and rules grew, and 5 % of room.
    check(packages <= 12 && megabytes <= 12.6, `${packages} packages, ${megabytes} MB; at most 12 and 12.6 are wanted`);
    check(!existsSync(join(made.folder, "node_modules/@hotset/testing")), "a service needs no testing kit");
    check(!/gyp|scripts/.test(stderr), stderr);
    const manifests = globSync("node_modules/**/package.json", { cwd: made.folder }).map((path) =>
      readFileSync(join(made.folder, path), "utf8"),
    );
    check(!manifests.some((text) => /"(pre|post)?install":/.test(text)), "a package has an install script");
  });
}

/** pnpm ends with an error where a package has a build script that the project has not approved. */
function pnpmInstall(): Promise<void> {
  return step("pnpm add, then a frozen install, and hotset/testing is found next to @hotset/testing", async () => {
    const made = project("pnpm");
    await made.run("pnpm", ["add", "hotset"]);
    await made.run("pnpm", ["add", "--save-dev", "@hotset/testing"]);
    await made.run("pnpm", ["install", "--frozen-lockfile"]);
    made.write("kit.mjs", 'import { TestClock } from "hotset/testing";\nconsole.log(new TestClock().now());\n');
    await made.run(process.execPath, ["kit.mjs"]);
  });
}

/** What is installed for tests alone is left out in production, by each package manager. */
function productionInstall(): Promise<void> {
  const yarn = ["--yes", "yarn@1.22.22"];
  const installers = [
    ["npm", ["install"], ["install", "--save-dev"], ["install", "--omit=dev"]],
    ["pnpm", ["add"], ["add", "--save-dev"], ["install", "--prod"]],
    ["npx", [...yarn, "add"], [...yarn, "add", "--dev"], [...yarn, "install", "--production"]],
  ] as const;
  return step("npm, pnpm and yarn: an install for production has no test kit", async () => {
    // Without the network there is no yarn.
    for (const [installer, add, addForTests, install] of installers.slice(0, isBrief ? 2 : 3)) {
      const made = project("production");
      await made.run(installer, [...add, "hotset"]);
      await made.run(installer, [...addForTests, "@hotset/testing", "vitest"]);
      rmSync(join(made.folder, "node_modules"), { recursive: true });
      await made.run(installer, [...install]);
      const found = ["@hotset/testing", "vitest", "vite", "rolldown"].filter(
        (name) => globSync(`node_modules/{,.pnpm/*/node_modules/}${name}`, { cwd: made.folder }).length > 0,
      );
      check(found.length === 0, `${[installer, ...install].join(" ")} installed ${found.join(", ")}`);
    }
  });
}

/** Each program of these pages that needs hotset alone, pasted into a file. */
async function documents(nodes: Readonly<Record<string, string>>, pages: RegExp): Promise<void> {
  const made = project("documents", { type: "module" });
  await made.run("npm", ["install", "hotset", "@hotset/testing"]);
  const needsMore = /^(?:import|\}) .*from "(?!hotset["/]|node:)/m;
  const programs = makePrograms(readPages()).filter(
    ({ isRun, page, text }) => isRun && pages.test(page) && !needsMore.test(text),
  );
  for (const [name, node] of Object.entries(nodes))
    await step(`${name}: ${programs.length} programs of the documents`, async () => {
      for (const { page, line, text } of programs) {
        made.write("program.ts", text.replaceAll(DOCUMENTED_REDIS_URL, redis.url));
        const { stderr } = await made.run(node, ["--experimental-strip-types", "--no-warnings", "program.ts"]);
        check(stderr === "", `${page}:${line}: ${stderr}`);
      }
    });
}

/** What one process has loaded, the next one finds in Redis. */
async function shares(made: Project, command: readonly string[], prefix: string): Promise<void> {
  const [executable = "", ...parameters] = command;
  for (const loads of [1, 0]) {
    const { stdout, stderr } = await made.run(executable, parameters, over(prefix));
    check(stdout === `loads ${loads}\n` && stderr === "", stdout + stderr);
  }
}

/** Each in a folder where nothing else of its project is found. */
async function bundled(tools: Project, node: string): Promise<readonly Ran[]> {
  const ran: Ran[] = [];
  const alone = async (made: Project, program: string, { name, bundler, build }: Bundle): Promise<Project> => {
    made.write("main.mjs", program);
    made.write("build.mjs", build);
    await made.run(process.execPath, ["build.mjs"]);
    const elsewhere = project("bundle-runs");
    renameSync(join(made.folder, "out"), join(elsewhere.folder, "out"));
    const version = TOOLS[bundler as keyof typeof TOOLS];
    if (name !== "workerd" && !ran.some((row) => row.name === name))
      ran.push({ name, version, ...sizeOf(elsewhere.folder) });
    return elsewhere;
  };
  for (const installer of ["npm", "pnpm"]) {
    const made = project("bundles", { dependencies: { hotset: "latest" } });
    await made.run(installer, ["install"]);
    for (const bundle of bundles(tools.folder))
      await step(`bundle: ${bundle.name}, installed by ${installer}`, async () => {
        const runs = await alone(made, newcomerProgram("esm"), bundle);
        await shares(runs, [node, `out/${bundle.output}`], installer + bundle.name);
      });
  }
  await step("bundle: Next, two servers", async () => {
    await nextApplication({ project, step, check }, over("next"));
    ran.push({ name: "Next", version: NEXT });
  });
  await step("bundle: the worker of the documents, in workerd", async () => {
    const made = project("worker", { dependencies: latest(["@hotset/core", "@hotset/memory", "@hotset/http"]) });
    await made.run("npm", ["install"]);
    const { code } = readPages().find((block) => block.code.includes("fetch: cachedHandler"))!;
    const { folder } = await alone(made, code, workerBundle(tools.folder));
    const serve = ["--conditions=@hotset/source", join(top, "packages/http/test/workerd/serve.ts")];
    const { stdout } = await made.run(process.execPath, [...serve, join(folder, "out/main.mjs")]);
    const { version, statuses } = JSON.parse(stdout) as { version: string; statuses: string[] };
    check(/^(?:[^,]*; stored,[^,]*; hit[^,]*,?){2}$/.test(statuses.join()), stdout);
    ran.push({ name: "workerd", version, ...sizeOf(folder) });
  });
  return ran;
}

async function runtimes(executables: Readonly<Record<string, string>>): Promise<readonly Ran[]> {
  const ran: Ran[] = [];
  const made = project("runtimes", { dependencies: { hotset: "latest" } });
  await made.run("npm", ["install"]);
  made.write("program.mjs", newcomerProgram("esm"));
  made.write("program.cjs", newcomerProgram("cjs"));
  for (const [name, executable] of Object.entries(executables)) {
    const run = name === "Deno" ? ["run", "-A"] : [];
    for (const [way, file] of Object.entries({ import: "program.mjs", require: "program.cjs" }))
      await step(`${name}: ${way}`, () => shares(made, [executable, ...run, file], name + way));
    const { stdout } = await made.run(executable, ["--version"]);
    ran.push({ name: name.replace(/ .*/, ""), version: /\d+\.\d+\.\d+/.exec(stdout)![0] });
  }
  return ran;
}

/** At night names and versions of the record are checked, not written. */
async function compareWithRecord(ran: readonly Ran[]): Promise<void> {
  if (wanted.length > 0 || failures.length > 0) return;
  if (!isNightly) return record(ran);
  const namesOf = (all: readonly Ran[]): string => all.map(({ name, version }) => `${name} ${version}`).join("\n");
  await step("the record of runtimes", async () => check(namesOf(ran) === namesOf(recorded().ran), namesOf(ran)));
}

/** At night what the page says is checked, not written. */
async function writeImporters(): Promise<void> {
  const tables = await importers(importing());
  console.log(tables);
  if (wanted.length > 0 || failures.length > 0) return;
  const page = readFileSync(GUIDE, "utf8");
  if (isNightly) await step("import: the page has these tables", async () => check(page.includes(tables), tables));
  else writeFileSync(GUIDE, page.replace(TABLES, tables));
}

function importing(): Parameters<typeof importers>[0] {
  const entriesOf = (name: string): readonly string[] =>
    Object.keys((ours(name)[0]!.manifest as unknown as { readonly exports: object }).exports)
      .filter((entry) => entry !== "./contract-suites")
      .map((entry) => join(name, entry));
  return { project, step, check, entriesOf, redisUrl: redis.url };
}

/** The lowest versions of what users share with us: the newest are those of the lockfile. */
function lowestVersions(): Promise<void> {
  return step("the lowest versions of shared dependencies", async () => {
    const lowest = { "@redis/client": "6.0.0", "lru-cache": "11.0.0" };
    const made = project("lowest", { dependencies: { hotset: "latest", ...lowest } });
    await made.run("npm", ["install"]);
    check(made.installed().packages <= 12, "npm installed a second copy");
    made.write("program.mjs", newcomerProgram("esm"));
    await shares(made, [process.execPath, "program.mjs"], "lowest");
  });
}
