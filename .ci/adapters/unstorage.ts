import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { OwnRedis } from "@hotset/test-servers";
import type { Project } from "../newcomer/project.ts";
import { outages, type Pair, passedOf, same, servePair, WARM, warmCosts } from "./workshop.ts";
import type { Row, Scenarios, Workshop } from "./workshop.ts";

const VERSIONS = { unstorage: "1.17.6", "unstorage-2": "npm:unstorage@2.0.0-beta.0" };
const NITRO = "2.13.6";
const ALSO = { "@hotset/unstorage": "latest", hotset: "latest", ioredis: "5.8.2" };

/** Their suite over both versions, then a Nitro application in two processes; the driver `redis` next to ours. */
export async function unstorage(workshop: Workshop): Promise<readonly Row[]> {
  const suite = await workshop.project("unstorage", {
    dependencies: { ...ALSO, ...VERSIONS, vitest: "5.1.0", typescript: "7.0.2" },
  });
  suite.write("test-driver.ts", readFileSync(join(workshop.top, "packages/unstorage/test/test-driver.ts"), "utf8"));
  suite.write("suite.test.ts", SUITE);
  suite.write("types.ts", TYPES);
  await suite.run("npx", ["tsc", ...STRICTLY, "types.ts"]);
  const ran = await passedOf(suite, ["hotset", "redis"], { REDIS_URL: workshop.redis.url }, "skipped, which list keys");
  const nitro = await nitroApplication(workshop);
  const drivers = {
    hotset: await scenariosOf(workshop, nitro, "hotset"),
    redis: await scenariosOf(workshop, nitro, "redis"),
  };
  return [
    {
      adapter: "`@hotset/unstorage`",
      suite: SUITE_NAME,
      ours: ran["hotset"]!,
      today: `\`redis\` driver: ${ran["redis"]}`,
    },
    {
      adapter: "",
      suite: `an application of Nitro ${NITRO}, two processes`,
      ours: drivers.hotset,
      today: `\`redis\` driver: ${drivers.redis}`,
    },
  ];
}

const SUITE_NAME = "`testDriver` of unstorage at afbb66ec, over 1.17.6 and 2.0.0-beta.0, memory, SQLite and Redis";

const STRICTLY = ["--ignoreConfig", "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext"];
const TYPES = `import { hotsetDriver, type HotsetDriver } from "@hotset/unstorage";
import type { Driver } from "unstorage";
import type { Driver as Driver2 } from "unstorage-2";

declare const driver: HotsetDriver;
driver satisfies Driver;
driver satisfies Driver2;
export const made: typeof hotsetDriver = hotsetDriver;
`;

const SUITE = `import { hotsetDriver } from "@hotset/unstorage";
import { createCache, memory, redis, sqlite } from "hotset";
import * as first from "unstorage";
import redisDriver from "unstorage/drivers/redis";
import * as second from "unstorage-2";
import redisDriver2 from "unstorage-2/drivers/redis";
import { describe } from "vitest";
import { testDriver } from "./test-driver.ts";

const url = process.env.REDIS_URL;
const tiers = { memory: () => undefined, SQLite: () => sqlite("cache.db"), Redis: () => redis(url).build() };
for (const [version, unstorage, theirs] of [["1", first, redisDriver], ["2", second, redisDriver2]]) {
  for (const [name, tier] of Object.entries(tiers))
    describe(\`hotset \${name} \${version}\`, () => {
      const local = createCache({ name: \`suite\${version}\` }).tier(memory());
      const backend = tier();
      const cache = backend === undefined ? local.build() : local.tier(backend).build();
      testDriver({ unstorage, noKeysSupport: true, driver: () => hotsetDriver(cache) });
    });
  describe(\`redis \${version}\`, () => testDriver({ unstorage, driver: theirs({ url, base: \`their\${version}\` }) }));
}
`;

async function nitroApplication({ project }: Workshop): Promise<Project> {
  const made = await project("nitro", { dependencies: { ...ALSO, unstorage: VERSIONS.unstorage, nitropack: NITRO } });
  made.write(
    "nitro.config.ts",
    'export default defineNitroConfig({ compatibilityDate: "2026-01-01", srcDir: "server" });\n',
  );
  made.write("server/plugins/cache.ts", PLUGIN);
  for (const [name, text] of Object.entries(ROUTES)) made.write(`server/routes/${name}.ts`, text);
  await made.run("npx", ["nitropack", "build"], { NITRO_TELEMETRY_DISABLED: "1" });
  return made;
}

const PLUGIN = `import { hotsetDriver } from "@hotset/unstorage";
import { createCache, memory, redis } from "hotset";
import redisDriver from "unstorage/drivers/redis";

export default defineNitroPlugin((nitro) => {
  const url = process.env.REDIS_URL;
  if (process.env.DRIVER === "redis") {
    useStorage().mount("cache", redisDriver({ url, base: "theirs" }));
    return;
  }
  const cache = createCache({ name: "nitro" }).tier(memory()).tier(redis(url).build()).build();
  const tags = (key: string) => [key.split(":", 3).join(":")];
  useStorage().mount("cache", hotsetDriver(cache, { tags }));
  nitro.hooks.hook("close", () => cache.close());
});
`;
const handler = (options: string): string => `let runs = 0;
export default defineCachedEventHandler(async (event) => {
  await new Promise((resolve) => setTimeout(resolve, 50));
  return { sku: getRouterParam(event, "sku"), from: process.env.FROM, runs: ++runs };
}, ${options});
`;
const ROUTES = {
  up: "export default defineEventHandler(() => ({}));\n",
  "page/[sku]": handler("{ name: 'page', maxAge: 60 }"),
  "short/[sku]": handler("{ name: 'short', maxAge: 1 }"),
  "strict/[sku]": handler("{ name: 'strict', maxAge: 1, swr: false }"),
  clear: "export default defineEventHandler(async () => { await useStorage('cache').clear(); return {}; });\n",
};

interface Page {
  readonly from: string;
}

async function scenariosOf(workshop: Workshop, nitro: Project, driver: string): Promise<string> {
  const { redis } = workshop;
  await using pair = await servePair(redis, nitro, [".output/server/index.mjs"], { DRIVER: driver });
  const scenarios = { ...pages(pair, redis), ...outages(pair, redis) };
  const result = await workshop.count(`Nitro over ${driver}`, scenarios, driver === "hotset");
  const runs = await pair.answersOfForty("page/cold");
  console.log(`Nitro over ${driver}: 40 requests for a cold page, 20 to each process: ${runs} runs`);
  return result;
}

const pages = (pair: Pair, redis: OwnRedis): Scenarios => ({
  "a page of A is the page of B": async () => same(await pair.a("page/1"), await pair.b("page/1")),
  [WARM]: () => warmCosts(redis, () => pair.a("page/1")),
  "an old page is refreshed (swr)": () => pair.refreshes("short/1", 1_200),
  "without swr no old page is served": async () => {
    const old = await pair.a<Page>("strict/1");
    await sleep(1_200);
    if ((await pair.b<Page>("strict/1")).from === old.from) throw new Error("the old page");
  },
  "cleared on A, new on B": () => pair.ends("page/1", "clear"),
});
