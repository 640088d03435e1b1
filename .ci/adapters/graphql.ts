import { setTimeout as sleep } from "node:timers/promises";
import type { Project } from "../newcomer/project.ts";
import { LISTEN, outages, passedOf, same, servePair, STRICTLY, WARM, warmCosts } from "./workshop.ts";
import type { Row, Scenarios, Workshop } from "./workshop.ts";

const [PLUGIN, YOGA] = ["9.3.1", "5.24.1"];
const ENVELOP = { repository: "n1ru4l/envelop", commit: "4d74b4b4980214bd407138f8cd8f8e579ee14f97" };
const SUITES = {
  memory: { ...ENVELOP, path: "packages/plugins/response-cache/test/response-cache.spec.ts" },
  redis: { ...ENVELOP, path: "packages/plugins/response-cache-redis/test/response-redis-cache.spec.ts" },
};

/** The tests of Envelop's plugin, and of its cache in Redis; then Yoga in two processes. Their caches next to ours. */
export async function graphql(workshop: Workshop): Promise<readonly Row[]> {
  const suites = { memory: await workshop.source(SUITES.memory), redis: await workshop.source(SUITES.redis) };
  const made = await workshop.project("graphql", {
    dependencies: {
      ...{ "@envelop/core": "5.6.1", "@envelop/response-cache": PLUGIN, "@envelop/response-cache-redis": "4.2.4" },
      ...{ graphql: "16.15.0", "graphql-yoga": YOGA, "@graphql-yoga/plugin-response-cache": "3.26.1" },
      ...{ "@hotset/graphql": "latest", hotset: "latest", ioredis: "5.8.2" },
      ...{ vitest: "5.1.0", typescript: "7.0.2", "@types/node": "22.19.1" },
      ...{ "@envelop/testing": "10.1.1", "@envelop/graphql-jit": "11.2.1", "@envelop/parser-cache": "10.2.1" },
      ...{ "@envelop/validation-cache": "10.2.1", "graphql-scalars": "1.24.2", "ioredis-mock": "8.9.0" },
      ...{ "@graphql-tools/executor": "1.5.0", "@graphql-tools/schema": "10.0.23", "@graphql-tools/utils": "10.8.6" },
    },
    // Their cache in Redis names an older plugin, whose interface is this one.
    overrides: { "@envelop/response-cache": PLUGIN },
  });
  made.write("ours.ts", OURS);
  made.write("theirs.ts", THEIRS);
  made.write("service.ts", SERVICE);
  await made.run("npx", ["tsc", ...STRICTLY, "ours.ts"]);
  const rows = suites.memory && suites.redis ? await suiteRows(made, suites.memory, suites.redis) : [];
  return [
    ...rows,
    {
      adapter: rows.length === 0 ? "`@hotset/graphql`" : "",
      suite: `a server of Yoga ${YOGA}, two processes`,
      ours: await run(workshop, made, "ours"),
      today: `\`createRedisCache\`: ${rows.length === 0 ? "" : await run(workshop, made, "theirs")}`,
    },
  ];
}

