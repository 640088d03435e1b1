// The order in which a newcomer needs the pages: first the calls, then the failures, then the servers; the names one
// looks up last. A page that stands in no group is an error (docs/site.test.ts): groups are those of docs/guide/README.md.

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";

export interface Group {
  readonly text: string;
  readonly collapsed: boolean;
  readonly items: Item[];
}

export interface Item {
  readonly text: string;
  readonly link: string;
}

const docs = dirname(dirname(fileURLToPath(import.meta.url)));

/** The page of all pages is the list: each row is a group, with its pages in their order. */
const LIST = "guide/README";

type Row = readonly [group: string, pages: readonly string[]];

/** Pages without `.md`, from `docs/`, by group. A folder stands for its README and all of its pages, in the order of names. */
function readGroups(): Readonly<Record<string, readonly string[]>> {
  const rows = [
    ...readFileSync(join(docs, `${LIST}.md`), "utf8").matchAll(/^\| (?<group>[^|]+) \| (?<pages>.*\]\(.*) \|$/gm),
  ];
  const groups = rows.map(({ groups: row }): Row => [row!["group"]!, pagesOf(row!["pages"]!)]);
  return Object.fromEntries(groups.flatMap(withOwnPages));
}

const pagesOf = (links: string): readonly string[] =>
  [...links.matchAll(/\]\((?<link>[^)]+)\.md\)/g)]
    .map(({ groups }) => posix.join(posix.dirname(LIST), groups!["link"]!))
    // Those of the repository are not on the site.
    .filter((page) => !page.startsWith("../"))
    .map((page) => (page === "decisions/README" ? "decisions/" : page));

/** The site has pages that the files have not: the first two, the list itself, and the API, once it is generated. */
function withOwnPages([group, pages]: Row): readonly Row[] {
  switch (group) {
    case "Start":
      return [[group, ["index", "overview", ...pages]]];
    case "Reference":
      return [
        [group, [LIST, ...pages]],
        ["API", ["reference/api/"]],
      ];
    default:
      return [[group, pages]];
  }
}

/** Groups that are open at first. */
const OPEN = ["Start", "Multiple processes and failures", "API", "Decisions"];

/** Groups with many pages that link to one another: they have the sidebar to themselves, below their address. */
const SEPARATE: Readonly<Record<string, string>> = { API: "/reference/api/", Decisions: "/decisions/" };

const BEGIN = "/guide/getting-started";

/** The bar at the top. */
export const BAR: readonly (Item | Pick<Group, "text" | "items">)[] = [
  { text: "Guide", link: BEGIN },
  { text: "Toolkit", link: "/guide/toolkit" },
  { text: "API", link: "/reference/api/" },
  { text: "Production", link: "/guide/production" },
  { text: "Performance", link: "/performance" },
  {
    text: "More",
    items: [
      { text: "When Redis dies", link: "/guide/failure" },
      { text: "Comparison", link: "/migrating/comparison" },
      { text: "Questions", link: "/guide/faq" },
      { text: "Examples", link: "/examples/" },
    ],
  },
  { text: "GitHub", link: "https://github.com/hotset/hotset" },
];

export function sidebar(): readonly Group[] {
  return Object.entries(readGroups()).map(([text, pages]) => ({
    text,
    collapsed: !OPEN.includes(text),
    items: pages.flatMap(expanded).map(itemOf),
  }));
}

/** By the beginning of the address; the builder takes the longest that fits. */
export function sidebars(): Record<string, (Group | Item)[]> {
  const groups = sidebar();
  return {
    "/": groups.filter(({ text }) => !(text in SEPARATE)),
    ...Object.fromEntries(
      Object.entries(SEPARATE).map(([name, address]) => [
        address,
        [{ text: "← Guide", link: BEGIN }, ...groups.filter(({ text }) => text === name)],
      ]),
    ),
  };
}

/** `docs/guide/redis.md` is `/guide/redis`; a README is the page of its folder. */
export function addressOf(page: string): string {
  return `/${page.replace(/\.md$/, "").replace(/(^|\/)(?:README|index)$/, "$1")}`;
}

function expanded(page: string): readonly string[] {
  if (!page.endsWith("/")) return [page];
  if (!existsSync(join(docs, page))) return [];
  const others = readdirSync(join(docs, page))
    .filter((file) => file.endsWith(".md") && file !== "README.md")
    .map((file) => page + file.replace(/\.md$/, ""));
  return [`${page}README`, ...others.toSorted()];
}

function itemOf(page: string): Item {
  return { text: page === "index" ? "Home" : titleOf(page), link: addressOf(page) };
}

function titleOf(page: string): string {
  if (page === "overview") return "Overview";
  const title = /^# (.+)$/m.exec(readFileSync(join(docs, `${page}.md`), "utf8"))?.[1];
  if (title === undefined) throw new Error(`docs/${page}.md has no title: it must begin with "# ..."`);
  return title.replaceAll("`", "");
}
