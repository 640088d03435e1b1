// Plain words: comments, titles, messages and pages are read in a hurry, by people who learnt English as a second
// language.
//
//   npm run words
//
// A report for whoever edits a page: phrases that hide the subject of a sentence in the repository, and idioms that sound
// translated in pages for users and in sources. It never fails: a phrase that reads well may stay.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Visitor, parseSync, type Comment } from "oxc-parser";
import { trackedFiles } from "./tracked-files.ts";

const FIRST_WORDS = /(?<=^|[.!?:;]["')\]]?\s+)(?:What|Who|Those|Of)\b/g;
const WORDS =
  /\b(?:told|tells?|telling|hears?|hearing|heard|unheard|(?:who|what|which|where|whom)ever|(?:some|no|any|every)body|in vain|as good as|by heart|of before|stands? in for|held against)\b/gi;
const IS_NO = /(?<!\bthere )\bis no (?!(?:longer|more|less|later|earlier|older|newer|way|need|other|such)\b)\w+/gi;
/**
 * Each is correct: a native writer would say "immediately", "next to", "separate", "continues", "down", "expired".
 * "Many at once" is fine, and so is "one of its own keys".
 */
const IDIOMS = [
  /\b(?:beside|go(?:es)? on|for ever|by (?:itself|themselves)|(?:is|are|was) over|(?:is|are|was) away|anew|as (?:it|they) stands?)\b/gi,
  /\b(?:handed out|also (?:when|where)|is for \w+ to say)\b/gi,
  /(?<!(?:\d|\b(?:all|calls|callers|commands|handlers|hold|loads?|locks?|many|processes|requests|so|things|times|twice|under way|units|used)) )\bat once\b/gi,
  /\bof (?:its|their|our) own(?= (?:and|as|at|by|for|from|has|in|is|on|or|that|to|which|with)\b|[^\w ]|$)/gi,
];
/** Pages for users. */
const PAGES = /^(?:README|CONTRIBUTING|docs\/(?:guide|migrating|reference)\/.+|packages\/[^/]+\/README)\.md$/;
/** Users read their docstrings and messages as well. */
const SOURCES = /^packages\/(?!(?:mutants|stories|test-servers)\/)[^/]+\/src\/(?!.+\.test\.ts$).+\.ts$/;
/** A string of fewer words is a name, not a message. */
const LEAST_WORDS = 4;
/** Properties of a mutant: a rule as it stands in a source, and its replacement. */
const CODE_OF_MUTANTS = new Set(["rule", "broken"]);

/** A paragraph, an item of a list, a cell of a table, or a string: the code in it is blanked. */
interface Passage {
  readonly text: string;
  /** The line in the file of each character. */
  readonly lineOf: (index: number) => number;
}

interface Place {
  readonly line: number;
  readonly phrase: string;
  /** Text around the phrase. */
  readonly context: string;
}

type Line = readonly [number: number, text: string];

function placesOf({ text, lineOf }: Passage, phrases: readonly RegExp[]): readonly Place[] {
  const matches = phrases.flatMap((each) => [...text.matchAll(each)]);
  return matches.map(({ 0: phrase, index }) => ({
    line: lineOf(index),
    phrase,
    context: text.slice(Math.max(0, index - 40), index + phrase.length + 40),
  }));
}

const isReadByUsers = (file: string): boolean => PAGES.test(file) || SOURCES.test(file);

function countWords({ text }: Passage): number {
  return text.split(/\s+/).filter((word) => word !== "").length;
}

/** Comments, docstrings and strings of several words: titles of tests and messages. Scripts of Redis are code. */
function passagesOfSource(path: string, text: string): readonly Passage[] {
  const source = parse(path, text);
  const comments = groupsOf(source.comments, text).flatMap((group) =>
    passagesOf(group.flatMap((comment) => linesOf(comment, source.lineAt))),
  );
  const strings = source.strings.filter(
    (passage) => countWords(passage) >= LEAST_WORDS && !passage.text.includes("redis.call"),
  );
  return [...comments, ...strings];
}

/** Prose of a page: not its code blocks. */
function passagesOfPage(markdown: string): readonly Passage[] {
  return passagesOf(markdown.split(/\r?\n/).map((line, index): Line => [index + 1, line]));
}

interface Span {
  readonly start: number;
  readonly end: number;
}

interface Source {
  readonly comments: readonly Comment[];
  readonly strings: readonly Passage[];
  readonly lineAt: (index: number) => number;
}

function parse(path: string, text: string): Source {
  const { program, comments, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path} cannot be parsed: ${errors[0]?.message}`);

  const ends = [...text.matchAll(/\n/g)].map(({ index }) => index);
  const lineAt = (index: number): number => {
    const after = ends.findIndex((end) => end >= index);
    return (after < 0 ? ends.length : after) + 1;
  };
  const strings: Passage[] = [];
  const code: Span[] = [];
  const add = (start: number, value: string): void => {
    if (code.some((span) => span.start <= start && start < span.end)) return;
    const line = lineAt(start);
    strings.push({ text: withoutCode(value), lineOf: (index) => line + value.slice(0, index).split("\n").length - 1 });
  };
  new Visitor({
    Property: ({ key, value }) => void (key.type === "Identifier" && CODE_OF_MUTANTS.has(key.name) && code.push(value)),
    Literal: ({ start, value }) => void (typeof value === "string" && add(start, value)),
    TemplateLiteral: ({ start, quasis }) => add(start, quasis.map(({ value }) => value.raw).join("x")),
  }).visit(program);
  return { comments, strings, lineAt };
}

/** Line comments below one another are one text. */
function groupsOf(comments: readonly Comment[], text: string): readonly (readonly Comment[])[] {
  const groups: Comment[][] = [];
  for (const comment of comments) {
    const before = groups.at(-1)?.at(-1);
    const between = before === undefined ? "" : text.slice(before.end, comment.start);
    const goesOn = comment.type === "Line" && before?.type === "Line" && /^\r?\n[ \t]*$/.test(between);
    if (goesOn) groups.at(-1)!.push(comment);
    else groups.push([comment]);
  }
  return groups;
}

function linesOf({ start, value }: Comment, lineAt: (index: number) => number): readonly Line[] {
  const first = lineAt(start);
  return value.split("\n").map((line, index): Line => [first + index, line.replace(/^\s*\*+(?=\s|$)|^\*+/, "")]);
}

/** Paragraphs, items and cells of what is written in Markdown, as pages and docstrings are. */
function passagesOf(lines: readonly Line[]): readonly Passage[] {
  const passages: Line[][] = [];
  let isCode = false;
  let isOpen = false;
  for (const [number, line] of lines) {
    const text = line.trim();
    if (/^(`{3,}|~{3,})/.test(text)) isCode = !isCode;
    const isProse = !isCode && text !== "" && !/^(`{3,}|~{3,}|\|[\s|:-]+$)/.test(text);
    if (!isProse) isOpen = false;
    else if (text.startsWith("|")) {
      for (const cell of text.split("|")) passages.push([[number, cell.trim()]]);
      isOpen = false;
    } else {
      const opening = /^(?:[-*+>]|#+|\d+\.|@\w+)\s+/.exec(text)?.[0] ?? "";
      const rest: Line = [number, text.slice(opening.length)];
      if (isOpen && opening === "") passages.at(-1)!.push(rest);
      else passages.push([rest]);
      isOpen = !opening.startsWith("#");
    }
  }
  return passages.map(joined);
}

function joined(lines: readonly Line[]): Passage {
  const lineOf = (index: number): number => {
    let end = 0;
    for (const [number, text] of lines) {
      end += text.length + 1;
      if (index < end) return number;
    }
    return lines.at(-1)?.[0] ?? 0;
  };
  return { text: withoutCode(lines.map(([, text]) => text).join(" ")), lineOf };
}

/** As long as it was: code, links of docstrings and addresses become letters. */
function withoutCode(text: string): string {
  return text.replaceAll(/`[^`]*`|\{@link [^}]*\}|(?<=\])\([^)\s]*\)|https?:\/\/\S+/g, (code) =>
    "x".repeat(code.length),
  );
}

