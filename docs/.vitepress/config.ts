import { defineConfig } from "vitepress";
import { adaptMarkdown, slugify } from "./markdown.ts";
import { BAR, sidebar } from "./navigation.ts";
import { SEARCH_OPTIONS } from "./search.ts";

/** The site asks no other host for anything: no fonts, no scripts, no search service, no analytics. */
export default defineConfig({
  title: "hotset",
  description: "A multi-tier cache for Node.js: memory over Redis, and the Redis toolkit",
  lang: "en",
  cleanUrls: true,
  srcExclude: ["**/node_modules/**", "examples/**/!(README).md"],
  rewrites: (page) => page.replace(/(^|\/)README\.md$/, "$1index.md"),
  markdown: {
    html: false,
    linkify: false,
    anchor: { slugify },
    config: adaptMarkdown,
  },
  themeConfig: {
    search: { provider: "local", options: { miniSearch: { searchOptions: SEARCH_OPTIONS } } },
    nav: BAR.map((item) => ({ ...item })),
    sidebar: sidebar().map(({ items, ...group }) => ({ ...group, items: [...items] })),
    outline: [2, 3],
    externalLinkIcon: true,
  },
});
