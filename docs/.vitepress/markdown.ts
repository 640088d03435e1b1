// Pages are written for GitHub and for readers of the files. These rules make the same text a page of the site.

import { existsSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import type { MarkdownOptions, MarkdownRenderer } from "vitepress";
import { optionOf, TERMS_PAGE, termOf } from "./meanings.ts";
import { addressOf } from "./navigation.ts";

type ShikiTransformer = NonNullable<MarkdownOptions["codeTransformers"]>[number];
type Token = ReturnType<MarkdownRenderer["parse"]>[number];

const REPOSITORY = "https://github.com/hotset/hotset";
/** Where the site is published: files link there to pages that are generated, which are not on GitHub. */
export const SITE = "https://hotset.github.io";
/** The pages that show the README of the repository, or parts of it. */
const README_PAGES = ["overview.md", "index.md"];

const DOCS = join(import.meta.dirname, "..");

export function adaptMarkdown(md: MarkdownRenderer): void {
  // Html is disabled, so that `<name>` is text and no tag of Vue; then a comment, a picture and an anchor would be text,
  // too. Rows get the same anchors below.
  md.core.ruler.before("normalize", "comments", (state) => {
    state.src = state.src
      .replaceAll(/^<!--.*-->$/gm, "")
      .replaceAll(/^\| <a id="[^"]*"><\/a>/gm, "| ")
      .replaceAll(/^<picture>.*<img alt="([^"]*)" src="([^"]*)"><\/picture>$/gm, "![$1]($2)");
  });
  md.core.ruler.push("addresses", ({ tokens, env }) => {
    for (const token of tokens.flatMap(({ children }) => children ?? [])) adaptAddress(token, env.relativePath);
  });
  md.core.ruler.before("addresses", "pictures", ({ tokens, env, Token: Kind }) =>
    linkPictures(tokens, env.relativePath, (...given) => new Kind(...given)),
  );
  md.core.ruler.push("units", ({ tokens }) => {
    for (const token of tokens.flatMap(({ children }) => children ?? []))
      if (token.type === "text") token.content = keepUnits(token.content);
  });
  md.core.ruler.push("tables", ({ tokens }) => widenTables(tokens));
  md.core.ruler.push("blocks", ({ tokens }) => tokens.forEach(nameBlock));
  md.core.ruler.push("promises", ({ tokens, env, Token: Kind }) =>
    linkPromises(tokens, env.relativePath, (...given) => new Kind(...given)),
  );
  md.core.ruler.push("rows", ({ tokens, env }) => addressRows(tokens, env.relativePath));
  md.core.ruler.push("meanings", ({ tokens, env }) => {
    for (const { children } of tokens) nameMeanings(children ?? [], env.relativePath);
  });
  md.core.ruler.push("release", ({ src, tokens, env }) => {
    if (!src.includes(NOT_RELEASED)) noteRelease(tokens, md.parse(RELEASE_NOTE, { relativePath: env.relativePath }));
  });
  const { rules } = md.renderer;
  const { text, code_inline: code } = rules;
  rules["table_open"] = (tokens, at, options, _env, self) => self.renderToken([...tokens], at, options);
  rules.text = (...given) => withoutTemplate(text!(...given));
  rules.code_inline = (...given) => withoutTemplate(code!(...given));
}

const NOT_RELEASED = "It isn't on npm yet";
/** Until the release; the README and Getting started have their own. */
const RELEASE_NOTE = `${NOT_RELEASED}: [pack it](${SITE}/guide/getting-started#install).`;
const INSTALL = /npm install [^\n`]*(?<![\w/-])(?:@hotset\/|hotset\b)/;

/** After each command that installs a package of ours; without one, after the first that runs it. */
function noteRelease(tokens: Token[], note: readonly Token[]): void {
  const placesOf = (command: RegExp): readonly number[] =>
    tokens.flatMap(({ type, content }, at) => (/^(?:fence|inline)$/.test(type) && command.test(content) ? [at] : []));
  const installs = placesOf(INSTALL);
  const places = installs.length > 0 ? installs : placesOf(/npx hotset/).slice(0, 1);
  for (const place of places.toReversed()) {
    const end = tokens.findIndex(({ level, nesting }, at) => at >= place && level === 0 && nesting !== 1);
    tokens.splice(end + 1, 0, ...note);
  }
}

/** A column with a longer cell has sentences: it keeps a width in which they can be read. */
const READABLE_CELL = 48;
/** Letters of code that a phone shows in a line, and how many the edges of a column take of them. */
const PHONE_LINE = 45;
const CELL_EDGES = 2;
/** Where labels of two columns are longer on average, they have the line for themselves. */
const LONG_LABEL = 40;
/** Tables of more columns, mostly of figures, scroll. */
const LIST_COLUMNS = 4;

function widenTables(tokens: readonly Token[]): void {
  for (const [begin, table] of tokens.entries()) {
    if (table.type !== "table_open") continue;
    const end = tokens.findIndex(({ type }, at) => at > begin && type === "table_close");
    const cells = tokens.slice(begin, end).flatMap((token, at, all) => (isCell(token) ? [[token, all[at + 1]!]] : []));
    const columns = cells.filter(([cell]) => cell!.tag === "th").length;
    const isLong = new Set(
      cells.flatMap(([, text], at) => (textOf(text!).length > READABLE_CELL ? [at % columns] : [])),
    );
    // A table that scrolls must be within reach of the keyboard.
    table.attrSet("tabindex", "0");
    for (const [at, [cell]] of cells.entries()) {
      if (isLong.has(at % columns)) cell!.attrJoin("class", "long");
      // On a phone the rows of a table that is too wide are a list, which names the column before each cell.
      if (cell!.tag === "td") cell!.attrSet("data-column", textOf(cells[at % columns]![1]!));
    }
    const hasSentences = columns > 2 && [...isLong].some((column) => column > 0);
    if (
      hasSentences ||
      !fitsPhone(
        cells.map(([, text]) => textOf(text!)),
        columns,
      )
    )
      table.attrJoin("class", "rows");
  }
}

/** Whether the longest words of the columns stand side by side, the second column in sight. */
function fitsPhone(cells: readonly string[], columns: number): boolean {
  // A comparison stays next to hotset.
  if (columns > LIST_COLUMNS) return cells[1] !== "hotset";
  const labels = cells.filter((_, at) => at % columns === 0).slice(1);
  if (columns === 2 && labels.join("").length > labels.length * LONG_LABEL) return false;
  const widths = Array.from({ length: columns }, () => CELL_EDGES);
  for (const [at, cell] of cells.entries())
    for (const { length } of cell.split(" "))
      widths[at % columns] = Math.max(widths[at % columns]!, length + CELL_EDGES);
  return widths[0]! <= PHONE_LINE / 2 + CELL_EDGES && widths.reduce((sum, width) => sum + width, 0) <= PHONE_LINE;
}

/** Code that a page cannot run is text there; a message may wrap, a drawing and columns may not. */
function nameBlock(token: Token): void {
  if (token.type === "code_block") Object.assign(token, { type: "fence", tag: "code", info: "ts" });
  if (token.type !== "fence" || token.info !== "text") return;
  if (/^(?:import|export|const) /m.test(token.content)) token.info = "js";
  else if (!/[─-╿▶▼←→]|\S {2,}\S/u.test(token.content)) token.info = "txt";
}

const PROMISES_PAGE = "reference/promises.md";

/** The row of a promise has its number as an address, and numbers that end a cell elsewhere lead there. */
function linkPromises(tokens: readonly Token[], page: string, make: Make): void {
  for (const [at, cell] of tokens.entries()) {
    if (cell.type !== "td_open") continue;
    const { content, children } = tokens[at + 1]!;
    if (page === PROMISES_PAGE) {
      if (/^[ACH]\d+$/.test(content)) cell.attrSet("id", content.toLowerCase());
      continue;
    }
    const last = children?.at(-1);
    const text = last?.type === "text" ? last.content : "";
    const [, before = "", numbers] = /^(.*: )([ACH]\d+(?:, [ACH]\d+)*)$/.exec(text) ?? [];
    if (last === undefined || numbers === undefined) continue;
    last.content = before;
    for (const [nth, number] of numbers.split(", ").entries()) {
      if (nth > 0) children!.push(textToken(make, ", "));
      children!.push(...linked(`${addressOf(PROMISES_PAGE)}#${number.toLowerCase()}`, [textToken(make, number)], make));
    }
  }
}