async function suiteRows(made: Project, memory: string, redis: string): Promise<readonly Row[]> {
  for (const who of ["ours", "theirs"])
    for (const [suite, text] of Object.entries({ memory, redis }))
      made.write(
        `${who}-${suite}.test.ts`,
        text
          .replaceAll("'../src/index.js'", `'./${who}.ts'`)
          .replaceAll("('useResponseCache", `('${who} ${suite}`)
          .replace("from 'ioredis'", "from 'ioredis-mock'")
          .replace(/^jest\.mock\(.*$/m, ""),
      );
  made.write("setup.ts", SETUP);
  made.write("vitest.config.ts", CONFIG);
  const passed = await passedOf(made, ["ours memory", "ours redis", "theirs memory", "theirs redis"], {});
  const at = `of Envelop at ${ENVELOP.commit.slice(0, 8)}, over ${PLUGIN}`;
  return [
    {
      adapter: "`@hotset/graphql`",
      suite: `\`response-cache.spec\` ${at}`,
      ours: passed["ours memory"]!,
      today: `\`createInMemoryCache\`: ${passed["theirs memory"]}`,
    },
    {
      adapter: "",
      suite: `\`response-redis-cache.spec\` ${at}`,
      ours: `${passed["ours redis"]}; the others read keys of Redis`,
      today: `\`createRedisCache\`: ${passed["theirs redis"]}`,
    },
  ];
}

/** They are tests of Jest: fake timers reach modules that have kept `performance`, and there is one copy of graphql. */
const SETUP = `import { vi } from "vitest";
globalThis.jest = vi;
performance.now = () => Date.now();
`;
const CONFIG = `export default {
  test: {
    globals: true,
    setupFiles: ["setup.ts"],
    server: { deps: { inline: true } },
    fakeTimers: { toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] },
  },
};
`;

const OURS = `import { graphqlCache } from "@hotset/graphql";
import * as envelop from "@envelop/response-cache";
import { createCache, memory, redis, type LocalCacheBuilder } from "hotset";

let caches = 0;
const local = (): LocalCacheBuilder => createCache({ name: \`suite\${(caches += 1)}\` }).tier(memory());

export * from "@envelop/response-cache";
export * from "@envelop/response-cache-redis";
export const createInMemoryCache = (): envelop.Cache => graphqlCache(local().build());
export const useResponseCache = (options: envelop.UseResponseCacheParameter<{}>) =>
  envelop.useResponseCache({ cache: createInMemoryCache(), ...options });
/** Of their suite, which empties Redis before each test: each begins as a new program. */
export function createRedisCache({ redis }: { redis: { flushall(): Promise<unknown> } }): envelop.Cache {
  let cache = createInMemoryCache();
  redis.flushall = async () => (cache = createInMemoryCache());
  const call = (name: keyof envelop.Cache) => (...given: never[]) => (cache[name] as Function)(...given);
  return { get: call("get"), set: call("set"), invalidate: call("invalidate") } as envelop.Cache;
}
export const forService = (url: string): envelop.Cache =>
  graphqlCache(createCache({ name: "yoga" }).tier(memory()).tier(redis(url).build()).build());
`;
const THEIRS = `import { createRedisCache } from "@envelop/response-cache-redis";
import Redis from "ioredis";

export * from "@envelop/response-cache";
export * from "@envelop/response-cache-redis";
export const forService = (url) => {
  const redis = new Redis(url);
  redis.on("error", () => undefined);
  return createRedisCache({ redis });
};
`;

const SERVICE = `import { useResponseCache } from "@graphql-yoga/plugin-response-cache";
import { createSchema, createYoga } from "graphql-yoga";

const { forService } = await import(\`./\${process.env.CACHE}.ts\`);
const cache = forService(process.env.REDIS_URL);
let runs = 0;
const item = (id) => ({ id, from: process.env.FROM, runs: (runs += 1) });
const schema = createSchema({
  typeDefs: \`
    type Item { id: ID! from: String! runs: Int! }
    type Query { item(id: ID!): Item! slow(id: ID!): Item! items(count: Int!): [Item!]! }
    type Mutation { change(id: ID!): Item! }
  \`,
  resolvers: {
    Query: {
      item: (_, { id }) => item(id),
      slow: async (_, { id }) => {
        const found = item(id);
        await new Promise((resolve) => setTimeout(resolve, 500));
        return found;
      },
      items: (_, { count }) => Array.from({ length: count }, (_, id) => item(id)),
    },
    Mutation: { change: (_, { id }) => item(id) },
  },
});
const yoga = createYoga({
  schema,
  logging: false,
  plugins: [useResponseCache({ session: () => null, ttl: 60_000, cache })],
});
const ask = async (query) => {
  const body = JSON.stringify({ query });
  const headers = { "content-type": "application/json", accept: "application/json" };
  const response = await yoga.fetch("http://yoga/graphql", { method: "POST", headers, body });
  const { data, errors } = await response.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
};
const routes = {
  up: () => ({}),
  page: (id) => ask(\`{ item(id: "\${id}") { id from runs } }\`),
  slow: (id) => ask(\`{ slow(id: "\${id}") { id from runs } }\`),
  list: (count) => ask(\`{ items(count: \${count}) { id from runs } }\`),
  change: (id) => ask(\`mutation { change(id: "\${id}") { id } }\`),
  type: async () => (await cache.invalidate([{ typename: "Item" }])) ?? {},
};
${LISTEN}`;

async function run({ redis, count }: Workshop, made: Project, cache: "ours" | "theirs"): Promise<string> {
  await using pair = await servePair(redis, made, ["service.ts"], { CACHE: cache });
  const scenarios: Scenarios = {
    "a response of A is that of B": () => pair.agree("page/1"),
    [WARM]: () => warmCosts(redis, () => pair.a("page/1")),
    "changed on A, new on B": () => pair.ends("page/1", "change/1"),
    "its type invalidated on A, new on B": () => pair.ends("page/1", "type"),
    "a list of 1,000 ends by its first": () => pair.ends("list/1000", "change/0"),
    "and by its last": () => pair.ends("list/1000", "change/999"),
    "and by no other": async () => {
      await pair.agree("list/1000");
      const old = await pair.b("list/1000");
      await pair.a("change/1000");
      same(await pair.b("list/1000"), old);
    },
    "a query on B during a change on A: both are new": async () => {
      const running = pair.b("slow/1");
      await sleep(200);
      await pair.a("change/1");
      await pair.agree("slow/1", await running);
    },
    ...outages(pair, redis),
  };
  const result = await count(`Yoga, ${cache}`, scenarios, cache === "ours");
  return result;
}
