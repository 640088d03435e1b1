/**
 * Writes the files of a version into this folder, as its build stores entries: `node --conditions=@hotset/source
 * write.ts 0.1`. The files of a released version are never written again: a release that changes how entries are stored
 * adds files, and `stored-bytes.integration.test.ts` reads all of them.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { gzipSync } from "node:zlib";
import { schema as sqlOf } from "@hotset/postgres";
import { startOwnRedis, startPostgres, temporaryDirectory } from "@hotset/test-servers";
import { fill } from "./content.ts";
import { LAYOUTS, postgresIn, redisAt, schemaOf, sqliteIn, type Command } from "./stores.ts";

const version = process.argv[2]!;
const file = (name: string): string => join(import.meta.dirname, name);
/** In 2109. */
const LONG_FROM_NOW = 4_387_000_000_000;

await writeRedis();
await writeSqlite();
await writePostgres();

async function writeRedis(): Promise<void> {
  await using server = await startOwnRedis();
  for (const layout of LAYOUTS) await fill(redisAt(server.url, layout));
  const commands: Command[] = [];
  for (const key of ((await server.command("KEYS", "*")) as string[]).toSorted()) {
    const isHash = (await server.command("TYPE", key)) === "hash";
    const content = (await server.commandBytes(isHash ? "HGETALL" : "GET", key)) as Buffer | readonly Buffer[];
    const shown = [content]
      .flat()
      .map((bytes, at) => (isHash && at % 2 === 0 ? String(bytes) : bytes.toString("base64")));
    commands.push([isHash ? "HSET" : "SET", key, ...shown]);
    const endsAt = Number(await server.command("PEXPIRETIME", key));
    // Versions of tags would end after 30 days.
    if (endsAt > LONG_FROM_NOW) commands.push(["PEXPIREAT", key, String(endsAt)]);
  }
  writeFileSync(file(`redis-${version}.json`), `${JSON.stringify(commands, undefined, 1)}\n`);
}

async function writeSqlite(): Promise<void> {
  const directory = await temporaryDirectory("stored");
  await fill(sqliteIn(join(directory, "cache.db")));
  const database = new DatabaseSync(join(directory, "cache.db"));
  // Tags that nobody has used for 30 days are forgotten.
  database.exec(`UPDATE tags SET usedAt = ${LONG_FROM_NOW}`);
  database.exec(`VACUUM INTO '${join(directory, "vacuumed.db")}'`);
  database.close();
  writeFileSync(file(`sqlite-${version}.db.gz`), gzipSync(readFileSync(join(directory, "vacuumed.db")), { level: 9 }));
}

async function writePostgres(): Promise<void> {
  await using server = await startPostgres();
  const schema = schemaOf(version);
  await server.query(`drop schema if exists ${schema} cascade`);
  const layout = sqlOf({ schema });
  await server.query(layout);
  await fill(postgresIn(server.url, schema));
  await server.query(`update ${schema}.tags set used_at = ${LONG_FROM_NOW}`);
  const rows: string[] = [];
  for (const table of ["entries", "tags", "issuer"])
    for (const { row } of await server.query(`select (t.*)::text as row from ${schema}.${table} t order by 1`))
      rows.push(
        `insert into ${schema}.${table} select (r).* from (select ${quoted(String(row))}::${schema}.${table} r) x;`,
      );
  await server.query(`drop schema ${schema} cascade`);
  writeFileSync(
    file(`postgres-${version}.sql`),
    [layout, "delete from $S.issuer;".replace("$S", schema), ...rows, ""].join("\n"),
  );
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
