import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A rule of the code, and the code without it. */
export interface BrokenRule {
  /** Says what is broken. */
  readonly name: string;
  /** From the top of the repository. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly rule: string;
  readonly broken: string;
}

/** A rule whose loss a test must notice. */
export interface Mutant extends BrokenRule {
  /** A test that names one of these must fail. */
  readonly promises: readonly string[];
}

/**
 * The text of a source file without the rule.
 *
 * @throws {Error} when the rule does not occur exactly once.
 */
export function withoutRule(text: string, { name, file, rule, broken }: BrokenRule): string {
  const occurrences = text.split(rule).length - 1;
  if (occurrences !== 1)
    throw new Error(`${name}: the rule occurs ${occurrences} times in ${file}; it must occur once`);
  return text.replace(rule, () => broken);
}

/** Every mutant of the tables, one for each package. A new table needs no line anywhere. */
export function allMutants(): readonly Mutant[] {
  const folder = join(import.meta.dirname, "../table");
  return globSync("*.txt", { cwd: folder })
    .toSorted()
    .flatMap((path) => mutantsOf(path, readFileSync(join(folder, path), "utf8")));
}

const SOURCE = /^[\w./-]+\.ts$/;
const FIRST = /^(?<promises>[A-Z]\d+(?:-\d+)?(?: [A-Z]\d+(?:-\d+)?)*) +- ?(?<text>.*)$/;
const FURTHER = /^ {5}(?<sign>[-+]) ?(?<text>.*)$/;
const NAMED_BY = 80;

/**
 * A table of mutants, as text:
 *
 *     engine/flight.ts                                     below packages/<package>/src
 *     C454 C66 - if (tags.hadEvents(key)) return;          the promises that break, and the rule
 *     C454 - tags.hasEvents(space, changedSince);
 *          + false;                                        what stands in its place; nothing without this line
 *     C747 - joins(flight: Flight): void {                 of several lines
 *          -     this.resumed();
 *          + joins(flight: Flight): void {
 *
 * A mutant is named by its promises, its file and the first line of its rule. Lines that begin with `#` are comments.
 *
 * @param path `core.txt`: the name of the package.
 * @throws {Error} with the place of a line that is none of these.
 */
export function mutantsOf(path: string, text: string): readonly Mutant[] {
  const folder = path.replace(/\.txt$/, "");
  const drafts: { source: string; promises: readonly string[]; rule: string[]; broken: string[] }[] = [];
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
  return drafts.map(({ source: of, promises, rule, broken }) => ({
    name: `${promises.join(" ")} ${folder}/${of}: ${rule[0]!.trim().slice(0, NAMED_BY)}`,
    file: `packages/${folder}/src/${of}`,
    promises,
    rule: rule.join("\n"),
    broken: broken.join("\n"),
  }));
}
