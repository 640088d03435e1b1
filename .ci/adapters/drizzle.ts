import { startPostgres, type TestPostgres } from "@hotset/test-servers";
import type { Project } from "../newcomer/project.ts";
import { LISTEN, outages, passedOf, same, servePair, STRICTLY, WARM, warmCosts } from "./workshop.ts";
import type { Row, Scenarios, Workshop } from "./workshop.ts";

const DRIZZLE = "0.45.4";
const SUITE = {
  repository: "drizzle-team/drizzle-orm",
  commit: "b7862528fd8fc39bc2653a6c18dad7c1f4e68d10",
  path: "integration-tests/tests/pg/pg-common-cache.ts",
};

/** Drizzle's own tests of a cache, then a service in two processes; the cache of their guide and tests next to ours. */
export async function drizzle(workshop: Workshop): Promise<readonly Row[]> {
  const theirs = await workshop.source(SUITE);
  const made = await workshop.project("drizzle", {
    dependencies: {
      ...{ "drizzle-orm": DRIZZLE, pg: "8.23.1", keyv: "5.6.0", "@keyv/redis": "5.1.6" },
      ...{ "@hotset/drizzle": "latest", hotset: "latest" },
      ...{ vitest: "5.1.0", typescript: "7.0.2", "@types/node": "22.19.1", "@types/pg": "8.23.1" },
    },
  });
  made.write("service.ts", SERVICE);
  made.write("ours.ts", OURS);
  await made.run("npx", ["tsc", ...STRICTLY, "ours.ts"]);
  await using postgres = await startPostgres();
  const service = { ours: await run(workshop, made, postgres, "ours"), theirs: "" };
  const rows: Row[] = [];
  if (theirs !== undefined) {
    made.write("pg-common-cache.ts", theirs);
    const [classes = ""] = theirs.split("declare module");
    made.write("guide.ts", classes.replaceAll(/^import .* from '(?:vitest|drizzle-orm\/pg-core)';$/gm, ""));
    made.write("theirs.ts", THEIRS);
    made.write("suite.test.ts", SUITE_TEST);
    made.write("vitest.config.ts", "export default { test: { restoreMocks: true } };\n");
    const urls = { POSTGRES_URL: postgres.url, REDIS_URL: workshop.redis.url };
    const ours = await passedOf(made, ["ours", "theirs"], urls);
    service.theirs = await run(workshop, made, postgres, "theirs");
    rows.push({
      adapter: "`@hotset/drizzle`",
      suite: `\`pg-common-cache\` of drizzle-orm at ${SUITE.commit.slice(0, 8)}, over ${DRIZZLE} and PostgreSQL`,
      ours: ours["ours"]!,
      today: `\`Cache\` of their guide: ${ours["theirs"]}`,
    });
  }
  return [
    ...rows,
    {
      adapter: "",
      suite: `a service over Drizzle ${DRIZZLE}, two processes`,
      ours: service.ours,
      today: `\`Cache\` of their guide over \`@keyv/redis\`: ${service.theirs}`,
    },
  ];
}

const OURS = `import { drizzleCache, type DrizzleCache } from "@hotset/drizzle";
import type { Cache } from "drizzle-orm/cache/core";
import { createCache, memory, redis } from "hotset";

const cache = () => createCache({ name: "drizzle" }).tier(memory()).tier(redis(process.env.REDIS_URL!).build()).build();
export const explicit = (): Cache => drizzleCache(cache());
export const all = (): Cache => drizzleCache(cache(), { strategy: "all" });
export const watch = <D extends object>(cache: Cache, db: D): D => (cache as DrizzleCache).watch(db);
`;
const THEIRS = `import KeyvRedis from "@keyv/redis";
import Keyv from "keyv";
import { TestCache, TestGlobalCache } from "./guide.ts";

const store = () => new Keyv({ store: new KeyvRedis(process.env.REDIS_URL) });
export const explicit = () => new TestCache(store());
export const all = () => new TestGlobalCache(store());
export const watch = (_cache, db) => db;
`;

