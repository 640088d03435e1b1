import { existsSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { trackedFiles } from "./tracked-files.ts";

const top = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const pages = trackedFiles(top).filter((path) => path.endsWith(".md"));
const read = (path: string): string => readFileSync(join(top, path), "utf8");
const withoutCode = (text: string): string => text.replaceAll(/^( *)(`{3,}).*\n[^]*?^ *\2 *$/gm, "");

/** As GitHub makes it of a heading. */
const slugOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\- _]/gu, "")
    .replaceAll(" ", "-");

const ANCHOR = /<a id="([^"]+)"><\/a>/g;

/** The places of a page to which a link may lead: its headings, and anchors in front of rows. */
function anchorsOf(path: string): ReadonlySet<string> {
  const text = withoutCode(read(path));
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => slugOf(heading!));
  return new Set([...headings, ...[...text.matchAll(ANCHOR)].map(([, id]) => id!)]);
}

const FAULTS_PAGE = "docs/guide/failure.md";

it("what happens when Redis dies is one table: other pages link to its rows, and have none of their own", () => {
  const tables = pages.filter((page) => /^\| (?:fault|what fails|when it fails) \|/m.test(withoutCode(read(page))));
  expect(tables).toEqual([FAULTS_PAGE, ...OF_OTHER_SERVERS].toSorted());
  const sections = pages
    .filter((page) => page.startsWith("docs/guide/") && page !== FAULTS_PAGE)
    .flatMap((page) =>
      [...withoutCode(read(page)).matchAll(/^## Without Redis\n(?<section>(?:(?!^## )[^])*)/gm)].map(({ groups }) => ({
        page,
        section: groups!["section"]!,
      })),
    );
  expect(sections.length).toBeGreaterThan(7);
  expect(sections.filter(({ section }) => !section.includes("](failure.md#redis-dies)"))).toEqual([]);
});

it("a row of that table to which pages link has an anchor, which is the one that the site makes of its name", () => {
  const rows = [...read(FAULTS_PAGE).matchAll(/^\| <a id="([^"]+)"><\/a>\*\*(.+?)\*\*/gm)];
  expect(rows.length).toBeGreaterThan(5);
  expect(rows.map(([, id]) => id)).toEqual(rows.map(([, , name]) => slugOf(name!)));
  expect(rows.length).toBe([...read(FAULTS_PAGE).matchAll(ANCHOR)].length);
});

/** Faults of a database. */
const OF_OTHER_SERVERS = ["docs/guide/postgres-follow.md", "docs/guide/postgres.md", "docs/guide/sqlite.md"];

/** The README of a package is read on npm too, where a relative link leads nowhere. */
const HERE = "https://github.com/hotset/hotset/blob/main/";
const linksOf = (page: string): readonly string[] =>
  [...withoutCode(read(page)).matchAll(/\]\((?<link>[^)\s]+)\)/g)].map(({ groups }) => groups!["link"]!);

it("links in the README of a package do not depend on where it is read", () => {
  const published = pages.filter(
    (page) =>
      /^packages\/[^/]+\/README\.md$/.test(page) &&
      !read(posix.join(posix.dirname(page), "package.json")).includes('"private": true'),
  );
  expect(published.length).toBeGreaterThan(5);
  expect(published.flatMap(linksOf).filter((link) => !/^(?:[a-z]+:|#)/.test(link))).toEqual([]);
});

it("links between pages lead somewhere", () => {
  const broken = pages.flatMap((page) =>
    linksOf(page)
      .filter((link) => link.startsWith(HERE) || !/^[a-z]+:/.test(link))
      .filter((link) => {
        const [file = "", anchor] = link.replace(HERE, "/").split("#");
        const target =
          file === "" ? page : file.startsWith("/") ? file.slice(1) : posix.join(posix.dirname(page), file);
        if (!existsSync(join(top, target))) return true;
        return anchor !== undefined && !anchorsOf(target).has(anchor);
      })
      .map((link) => `${page}: ${link}`),
  );
  expect(broken).toEqual([]);
});

it("the site is linked nowhere: it is not published yet", () => {
  const linking = trackedFiles(top).filter(
    (path) => /\.(?:md|ts|tsx|mjs|yml)$/.test(path) && read(path).includes(`${SITE}/`),
  );
  expect(linking).toEqual(ABOUT_THE_SITE);
});

/** Without the files below, which build and publish the site. */
const ABOUT_THE_SITE = ["docs/site.test.ts"];
const SITE = "https://hotset.github.io";

it("the index of decisions has every page, under its title", () => {
  const decisions = pages.flatMap((path) => /^docs\/decisions\/(\d{4}-.*\.md)$/.exec(path)?.[1] ?? []);
  const rows = decisions.map((name) => {
    const [, title] = new RegExp(`^# (${name.slice(0, 4)} .+)$`, "m").exec(read(`docs/decisions/${name}`)) ?? [];
    return `- [${title}](${name})`;
  });
  expect([...read("docs/decisions/README.md").matchAll(/^- \[.*$/gm)].map(([row]) => row)).toEqual(rows.toSorted());
});

/** `decision 0027` in a comment, a title or a page. */
const NAMED_DECISION = /\bdecisions? (?<number>\d{4})\b/gi;

it("each decision is a page or an entry of the log, and each one that is named exists", () => {
  const ofPages = pages.flatMap((path) => /^docs\/decisions\/(\d{4})-/.exec(path)?.[1] ?? []);
  const ofLog = [...read("docs/decisions/log.md").matchAll(/^### (\d{4})$/gm)].map(([, number]) => number!);
  const numbers = [...ofPages, ...ofLog];
  expect(numbers.filter((number, index) => numbers.indexOf(number) !== index)).toEqual([]);

  const missing = trackedFiles(top)
    .filter((path) => /\.(?:ts|mjs|md|txt)$/.test(path) && existsSync(join(top, path)))
    .flatMap((path) =>
      [...read(path).matchAll(NAMED_DECISION)]
        .map(({ groups }) => groups!["number"]!)
        .filter((number) => !numbers.includes(number))
        .map((number) => `${path}: decision ${number}`),
    );
  expect(missing).toEqual([]);
});
