// The pages for those who come from another layer over Redis: each name in a row stands in the section that the row
// links, or in the types that it describes, or else on a reference page, or is a command of node-redis.

import { globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { expect, it } from "vitest";
import { isMethodName, loadTable } from "../src/commands/node-redis-commands.ts";

const docs = resolve(import.meta.dirname, "../../../docs");
const PAGES = ["hyperswitch", "hitbox", "routemq", "redis-services", "node-redis", "beside-old-processes"];

const sources = resolve(import.meta.dirname, "../src");
/** Modules whose pages leave options and calls to the API reference, which is made from the types of a folder. */
const MODULES = ["locks", "limits", "queue", "sessions", "streams"];
const typesOf = (folder: string): string =>
  globSync(`${folder}/**/*.ts`, { cwd: sources, exclude: (name) => name.endsWith(".test.ts") })
    .map((path) => readFileSync(join(sources, path), "utf8"))
    .join("\n");

/** Headings as GitHub makes anchors of them. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\- _]/gu, "")
    .replaceAll(" ", "-");

/** The text that a link leads to: a section, with those below it, or a whole file. */
function linked(page: string, link: string): string {
  const [path = "", anchor] = link.split("#");
  const text = readFileSync(path === "" ? page : join(dirname(page), path), "utf8");
  const module = MODULES.find((name) => path.endsWith(`/toolkit-${name}.md`));
  if (anchor === undefined) return module === undefined ? text : text + typesOf(module);
  const lines = text.split("\n");
  const levelOf = (line: string): number => /^(#+) /.exec(line)?.[1]?.length ?? 9;
  const from = lines.findIndex((line) => levelOf(line) < 9 && anchorOf(line.replace(/^#+ /, "")) === anchor);
  const to = lines.findIndex((line, i) => i > from && levelOf(line) <= levelOf(lines[from]!));
  return lines.slice(from, to === -1 ? undefined : to).join("\n");
}

/** Functions, methods and options that the code of a cell names; not what is given to them. */
function namesIn(cell: string): readonly string[] {
  const spans = [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!.replaceAll(/"[^"]*"/g, '""'));
  return spans.flatMap((code) => [
    ...[...code.matchAll(/([A-Za-z]\w+)\(/g)].map(([, name]) => name!),
    ...[...code.matchAll(/[{,] *([a-z]\w+):/g)].map(([, name]) => name!),
    ...(/^(?:\w+\.)*(\w+)$/.exec(code)?.slice(1, 2) ?? []),
  ]);
}

const rowsOf = (page: string): readonly string[] =>
  readFileSync(page, "utf8")
    .split("\n")
    .filter((line) => /^\|(?! *-)/.test(line));

const { commands } = await loadTable();
const nodeRedis = new Set(Object.keys(commands).filter(isMethodName));
const pages = globSync(["reference/*.md", "guide/*.md"], { cwd: docs }).map((path) =>
  readFileSync(join(docs, path), "utf8"),
);
const references = [...pages, ...MODULES.map(typesOf)];
/** Of the table itself: words that are no names. */
const stands = (name: string, text: string): boolean => new RegExp(`\\b${name}\\b`).test(text);

it.each(PAGES)("the rows of %s name what stands where they lead", (name) => {
  const page = join(docs, "migrating", `${name}.md`);
  const missing = rowsOf(page).flatMap((row) => {
    const here = row
      .split(/(?<!\\)\|/)
      .slice(2)
      .join("|");
    const links = [...row.matchAll(/\]\((?!https?:)([^)]+)\)/g)].map(([, link]) => linked(page, link!));
    return namesIn(here)
      .filter((each) => !nodeRedis.has(each))
      .filter((each) => !(links.length > 0 ? links : references).some((text) => stands(each, text)))
      .map((each) => `${each}: ${row}`);
  });
  expect(missing).toEqual([]);
});
