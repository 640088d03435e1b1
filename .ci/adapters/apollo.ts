import { setTimeout as sleep } from "node:timers/promises";
import type { Project } from "../newcomer/project.ts";
import { LISTEN, outages, servePair, STRICTLY, WARM, warmCosts } from "./workshop.ts";
import type { Row, Scenarios, Workshop } from "./workshop.ts";

const APOLLO = "5.5.1";

/** Apollo Server with its response cache in two processes, over `KeyvAdapter`: our store of Keyv, and that of Redis. */
export async function apollo(workshop: Workshop): Promise<readonly Row[]> {
  const made = await workshop.project("apollo", {
    dependencies: {
      ...{ "@apollo/server": APOLLO, "@apollo/server-plugin-response-cache": "5.0.0" },
      ...{ "@apollo/utils.keyvadapter": "4.0.1", "@keyv/redis": "5.1.6", keyv: "5.6.0", graphql: "16.15.0" },
      ...{ "@hotset/keyv": "latest", hotset: "latest" },
      ...{ typescript: "7.0.2", "@types/node": "22.19.1" },
    },
  });
  made.write("ours.ts", OURS);
  made.write("theirs.ts", THEIRS);
  made.write("service.ts", SERVICE);
  await made.run("npx", ["tsc", ...STRICTLY, "ours.ts"]);
  return [
    {
      adapter: "`@hotset/keyv`",
      suite: `a server of Apollo ${APOLLO}, two processes`,
      ours: await run(workshop, made, "ours"),
      today: `\`KeyvAdapter\` over \`@keyv/redis\`: ${await run(workshop, made, "theirs")}`,
    },
  ];
}

const OURS = `import { keyvStore } from "@hotset/keyv";
import type { ApolloServerOptions, BaseContext } from "@apollo/server";
import { KeyvAdapter } from "@apollo/utils.keyvadapter";
import { createCache, memory, redis } from "hotset";
import { Keyv } from "keyv";

const shop = createCache({ name: "apollo" }).tier(memory()).tier(redis(process.env.REDIS_URL!).build()).build();
const keyv = new Keyv({ store: keyvStore(shop) });
// The adapter has the types of Keyv for CommonJS.
export const cache: NonNullable<ApolloServerOptions<BaseContext>["cache"]> = new KeyvAdapter(keyv as never);
export const clear = () => keyv.clear();
`;
const THEIRS = `import { KeyvAdapter } from "@apollo/utils.keyvadapter";
import KeyvRedis from "@keyv/redis";
import { Keyv } from "keyv";

const keyv = new Keyv(new KeyvRedis(process.env.REDIS_URL));
keyv.on("error", () => undefined);
export const cache = new KeyvAdapter(keyv);
export const clear = () => keyv.clear();
`;

const SERVICE = `import { ApolloServer, HeaderMap } from "@apollo/server";
import plugin from "@apollo/server-plugin-response-cache";

const { cache, clear } = await import(\`./\${process.env.CACHE}.ts\`);
let runs = 0;
const item = (_, { id }) => ({ id, from: process.env.FROM, runs: (runs += 1) });
const server = new ApolloServer({
  typeDefs: \`
    enum CacheControlScope { PUBLIC PRIVATE }
    directive @cacheControl(maxAge: Int, scope: CacheControlScope) on FIELD_DEFINITION | OBJECT
    type Item { id: ID! from: String! runs: Int! }
    type Query {
      item(id: ID!): Item! @cacheControl(maxAge: 60)
      short(id: ID!): Item! @cacheControl(maxAge: 1)
    }
  \`,
  resolvers: { Query: { item, short: item } },
  cache,
  plugins: [plugin.default?.() ?? plugin()],
});
await server.start();
const ask = async (name, id) => {
  const body = { query: \`{ \${name}(id: "\${id}") { id from runs } }\` };
  const headers = new HeaderMap([["content-type", "application/json"]]);
  const httpGraphQLRequest = { method: "POST", headers, search: "", body };
  const answer = await server.executeHTTPGraphQLRequest({ httpGraphQLRequest, context: async () => ({}) });
  const { data, errors } = JSON.parse(answer.body.string);
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
};
const routes = {
  up: () => ({}),
  page: (id) => ask("item", id),
  short: (id) => ask("short", id),
  clear: async () => ((await clear()), {}),
};
${LISTEN}`;

async function run({ redis, count }: Workshop, made: Project, cache: "ours" | "theirs"): Promise<string> {
  await using pair = await servePair(redis, made, ["service.ts"], { CACHE: cache });
  const scenarios: Scenarios = {
    "a response of A is that of B": () => pair.agree("page/1"),
    [WARM]: () => warmCosts(redis, () => pair.a("page/1")),
    "ends after its maxAge": async () => {
      const old = await pair.a("short/1");
      await sleep(1_200);
      await pair.agree("short/1", old);
    },
    "cleared on A, new on B": () => pair.ends("page/1", "clear"),
    ...outages(pair, redis),
  };
  const result = await count(`Apollo, ${cache}`, scenarios, cache === "ours");
  return result;
}
