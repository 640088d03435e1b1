import type { Mutant } from "./mutant.ts";

/**
 * A table of mutants, as text:
 *
 *     engine/flight.ts                                     below packages/<package>/src
 *     C433 C66 - if (tags.hadEvents(key)) return;          the promises that break, and the rule
 *     C433 - tags.hasEvents(space, changedSince);
 *          + false;                                        what stands in its place; nothing without this line
 *     C432 - joins(flight: Flight): void {                 of several lines
 *          -     this.resumed();
 *          + joins(flight: Flight): void {
 *
 * A mutant is named by its promises, its file and the first line of its rule. Lines that begin with `#` are comments.
 */
const SOURCE = /^[\w./-]+\.ts$/;
const FIRST = /^(?<promises>[A-Z]\d+(?:-\d+)?(?: [A-Z]\d+(?:-\d+)?)*) +- ?(?<text>.*)$/;
const FURTHER = /^ {5}(?<sign>[-+]) ?(?<text>.*)$/;
const NAMED_BY = 80;

interface Draft {
  readonly source: string;
  readonly promises: readonly string[];
  readonly rule: string[];
  readonly broken: string[];
}

/**
 * @param path `core/engine.txt`, `memory.txt`: the first part is the package.
 * @throws {Error} with the place of a line that is none of these.
 */
export function mutantsOf(path: string, text: string): readonly Mutant[] {
  const folder = path.split("/")[0]!.replace(/\.txt$/, "");
  const drafts: Draft[] = [];
  let source = "";
  for (const [index, line] of text.split("\n").entries()) {
    if (line === "" || line.startsWith("#")) continue;
    const first = FIRST.exec(line)?.groups;
    const further = FURTHER.exec(line)?.groups;
    const draft = drafts.at(-1);
    if (SOURCE.test(line)) source = line;
    else if (first !== undefined && source !== "")
      drafts.push({ source, promises: first["promises"]!.split(" "), rule: [first["text"]!], broken: [] });
    else if (further !== undefined && draft !== undefined)
      (further["sign"] === "-" ? draft.rule : draft.broken).push(further["text"]!);
    else throw new Error(`${path}:${index + 1} is no line of a mutant: ${line}`);
  }
  return drafts.map((draft) => mutantOf(folder, draft));
}

function mutantOf(folder: string, { source, promises, rule, broken }: Draft): Mutant {
  return {
    name: `${promises.join(" ")} ${folder}/${source}: ${rule[0]!.trim().slice(0, NAMED_BY)}`,
    file: `packages/${folder}/src/${source}`,
    promises,
    rule: rule.join("\n"),
    broken: broken.join("\n"),
  };
}
