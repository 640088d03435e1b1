import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vitepress";
import { listOfPages, pagesAsOne } from "./assistants.ts";
import { adaptMarkdown, editAddressOf, markIndent, SITE as PUBLISHED, slugify } from "./markdown.ts";
import { BAR, sidebars } from "./navigation.ts";
import { descriptionOf, factsOfReadme } from "./pages.ts";
import { INDEX_OPTIONS, SEARCH_OPTIONS } from "./search.ts";

const SITE = process.env["HOTSET_SITE"] ?? PUBLISHED;
const DESCRIPTION = "A cache for Node.js services that run in more than one process, and a Redis toolkit";

/** The site asks no other host for anything: no fonts, no scripts, no search service, no analytics. */
export default defineConfig({
  title: "hotset",
  description: DESCRIPTION,
  lang: "en",
  cleanUrls: true,
  metaChunk: true,
  router: { prefetchLinks: false },
  sitemap: { hostname: SITE },
  buildEnd({ outDir }) {
    writeFileSync(join(outDir, "llms.txt"), listOfPages(SITE, DESCRIPTION));
    writeFileSync(join(outDir, "llms-full.txt"), pagesAsOne(SITE));
  },
  srcExclude: ["**/node_modules/**", "examples/**/!(README).md"],
  rewrites: (page) => page.replace(/(^|\/)README\.md$/, "$1index.md"),
  head: [["link", { rel: "icon", type: "image/svg+xml", href: "/favicon.svg" }]],
  markdown: {
    html: false,
    linkify: false,
    anchor: { slugify },
    theme: { light: "github-light-high-contrast", dark: "github-dark-default" },
    codeTransformers: [{ line: markIndent }],
    config: adaptMarkdown,
  },
  transformPageData(page) {
    if (page.relativePath === "index.md") page.frontmatter["features"] = factsOfReadme();
    // Written from the docstrings: there is nothing to edit.
    if (page.filePath.startsWith("reference/api/")) page.frontmatter["editLink"] = false;
    return { description: descriptionOf(page.filePath) ?? DESCRIPTION };
  },
  transformHead: ({ title, description, pageData }) => [
    ["meta", { property: "og:type", content: "website" }],
    ["meta", { property: "og:title", content: title }],
    ["meta", { property: "og:description", content: description }],
    ["meta", { property: "og:image", content: `${SITE}/og.png` }],
    ["meta", { property: "og:url", content: `${SITE}/${pageData.relativePath.replace(/(?:index)?\.md$/, "")}` }],
    ["meta", { name: "twitter:card", content: "summary_large_image" }],
  ],
  themeConfig: {
    logo: "/logo.svg",
    search: { provider: "local", options: { miniSearch: { options: INDEX_OPTIONS, searchOptions: SEARCH_OPTIONS } } },
    nav: BAR.map((item) => ({ ...item })),
    sidebar: sidebars(),
    outline: [2, 3],
    notFound: { quote: "No page has this address. The search at the top knows all of them.", linkText: "First page" },
    externalLinkIcon: true,
    editLink: { pattern: editAddressOf(":path"), text: "Edit this page" },
  },
});
