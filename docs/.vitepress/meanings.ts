// What a word means, for the text that the site shows when a reader rests on it: terms where they are linked, options
// wherever a page names one. Both are read from the pages that explain them.

import { readFileSync } from "node:fs";
import { join } from "node:path";

export const TERMS_PAGE = "guide/terms.md";
const OPTIONS_PAGE = "reference/options.md";

/** Pages whose options have the same names and other meanings, and the page of options itself. */
const WITH_OWN_OPTIONS = /^(?:reference\/|guide\/toolkit|guide\/bring|migrating\/|decisions\/|protocol\/)/;

const docs = join(import.meta.dirname, "..");

/** Names of more than one word are options wherever they stand; of the others only those that mean nothing else. */
const OPTION = /^(?:ttl|jitter|coherence|[a-z]+(?:[A-Z][a-z]*)+)$/;

const terms = new Map(
  rowsOf(TERMS_PAGE, "term").flatMap(({ names, meaning }) =>
    names.map((name): [string, { readonly meaning: string; readonly row: string }] => [
      name,
      { meaning, row: names[0]! },
    ]),
  ),
);
const options = new Map<string, string>();
for (const { names, meaning } of rowsOf(OPTIONS_PAGE, "name"))
  // The first table that names it explains it; later ones add to it.
  for (const name of names) if (OPTION.test(name) && !options.has(name)) options.set(name, meaning);

/** The row of a term on the page of terms, as `fence`, by one of its names, as `Fenced` or `fences`. */
export function termOf(name: string): { readonly meaning: string; readonly row: string } | undefined {
  const word = name.toLowerCase();
  return terms.get(word) ?? terms.get(word.replace(/s$/, ""));
}

/** What an option does, where `page` names it in code. */
export function optionOf(name: string, page: string): string | undefined {
  return WITH_OWN_OPTIONS.test(page) ? undefined : options.get(name.replace(/\(.*\)$|: .*$/, ""));
}

interface Meaning {
  readonly names: readonly string[];
  readonly meaning: string;
}

/** Rows of the tables of a page whose first column is `column`. The second is the meaning, of which the first sentence is enough. */
function rowsOf(page: string, column: string): readonly Meaning[] {
  const text = readFileSync(join(docs, page), "utf8");
  const tables = text.matchAll(new RegExp(`^\\| ${column} \\| meaning \\|.*\\n(?<rows>(?:\\|.*\\n)*)`, "gm"));
  return [...tables].flatMap(({ groups }) =>
    [...groups!["rows"]!.matchAll(/^\| (?<names>[^|-][^|]*?) \| (?<meaning>[^|]+?) \|/gm)].map((row) => ({
      names: plain(row.groups!["names"]!).split(", "),
      meaning: firstSentence(plain(row.groups!["meaning"]!)),
    })),
  );
}

function plain(markdown: string): string {
  return markdown.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll(/[`*]/g, "");
}

function firstSentence(text: string): string {
  return text.replace(/(?<=\w)[.;] .*$/s, "").replace(/[.:]$/, "");
}
