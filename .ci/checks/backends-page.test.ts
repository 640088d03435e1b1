import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseSync } from "oxc-parser";
import { expect, it } from "vitest";

const top = join(import.meta.dirname, "../..");
const CONTRACTS = ["backend", "capabilities"].map((name) => join(top, `packages/core/src/contracts/${name}.ts`));

/** By interface, the names of its members. */
function membersOf(paths: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const statement of paths.flatMap((path) => parseSync(path, readFileSync(path, "utf8")).program.body)) {
    if (statement.type !== "ExportNamedDeclaration" || statement.declaration?.type !== "TSInterfaceDeclaration")
      continue;
    const { id, body } = statement.declaration;
    const names = body.body.flatMap((member) =>
      "key" in member && member.key.type === "Identifier" ? [member.key.name] : [],
    );
    found.set(id.name, names);
  }
  return found;
}

/** The rows of the section under a heading. */
function sectionOf(page: string, heading: string): string {
  const at = page.indexOf(`# ${heading}\n`);
  return page.slice(at, page.indexOf("\n#", at + 1) + 1 || undefined);
}

it.each([
  ["StableBackend", "StableBackend"],
  ["Backend", "Backend"],
  ["Leases", "Leases"],
  ["TagVersions", "Tag versions"],
  ["Coherence", "Coherence"],
  ["CoherenceListener", "The listener"],
])("the reference of backends has a row for each member of %s", (name, heading) => {
  const section = sectionOf(readFileSync(join(top, "docs/reference/backends.md"), "utf8"), heading);
  const rows = section.split("\n").flatMap((line) => /^\| (.*?) \|/.exec(line)?.[1] ?? []);
  const members = membersOf(CONTRACTS).get(name)!;
  expect(members.length).toBeGreaterThan(2);
  expect(members.filter((member) => !rows.some((row) => new RegExp(`\`${member}\\b`).test(row)))).toEqual([]);
});
