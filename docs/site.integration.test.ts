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

it("the site is built without a network; each page is in its navigation, and no link or anchor is dead", () => {
  const site = readSite(folder);
  expect(site.size).toBeGreaterThan(110);
  expect(missingFromNavigation(site)).toEqual([]);
  expect(deadLinks(site)).toEqual([]);
});

it("pages, styles and scripts of the site ask no other host for anything", () => {
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
])("the search of the site finds %s in its own index, on %s among the first pages", async (words, page) => {
  const search = await openSearch(folder);
  const pages = [...new Set(search(words).map((address) => address.replace(/#.*/, "")))];
  expect(pages.slice(0, 4)).toContain(page);
});

/** What people ask in their first days, in their words, and the page that answers it. */
const QUESTIONS = [
  ["do I need localTtl", "/guide/freshness"],
  ["null is served stale after negativeTtl", "/guide/freshness"],
  ["cache a missing row", "/guide/recipes"],
  ["stop the heartbeat", "/guide/metrics"],
  ["batch read with one query", "/guide/recipes"],
  ["tags from the loaded value", "/guide/freshness"],
  ["key groups in metrics", "/guide/metrics"],
  ["install before the release", "/guide/getting-started"],
  ["type of a function that takes a cache or a namespace", "/guide/getting-started"],
  ["test clock in vitest", "/guide/testing"],
  ["slow query in express", "/guide/express-and-fastify"],
  ["next.js use cache", "/guide/next"],
  ["cacheComponents", "/guide/next"],
  ["graceful shutdown SIGTERM", "/guide/getting-started"],
  ["list all keys", "/guide/faq"],
  ["keyOf undefined", "/guide/keys-and-namespaces"],
  ["what happens when redis dies", "/guide/failure"],
  ["redis is frozen", "/guide/failure"],
  ["hit ratio dropped after a deploy", "/guide/inspector"],
  ["the clock of a process differs", "/guide/inspector"],
  ["logged out by a slow request", "/guide/toolkit-sessions"],
  ["log out everywhere", "/guide/toolkit-sessions"],
  ["two cookies of one name", "/guide/toolkit-sessions"],
  ["rate limit does not count failed requests", "/guide/toolkit-limits"],
  ["concurrent requests of a client that disconnects", "/guide/toolkit-limits"],
  ["job runs twice", "/guide/toolkit-queue"],
  ["retry with backoff", "/guide/toolkit-queue"],
  ["daily job and daylight saving", "/guide/toolkit-queue"],
  ["lock lost while the task runs", "/guide/toolkit-locks"],
  ["poison message dead letter", "/guide/toolkit-streams"],
  ["who is online with two tabs", "/guide/toolkit-boards"],
  ["trimmed before it was read", "/guide/toolkit-streams"],
  ["Set-Cookie in a cached response", "/guide/http"],
  ["liveness probe restarts when redis is down", "/guide/toolkit-health"],
  ["elasticache serverless", "/guide/which-server"],
  ["delete by prefix", "/guide/faq"],
  ["why is nothing cached", "/guide/faq"],
  ["old price after an update", "/guide/freshness"],
  ["can two services share entries", "/guide/faq"],
  ["memory grows", "/guide/running-redis"],
  ["stampede", "/guide/faq"],
  ["the clock of redis is wrong", "/guide/failure"],
] as const;

it("the search of the site finds the page that answers a question among its first three", async () => {
  const search = await openSearch(folder);
  const found = QUESTIONS.map(([question]) => {
    const pages = [...new Set(search(question).map((address) => address.replace(/#.*/, "")))];
    return { question, pages: pages.slice(0, 3) };
  });
  expect(found.filter(({ pages }, at) => !pages.includes(QUESTIONS[at]![1]))).toEqual([]);
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
