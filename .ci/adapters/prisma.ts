import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startPostgres, type TestPostgres } from "@hotset/test-servers";
import type { Project } from "../newcomer/project.ts";
import { LISTEN, outages, same, servePair, WARM, warmCosts } from "./workshop.ts";
import type { Row, Scenarios, Workshop } from "./workshop.ts";

const PRISMA = "7.10.0";
const PAGE = "docs/guide/use-it-with.md";

/** The extension of the page, in a service over PostgreSQL in two processes. */
export async function prisma(workshop: Workshop): Promise<readonly Row[]> {
  const [, block] =
    /^## Prisma$[^]*?^```ts run$\n([^]*?)^```$/m.exec(readFileSync(join(workshop.top, PAGE), "utf8")) ?? [];
  const [extension] = block?.split("const cache = createCache") ?? [];
  if (extension === undefined) throw new Error(`${PAGE} has no extension of Prisma`);
  const made = await workshop.project("prisma", {
    dependencies: {
      ...{ prisma: PRISMA, "@prisma/client": PRISMA, "@prisma/adapter-pg": PRISMA, hotset: "latest" },
      ...{ typescript: "5.9.3", "@types/node": "22.19.1" },
    },
  });
  made.write("extension.ts", extension);
  made.write("client.ts", CLIENT);
  made.write("service.ts", SERVICE);
  made.write("prisma/schema.prisma", SCHEMA);
  made.write("prisma.config.ts", 'export default { schema: "prisma/schema.prisma" };\n');
  // Generating downloads an engine that it does not use.
  await made.run("npx", ["prisma", "generate"], { PRISMA_SCHEMA_ENGINE_BINARY: process.execPath });
  await made.run("npx", ["tsc", ...STRICTLY, "client.ts"]);
  await using postgres = await startPostgres();
  return [
    {
      adapter: "the extension for Prisma",
      suite: `a service over Prisma ${PRISMA}, two processes`,
      ours: await run(workshop, made, postgres),
      today: "none",
    },
  ];
}

const STRICTLY = [
  ...["--noEmit", "--strict", "--skipLibCheck", "--target", "es2023", "--module", "nodenext"],
  "--allowImportingTsExtensions",
];

const SCHEMA = `generator client {
  provider = "prisma-client"
  output   = "./client"
}
datasource db {
  provider = "postgresql"
}
model Item {
  id    Int    @id
  value String
  parts Part[]
}
model Part {
  id     Int    @id
  value  String
  itemId Int
  item   Item   @relation(fields: [itemId], references: [id])
}
`;
const TABLES = [
  'drop table if exists "Part", "Item"',
  'create table "Item" (id int primary key, value text)',
  'create table "Part" (id int primary key, value text, "itemId" int references "Item")',
  `insert into "Item" select id, 'old' from generate_series(1, 9) id`,
  `insert into "Part" select id, 'old', id from generate_series(1, 9) id`,
  `create or replace function rest() returns trigger language plpgsql as
    'begin if new.value = ''slow'' then perform pg_sleep(0.5); end if; return new; end'`,
  'create trigger rest before update on "Item" for each row execute function rest()',
];

const CLIENT = `import { PrismaPg } from "@prisma/adapter-pg";
import { createCache, memory, redis } from "hotset";
import { cached } from "./extension.ts";
import { PrismaClient } from "./prisma/client/client.ts";

export const cache = createCache({ name: "prisma" }).tier(memory()).tier(redis(process.env.REDIS_URL!).build()).build();
const client = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.POSTGRES_URL! }) });
export const db = client.$extends(cached(cache, Reflect.get(client, "_runtimeDataModel").models));
`;
const SERVICE = `import { cache, db } from "./client.ts";

const routes = {
  up: () => ({}),
  page: (id) => db.item.findMany({ where: { id: Number(id) }, include: { parts: true } }),
  write: (id, value) => db.item.update({ where: { id: Number(id) }, data: { value } }),
  part: (id, value) => db.part.update({ where: { id: Number(id) }, data: { value } }),
  nested: (id, value) => db.item.update({ where: { id: Number(id) }, data: { parts: { updateMany: { where: {}, data: { value } } } } }),
  parts: (id) => db.part.findMany({ where: { itemId: Number(id) } }),
  undo: async (id, value) => {
    const undone = db.$transaction(async (tx) => {
      await tx.item.update({ where: { id: Number(id) }, data: { value } });
      await tx.item.findMany({ where: { id: Number(id) }, include: { parts: true } });
      throw new Error("undone");
    });
    await undone.catch(() => undefined);
    await cache.namespace("prisma").invalidateTags("Item");
    return {};
  },
};
${LISTEN}`;

type Rows = readonly { readonly value: string }[];

async function run({ redis, count }: Workshop, made: Project, postgres: TestPostgres): Promise<string> {
  for (const statement of TABLES) await postgres.query(statement);
  await using pair = await servePair(redis, made, ["service.ts"], { POSTGRES_URL: postgres.url });
  const scenarios: Scenarios = {
    "rows of A are those of B": async () => {
      const rows = await pair.a("page/1");
      await postgres.query(`update "Item" set value = 'unseen' where id = 1`);
      same(await pair.b("page/1"), rows);
    },
    [WARM]: () => warmCosts(redis, () => pair.a("page/1")),
    "written on A, new on B": () => pair.ends("page/2", "write/2/new"),
    "a relation written on A, new on B": () => pair.ends("page/3", "part/3/new"),
    "a relation written through its model on A, new on B": () => pair.ends("parts/4", "nested/4/new"),
    "a read on B during a write on A: both are new": async () => {
      const old = await pair.a("page/5");
      const written = pair.a("write/5/slow");
      while ((await Promise.race([written.then(() => true), pair.b("page/5")])) !== true);
      await pair.agree("page/5", old);
    },
    "rolled back on A, old on both": async () => {
      await pair.a("undo/6/never");
      same((await pair.a<Rows>("page/6"))[0]?.value, "old");
      same((await pair.b<Rows>("page/6"))[0]?.value, "old");
    },
    ...outages(pair, redis),
  };
  const result = await count("Prisma", scenarios, true);
  return result;
}
