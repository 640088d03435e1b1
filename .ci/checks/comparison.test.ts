import { globSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { renderComparison } from "../comparison/page.ts";
import { runProbe } from "../comparison/probes.ts";
import { TABLES, type Cell } from "../comparison/tables.ts";
import { COMPARISON, folderOf, installedVersions } from "../comparison/write.ts";

interface Claim extends Cell {
  readonly peer: string;
  readonly what: string;
}

const claims: readonly Claim[] = TABLES.flatMap(({ peers, rows }) =>
  rows.flatMap(({ what, hotset, cells }) => [
    { ...hotset, peer: "hotset", what },
    ...peers.map((peer) => ({ ...cells[peer]!, peer, what })),
  ]),
);
const promises = readFileSync(join(COMPARISON, "../../reference/promises.md"), "utf8");

it("C302: the comparison is as its tables and the installed versions say: npm run write -- comparison", () => {
  expect(readFileSync(COMPARISON, "utf8")).toBe(renderComparison(installedVersions()));
});

it("C302: each cell about hotset names a promise or a page that is there, or was run", () => {
  for (const { source, what } of claims.filter(({ peer }) => peer === "hotset")) {
    if (source.kind === "promise") expect(promises, what).toContain(`\n| ${source.number} | `);
    else if (source.kind === "page")
      expect(readFileSync(join(COMPARISON, "..", source.path), "utf8")).toContain("## Losses");
    else expect(source.kind, what).toBe("ran");
  }
});

it.each(claims.filter(({ source }) => source.kind === "has"))(
  "C302: $peer, $what: $says, as a published file has it",
  ({ peer, source }) => {
    if (source.kind !== "has") throw new Error("filtered above");
    expect(readFileSync(join(folderOf(peer), source.file), "utf8")).toContain(source.text);
  },
);

it.each(claims.filter(({ source }) => source.kind === "lacks"))(
  "C302: $peer, $what: $says, since no published file has a word of it",
  ({ peer, source }) => {
    if (source.kind !== "lacks") throw new Error("filtered above");
    const files = publishedFiles(peer);
    expect(files.length).toBeGreaterThan(0);
    const pattern = new RegExp(source.pattern, "i");
    expect(files.filter((file) => pattern.test(readFileSync(file, "utf8")))).toEqual([]);
  },
);

it.each(claims.filter(({ source }) => source.kind === "ran"))(
  "C302: $peer, $what: $says, as it was run",
  async ({ peer, source, says }) => {
    if (source.kind !== "ran") throw new Error("filtered above");
    expect(await runProbe(source.probe, peer)).toBe(says);
  },
);

/** Sources and declarations, without maps and without packages that it installs. */
function publishedFiles(peer: string): readonly string[] {
  const folder = realpathSync(folderOf(peer));
  return globSync("**/*.{js,mjs,cjs,ts,mts,cts}", { cwd: folder, exclude: ["node_modules", ".claude"] }).map((file) =>
    join(folder, file),
  );
}
