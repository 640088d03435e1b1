/** docs/reference/api is written from the types, and complete. */
import { globSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { membersOf } from "../reference/members.ts";
import { DESCRIBED, readModel, type Model } from "../reference/model.ts";
import { SHOWN_IN } from "../reference/shown-in.ts";
import { renderPages } from "../reference/render.ts";

const top = fileURLToPath(new URL("../../", import.meta.url));
const folder = `${top}docs/reference/api`;

describe("docs/reference/api", () => {
  let model: Model;
  let pages: ReadonlyMap<string, string>;
  beforeAll(() => {
    model = readModel();
    pages = renderPages(model);
  }, 120_000);

  it("is what the types say: `npm run write -- reference` writes it", () => {
    expect(readdirSync(folder).toSorted()).toEqual([...pages.keys()].toSorted());
    for (const [file, text] of pages) expect(readFileSync(`${folder}/${file}`, "utf8"), file).toBe(text);
  });

  it("has every public name of every package whose pages are not written by hand", () => {
    const published = globSync("packages/*/package.json", { cwd: top })
      .filter((path) => !readFileSync(top + path, "utf8").includes('"private": true'))
      .map((path) => path.split("/")[1]!);
    expect([...DESCRIBED, "redis-toolkit", "cli"].toSorted()).toEqual(published.toSorted());
    const headings = new Set(
      [...pages.values()].flatMap((text) => [...text.matchAll(/^## (?:The type )?`(\w+)`/gm)].map(([, name]) => name)),
    );
    expect(model.names.map(({ name }) => name).filter((name) => !headings.has(name))).toEqual([]);
    expect(headings.size).toBeGreaterThan(150);
  });

  it("says something of every name, and of every method of a cache and a builder", () => {
    const silent = [...pages].flatMap(([file, text]) =>
      [...text.matchAll(/^\| \[(?<name>.+?)\]\(#.*\) \|  \|$/gm)].map(({ groups }) => `${file} ${groups!["name"]}`),
    );
    expect(silent).toEqual([]);
    const spoken = [
      "Cache",
      "Namespace",
      "CacheBuilder",
      "Wrapped",
      "Backend",
      "Leases",
      "TagVersions",
      "CoherenceListener",
    ];
    const methods = model.names
      .filter(({ name }) => spoken.includes(name))
      .flatMap(({ name, declarations }) => membersOf(declarations).methods.map((method) => ({ of: name, ...method })));
    expect(methods.length).toBeGreaterThan(50);
    expect(methods.filter(({ comment }) => comment.text === "").map(({ of, name }) => `${of}.${name}`)).toEqual([]);
  });

  it("leads only from places that there are into the guide", () => {
    const places = model.names.flatMap(({ name, declarations }) => [
      name,
      ...membersOf(declarations).methods.map((method) => `${name}.${method.name}`),
    ]);
    expect(Object.keys(SHOWN_IN).filter((place) => !places.includes(place))).toEqual([]);
  });
});
