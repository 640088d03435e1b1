import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startChromium } from "../packages/inspector/test/support/chromium.ts";
import {
  buildSite,
  deadLinks,
  foreignRequests,
  loadedFiles,
  missingFromNavigation,
  openSearch,
  readSite,
} from "./.vitepress/site.ts";

const folder = mkdtempSync(join(tmpdir(), "hotset-site-"));

beforeAll(() => buildSite(folder));
afterAll(() => rmSync(folder, { recursive: true }));

it("C300: the site is built without a network; each page is in its navigation, and no link or anchor is dead", () => {
  const site = readSite(folder);
  expect(site.size).toBeGreaterThan(110);
  expect(missingFromNavigation(site)).toEqual([]);
  expect(deadLinks(site)).toEqual([]);
});

it("C301: pages, styles and scripts of the site ask no other host for anything", () => {
  const files = loadedFiles(folder);
  expect(files.filter((file) => file.endsWith(".js")).length).toBeGreaterThan(3);
  const requests = files.flatMap((file) => foreignRequests(file, readFileSync(join(folder, file), "utf8")));
  expect(requests).toEqual([]);
});

it("each table of each page is shown with the names of its columns, and each cell has one", () => {
  const tables = [...readSite(folder)].flatMap(([address, html]) =>
    [...html.matchAll(/<table\b.*?<\/table>/gs)].map(([table]) => ({ address, table })),
  );
  expect(tables.length).toBeGreaterThan(500);
  const wrong = tables.filter(({ table }) => {
    const [names = 0, ...rows] = table
      .split("<tr>")
      .slice(1)
      .map((row) => row.match(/<t[hd]\b/g)?.length);
    // Only the corner of a table of two directions has no name.
    return rows.some((cells) => cells !== names) || /<\/th>\s*<th\b[^>]*><\/th>/.test(table);
  });
  expect(wrong.map(({ address }) => address)).toEqual([]);
  const styles = loadedFiles(folder)
    .filter((file) => file.endsWith(".css"))
    .map((file) => readFileSync(join(folder, file), "utf8"))
    .join("");
  expect(styles).not.toMatch(/(?:thead|\bth\b)[^{}]*\{[^}]*display:\s*none/);
  // Content wider than a phone scrolls inside of itself.
  for (const wide of ["table", "pre"])
    expect(styles).toMatch(new RegExp(`\\.vp-doc[^{}]*\\b${wide}[^{}]*\\{[^}]*overflow-x:\\s*auto`));
});

it("the first page has code and a way into the guide, and the overview is the README", () => {
  const site = readSite(folder);
  expect(site.get("/")).toContain("createCache");
  expect(site.get("/")).toContain('href="/guide/getting-started"');
  expect(site.get("/overview")).toContain('href="/guide/getting-started"');
});

it("each page has its description, its place in the sitemap and what a link to it shows", () => {
  const page = readSite(folder).get("/guide/getting-started") ?? "";
  const description = "From an empty folder to a cache in front of a slow call.";
  expect(page).toContain(`<meta name="description" content="${description}">`);
  expect(page).toContain(`<meta property="og:description" content="${description}">`);
  expect(page).toMatch(/<meta property="og:image" content="https:[^"]*\/og\.png">/);
  expect(readFileSync(join(folder, "sitemap.xml"), "utf8")).toContain("/guide/getting-started</loc>");
  for (const file of ["og.png", "favicon.svg", "logo.svg", "llms.txt", "llms-full.txt"])
    expect(existsSync(join(folder, file))).toBe(true);
});

it.each([
  ["staleIfError", "/guide/freshness"],
  ["maxStaleness", "/guide/cross-process-coherence"],
  ["invalidateTags", "/reference/api/namespace"],
  ["leaderboard", "/guide/toolkit-boards"],
  ["appendfsync", "/guide/running-redis"],
  ["python", "/guide/other-languages"],
  ["another language", "/guide/other-languages"],
  ["redis outage", "/guide/failure"],
  ["prefix delete", "/guide/faq"],
  ["prisma", "/guide/recipes"],
  ["drizzle", "/guide/recipes"],
  ["trpc", "/guide/recipes"],
  ["changelog", "/guide/faq"],
  ["production ready", "/guide/faq"],
  ["stampede", "/guide/faq"],
  ["invalidate", "/guide/freshness"],
  ["migrate", "/guide/migrating"],
  ["encryption", "/guide/sealing"],
  ["security", "/guide/threat-model"],
])("C301: the search of the site finds %s in its own index, on %s among the first pages", async (words, page) => {
  const search = await openSearch(folder);
  const pages = [...new Set(search(words).map((address) => address.replace(/#.*/, "")))];
  expect(pages.slice(0, 4)).toContain(page);
});

interface Table {
  readonly names: readonly string[];
  /** Cells of the last column. */
  readonly last: readonly { readonly left: number; readonly right: number }[];
  /** First cells of listed rows that leave room beside them. */
  readonly narrowLabels: readonly string[];
}

/** Run in the page. */
const TABLES = `Array.from(document.querySelectorAll(".vp-doc table"), (table) => ({
  names: Array.from(table.querySelectorAll("th"), (cell) => cell.textContent),
  last: Array.from(table.querySelectorAll("td:last-child"), (cell) => cell.getBoundingClientRect().toJSON()),
  narrowLabels: Array.from(table.querySelectorAll("tr > :first-child"))
    .filter((cell) => getComputedStyle(cell).display === "block" && cell.clientWidth < table.clientWidth)
    .map((cell) => cell.textContent),
}))`;

it("a phone shows tables of up to four columns whole, names of listed rows over all of its width, and the second column of two from 60 % of it at most", async () => {
  const pages = new Map([...readSite(folder)].filter(([, html]) => html.includes("<table")));
  await using browser = await startChromium();
  const page = await browser.newPage({ viewport: { width: 390, height: 844 }, javaScriptEnabled: false });
  await page.route("**/*", (route) => {
    const { pathname } = new URL(route.request().url());
    const body = pages.get(pathname);
    if (body !== undefined) return route.fulfill({ contentType: "text/html", body });
    return pathname.endsWith(".css") ? route.fulfill({ path: join(folder, pathname) }) : route.abort();
  });
  const counts = { two: 0, more: 0 };
  const cut: string[] = [];
  for (const address of pages.keys()) {
    await page.goto(`http://site.example${address}`);
    const tables = await page.evaluate<readonly Table[]>(TABLES);
    cut.push(...tables.flatMap(({ narrowLabels }) => narrowLabels.map((label) => `${address}: ${label}`)));
    for (const { names, last } of tables.filter((table) => table.names.length <= 4)) {
      counts[names.length === 2 ? "two" : "more"]++;
      const isCut = last.some(({ left, right }) => right > 390 || (names.length === 2 && left > 0.6 * 390));
      if (isCut) cut.push(`${address}: ${names.join(" | ")}`);
    }
  }
  expect(cut).toEqual([]);
  expect(counts.two).toBeGreaterThan(200);
  expect(counts.more).toBeGreaterThan(200);
});
