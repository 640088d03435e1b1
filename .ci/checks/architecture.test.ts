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
