// The description of a page on the site, from the page's own text.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { keepUnits } from "./markdown.ts";

const docs = dirname(dirname(fileURLToPath(import.meta.url)));
const DESCRIPTION_LENGTH = 160;
const SHORTEST_DESCRIPTION = 40;

/** The sentences of the first paragraph that fit, for search engines. */
export function descriptionOf(file: string): string | undefined {
  const prose = readPage(file).replaceAll(/^(```+)[^]*?^\1$/gm, "");
  const text = prose.split(/\n{2,}/).find((paragraph) => /^[A-Z`[*]/.test(paragraph));
  if (text === undefined) return undefined;
  const plain = plainOf(text);
  const sentences = plain.slice(0, DESCRIPTION_LENGTH).match(/.*[.?!:](?=\s|$)/)?.[0] ?? "";
  if (sentences.length >= SHORTEST_DESCRIPTION) return sentences.replace(/:$/, ".");
  return plain.length <= DESCRIPTION_LENGTH
    ? plain
    : `${plain.slice(0, DESCRIPTION_LENGTH - 1).replace(/\s\S*$/, "")}…`;
}

/** The bullets of the README that begin with a name in bold. */
export function factsOfReadme(): readonly { readonly title: string; readonly details: string }[] {
  return [...readPage("overview.md").matchAll(/^- \*\*(?<title>[^*]+)\.\*\*(?<details>.*(?:\n {2}.*)*)/gm)].map(
    ({ groups }) => ({ title: groups!["title"]!, details: keepUnits(plainOf(groups!["details"]!)) }),
  );
}

function readPage(file: string): string {
  return readFileSync(join(docs, file === "overview.md" ? "../README.md" : file), "utf8");
}

function plainOf(markdown: string): string {
  return markdown
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replaceAll(/[*`]/g, "")
    .replaceAll(/\s+/g, " ")
    .trim();
}