interface Found extends Place {
  readonly file: string;
}

function main(): void {
  const top = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const files = trackedFiles(top).filter((path) => /\.(?:ts|mjs|md)$/.test(path));
  const found: Found[] = [];
  const idioms: Found[] = [];
  let words = 0;
  let wordsForUsers = 0;
  for (const file of files) {
    const text = readFileSync(join(top, file), "utf8");
    const passages = file.endsWith(".md") ? passagesOfPage(text) : passagesOfSource(file, text);
    for (const passage of passages) {
      words += countWords(passage);
      found.push(...placesOf(passage, [FIRST_WORDS, WORDS, IS_NO]).map((place) => ({ ...place, file })));
      if (!isReadByUsers(file)) continue;
      wordsForUsers += countWords(passage);
      const accent = PAGES.test(file) ? [...IDIOMS, /\bmeanwhile\b/gi] : IDIOMS;
      idioms.push(...placesOf(passage, accent).map((place) => ({ ...place, file })));
    }
  }

  const rate = (1_000 * found.length) / words;
  const rateOfIdioms = (1_000 * idioms.length) / wordsForUsers;

  for (const { file, line, phrase, context } of [...found, ...idioms])
    console.log(`${file}:${line}: "${phrase}" in: ${context}`);
  console.log(`${found.length} phrases in ${words} words: ${rate.toFixed(2)} in 1,000`);
  console.log(`${idioms.length} idioms in ${wordsForUsers} words for users: ${rateOfIdioms.toFixed(2)} in 1,000`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
