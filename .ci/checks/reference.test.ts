/** The API reference, which the build of the site writes from the types. */
import { beforeAll, expect, it } from "vitest";
import { commandPage } from "../reference/commands.ts";
import { membersOf } from "../reference/members.ts";
import { readModel, type Model } from "../reference/model.ts";
import { PAGES } from "../reference/pages.ts";
import { renderPages } from "../reference/render.ts";
import { SHOWN_IN } from "../reference/shown-in.ts";

let model: Model;
let pages: ReadonlyMap<string, string>;
beforeAll(() => {
  model = readModel();
  pages = renderPages(model);
});

const headings = (): readonly string[] =>
  [...pages.values()].flatMap((text) => [...text.matchAll(/^## (?:The type )?`(\w+)`/gm)].map(([, name]) => name!));

it("has every public name, with its first sentence; the overload with errors comes first, with them", () => {
  const missing = model.names.map(({ name }) => name).filter((name) => !headings().includes(name));
  expect(missing).toEqual([]);
  const silent = [...pages.values()].flatMap((text) => text.match(/^\| \[.+\]\(#.*\) \|  \|$/gm) ?? []);
  expect(silent).toEqual([]);
  expect([...pages.values()].join("")).toMatch(
    /### `set`\n\n```[^#]*?```\n\nStores [^]*?`EncodeError`[^]*?### `setMany`/,
  );
});

it("sorts and shows only names that there are", () => {
  const methods = model.names.flatMap(({ name, declarations }) =>
    membersOf(declarations).methods.map((method) => `${name}.${method.name}`),
  );
  const names = new Set([...model.names.map(({ name }) => name), ...methods]);
  const listed = [...PAGES.flatMap((page) => page.names.map((name) => name.split("@")[0]!)), ...Object.keys(SHOWN_IN)];
  expect(listed.filter((name) => !names.has(name))).toEqual([]);
});

it("has each command of the command line with the options that its help prints", () => {
  const page = commandPage();
  const [, locks = ""] = page.split("## `locks`\n");
  expect(page.match(/^## `/gm)).toHaveLength(19);
  expect(locks.split("\n## ")[0]).toContain("| `--tenant <id>` | keys of this tenant | keys outside of any |");
});
