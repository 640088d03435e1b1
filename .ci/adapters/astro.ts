import { until } from "@hotset/test-servers";
import type { Project } from "../newcomer/project.ts";
import { outages, same, servePair, WARM, warmCosts } from "./workshop.ts";
import type { Row, Scenarios, Workshop } from "./workshop.ts";

const ASTRO = "7.3.5";

/** A site in two processes, with our provider and with Astro's own. */
export async function astro(workshop: Workshop): Promise<readonly Row[]> {
  const [ours, theirs] = [await run(workshop, "hotset"), await run(workshop, "memory")];
  return [
    {
      adapter: "`@hotset/astro`",
      suite: `a site of Astro ${ASTRO}, built and served, two processes`,
      ours,
      today: `\`memoryCache\`: ${theirs}`,
    },
  ];
}

type Provider = "hotset" | "memory";

async function site({ project }: Workshop, provider: Provider): Promise<Project> {
  const made = await project("astro", {
    dependencies: {
      ...{ astro: ASTRO, "@astrojs/node": "11.1.6", typescript: "5.9.3", "@types/node": "22.19.1" },
      ...{ "@hotset/astro": "latest", "@hotset/http": "latest", hotset: "latest" },
    },
  });
  made.write("astro.config.mjs", CONFIG[provider]);
  made.write("src/provider.ts", PROVIDER);
  for (const [name, text] of Object.entries(PAGES)) made.write(`src/pages/${name}`, text);
  if (provider === "hotset") await made.run("npx", ["tsc", ...STRICTLY, "src/provider.ts"]);
  await made.run("npx", ["astro", "build"], { ASTRO_TELEMETRY_DISABLED: "1" });
  return made;
}

const STRICTLY = ["--strict", "--skipLibCheck", "--noEmit", "--target", "es2022", "--module", "nodenext"];

const configOf = (imports: string, provider: string): string => `import node from "@astrojs/node";
import { defineConfig${imports} } from "astro/config";

export default defineConfig({
  output: "server",
  adapter: node({ mode: "standalone" }),
  security: { allowedDomains: [{ hostname: "site.example" }, { hostname: "*.made-up.example" }] },
  cache: { provider: ${provider} },
});
`;
const CONFIG: Readonly<Record<Provider, string>> = {
  hotset: configOf(
    "",
    '{ name: "hotset", entrypoint: new URL("./src/provider.ts", import.meta.url), config: { hosts: ["site.example"] } }',
  ),
  memory: configOf(", memoryCache", "memoryCache()"),
};

const PROVIDER = `import { astroCache } from "@hotset/astro";
import type { CacheProviderFactory } from "astro";
import { createCache, memory, redis } from "hotset";

const build = () => createCache({ name: "site" }).tier(memory()).tier(redis(process.env.REDIS_URL!).build()).build();
export default astroCache(build) satisfies CacheProviderFactory;
`;

const endpoint = (options: string, more = ""): string => `let runs = 0;
export const GET = async (context) => {
  await new Promise((resolve) => setTimeout(resolve, 100));
  context.cache.set(${options});
  ${more}
  return Response.json({ path: context.url.pathname, from: process.env.FROM, runs: ++runs });
};
`;
const PAGES = {
  "index.astro": "---\nAstro.cache.set({ maxAge: 60 });\n---\n<html><body>from {process.env.FROM}</body></html>\n",
  "up.js": "export const GET = () => Response.json({});\n",
  "page/[id].js": endpoint("{ maxAge: 60, tags: ['pages'] }"),
  "short/[id].js": endpoint("{ maxAge: 1, swr: 60 }"),
  "cookie/[id].js": endpoint("{ maxAge: 60 }", "context.cookies.set('visitor', 'one');"),
  "reads/[id].astro": "---\nAstro.cache.set({ maxAge: 60 });\n---\n<p>{Astro.cookies.get('user')?.value}</p>\n",
  "clear/[what].js": `export const GET = async ({ cache, params }) => {
  await cache.invalidate(params.what === "tag" ? { tags: "pages" } : { path: "/page/1" });
  return Response.json({});
};
`,
};

/** Both processes are one origin, as behind a load balancer. */
const FORWARDED = { "x-forwarded-host": "site.example", "x-forwarded-proto": "https" };

interface Page {
  readonly from: string;
}

async function run(workshop: Workshop, provider: Provider): Promise<string> {
  const { redis } = workshop;
  const made = await site(workshop, provider);
  await using pair = await servePair(redis, made, ["dist/server/entry.mjs"], {}, FORWARDED);
  const { a, b } = pair.servers;
  const scenarios: Scenarios = {
    "a page of A is the page of B": async () => same(await pair.a("page/1"), await pair.b("page/1")),
    "so is a page of HTML": async () => {
      const [first, second] = [await fetch(a.url, { headers: FORWARDED }), await fetch(b.url, { headers: FORWARDED })];
      same(await second.text(), await first.text());
    },
    [WARM]: () => warmCosts(redis, () => pair.a("page/1")),
    "40 requests for a cold page, over both, are one run": async () => same(await pair.answersOfForty("page/cold"), 1),
    "an answer that sets a cookie is of one visitor, who gets it": async () => {
      const first = await pair.a<Page & { runs: number }>("cookie/1");
      const second = await fetch(`${a.url}/cookie/1`, { headers: FORWARDED });
      same(second.headers.getSetCookie(), ["visitor=one"]);
      same(await second.json(), { ...first, runs: first.runs + 1 });
    },
    ...Object.fromEntries(
      ["tag", "path"].map((what) => [
        `invalidated by ${what} on A, new on B`,
        async () => {
          const old = await pair.b("page/1");
          await pair.a(`clear/${what}`);
          await pair.agree("page/1", old);
        },
      ]),
    ),
    "an old page is refreshed (swr)": () => pair.refreshes("short/1", 1_200),
    ...outages(pair, redis),
    "a cached page that reads a cookie is named in a warning": async () => {
      await fetch(`${a.url}/reads/1`, { headers: { ...FORWARDED, cookie: "user=ann" } });
      // What it prints may arrive after its answer.
      const isNamed = async (): Promise<boolean> =>
        a.output().includes("/reads/1 is cached for everyone, but read cookie");
      await until("the warning", isNamed, 5_000);
    },
    "pages for hosts that are not listed are not cached": async () => {
      const runs = async (host: string): Promise<unknown> => {
        const answer = await fetch(`${a.url}/page/1`, { headers: { ...FORWARDED, "x-forwarded-host": host } });
        return ((await answer.json()) as { runs: number }).runs;
      };
      const [first, second] = [await runs("one.made-up.example"), await runs("one.made-up.example")];
      if (first === second) throw new Error("a made-up host was cached");
    },
    "ends within a second of SIGTERM": async () => same(await a.ends(1_000), true),
  };
  // Awaited before the processes end.
  const result = await workshop.count(`Astro, ${provider}`, scenarios, provider === "hotset");
  return result;
}