/** Tables to whose rows other pages link, by page: what an address is made of, as that of a heading would be. */
const ADDRESSED_ROWS: Readonly<Record<string, RegExp>> = {
  "guide/failure.md": /^\*\*(.+?)\*\*/,
  [TERMS_PAGE]: /^([\w ]+)/,
};

function addressRows(tokens: readonly Token[], page: string): void {
  const name = ADDRESSED_ROWS[page];
  if (name === undefined) return;
  for (const [at, row] of tokens.entries()) {
    const [, found] = (row.type === "tr_open" && name.exec(tokens[at + 2]?.content ?? "")) || [];
    if (found !== undefined && tokens[at + 1]!.type === "td_open") tokens[at + 1]!.attrSet("id", slugify(found));
  }
}

/** A link to the page of terms leads to the row of its word. It and names of options show what they mean. */
function nameMeanings(tokens: readonly Token[], page: string): void {
  for (const [at, token] of tokens.entries()) {
    if (token.type === "code_inline") {
      const meaning = optionOf(token.content, page);
      if (meaning !== undefined) token.attrSet("title", meaning);
    }
    if (token.type !== "link_open" || token.attrGet("href") !== addressOf(TERMS_PAGE)) continue;
    const term = termOf(tokens[at + 1]?.content ?? "");
    if (term === undefined) continue;
    token.attrSet("href", `${addressOf(TERMS_PAGE)}#${slugify(term.row)}`);
    token.attrSet("title", term.meaning);
  }
}

