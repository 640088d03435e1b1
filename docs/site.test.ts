import { globSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { parseSync } from "oxc-parser";
import { createMarkdownRenderer } from "vitepress";
import { expect, it } from "vitest";
import { listOfPages, pagesAsOne, WHOLE } from "./.vitepress/assistants.ts";
import { adaptMarkdown, linkFrom, markIndent, slugify } from "./.vitepress/markdown.ts";
import { addressOf, sidebar } from "./.vitepress/navigation.ts";
import { descriptionOf, factsOfReadme } from "./.vitepress/pages.ts";
import { deadLinks, foreignRequests } from "./.vitepress/site.ts";

const docs = dirname(fileURLToPath(import.meta.url));

it("each page of docs is in the navigation once: add a new one to docs/guide/README.md", () => {
  const listed = sidebar().flatMap(({ items }) => items.map(({ link }) => link));
  const pages = globSync("**/*.md", { cwd: docs, exclude: ["**/node_modules"] });
  expect(listed.toSorted()).toEqual(pages.map(addressOf).toSorted());
});

it("each page of docs is linked from an index, and each index from the page of all pages", () => {
  const indexes = ["guide/migrating.md", "reference/toolkit.md", "decisions/README.md", "examples/README.md"];
  const linkedFrom = (page: string): readonly string[] =>
    [...readFileSync(join(docs, page), "utf8").matchAll(/\]\(([^)\s#]+)/g)].map(([, link]) =>
      posix.join(posix.dirname(page), link!),
    );
  const listed = linkedFrom("guide/README.md");
  const reached = new Set([...listed, ...indexes.flatMap(linkedFrom)]);
  expect(indexes.filter((page) => !listed.includes(page))).toEqual([]);
  const pages = globSync("**/*.md", { cwd: docs, exclude: ["**/node_modules", "reference/api"] });
  expect(pages.filter((page) => !reached.has(page)).toSorted()).toEqual(["guide/README.md", "index.md", "overview.md"]);
});

it("llms.txt lists each page once, with what it is about, and decisions among those that may be left out", () => {
  const text = listOfPages("https://site.example", "A cache");
  expect(text.split("\n").slice(0, 3)).toEqual(["# hotset", "", "> A cache"]);
  const links = [...text.matchAll(/^- \[[^\]]+\]\(https:\/\/site\.example([^)]*)\)/gm)].map(([, link]) => link!);
  expect(links.toSorted()).toEqual(
    sidebar()
      .flatMap(({ items }) => items.map(({ link }) => link))
      .toSorted(),
  );
  expect(text).toContain(
    "- [Getting started](https://site.example/guide/getting-started): From an empty folder to a cache in front of a slow call.",
  );
  const [needed = "", optional = ""] = text.split("## Optional");
  expect(needed).not.toContain("/decisions/");
  expect(optional).toContain("/decisions/");
});

it("llms-full.txt has whole pages, and its links work outside of the site", () => {
  const text = pagesAsOne("https://site.example");
  for (const page of WHOLE) expect(text).toContain(readFileSync(join(docs, page), "utf8").split("\n")[0]!);
  expect(text).toContain("](https://site.example/guide/failure)");
  expect([...text.matchAll(/\]\((?!https?:\/\/|#)([^)\s]+)\)/g)].map(([, link]) => link)).toEqual([]);
  expect(text.split(/\s+/).length).toBeLessThan(50_000);
});

it.each([
  ["overview.md", "docs/guide/redis.md#permissions", "/guide/redis#permissions"],
  ["overview.md", "docs/decisions/README.md", "/decisions/"],
  ["index.md", "CONTRIBUTING.md", "https://github.com/hotset/hotset/blob/main/CONTRIBUTING.md"],
  ["guide/redis.md", "../../README.md#install", "/overview#install"],
  ["guide/redis.md", "formats.md", "/guide/formats"],
  ["guide/redis.md", "../examples/wrap.ts", "https://github.com/hotset/hotset/blob/main/docs/examples/wrap.ts"],
  ["guide/redis.md", "https://hotset.github.io/reference/api/redis#single", "/reference/api/redis#single"],
])("a link of %s to %s is %s on the site", (page, link, onSite) => {
  expect(linkFrom(page, link)).toBe(onSite);
});

it("a link to a page that is missing is dead, and one to a heading that is missing", () => {
  const site = new Map([
    ["/", '<a href="/guide/a#there">a</a><a href="/guide/a#gone">a</a><a href="/guide/b">b</a><a href="#x">x</a>'],
    ["/guide/a", '<h2 id="there">There</h2><a href="/">first</a><a href="https://example.org/">out</a>'],
  ]);
  expect(deadLinks(site)).toEqual(["/: /guide/a#gone", "/: /guide/b", "/: #x"]);
});

it.each([
  ["a.html", '<script src="https://cdn.example/x.js"></script>', ["a.html: https://cdn.example/x.js"]],
  ["a.html", '<link rel="preload" href="//fonts.example/a.woff2">', ["a.html: //fonts.example/a.woff2"]],
  ["a.html", '<img alt="" src="http://example.org/pixel.gif">', ["a.html: http://example.org/pixel.gif"]],
  ["a.html", '<a href="https://example.org/">a link</a><img src="/assets/a.svg">', []],
  ["a.css", '@import "https://fonts.example/a.css";', ["a.css: https://fonts.example/a.css"]],
  ["a.css", "a { background: url(\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'\") }", []],
  ["a.js", 'fetch("https://stats.example/hit")', ["a.js: https://stats.example/hit"]],
  ["a.js", 'ns = "http://www.w3.org/2000/svg"', []],
])("requests of %s to other hosts are found: %s", (name, text, found) => {
  expect(foreignRequests(name, text)).toEqual(found);
});

const SETTINGS = {
  html: false,
  linkify: false,
  anchor: { slugify },
  config: adaptMarkdown,
  codeTransformers: [{ line: markIndent }],
};

it("a column of sentences keeps a width in which they can be read; a table is a table, within reach of keys", async () => {
  const md = await createMarkdownRenderer(".", SETTINGS);
  const meaning = "how long the value may be served before it is loaded again";
  const page = `| name | meaning | default |\n|---|---|---|\n| \`ttl\` | ${meaning} | 1 |\n`;
  expect(md.render(page, { relativePath: "overview.md" })).toBe(
    `<table tabindex="0" class="rows">
<thead>
<tr>
<th>name</th>
<th class="long">meaning</th>
<th>default</th>
</tr>
</thead>
<tbody>
<tr>
<td data-column="name"><code title="how long the value is fresh">ttl</code></td>
<td class="long" data-column="meaning">${meaning}</td>
<td data-column="default">1</td>
</tr>
</tbody>
</table>
`,
  );
});

it("numbers of promises lead to their rows, rows of faults have addresses, pictures to their files, on a phone shown narrow; text that is code or a message is no drawing", async () => {
  const md = await createMarkdownRenderer(".", SETTINGS);
  const shown = (page: string, relativePath: string): string => md.render(page, { relativePath });
  const row = (cell: string): string => `| x | y |\n|---|---|\n| ${cell} | z |\n`;
  expect(shown(row("yes: C29"), "migrating/comparison.md")).toMatch(/<a href="\/reference\/promises[^"]*#c29">C29</);
  expect(shown(row("C29"), "reference/promises.md")).toContain('id="c29"');
  expect(shown(row("**`single` of a cluster**, or so"), "guide/failure.md")).toContain('id="single-of-a-cluster"');
  const anchored = shown(row('<a id="redis-dies"></a>**Redis dies**'), "guide/failure.md");
  expect(anchored).toMatch(/<td[^>]* id="redis-dies"[^>]*><strong>Redis dies<\/strong>/);
  expect(shown(row("**Redis dies**"), "guide/redis.md")).not.toContain(' id="');
  const file = "https://github.com/hotset/hotset/blob/main/docs/pictures/demo.svg";
  expect(shown("![Demo](docs/pictures/demo.svg)", "overview.md")).toMatch(
    new RegExp(`<a href="${file}"[^>]*><picture>`),
  );
  const markup =
    '<picture><source srcset="docs/pictures/demo-narrow.svg"><img alt="Demo" src="docs/pictures/demo.svg"></picture>';
  for (const demo of ["![Demo](docs/pictures/demo.svg)", markup])
    expect(shown(demo, "overview.md")).toContain('srcset="./pictures/demo-narrow.svg"');
  expect(shown("![Tiers](../pictures/tiers.svg)", "guide/redis.md")).not.toContain("<picture>");
  for (const [text, language] of [
    ["import a", "js"],
    ["a long message", "txt"],
    ["a ─▶ b", "text"],
  ] as const)
    expect(shown(`\`\`\`text\n${text}\n\`\`\`\n`, "overview.md")).toContain(`language-${language}`);
});

it("a name of an option and a link to a term show what they mean; the link leads to the row of the term", async () => {
  const md = await createMarkdownRenderer(".", SETTINGS);
  const shown = (page: string, relativePath: string): string => md.render(page, { relativePath });
  const option = 'title="how long after ttl it may be served when a load fails or is too slow"';
  expect(shown("Set `staleIfError`.", "guide/failure.md")).toContain(`<code ${option}`);
  expect(shown('`staleIfError: "1h"`', "guide/failure.md")).toContain(`<code ${option}`);
  expect(shown("`version` and `staleIfError`", "guide/toolkit-locks.md")).not.toContain("title");
  expect(shown("its [leases](terms.md)", "guide/redis.md")).toMatch(
    /<a href="\/guide\/terms(?:\.html)?#lease" title="a short permission, kept in the backend, to load one key: [^"]+">leases<\/a>/,
  );
  expect(shown("[Terms](terms.md)", "guide/redis.md")).not.toContain("title");
  expect(shown("| term | meaning |\n|---|---|\n| fence, fenced | a |\n", "guide/terms.md")).toMatch(
    /<td [^>]*id="fence"/,
  );
});

it("each page that installs a package of ours, or runs one, says after it that it must be packed", async () => {
  const md = await createMarkdownRenderer(".", SETTINGS);
  const note = /<p>It isn't on npm yet: <a href="\/guide\/getting-started(?:\.html)?#install">pack it<\/a>\.<\/p>/;
  const notesOf = (page: string, relativePath: string): readonly string[] =>
    md.render(page, { relativePath }).split(note).slice(0, -1);
  const install = (name: string): string => `\`\`\`sh\nnpm install ${name}\n\`\`\`\n\n`;
  const two = notesOf(`${install("hotset express")}${install("express")}Run \`npm install @hotset/nest\`.`, "a.md");
  expect(two.map((before) => before.replaceAll(/<[^>]*>/g, "").trim())).toEqual([
    expect.stringMatching(/npm install hotset express$/),
    expect.stringMatching(/npm install @hotset\/nest\.$/),
  ]);
  expect(notesOf("| a | b |\n|---|---|\n| x | `npx hotset keys` |\n\n`npx hotset ui`\n", "a.md")).toEqual([
    expect.stringMatching(/x<[^]*npx hotset keys[^]*<\/table>\n$/),
  ]);
  const pages = globSync("**/*.md", { cwd: docs, exclude: ["**/node_modules", "guide/getting-started.md"] });
  const shown = pages.map((page) => [page, readFileSync(join(docs, page), "utf8")] as const);
  const naming = shown.filter(([, text]) => /npm install (?:[\w@/-]+ )*@?hotset\b|npx hotset/.test(text));
  expect(naming.length).toBeGreaterThan(20);
  expect(naming.filter(([page, text]) => notesOf(text, page).length === 0)).toEqual([]);
});

it("the first page has the first program of the README, how to install it, and four facts", () => {
  const readme = readFileSync(join(docs, "../README.md"), "utf8").split("\n");
  const page = readFileSync(join(docs, "index.md"), "utf8");
  const included = [...page.matchAll(/README\.md\{(\d+),(\d+)\}/g)].map(([, from, to]) =>
    readme.slice(Number(from) - 1, Number(to)),
  );
  expect(included.map((lines) => [lines[0], lines.at(-1)])).toEqual([
    ["```ts run", "```"],
    [expect.stringContaining("(docs/guide/getting-started.md#install)"), "```"],
    [expect.stringMatching(/^<picture>.*demo\.svg/), expect.stringContaining("demo.svg")],
  ]);
  expect(included.flat()).toContain("await cache.close();");
  expect(factsOfReadme().map(({ title }) => title)).toEqual([
    "One load",
    "Deletes reach every process",
    "Keeps serving",
    "Fast hits",
  ]);
});

it.each(["README.md", "docs/guide/getting-started.md"])(
  "the programs of %s are JavaScript and TypeScript, and a Node is named for files of TypeScript",
  (page) => {
    const text = readFileSync(join(docs, "..", page), "utf8");
    const programs = [...text.matchAll(/^```(?:js|ts) run\n(.*?)^```\n(\n```text output)?/gms)];
    expect(programs.length).toBe(page === "README.md" ? 1 : 6);
    for (const [, code, output] of programs) {
      for (const ending of ["mjs", "mts"]) expect(parseSync(`program.${ending}`, code!).errors).toEqual([]);
      if (page !== "README.md") expect(output, `what this prints:\n${code}`).toBeDefined();
    }
    for (const paragraph of text.split("\n\n").filter((each) => each.includes("`.mts`")))
      expect(paragraph).toMatch(/22\.18[^]*--experimental-strip-types/);
  },
);

it.each(["astro", "drizzle", "graphql", "nest", "next", "nitro"])(
  "the page of %s has the headings of all frameworks, in their order",
  (name) => {
    const headings = readFileSync(join(docs, `guide/${name}.md`), "utf8").matchAll(/^## (.+)$/gm);
    expect([...headings].map(([, heading]) => heading).slice(0, 6)).toEqual([
      "Install",
      "Set it up",
      "What is cached",
      "Invalidate",
      "Several processes",
      "Without Redis",
    ]);
  },
);

it("each page has a description: the sentences of its first paragraph that fit", () => {
  expect(descriptionOf("guide/getting-started.md")).toBe("From an empty folder to a cache in front of a slow call.");
  const pages = globSync("{guide,reference,migrating}/*.md", { cwd: docs });
  expect(pages.filter((page) => (descriptionOf(page) ?? "").length < 20)).toEqual([]);
});

it("text of a page is never a template of Vue, nor a tag; comments are not text; units keep to values", async () => {
  const md = await createMarkdownRenderer(".", SETTINGS);
  const page = "<!-- a note -->\n\nUse {{ name }}, <name> and `{{ code }}` of README.md, 2 s.\n";
  expect(md.render(page, { relativePath: "overview.md" }).trim()).toBe(
    "<p>Use &#123;&#123; name }}, &lt;name&gt; and <code>&#123;&#123; code }}</code> of README.md, 2\u00A0s.</p>",
  );
});

it("the spaces before a line of code are apart, and are copied with it", async () => {
  const md = await createMarkdownRenderer(".", SETTINGS);
  const html = md.render("```ts\nif (a)\n    b();\n```\n", { relativePath: "overview.md" });
  expect(html).toMatch(/<span class="line" style="--indent: ?4ch;?"><span class="indent"> {4}<\/span><span/);
  expect(html.replaceAll(/<[^>]*>/g, "")).toContain("if (a)\n    b();");
});
