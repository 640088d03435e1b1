// Two files of the site for assistants that write code: `llms.txt` lists all pages (https://llmstxt.org), and
// `llms-full.txt` has the pages that a program over hotset needs, as one text.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { linkFrom } from "./markdown.ts";
import { sidebar } from "./navigation.ts";
import { descriptionOf } from "./pages.ts";

const docs = dirname(dirname(fileURLToPath(import.meta.url)));

/** In this order. All pages together would be more than an assistant reads at a time. */
export const WHOLE: readonly string[] = [
  "guide/getting-started.md",
  "guide/freshness.md",
  "guide/loaders.md",
  "guide/keys-and-namespaces.md",
  "guide/recipes.md",
  "guide/failure.md",
  "guide/what-is-promised.md",
  "guide/redis.md",
  "guide/express-and-fastify.md",
  "guide/production.md",
  "guide/testing.md",
  "reference/options.md",
  "reference/errors.md",
  "reference/events.md",
];

/** Pages of these groups follow under "Optional": an assistant leaves them out where there is little room. */
const OPTIONAL = ["API", "How it works", "Decisions"];

/** The list of pages, by the groups of the sidebar. */
export function listOfPages(site: string, description: string): string {
  const groups = sidebar().filter(({ items }) => items.length > 0);
  const lineOf = ({ text, link }: (typeof groups)[number]["items"][number]): string => {
    const about = descriptionOf(fileOf(link));
    return `- [${text}](${site}${link})${about === undefined ? "" : `: ${about}`}`;
  };
  const sections = groups
    .filter(({ text }) => !OPTIONAL.includes(text))
    .map(({ text, items }) => `## ${text}\n\n${items.map(lineOf).join("\n")}`);
  const optional = groups.filter(({ text }) => OPTIONAL.includes(text)).flatMap(({ items }) => items.map(lineOf));
  const whole = `What a program needs to know, on one page: [llms-full.txt](${site}/llms-full.txt).`;
  return `${["# hotset", `> ${description}`, whole, ...sections, "## Optional", optional.join("\n")].join("\n\n")}\n`;
}

/** {@link WHOLE} as one text. Links are those of the site. */
export function pagesAsOne(site: string): string {
  const pages = WHOLE.map((page) => {
    const text = readFileSync(join(docs, page), "utf8").trim();
    return text.replaceAll(/(\]\()([^)\s]+)(\))/g, (_, open: string, link: string, close: string) => {
      const target = linkFrom(page, link);
      return `${open}${target.startsWith("/") ? site + target : target}${close}`;
    });
  });
  return `${pages.join("\n\n")}\n`;
}

function fileOf(link: string): string {
  const path = link.replace(/^\//, "");
  const names = path === "" || path.endsWith("/") ? [`${path}README.md`, `${path}index.md`] : [`${path}.md`];
  return names.find((name) => existsSync(join(docs, name)))!;
}