/** For a picture whose letters a phone shows too small. */
const PICTURE = /(?:pictures|results)\/[^/]+$/;

/** It leads to its file, and a phone shows the one whose name ends in `-narrow`, if there is one. */
function linkPictures(tokens: readonly Token[], page: string, make: Make): void {
  for (const { children } of tokens) {
    const at = children?.findIndex(({ type }) => type === "image") ?? -1;
    const picture = children?.[at];
    const source = picture?.attrGet("src");
    if (!picture || !source || !PICTURE.test(source)) continue;
    const narrow = imageFrom(page, source).replace(/\.svg$/, "-narrow.svg");
    const shown = existsSync(join(DOCS, dirname(page), narrow))
      ? [
          htmlToken(make, `<picture><source media="(max-width: 639px)" srcset="${narrow.replace(/^(?!\.)/, "./")}">`),
          picture,
          htmlToken(make, "</picture>"),
        ]
      : [picture];
    children.splice(at, 1, ...linked(linkFrom(page, source), shown, make));
  }
}

type Make = (type: string, tag: string, nesting: -1 | 0 | 1) => Token;

function textToken(make: Make, content: string): Token {
  return Object.assign(make("text", "", 0), { content });
}

function htmlToken(make: Make, content: string): Token {
  return Object.assign(make("html_inline", "", 0), { content });
}

function linked(address: string, content: readonly Token[], make: Make): readonly Token[] {
  const open = make("link_open", "a", 1);
  open.attrSet("href", address);
  return [open, ...content, make("link_close", "a", -1)];
}

const isCell = ({ type }: Token): boolean => type === "th_open" || type === "td_open";

/** Without addresses of links. */
const textOf = ({ children }: Token): string => (children ?? []).map(({ content }) => content).join("");

/** No line ends between a value and its unit. */
export function keepUnits(text: string): string {
  return text.replaceAll(/(?<=\d) (?=(?:[nµm]?s|min|h|[KMG]i?B|B|bytes|%)(?!\w))/g, "\u00A0");
}

/** The spaces before a line of code are apart: on a phone the rest of one that breaks stands below its beginning. */
export const markIndent: NonNullable<ShikiTransformer["line"]> = (line) => {
  const [first] = line.children;
  const text = first?.type === "element" ? first.children[0] : undefined;
  const [indent = ""] = (text?.type === "text" && /^ +/.exec(text.value)) || [];
  if (text?.type !== "text" || indent === "") return;
  text.value = text.value.slice(indent.length);
  line.properties["style"] = `--indent: ${indent.length}ch`;
  const spaces = { type: "text", value: indent } as const;
  line.children.unshift({ type: "element", tagName: "span", properties: { class: "indent" }, children: [spaces] });
};

/** Two opening braces would begin an expression of Vue. */
function withoutTemplate(html: string): string {
  return html.replaceAll("{{", "&#123;&#123;");
}

function adaptAddress(token: Token, page: string): void {
  const attribute = token.type === "link_open" ? "href" : token.type === "image" ? "src" : undefined;
  const address = attribute === undefined ? null : token.attrGet(attribute);
  if (attribute === undefined || address === null || isElsewhere(address)) return;
  token.attrSet(attribute, attribute === "href" ? linkFrom(page, address) : imageFrom(page, address));
}

const isElsewhere = (address: string): boolean => /^(?:[a-z]+:|#)/.test(address) && !address.startsWith(`${SITE}/`);

/** A link in the file of a page, as it must be on the site: pages below `docs/` are there, all else is on GitHub. */
export function linkFrom(page: string, link: string): string {
  if (link.startsWith(`${SITE}/`)) return link.slice(SITE.length);
  const [path = "", anchor] = link.split("#");
  const target = posix.normalize(posix.join(folderOf(page), path));
  const hash = anchor === undefined ? "" : `#${anchor}`;
  if (target === "README.md") return addressOf("overview.md") + hash;
  return target.startsWith("docs/") && target.endsWith(".md")
    ? addressOf(target.slice("docs/".length)) + hash
    : `${REPOSITORY}/blob/main/${target}${hash}`;
}

/** Relative to the page, so that the site builder finds the file. */
function imageFrom(page: string, image: string): string {
  return README_PAGES.includes(page) ? image.replace(/^docs\/public\//, "/").replace(/^docs\//, "./") : image;
}

/** Where a page is edited. */
export function editAddressOf(path: string): string {
  return `${REPOSITORY}/edit/main/docs/${path}`;
}

/** The folder of the file in which the text stands. */
function folderOf(page: string): string {
  return README_PAGES.includes(page) ? "" : posix.join("docs", posix.dirname(page));
}

/** The anchor of a heading, as GitHub makes it. */
export function slugify(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\- _]/gu, "")
    .replaceAll(" ", "-");
}
