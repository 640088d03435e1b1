// A reader with a question: types words, opens one of the first results, and follows one link of it at most.

import { createRequire } from "node:module";
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { linkFrom, README_PAGE, slugify } from "./markdown.ts";
import { addressOf } from "./navigation.ts";
import { SEARCH_OPTIONS } from "./search.ts";

export interface Question {
  /** The words that a reader types. */
  readonly words: string;
  /** The page that answers. */
  readonly page: string;
  /** A part of the answer, as it stands on the page. */
  readonly answer: RegExp;
}

export interface Pages {
  /** Addresses of pages and headings, best first. */
  readonly search: (words: string) => readonly string[];
  readonly textOf: (page: string) => string;
  /** Pages that a page links to. */
  readonly linksOf: (page: string) => ReadonlySet<string>;
}

/** Results that a reader looks at, and those of which it follows links. */
const LOOKED_AT = 5;
const FOLLOWED = 3;

/** Why the question is not answered within two clicks. */
export function problemOf({ words, page, answer }: Question, pages: Pages): string | undefined {
  if (!answer.test(pages.textOf(page))) return `"${words}": ${page} does not say ${String(answer)}`;
  const found = [...new Set(pages.search(words).map(pageOf))];
  if (found.slice(0, LOOKED_AT).includes(page)) return undefined;
  if (found.slice(0, FOLLOWED).some((address) => pages.linksOf(address).has(page))) return undefined;
  return `"${words}" leads to ${found.slice(0, LOOKED_AT).join(" ")}, and none of the first ${FOLLOWED} to ${page}`;
}

export const pageOf = (address: string): string => address.replace(/#.*/, "");

/** The same from the files, without a build: a section for each heading, as the search index of the site has it. */
export function readFiles(): Pages {
  const docs = dirname(dirname(fileURLToPath(import.meta.url)));
  const files = globSync("**/*.md", { cwd: docs, exclude: ["**/node_modules", "**/.vitepress"] })
    .filter((file) => !/^examples\/.+\//.test(file))
    .map((file) => file.replaceAll("\\", "/"));
  const texts = new Map(
    files.map((file) => [
      addressOf(file),
      { file, text: readFileSync(file === README_PAGE ? join(docs, "../README.md") : join(docs, file), "utf8") },
    ]),
  );
  const index = new (loadMinisearch())({ fields: ["title", "titles", "text"] });
  for (const [address, { text }] of texts) index.addAll(sectionsOf(address, text));
  return {
    search: (words) => index.search(words, SEARCH_OPTIONS).map(({ id }) => id),
    textOf: (page) => texts.get(page)?.text ?? "",
    linksOf: (page) => {
      const { file = "", text = "" } = texts.get(page) ?? {};
      return new Set(
        [...text.matchAll(/\]\((?<link>[^)\s]+)\)/g)]
          .map(({ groups }) => groups!["link"]!)
          .filter((link) => !/^(?:[a-z]+:|#)/.test(link))
          .map((link) => pageOf(linkFrom(file, link))),
      );
    },
  };
}

interface Section {
  readonly id: string;
  readonly title: string;
  readonly titles: readonly string[];
  readonly text: string;
}

function sectionsOf(address: string, text: string): readonly Section[] {
  const titles: string[] = [];
  const prose = text.replaceAll(/\]\([^)]*\)/g, "]");
  return prose.split(/^(?=#{1,6} )/m).flatMap((section): readonly Section[] => {
    const { 1: level, 2: title } = /^(#{1,6}) (.+)/.exec(section) ?? [];
    if (level === undefined || title === undefined) return [];
    titles.splice(level.length - 1, titles.length, title);
    const rest = section.slice(section.indexOf("\n"));
    return [{ id: `${address}#${slugify(title)}-${section.length}`, title, titles: titles.slice(0, -1), text: rest }];
  });
}

/** The part of `minisearch` that is used here: it is a dependency of the site builder, and not of ours. */
export interface Index {
  addAll(sections: readonly Section[]): void;
  search(words: string, options: object): readonly { readonly id: string }[];
}

export interface IndexClass {
  new (options: { readonly fields: readonly string[] }): Index;
  loadJSON(json: string, options: { readonly fields: readonly string[] }): Index;
}

export function loadMinisearch(): IndexClass {
  const require = createRequire(createRequire(import.meta.url).resolve("vitepress"));
  return (require("minisearch") as { readonly default?: IndexClass } & IndexClass).default ?? require("minisearch");
}