const SUITE_TEST = `import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { beforeEach, describe } from "vitest";
import * as ours from "./ours.ts";
import * as theirs from "./theirs.ts";
import { tests } from "./pg-common-cache.ts";

const pool = new pg.Pool({ connectionString: process.env.POSTGRES_URL });
for (const [name, { explicit, all, watch }] of Object.entries({ ours, theirs }))
  describe(name, () => {
    const open = (cache) => watch(cache, drizzle(pool, { cache }));
    const [db, dbGlobalCached] = [open(explicit()), open(all())];
    beforeEach((ctx) => {
      ctx.cachedPg = { db, dbGlobalCached };
    });
    tests();
  });
`;

const SERVICE = `import { and, eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { integer, pgTable, text } from "drizzle-orm/pg-core";

const { explicit, watch } = await import(\`./\${process.env.CACHE}.ts\`);
const cache = explicit();
const db = watch(cache, drizzle(process.env.POSTGRES_URL, { cache }));
const items = pgTable("adapter_items", { id: integer().primaryKey(), value: text() });
// Their guide takes ex for milliseconds.
const config = { ex: process.env.CACHE === "ours" ? 60 : 60_000 };
const update = (db, id, value, seconds) =>
  db.update(items).set({ value }).where(and(eq(items.id, Number(id)), sql\`pg_sleep(\${seconds}) is not null\`));

const routes = {
  up: () => ({}),
  page: (id) => db.select().from(items).where(eq(items.id, Number(id))).$withCache({ config }),
  write: (id, value) => update(db, id, value, 0),
  slowly: (id, value) => update(db, id, value, 0.5),
  undo: (id, value) =>
    db
      .transaction(async (tx) => {
        await update(tx, id, value, 0);
        await tx.select().from(items).where(eq(items.id, Number(id))).$withCache({ config });
        tx.rollback();
      })
      .catch(() => ({})),
};
${LISTEN}`;

type Rows = readonly { readonly id: number; readonly value: string }[];

async function run(
  { redis, count }: Workshop,
  made: Project,
  postgres: TestPostgres,
  cache: "ours" | "theirs",
): Promise<string> {
  await postgres.query("drop table if exists adapter_items");
  await postgres.query("create table adapter_items (id int primary key, value text)");
  await postgres.query("insert into adapter_items select id, 'old' from generate_series(1, 9) id");
  const parameters = ["--experimental-transform-types", "service.ts"];
  await using pair = await servePair(redis, made, parameters, { POSTGRES_URL: postgres.url, CACHE: cache });
  const isOn = async (page: Promise<Rows>, value: string): Promise<void> => same((await page)[0]?.value, value);
  const scenarios: Scenarios = {
    "rows of A are those of B": async () => {
      const rows = await pair.a("page/1");
      await postgres.query("update adapter_items set value = 'unseen' where id = 1");
      same(await pair.b("page/1"), rows);
    },
    [WARM]: () => warmCosts(redis, () => pair.a("page/1")),
    "written on A, new on A": async () => {
      await pair.a("page/2");
      await pair.a("write/2/new");
      await isOn(pair.a("page/2"), "new");
    },
    "written on A, new on B": () => pair.ends("page/3", "write/3/new"),
    "a select on B during a write on A: both are new": async () => {
      const old = await pair.a("page/4");
      const written = pair.a("slowly/4/new");
      // Selects run all the time, so that one begins after Drizzle has said that there is a write.
      while ((await Promise.race([written.then(() => true), pair.b("page/4")])) !== true);
      await pair.agree("page/4", old);
    },
    "rolled back on A, old on both": async () => {
      await pair.a("undo/5/never");
      await isOn(pair.a("page/5"), "old");
      await isOn(pair.b("page/5"), "old");
    },
    ...outages(pair, redis),
  };
  const result = await count(`Drizzle, ${cache}`, scenarios, cache === "ours");
  return result;
}
