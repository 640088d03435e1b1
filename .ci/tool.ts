// Runs one tool of the workspace by its name: the commands of package.json that are several.
//
//   npm run bench -- peers "memory hit"      the first word selects one of the group, if it is a name there
//   npm run write -- reference readme        all words are names: one after another

import { spawn } from "node:child_process";
import { dirname } from "node:path";

type Command = readonly string[];

const program = (...command: readonly string[]): Command => ["node", "--conditions=@hotset/source", ...command];

/** By group and name. `""` runs where the first word is no name of the group. */
const TOOLS: Readonly<Record<string, Readonly<Record<string, Command>>>> = {
  bench: {
    "": program("benchmarks/run.ts"),
    peers: program("benchmarks/peers/run.ts"),
    stores: program("benchmarks/stores/run.ts"),
    toolkit: program("benchmarks/toolkit/run.ts"),
    hits: program("benchmarks/hits/run.ts"),
    floods: program("benchmarks/hits/floods.ts"),
    warm: program("benchmarks/warm.ts"),
    fleet: program("benchmarks/fleet/run.ts"),
    http: program("benchmarks/http/run.ts"),
  },
  torture: { "": program("packages/torture/src/run.ts"), fuzz: program("packages/torture/src/fuzz/run.ts") },
  write: {
    reference: program(".ci/reference/write.ts"),
    readme: program(".ci/npm-readme.ts"),
    performance: program("benchmarks/peers/docs.ts"),
    http: program("packages/http/test/table-of-parts.ts"),
    pictures: program("docs/pictures/write.ts"),
    site: program("docs/.vitepress/site.ts"),
    sbom: program(".ci/sbom.ts"),
  },
  tool: {
    newcomer: program(".ci/newcomer/run.ts"),
    importers: program(".ci/newcomer/run.ts", "--importers"),
    adapters: program(".ci/adapters/run.ts"),
    attacks: program(".ci/newcomer/attacks.ts"),
    matrix: program("packages/test-servers/src/matrix.ts"),
    conformance: program("packages/http/test/conformance/suite.ts"),
    "keyv-suites": ["vitest", "run", "--config", "packages/keyv/test/suites/vitest.config.ts"],
    strings: [
      ...["env", "HOTSET_LAYOUT=string", "vitest", "run", "packages/stories/test/"],
      ...["--exclude", "**/!(*.@(integration|all|alone|nightly)).test.ts"],
    ],
  },
};

/**
 * The commands to run, one after another.
 *
 * @throws {Error} with the names that there are.
 */
function commandsOf(group: string, words: readonly string[]): readonly Command[] {
  const tools = TOOLS[group] ?? {};
  const unknown = (name: string): Error =>
    new Error(`No such name: ${name}. There are: ${Object.keys(tools).filter(Boolean).join(", ")}.`);
  if (group === "write") {
    if (words.length === 0) throw unknown("(none)");
    return words.map((name) => {
      const tool = tools[name];
      if (tool === undefined) throw unknown(name);
      return tool;
    });
  }
  const [first = "", ...rest] = words;
  const [name, parameters] = tools[first] === undefined ? ["", words] : [first, rest];
  const tool = tools[name];
  if (tool === undefined) throw unknown(first === "" ? "(none)" : first);
  return [[...tool, ...parameters]];
}

/** Passes signals on, so that the tool ends itself. */
function run([command = "", ...rest]: Command): Promise<number> {
  const child = spawn(command, rest, { cwd: dirname(import.meta.dirname), stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => resolve(code ?? 1));
  });
}

async function main(): Promise<void> {
  const [group = "", ...words] = process.argv.slice(2);
  try {
    for (const command of commandsOf(group, words)) {
      process.exitCode = await run(command);
      if (process.exitCode !== 0) return;
    }
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}

await main();
