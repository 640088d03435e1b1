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
const OPTIONS = await tableIn<Readonly<Record<string, Table>>>("core/src/entry/options.ts", "OPTIONS");
const SETTERS = await tableIn<Table>("redis/src/setters.ts", "SETTERS");

const page = readFileSync(join(top, "docs/reference/options.md"), "utf8");

/** The rows of a section of the page, or of another one: the names of the first cell, and the other cells. */
function rowsOf(place: string): readonly (readonly [name: string, cells: readonly string[]])[] {
  const section = place.endsWith(".md")
    ? readFileSync(join(top, place), "utf8")
    : (page.split(/^## /m).find((text) => text.startsWith(`${place}\n`)) ?? "");
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
  ["createCache", await tableIn("core/src/cache/cache-options.ts", "CACHE_OPTIONS")],
  ["verify", await tableIn("core/src/engine/verify-options.ts", "VERIFY_OPTIONS")],
  ["close", close],
  ["memory", await tableIn("memory/src/memory.ts", "MEMORY_OPTIONS")],
  ["compose", await tableIn("compose/src/plan.ts", "COMPOSE_OPTIONS")],
  ["gutter", await tableIn("compose/src/gutter/plan.ts", "GUTTER_OPTIONS")],
  ["docs/guide/sqlite.md", await tableIn("sqlite/src/plan.ts", "SQLITE_OPTIONS")],
  ["packages/postgres/README.md", await tableIn("postgres/src/settings.ts", "POSTGRES_OPTIONS")],
  ["packages/transactions/README.md", await tableIn("transactions/src/options.ts", "TRANSACTIONS_OPTIONS")],
  ["packages/postgres-follow/README.md", await tableIn("postgres-follow/src/settings.ts", "FOLLOW_OPTIONS")],
  ["redis", { ...SETTERS, ...named("alsoReads", "build", "connection", "backoff") }],
])("%s", (section, table) => {
  const rows = rowsOf(section);
  expect(rows.map(([name]) => name).toSorted()).toEqual(Object.keys(table).toSorted());
  for (const [name, cells] of rows) {
    const rule = table[name]!;
    for (const part of typeof rule.default === "object" ? Object.values(rule.default!) : [rule.default ?? []].flat())
      expect(defaultsIn(cells), `the default of ${name}`).toContain(part);
    if (section === "Loads" && rule.isDuration === true)
      expect(cells.at(-1), name).toContain(rule.accepts?.replace(" ms", ""));
  }
});

/** What a cell can mean that shows a default: code, text of a duration, or words. */
function defaultsIn(cells: readonly string[]): readonly unknown[] {
  return cells.flatMap((cell) => {
    const codes = [...cell.matchAll(/`([^`]+)`|"(\w+)"|\b(\d+)\b/g)].flatMap(([, code, text, number]) => [
      ...valuesOf(code ?? text ?? number!),
    ]);
    const bytes = [...cell.matchAll(/(\d+) MiB/g)].map(([, count]) => Number(count) * 2 ** 20);
    return [...(cell.includes("never") ? [1] : []), ...codes, ...bytes];
  });
}

function valuesOf(code: string): readonly unknown[] {
  const text = code.replaceAll('"', "");
  if (/^[\d_]+(\.\d+)?$/.test(text)) return [Number(text.replaceAll("_", ""))];
  if (text === "true" || text === "false") return [text === "true"];
  if (text === "Infinity") return [Infinity];
  return /^\d+(?:ms|s|m|h|d)$/.test(text) ? [parseDuration(text)] : [text];
}
