// Pages are written for GitHub and for readers of the files. These rules make the same text a page of the site.

import { posix } from "node:path";
import type { MarkdownRenderer } from "vitepress";
import { addressOf } from "./navigation.ts";

type Token = ReturnType<MarkdownRenderer["parse"]>[number];

const REPOSITORY = "https://github.com/hotset/hotset/blob/main/";

export function adaptMarkdown(md: MarkdownRenderer): void {
  // Html is disabled, so that `<name>` is text and no tag of Vue; then a comment would be text, too.
  md.core.ruler.before("normalize", "comments", (state) => {
    state.src = state.src.replaceAll(/^<!--.*-->$/gm, "");
  });
  md.core.ruler.push("addresses", ({ tokens, env }) => {
    for (const token of tokens.flatMap(({ children }) => children ?? [])) adaptAddress(token, env.relativePath);
  });
  const { rules } = md.renderer;
  const { text, code_inline: code } = rules;
  rules.text = (...given) => withoutTemplate(text!(...given));
  rules.code_inline = (...given) => withoutTemplate(code!(...given));
}

/** Two opening braces would begin an expression of Vue. */
function withoutTemplate(html: string): string {
  return html.replaceAll("{{", "&#123;&#123;");
}

function adaptAddress(token: Token, page: string): void {
  const attribute = token.type === "link_open" ? "href" : token.type === "image" ? "src" : undefined;
  const address = attribute === undefined ? null : token.attrGet(attribute);
  if (attribute === undefined || address === null || /^(?:[a-z]+:|#)/.test(address)) return;
  token.attrSet(attribute, attribute === "href" ? linkFrom(page, address) : imageFrom(page, address));
}

/** A link in the file of a page, as it must be on the site: pages below `docs/` are there, all else is on GitHub. */
export function linkFrom(page: string, link: string): string {
  const [path = "", anchor] = link.split("#");
  const target = posix.normalize(posix.join(folderOf(page), path));
  const hash = anchor === undefined ? "" : `#${anchor}`;
  if (target === "README.md") return `/${hash}`;
  return target.startsWith("docs/") && target.endsWith(".md")
    ? addressOf(target.slice("docs/".length)) + hash
    : REPOSITORY + target + hash;
}

/** Relative to the page, so that the site builder finds the file. */
function imageFrom(page: string, image: string): string {
  return page === "index.md" ? image.replace(/^docs\//, "./") : image;
}

/** Of the file in which the text stands: the first page is the README of the repository. */
function folderOf(page: string): string {
  return page === "index.md" ? "" : posix.join("docs", posix.dirname(page));
}

/** The anchor of a heading, as GitHub makes it. */
export function slugify(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\- _]/gu, "")
    .replaceAll(" ", "-");
}
