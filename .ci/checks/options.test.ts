/** The reference page of options has what the tables of the code have: the same names, defaults and bounds. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseDuration } from "@hotset/core";
import { expect, it } from "vitest";

interface Rule {
  readonly accepts?: string;
  readonly default: unknown;
  readonly isDuration?: true;
}
type Table = Readonly<Record<string, Rule>>;

const top = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** By their paths: no entry of a package has them. */
const tableIn = async <T>(path: string, name: string): Promise<T> => {
  const module = (await import(pathToFileURL(join(top, "packages", path)).href)) as Readonly<Record<string, T>>;
  return module[name]!;
};
const CACHE_OPTIONS = await tableIn<Table>("core/src/cache/cache-options.ts", "CACHE_OPTIONS");
const OPTIONS = await tableIn<Readonly<Record<string, Table>>>("core/src/entry/options.ts", "OPTIONS");
const MEMORY_OPTIONS = await tableIn<Table>("memory/src/memory.ts", "MEMORY_OPTIONS");
const SETTERS = await tableIn<Readonly<Record<string, readonly [unknown, unknown]>>>("redis/src/setters.ts", "SETTERS");

const page = readFileSync(join(top, "docs/reference/options.md"), "utf8");

/** The rows of a section: the names of the first cell, and the other cells. */
function rowsOf(heading: string): readonly (readonly [name: string, cells: readonly string[]])[] {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
  return [...section.matchAll(/^\| (`.+?) \|(.+)\|$/gm)].flatMap(([, names, rest]) =>
    [...names!.matchAll(/`(\w+)`/g)].map(([, name]) => [name!, rest!.split(" | ")] as const),
  );
}

const without = (table: Table, ...others: readonly Table[]): Table =>
  Object.fromEntries(Object.entries(table).filter(([name]) => others.every((other) => !Object.hasOwn(other, name))));
const named = (...names: readonly string[]): Table =>
  Object.fromEntries(names.map((name) => [name, { default: undefined }]));
const { policy = {}, getOrSet = {}, getOrSetMany = {}, entry = {}, namespace = {}, wrap = {}, load = {} } = OPTIONS;
const { get = {}, getMany = {}, touch = {}, clear = {}, mark = {}, close = {} } = OPTIONS;
const lifetimes = without(entry, named("tags", "etag", "lastModified", "since", "wait"));
const setters: Table = Object.fromEntries(
  Object.entries(SETTERS).map(([name, [, usual]]) => [name, { default: usual }]),
);

it.each<readonly [section: string, table: Table]>([
  ["Lifetimes", lifetimes],
  ["Loads", without(policy, lifetimes)],
  ["getOrSet", { ...without(getOrSet, policy), ...named("ttl") }],
  ["getOrSetMany", without(getOrSetMany, getOrSet)],
  ["set", without(entry, lifetimes)],
  ["setOptions", without(load, entry)],
  ["touch", touch],
  ["getMany", getMany],
  ["get", without(get, getMany)],
  ["clear", clear],
  ["markStale, markTagsStale", mark],
  ["namespace", without(namespace, policy)],
  ["wrap", { ...without(wrap, policy), ...named("ttl") }],
  ["createCache", CACHE_OPTIONS],
  ["close", close],
  ["memory", MEMORY_OPTIONS],
  ["redis", { ...setters, ...named("alsoReads", "build", "connection", "backoff") }],
])("%s", (section, table) => {
  const rows = rowsOf(section);
  expect(rows.map(([name]) => name).toSorted()).toEqual(Object.keys(table).toSorted());
  for (const [name, cells] of rows) {
    const rule = table[name]!;
    if (rule.default !== undefined) expect(defaultsIn(cells), `the default of ${name}`).toContain(rule.default);
    if (section === "Loads" && rule.isDuration === true)
      expect(cells.at(-1), name).toContain(rule.accepts?.replace(" ms", ""));
  }
});

/** What a cell can mean that shows a default: code, text of a duration, or words. */
function defaultsIn(cells: readonly string[]): readonly unknown[] {
  return cells.flatMap((cell) => {
    const words = Object.entries(WORDS).filter(([text]) => cell.includes(text));
    const codes = [...cell.matchAll(/`([^`]+)`|"(\w+)"|\b(\d+)\b/g)].flatMap(([, code, text, number]) => [
      ...valuesOf(code ?? text ?? number!),
    ]);
    return [...words.map(([, value]) => value), ...codes];
  });
}

const WORDS = {
  never: 1,
  "8 MiB": 8 * 2 ** 20,
  '5, `"1s"`, `"30s"`': SETTERS["breaker"]![1],
};

function valuesOf(code: string): readonly unknown[] {
  const text = code.replaceAll('"', "");
  if (/^[\d_]+$/.test(text)) return [Number(text.replaceAll("_", ""))];
  if (text === "true" || text === "false") return [text === "true"];
  if (text === "Infinity") return [Infinity];
  return /^\d+(?:ms|s|m|h|d)$/.test(text) ? [parseDuration(text)] : [text];
}
