// Code blocks of the documentation: each compiles, and each that is tagged `run` runs.
//
//   node .ci/checks/code-blocks.ts      after a build; `tsc` on the PATH
//
// .ci/README.md ("Code blocks in docs") has the convention for authors. Blocks tagged `run` are run by
// code-blocks.integration.test.ts.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { trackedFiles } from "./tracked-files.ts";

export interface CodeBlock {
  /** From the top of the repository, with `/`. */
  readonly page: string;
  /** The line of the page on which the code begins; the first line is 1. */
  readonly line: number;
  readonly language: string;
  readonly tags: readonly string[];
  readonly code: string;
}

/** One block, with the blocks that continue it. */
export interface Program {
  readonly page: string;
  readonly line: number;
  readonly isRun: boolean;
  /** Its output, by the `text output` block that follows it. */
  readonly output: string | undefined;
  /** `guide-tags.md-L12.ts`; lines of code have the numbers that they have on the page. */
  readonly fileName: string;
  readonly text: string;
}

/** Names that shell blocks may use. */
export interface Commands {
  readonly scripts: readonly string[];
  readonly packages: readonly string[];
}

/** Blocks that name this address are run with the address of the server under test in its place. */
export const DOCUMENTED_REDIS_URL = "redis://localhost:6379";

const WIDTH = 80;
const PAGES = /^((README|CONTRIBUTING)\.md|packages\/[^/]+\/README\.md|docs\/.*\.md)$/;
const CODE_LANGUAGES = ["ts", "js"];
const CODE_TAGS = ["run", "continued"];
/** An error in the declarations of a package that is not of ours: some name packages that few users install. */
export const OF_OTHERS: RegExp = /^node_modules\/.*\n(?:\s.*\n)*/gm;
const FENCE = /^(?<indent> *)(?<marks>`{3,}|~{3,})(?<info>[^`]*)$/;
const top = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Where the programs are written: from here they find the packages as a user's file does. */
export const PROGRAMS_FOLDER: string = join(top, ".ci/code-blocks");

export function readPages(): readonly CodeBlock[] {
  return trackedFiles(top)
    .filter((path) => PAGES.test(path))
    .flatMap((path) => extractBlocks(path, readFileSync(join(top, path), "utf8")));
}

/** @throws {Error} where a fence is never closed. */
export function extractBlocks(page: string, markdown: string): readonly CodeBlock[] {
  const blocks: CodeBlock[] = [];
  const lines = markdown.split(/\r?\n/);
  for (let index = 0; index < lines.length; index++) {
    const { indent = "", marks = "", info = "" } = FENCE.exec(lines[index] ?? "")?.groups ?? {};
    if (marks === "") continue;

    const closing = new RegExp(`^ *${marks[0]}{${marks.length},} *$`);
    const end = lines.findIndex((line, at) => at > index && closing.test(line));
    if (end < 0) throw new Error(`${page}:${index + 1}: this code block is never closed`);

    const [language = "", ...tags] = info.trim().split(/ +/);
    const code = lines
      .slice(index + 1, end)
      .map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line));
    blocks.push({ page, line: index + 2, language, tags, code: code.join("\n") });
    index = end;
  }
  return blocks;
}

/** Problems of the blocks themselves, before any is compiled. */
export function judgeBlocks(blocks: readonly CodeBlock[], commands: Commands): readonly string[] {
  return blocks.flatMap((block) =>
    [...judgeBlock(block, commands), ...judgeWidth(block)].map((problem) => `${block.page}:${block.line}: ${problem}`),
  );
}

/** Code that a reader would have to scroll sideways. Text and JSON are copied output. */
function judgeWidth({ language, code }: CodeBlock): readonly string[] {
  if (!CODE_LANGUAGES.includes(language)) return [];
  return code
    .split("\n")
    .filter((line) => line.length > WIDTH && !/^import [^,]*$/.test(line))
    .map((line) => `a line of code has at most ${WIDTH} columns, got ${line.length}: ${line.trim()}`);
}

function judgeBlock({ language, tags, code }: CodeBlock, commands: Commands): readonly string[] {
  switch (language) {
    case "ts":
    case "js":
      return tags
        .filter((tag) => !CODE_TAGS.includes(tag))
        .map((tag) => `the tags of a ${language} block must be among ${CODE_TAGS.join(", ")}, got "${tag}"`);
    case "sh":
      if (tags.length > 0) return tags.join(" ") === "example" ? [] : ['the only tag of an sh block is "example"'];
      return commandsOf(code).flatMap((command) => judgeCommand(command, commands));
    case "json":
      return isJson(code) ? [] : ["this is not JSON; leave comments out, or tag it text"];
    case "text":
      return ["", "output"].includes(tags.join(" ")) ? [] : ['the only tag of a text block is "output"'];
    default:
      if (language === "python" || language === "go") return [];
      return [`the language of a code block must be ts, js, sh, json or text, got "${language}"`];
  }
}

function commandsOf(code: string): readonly string[] {
  return code
    .replaceAll(/\\\n */g, " ")
    .split("\n")
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim())
    .filter((line) => line !== "");
}

