// The newcomer: everything that a stranger does first, with the packed packages, in projects outside the repository.
//
//   npm run tool -- newcomer              after nothing: it builds and packs; needs the registry of npm
//   npm run tool -- newcomer bundle Bun   steps with one of these in their names
//   npm run tool -- importers             test runners and compilers; writes the tables of docs/guide/testing.md
//   npm run tool -- newcomer --brief      the first steps, without the network: in `npm run test:all`
//
// Installs by npm and pnpm, programs of the documents, bundles, CommonJS, Bun, Deno, stores by their READMEs, lowest
// versions of shared dependencies, the toolkit, the command line, a dashboard. Prints what is installed.

import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isNightly, startOwnRedis } from "@hotset/test-servers";
import { DOCUMENTED_REDIS_URL, makePrograms, readPages } from "../checks/code-blocks.ts";
import { commandLine } from "./command-line.ts";
import { dashboard } from "./dashboard.ts";
import { importers, importersBriefly } from "./importers.ts";
import { bundles, newcomerProgram } from "./programs.ts";
import { examples } from "./examples.ts";
import { InstalledPackages } from "./installed.ts";
import { byName, pack, upstream } from "./pack.ts";
import { nextApplication } from "./next.ts";
import { Project } from "./project.ts";
import { startRegistry, type PackedOf } from "./registry.ts";
import { stores } from "./stores.ts";
import { toolkit } from "./toolkit.ts";

const top = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const PLATFORM = `${process.platform}-${process.arch}`;
/** Tools and runtimes of one project, so that each is installed once. */
const TOOLS = {
  node22: `npm:node-${PLATFORM}@22.15.0`,
  node24: `npm:node-${PLATFORM}@24.21.0`,
  bun: `npm:@oven/bun-${PLATFORM}@1.4.5`,
  deno: `npm:@deno/${PLATFORM}${process.platform === "linux" ? "-glibc" : ""}@2.9.6`,
  esbuild: "0.28.2",
  rolldown: "1.2.19",
  webpack: "5.112.2",
};

const isBrief = process.argv.includes("--brief");
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
  await importersBriefly(importing());
  await documents({ "this Node": process.execPath }, /^(?:packages\/hotset\/)?README\.md$/);
  await examples({ project, step, check }, process.execPath, { top, redisUrl: redis.url });
  // Takes half a minute.
  if (isNightly)
    await stores({ project, step, check }, { "this Node": process.execPath }, { top, tools: top, redisUrl: redis.url });
  await wrongPassword(process.execPath);
  await commandLine({ project, step, check }, redis.url);
}

