import { TABLES, type Cell, type Source, type Table } from "./tables.ts";

/** The day on which the packages were read and run. */
const DAY = "2026-11-21";

/** docs/migrating/comparison.md. `versions`: of each peer, as installed. */
export function renderComparison(versions: Readonly<Record<string, string>>): string {
  const notes = new Notes();
  const tables = TABLES.map((table) => renderTable(table, versions, notes));
  return `# Side by side

<!-- Written by \`npm run write -- comparison\` from .ci/comparison/tables.ts: change that. -->

hotset next to other packages, as of ${DAY}, in the versions that the tables name. The number in a cell leads to [its source](#sources): a
promise of hotset, a text in the published files of a package, a text that is in none of them, or a program that was run. The tests look at each source
again, so a row changes when a package is updated here.

Nothing on this page is about speed: [performance](../performance.md) has figures, and how they were measured.
[Migrating](../guide/migrating.md) has the names of the calls, and what one loses.

${tables.join("\n\n")}

## Sources

${notes.list().join("\n")}
`;
}

/** Each source once, numbered in the order of the page. */
class Notes {
  readonly #numbers = new Map<string, number>();

  number(text: string): number {
    const known = this.#numbers.get(text) ?? this.#numbers.size + 1;
    this.#numbers.set(text, known);
    return known;
  }

  list(): readonly string[] {
    return [...this.#numbers].map(([text, number]) => `${number}. ${text}`);
  }
}

function renderTable({ title, peers, rows }: Table, versions: Readonly<Record<string, string>>, notes: Notes): string {
  const heads = ["", "hotset", ...peers.map((peer) => `${peer} ${versions[peer] ?? "?"}`)];
  const lines = rows.map(({ what, hotset, cells }) => [
    what,
    renderCell(hotset, "hotset", notes),
    ...peers.map((peer) => renderCell(cells[peer]!, peer, notes)),
  ]);
  return [
    `## ${title}`,
    "",
    ...[heads, heads.map(() => "---"), ...lines].map((line) => `| ${line.join(" | ")} |`),
  ].join("\n");
}

function renderCell({ says, source }: Cell, peer: string, notes: Notes): string {
  return `${says} ([${notes.number(renderSource(source, peer))}](#sources))`;
}

function renderSource(source: Source, peer: string): string {
  switch (source.kind) {
    case "promise":
      return `[Promise](../reference/promises.md) ${source.number}.`;
    case "page":
      return `[From ${source.path.replace(/^.*\/|\.md$/g, "")}](${source.path}): it is not here.`;
    case "has":
      return `${peer}, \`${source.file}\`${source.text === "" ? "." : `: \`${source.text}\`.`}`;
    case "lacks":
      return `${peer}: no published file has \`/${source.pattern.replaceAll("|", "\\|")}/i\`.`;
    case "ran":
      return `Run over memory, by default options: \`${source.probe}\` of \`.ci/comparison/probes.ts\`.`;
  }
}