function judgeCommand(command: string, { scripts, packages }: Commands): readonly string[] {
  const [program = "", ...words] = command.replace(/^(?:[A-Z_]+=\S+ +)+/, "").split(/ +/);
  switch (program) {
    case "npm":
      return judgeNpm(words);
    case "cd":
    case "git":
      return [];
    case "docker":
      return words[0] === "run" ? [] : [`"${command}": only "docker run" is on the list of commands`];
    default:
      return [`"${command}" is not on the list of commands; tag the block "sh example" if it is an illustration`];
  }

  function judgeNpm([verb = "", ...rest]: readonly string[]): readonly string[] {
    if (verb === "test" || verb === "start")
      return scripts.includes(verb) ? [] : [`package.json has no script "${verb}"`];
    if (verb === "run") return scripts.includes(rest[0] ?? "") ? [] : [`package.json has no script "${rest[0] ?? ""}"`];
    if (verb === "install") {
      return rest
        .filter((name) => !name.startsWith("-") && !packages.includes(name))
        .map((name) => `"${name}" is neither a package of ours nor a dependency of one`);
    }
    return [`"npm ${verb}" is not among: npm install, npm run, npm start, npm test`];
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

export function makePrograms(blocks: readonly CodeBlock[]): readonly Program[] {
  const groups: CodeBlock[][] = [];
  for (const block of blocks.filter((each) => isOutput(each) || CODE_LANGUAGES.includes(each.language))) {
    const before = groups.at(-1);
    if (!isOutput(block) && !block.tags.includes("continued")) groups.push([block]);
    else if (before?.[0]?.page === block.page && (isOutput(block) || before[0].language === block.language))
      before.push(block);
    else throw new Error(`${block.page}:${block.line}: there is no ${block.language} block on this page to continue`);
  }
  return groups.flatMap((group) => (group[0] === undefined ? [] : [makeProgram(group[0], group)]));
}

const isOutput = ({ language, tags }: CodeBlock): boolean => language === "text" && tags.includes("output");

function makeProgram({ page, line, language }: CodeBlock, group: readonly CodeBlock[]): Program {
  const lines: string[] = [];
  for (const block of group.filter((each) => !isOutput(each))) {
    while (lines.length < block.line - 1) lines.push("");
    lines.push(...block.code.split("\n"));
  }
  return {
    page,
    line,
    isRun: group.some(({ tags }) => tags.includes("run")),
    output: group.find(isOutput)?.code,
    fileName: `${page.replaceAll("/", "-")}-L${line}.${language}`,
    // A module, also where a block neither imports nor exports.
    text: [...lines, "export {};", ""].join("\n"),
  };
}

/** @returns the path of the file. */
export function writeProgram(program: Program, folder: string, text: string = program.text): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, program.fileName);
  writeFileSync(path, text);
  return path;
}

function compile(programs: readonly Program[]): readonly string[] {
  const folder = join(PROGRAMS_FOLDER, "compiled");
  rmSync(folder, { recursive: true, force: true });
  for (const program of programs) writeProgram(program, folder);

  const { stdout, stderr, status } = spawnSync("tsc", ["-p", PROGRAMS_FOLDER], { cwd: top, encoding: "utf8" });
  if (status === 0) return [];
  const pages = new Map(programs.map(({ fileName, page }) => [fileName, page]));
  const output = `${stdout}${stderr}`.trimEnd();
  if (output === "") return [`tsc ended with ${status}, without a word`];
  const ours = `${output}\n`.replaceAll(OF_OTHERS, "").trimEnd();
  return ours === "" ? [] : [ours.replaceAll(/^\S+\.(?:ts|js)(?=\()/gm, (path) => pages.get(basename(path)) ?? path)];
}

function readCommands(): Commands {
  const files = trackedFiles(top).filter((path) => /^(packages\/[^/]+\/)?package\.json$/.test(path));
  const manifests = files.map(
    (path) => JSON.parse(readFileSync(join(top, path), "utf8")) as Record<string, unknown> & { name: string },
  );
  const names = (field: unknown): readonly string[] => Object.keys(field ?? {});
  return {
    scripts: names(manifests.find(({ name }) => name === "hotset-workspace")?.["scripts"]),
    packages: manifests
      .filter((manifest) => manifest["private"] !== true)
      .flatMap((manifest) => [
        manifest.name,
        ...names(manifest["dependencies"]),
        ...names(manifest["optionalDependencies"]),
        ...names(manifest["peerDependencies"]),
      ]),
  };
}

function main(): void {
  const blocks = readPages();
  const programs = makePrograms(blocks);
  const problems = [...judgeBlocks(blocks, readCommands()), ...compile(programs)];
  const isRun = programs.filter((program) => program.isRun).length;
  console.log(
    problems.length === 0
      ? `${blocks.length} blocks, ${programs.length} programs compiled, ${isRun} of them run with the tests`
      : problems.join("\n"),
  );
  process.exitCode = problems.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
