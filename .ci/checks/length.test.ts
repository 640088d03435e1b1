import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { trackedFiles } from "./tracked-files.ts";

/** Pages are read by people in a hurry: a new page is paid for with words that are said twice elsewhere. */
const MOST_WORDS = 129_000;
/** An entry that nothing refers to, and that its page says as well, can go: it stays in the history of git. */
const MOST_WORDS_OF_LOG = 3_000;

const top = join(dirname(fileURLToPath(import.meta.url)), "../..");

function wordsIn(path: string): number {
  return readFileSync(join(top, path), "utf8").split(/\s+/).filter(Boolean).length;
}

it("the Markdown of the repository stays short", () => {
  const pages = trackedFiles(top).filter((path) => path.endsWith(".md"));
  expect(pages.reduce((sum, path) => sum + wordsIn(path), 0)).toBeLessThanOrEqual(MOST_WORDS);
});

it("the log of decisions stays a log", () => {
  expect(wordsIn("docs/decisions/log.md")).toBeLessThanOrEqual(MOST_WORDS_OF_LOG);
});
