import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { PACKAGE_GRAPH, ROOMS } from "./imports.ts";

const top = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const page = readFileSync(join(top, "docs/architecture.md"), "utf8");

/** The text between one heading and the next. */
function section(title: string): string {
  const begin = page.indexOf(`\n## ${title}\n`);
  expect(begin, `a section "${title}"`).toBeGreaterThan(0);
  const end = page.indexOf("\n## ", begin + 1);
  return page.slice(begin, end < 0 ? undefined : end);
}

const rowsOf = (text: string): readonly string[][] =>
  text
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

it("architecture.md draws the rooms that the import rules enforce", () => {
  const drawn = [...section("Rooms").matchAll(/```text\n(?<rooms>[^`]*)```/g)].map(({ groups }) =>
    groups?.["rooms"]?.trimEnd().split("\n"),
  );
  expect(drawn).toEqual(Object.values(ROOMS).map((lines) => lines.map((names) => names.join(" "))));
});

it("architecture.md says of each package what the import rules let it import", () => {
  const drawn = new Map(rowsOf(section("Packages")).map(([name, , imports]) => [name!.replaceAll("`", ""), imports]));
  const packages = join(top, "packages");
  const existing = globSync("*/package.json", { cwd: packages }).map(
    (file) => (JSON.parse(readFileSync(join(packages, file), "utf8")) as { name: string }).name,
  );
  for (const name of existing) expect([...drawn.keys()], "packages on the page").toContain(name);
  for (const [name, imports] of Object.entries(PACKAGE_GRAPH).filter(([each]) => existing.includes(each)))
    expect({ name, imports: drawn.get(name) }).toEqual({
      name,
      imports: imports.map((each) => each.replace("@hotset/", "")).join(", "),
    });
});

/** The sources of these packages, without their tests. */
const sourcesOf = (...names: readonly string[]): readonly string[] =>
  names.flatMap((name) => {
    const cwd = join(top, "packages", name, "src");
    const files = globSync("**/*.ts", { cwd }).filter((file) => !/\.test(?:-d)?\.ts$/.test(file));
    return files.map((file) => readFileSync(join(cwd, file), "utf8"));
  });

const inCode = (cell: string): readonly string[] =>
  [...cell.matchAll(/`(?<name>[^`]+)`/g)].map(({ groups }) => groups!["name"]!);

it("architecture.md lists words that are identifiers of the sources", () => {
  const names = new Set(sourcesOf("core").flatMap((text) => withoutComments(text).match(/[A-Za-z_$][\w$]*/g) ?? []));
  const listed = rowsOf(section("Words")).flatMap(([, , identifiers = ""]) => inCode(identifiers));
  expect(listed.length).toBeGreaterThan(40);
  expect(listed.filter((name) => !names.has(name))).toEqual([]);
});

it("architecture.md follows calls through functions that exist", () => {
  const texts = sourcesOf("core", "redis");
  const functions = rowsOf(section("Five calls, function by function"))
    .flatMap(([name = "", keeps = ""]) => [
      ...inCode(name),
      ...inCode(keeps).filter((each) => /^[A-Z]\w+\.#?\w+$/.test(each)),
    ])
    .filter((name) => name !== "function");
  expect(functions.length).toBeGreaterThan(60);
  expect(functions.filter((name) => !texts.some((text) => defines(text, name)))).toEqual([]);
});

it("architecture.md draws the steps of a miss by methods of Ladder", () => {
  const ladder = readFileSync(join(top, "packages/core/src/engine/ladder.ts"), "utf8");
  const steps = new Set(section("One miss, step by step").match(/#[a-z]\w+/g));
  expect(steps.size).toBeGreaterThan(15);
  expect([...steps].filter((name) => !defines(ladder, `Ladder.${name}`))).toEqual([]);
});

const withoutComments = (text: string): string => text.replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, "");

/** Whether it has this function, or this method of a class. The public type of a class may have its name. */
function defines(text: string, name: string): boolean {
  const [owner, method] = name.split(".");
  if (method === undefined) return new RegExp(`(?:function\\*? |const )${owner}\\b`).test(text);
  if (!new RegExp(`class (?:One)?${owner}\\b`).test(text)) return false;
  return new RegExp(`^  (?:(?:async|override|readonly|get|static) |\\*)*${method}\\b *(?:[(<=:])`, "m").test(text);
}