async function inFull(): Promise<void> {
  await figures();
  await pnpmInstall();
  const tools = project("tools", { devDependencies: TOOLS });
  await tools.run("npm", ["install", "--ignore-scripts"]);
  const bin = (name: string): string => join(tools.folder, "node_modules", name, "bin", name.replace(/\d+$/, ""));
  const nodes = { "Node 22.15": bin("node22"), "Node 24": bin("node24") };
  await documents(nodes, /^(?:(?:packages\/hotset\/)?README|docs\/guide\/.+)\.md$/);
  await bundled(tools, nodes["Node 22.15"]);
  await step("next build and a route handler", () =>
    nextApplication({ project, check }, nodes["Node 24"], over("next")),
  );
  await runtimes({ ...nodes, Bun: bin("bun"), Deno: join(tools.folder, "node_modules/deno/deno") });
  await stores({ project, step, check }, nodes, { top, tools: tools.folder, redisUrl: redis.url });
  await wrongPassword(nodes["Node 24"]);
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

/** Packages, megabytes and seconds of an install, beside those of others. */
async function figures(): Promise<void> {
  const rows: string[] = [];
  for (const [name, specifiers] of [
    ["hotset", ["hotset"]],
    ["bentocache with ioredis", ["bentocache@1.6.1", "ioredis@5"]],
    ["cacheable with @keyv/redis", ["cacheable@2.5.0", "@keyv/redis@5.1.6"]],
  ] as const)
    await step(`npm install: ${name}`, async () => {
      const made = project("install");
      const startedAt = performance.now();
      const { stderr } = await made.run("npm", ["install", ...specifiers]);
      const seconds = (performance.now() - startedAt) / 1_000;
      const { packages, megabytes } = made.installed();
      rows.push(`  ${name}: ${packages} packages, ${megabytes.toFixed(1)} MB, ${seconds.toFixed(1)} s`);
      if (name !== "hotset") return;
      check(packages <= 12 && megabytes <= 12, `${packages} packages, ${megabytes} MB; at most 12 and 12 are wanted`);
      check(!existsSync(join(made.folder, "node_modules/@hotset/testing")), "a service needs no testing kit");
      check(!/gyp|scripts/.test(stderr), stderr);
      const manifests = globSync("node_modules/**/package.json", { cwd: made.folder }).map((path) =>
        readFileSync(join(made.folder, path), "utf8"),
      );
      check(!manifests.some((text) => /"(pre|post)?install":/.test(text)), "a package has an install script");
    });
  console.log(rows.join("\n"));
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

/** A bundle caches: what one process has loaded, the next one finds in Redis. */
async function bundled(tools: Project, node: string): Promise<void> {
  for (const installer of ["npm", "pnpm"]) {
    const made = project("bundles", { dependencies: { hotset: "latest" } });
    await made.run(installer, ["install"]);
    for (const { name, files, build, output } of bundles(tools.folder))
      await step(`bundle: ${name}, installed by ${installer}`, async () => {
        for (const [file, text] of Object.entries(files)) made.write(file, text);
        await made.run(process.execPath, build);
        // Nothing of it is found from where the bundle runs.
        const alone = project("bundle-runs");
        alone.write(output, readFileSync(join(made.folder, output), "utf8"));
        const place = over(`${installer}${name}`);
        const [first, second] = [await alone.run(node, [output], place), await alone.run(node, [output], place)];
        const printed = first.stdout + second.stdout;
        check(printed === "loads 1\nloads 0\n", printed + first.stderr);
        check(first.stderr + second.stderr === "", first.stderr + second.stderr);
      });
  }
}

async function runtimes(executables: Readonly<Record<string, string>>): Promise<void> {
  const made = project("runtimes", { dependencies: { hotset: "latest" } });
  await made.run("npm", ["install"]);
  made.write("program.mjs", newcomerProgram("esm"));
  made.write("program.cjs", newcomerProgram("cjs"));
  for (const [name, executable] of Object.entries(executables)) {
    const run = name === "Deno" ? ["run", "-A"] : [];
    for (const file of ["program.mjs", "program.cjs"])
      await step(`${name}: ${file === "program.cjs" ? "require" : "import"}`, async () => {
        const prefix = `${name}${file}`.replaceAll(/\W/g, "");
        const first = await made.run(executable, [...run, file], over(prefix));
        const second = await made.run(executable, [...run, file], over(prefix));
        check(first.stdout === "loads 1\n" && second.stdout === "loads 0\n", first.stdout + second.stdout);
      });
  }
}

function wrongPassword(node: string): Promise<void> {
  return step("a wrong password is visible in the terminal", async () => {
    const made = project("wrong", { dependencies: { hotset: "latest" } });
    await made.run("npm", ["install"]);
    made.write("wrong.mjs", newcomerProgram("esm"));
    await using locked = await startOwnRedis({ password: "right" });
    const { stdout, stderr } = await made.run(node, ["wrong.mjs"], {
      ...over("w"),
      REDIS_URL: locked.url.replace("right", "hunter2"),
    });
    check(stdout === "loads 1\n", stdout);
    check(/check username and password/.test(stderr) && !stderr.includes("hunter2"), stderr || "nothing was printed");
  });
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
    for (const loads of [1, 0]) {
      const { stdout } = await made.run(process.execPath, ["program.mjs"], over("lowest"));
      check(stdout === `loads ${loads}\n`, stdout);
    }
  });
}
