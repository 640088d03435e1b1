// The order in which a newcomer needs the pages: first the calls, then the failures, then the servers; the names one
// looks up last. A page that stands in no group is an error (docs/site.test.ts).

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
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

/**
 * Pages without `.md`, from `docs/`. A folder stands for its README and all of its pages, in the order of names; for
 * none before they are generated.
 */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  Start: [
    "index",
    "overview",
    "guide/getting-started",
    "guide/freshness",
    "guide/loaders",
    "guide/keys-and-namespaces",
    "guide/recipes",
    "guide/http",
    "guide/faq",
    "guide/terms",
    "examples/README",
  ],
  "In your framework": [
    "guide/express-and-fastify",
    "guide/next",
    "guide/nest",
    "guide/graphql",
    "guide/drizzle",
    "guide/astro",
    "guide/nitro",
    "guide/use-it-with",
    "guide/frameworks",
  ],
  "Multiple processes and failures": [
    "guide/failure",
    "guide/cross-process-coherence",
    "guide/transactions",
    "guide/cdn",
    "guide/what-is-promised",
    "guide/other-languages",
  ],
  Redis: [
    "guide/which-server",
    "guide/redis",
    "guide/redis-over-http",
    "guide/running-redis",
    "reference/redis-on-the-wire",
  ],
  "Other stores": [
    "guide/which-store",
    "guide/sqlite",
    "guide/postgres",
    "guide/postgres-follow",
    "guide/keyv",
    "guide/bring-your-store",
  ],
  Production: [
    "guide/production",
    "guide/at-scale",
    "guide/floods",
    "performance",
    "guide/metrics",
    "guide/verify",
    "guide/inspector",
    "guide/deploying",
    "guide/shapes",
    "guide/warm",
    "guide/command-line",
    "guide/testing",
    "guide/serverless",
    "guide/threat-model",
    "guide/sealing",
  ],
  "The Redis toolkit": [
    "guide/toolkit",
    "guide/toolkit-streams",
    "guide/toolkit-queue",
    "guide/toolkit-locks",
    "guide/toolkit-limits",
    "guide/toolkit-sessions",
    "guide/toolkit-boards",
    "guide/toolkit-health",
  ],
  Migrate: [
    "migrating/comparison",
    "guide/migrating",
    "migrating/by-hand",
    "migrating/moved-programs",
    "migrating/bentocache",
    "migrating/cacheable",
    "migrating/cache-manager",
    "migrating/cachified",
    "migrating/hitbox",
    "migrating/ioredis",
    "migrating/node-redis",
    "migrating/redlock",
    "migrating/rate-limiter-flexible",
    "migrating/bullmq",
    "migrating/connect-redis",
    "migrating/http-caches",
    "migrating/hyperswitch",
    "migrating/routemq",
    "migrating/redis-services",
    "migrating/beside-old-processes",
  ],
  Extend: ["guide/formats", "guide/composing-backends", "guide/writing-a-backend", "guide/writing-an-adapter"],
  Reference: [
    "guide/README",
    "reference/options",
    "reference/events",
    "reference/errors",
    "reference/promises",
    "reference/stats",
    "reference/metrics",
    "reference/connection",
    "reference/command-line",
    "reference/http-conformance",
    "reference/backends",
    "reference/redis-layout",
    "reference/toolkit",
    "reference/toolkit-keys",
    "reference/toolkit-streams",
    "reference/toolkit-queue",
    "reference/toolkit-locks",
    "reference/toolkit-limits",
    "reference/toolkit-sessions",
    "reference/toolkit-boards",
  ],
  API: ["reference/api/"],
  "How it works": ["architecture", "protocol/README", "reference/counter-examples"],
  Decisions: ["decisions/"],
};

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
  return Object.entries(GROUPS).map(([text, pages]) => ({
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
